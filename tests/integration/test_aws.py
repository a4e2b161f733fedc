"""Who AWS says a key is, asked of a server that checks keys."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from pydantic import SecretStr

from holdtrue.adapters.aws import caller_identity
from holdtrue.errors import (
    AccessDenied,
    CertificateRefused,
    HoldtrueError,
    RejectedError,
    ServiceNotReady,
    ServiceUnreachable,
)
from sandbox import Sandbox

REFUSAL = """<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type>
<Code>{code}</Code><Message>made up</Message></Error><RequestId>1</RequestId></ErrorResponse>"""


@pytest.fixture
def good(sandbox: Sandbox) -> dict[str, SecretStr]:
    return {
        "AWS_ACCESS_KEY_ID": SecretStr(sandbox.aws.access_key_id),
        "AWS_SECRET_ACCESS_KEY": sandbox.aws.secret_access_key,
        "AWS_REGION": SecretStr(sandbox.aws.region),
        "AWS_ENDPOINT_URL": SecretStr(sandbox.aws.endpoint_url),
    }


@contextmanager
def _answering(status: int, body: str) -> Iterator[tuple[str, list[str]]]:
    """An endpoint that gives every request the same answer, and the requests it got."""
    seen: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            seen.append(self.path)
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name in the base class
            """Stay quiet."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", seen
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _refusal(kind: type[HoldtrueError], call: Callable[[], object]) -> HoldtrueError:
    with pytest.raises(HoldtrueError) as caught:
        call()
    assert type(caught.value) is kind
    assert caught.value.__cause__ is not None
    assert caught.value.where
    assert caught.value.next_step
    return caught.value


def test_a_good_key_has_an_identity(good: dict[str, SecretStr]) -> None:
    assert caller_identity(good, timeout_seconds=20).endswith(":user/holdtrue")


def test_the_environment_and_files_of_this_process_do_not_matter(
    good: dict[str, SecretStr], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "config").write_text("[default]\nendpoint_url = http://127.0.0.1:9\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_PROFILE", "of-somebody-else")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIASOMEBODYELSE")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "of-somebody-else")
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", "http://127.0.0.1:9")
    assert caller_identity(good, timeout_seconds=20).endswith(":user/holdtrue")


@pytest.mark.parametrize("name", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
def test_a_wrong_key_is_denied(good: dict[str, SecretStr], name: str) -> None:
    wrong = good | {name: SecretStr("AKIANOSUCHKEYATALL00")}
    error = _refusal(AccessDenied, lambda: caller_identity(wrong, timeout_seconds=20))
    assert good["AWS_SECRET_ACCESS_KEY"].get_secret_value() not in str(error)


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (403, "ExpiredToken", AccessDenied),
        (403, "RequestExpired", AccessDenied),
        (400, "Throttling", ServiceNotReady),
        (500, "InternalFailure", ServiceNotReady),
        (503, "ServiceUnavailable", ServiceNotReady),
    ],
)
def test_an_answer_that_says_no_is_asked_for_once(
    good: dict[str, SecretStr], status: int, code: str, kind: type[HoldtrueError]
) -> None:
    with _answering(status, REFUSAL.format(code=code)) as (url, seen):
        error = _refusal(kind, lambda: caller_identity(good | {"AWS_ENDPOINT_URL": SecretStr(url)}, timeout_seconds=5))
    assert code in str(error)
    assert len(seen) == 1


def test_an_endpoint_that_is_not_sts_is_rejected(good: dict[str, SecretStr]) -> None:
    with _answering(200, "<html>hello") as (url, _):
        other = good | {"AWS_ENDPOINT_URL": SecretStr(url)}
        _refusal(RejectedError, lambda: caller_identity(other, timeout_seconds=5))


def test_an_endpoint_that_is_down_is_unreachable(good: dict[str, SecretStr]) -> None:
    with _answering(200, "") as (url, _):
        pass
    down = good | {"AWS_ENDPOINT_URL": SecretStr(url)}
    _refusal(ServiceUnreachable, lambda: caller_identity(down, timeout_seconds=5))


def test_an_endpoint_that_hangs_is_unreachable_in_time(sandbox: Sandbox, good: dict[str, SecretStr]) -> None:
    sandbox.aws.pause()
    began = time.monotonic()
    try:
        _refusal(ServiceUnreachable, lambda: caller_identity(good, timeout_seconds=0.5))
    finally:
        sandbox.aws.resume()
    assert time.monotonic() - began < 3


def test_a_certificate_of_an_unknown_ca_is_refused(sandbox: Sandbox, good: dict[str, SecretStr]) -> None:
    other = good | {"AWS_ENDPOINT_URL": SecretStr(sandbox.openbao.address)}
    _refusal(CertificateRefused, lambda: caller_identity(other, timeout_seconds=5))


@pytest.mark.parametrize(("name", "value"), [("AWS_ENDPOINT_URL", "nonsense"), ("AWS_REGION", "no such region")])
def test_a_malformed_field_is_rejected(good: dict[str, SecretStr], name: str, value: str) -> None:
    _refusal(RejectedError, lambda: caller_identity(good | {name: SecretStr(value)}, timeout_seconds=5))


def test_https_to_a_plain_port_is_rejected(good: dict[str, SecretStr]) -> None:
    url = good["AWS_ENDPOINT_URL"].get_secret_value().replace("http", "https")
    _refusal(RejectedError, lambda: caller_identity(good | {"AWS_ENDPOINT_URL": SecretStr(url)}, timeout_seconds=5))
