"""An advisory source that is down or answers something else: the audit is incomplete, never clean."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path

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
    stage.require(stage.run(audit, ["tiny"]), "Incomplete", "osv", url)


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
    stage.require(run, "Incomplete", "osv", url, named)


def test_what_the_other_source_found_is_kept(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    stage.fleet.write("app/vulnerable.txt", VULNERABLE)
    stage.fleet.edit_manifest("tiny", audit={"requirements": ["app/clean.txt", "app/vulnerable.txt"]})

    with source(monkeypatch, lambda _: Answer(HTTPStatus.SERVICE_UNAVAILABLE, "text/plain", b"later")):
        run = stage.run(audit, ["tiny"])

    stage.require(run, "Vulnerable", "demo-yamlish 1.0.0", "503")
    document = json.loads(stage.texts(run)["report audit.json"])
    assert [item["sources"] for item in document["findings"]] == [["osv-db"]]
    assert [item["name"] for item in document["not_audited"]] == ["osv"]


def test_findings_of_other_packages_are_kept(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """The source names an advisory of another package, and does not hand it out."""
    monkeypatch.setenv("HOLDTRUE_AUDIT_SOURCES", '["osv"]')
    stage.fleet.write("app/vulnerable.txt", VULNERABLE + "demo-cryptish==3.2\n")
    stage.fleet.edit_manifest("tiny", audit={"requirements": ["app/clean.txt", "app/vulnerable.txt"]})

    def forward(request: Request) -> Answer:
        if request.path.endswith("/PYSEC-2099-0003"):
            return Answer(HTTPStatus.NOT_FOUND, "application/json", b"{}")
        with httpx.Client(trust_env=False, timeout=20) as client:
            answer = client.request(request.method, stage.sandbox.osv.url + request.path, content=request.body)
        return Answer(HTTPStatus(answer.status_code), "application/json", answer.content)

    with source(monkeypatch, forward):
        run = stage.run(audit, ["tiny"])
    stage.require(run, "Vulnerable", "demo-yamlish 1.0.0", "demo-cryptish 3.2")
    found = {item["package"]: item for item in json.loads(stage.texts(run)["report audit.json"])["findings"]}
    assert (found["demo-yamlish"]["certainty"], found["demo-cryptish"]["certainty"]) == ("affected", "possible")


@pytest.mark.parametrize("dump", ["not a dump\n", None], ids=["damaged", "gone"])
def test_a_dump_that_is_none(stage: Stage, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, dump: str | None) -> None:
    file = tmp_path / "advisories.jsonl"
    if dump is not None:
        file.write_text(dump)
    monkeypatch.setenv("HOLDTRUE_OSV_DB", str(file))

    stage.require(stage.run(audit, ["tiny"]), "Incomplete", "osv-db")

    stage.fleet.write("app/clean.txt", VULNERABLE)
    stage.require(stage.run(audit, ["tiny"]), "Vulnerable", "demo-yamlish 1.0.0")


def test_a_file_that_cannot_be_read_hides_no_other(stage: Stage) -> None:
    stage.fleet.write("app/vulnerable.txt", VULNERABLE)
    stage.fleet.write("app/uv.lock", "[")
    stage.fleet.edit_manifest("tiny", audit={"requirements": ["app/uv.lock", "app/vulnerable.txt"]})

    run = stage.run(audit, ["tiny"])

    stage.require(run, "Vulnerable", "demo-yamlish 1.0.0", "1 not audited", "app/uv.lock")
    document = json.loads(stage.texts(run)["report audit.json"])
    assert [item["inventory"] for item in document["not_audited"]] == ["app/uv.lock"]


def test_a_vault_that_is_sealed_hides_no_file(stage: Stage) -> None:
    stage.fleet.write("app/clean.txt", VULNERABLE)
    stage.fleet.edit_manifest("tiny", audit={"hosts": True})
    stage.sandbox.openbao.seal()
    try:
        run = stage.run(audit, ["tiny"])
    finally:
        stage.sandbox.openbao.unseal()

    stage.require(run, "Vulnerable", "demo-yamlish 1.0.0", "tiny/hosts")
