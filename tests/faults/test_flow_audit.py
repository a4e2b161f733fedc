"""An advisory source that is down or answers something else: the audit is incomplete, never clean."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus

import httpx
import pytest

from flows.audit import audit
from sandbox.web import Answer, Request, WebServer
from tests.integration.flow_stage import Stage, free_port

pytestmark = pytest.mark.usefixtures("untouched")

CLEAN, VULNERABLE = "demo-clockish==2.1.0\n", "demo-yamlish==1.0.0\n"


@pytest.fixture(autouse=True)
def _requirements(stage: Stage) -> None:
    stage.fleet.write("app/clean.txt", CLEAN)
    stage.fleet.edit_manifest("tiny", audit={"requirements": ["app/clean.txt"]})


@contextmanager
def source(monkeypatch: pytest.MonkeyPatch, answer: Callable[[Request], Answer]) -> Iterator[str]:
    server = WebServer(free_port(), answer)
    monkeypatch.setenv("HOLDTRUE_OSV_URL", server.url)
    try:
        yield server.url
    finally:
        server.stop()


def test_good_source_is_clean(stage: Stage) -> None:
    stage.require(stage.run(audit, ["tiny"]), "Clean", "1 package")


def test_source_that_is_down(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    monkeypatch.setenv("HOLDTRUE_OSV_URL", url)
    stage.require(stage.run(audit, ["tiny"]), "Incomplete", "app/clean.txt", url)


@pytest.mark.parametrize(
    ("status", "content_type", "body", "named"),
    [
        (HTTPStatus.OK, "text/html", b"<html>Sign in to the proxy</html>", ""),
        (HTTPStatus.SERVICE_UNAVAILABLE, "text/plain", b"later", "503"),
    ],
    ids=["html", "503"],
)
def test_source_that_answers_something_else(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, status: HTTPStatus, content_type: str, body: bytes, named: str
) -> None:
    with source(monkeypatch, lambda _: Answer(status, content_type, body)) as url:
        run = stage.run(audit, ["tiny"])
    stage.require(run, "Incomplete", "app/clean.txt", url, named)


def test_findings_of_other_targets_are_kept(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    stage.fleet.write("app/vulnerable.txt", VULNERABLE)
    stage.fleet.edit_manifest("tiny", audit={"requirements": ["app/clean.txt", "app/vulnerable.txt"]})

    def forward(request: Request) -> Answer:
        if b"clockish" in request.body:
            return Answer(HTTPStatus.SERVICE_UNAVAILABLE, "text/plain", b"later")
        with httpx.Client(trust_env=False, timeout=20) as client:
            answer = client.request(request.method, stage.sandbox.osv.url + request.path, content=request.body)
        return Answer(HTTPStatus(answer.status_code), "application/json", answer.content)

    with source(monkeypatch, forward):
        run = stage.run(audit, ["tiny"])
    stage.require(run, "Vulnerable", "demo-yamlish 1.0.0", "1 not audited", "app/clean.txt")
    report = json.loads(stage.texts(run)["report audit.json"])
    assert [item["found_in"] for item in report["not_audited"]] == ["app/clean.txt"]
