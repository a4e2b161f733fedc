"""Probes judged without a network: answers from a socket on loopback, byte by byte as we like them."""

import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from holdtrue.adapters.http import HttpProber
from holdtrue.models.environment import HttpProbe
from holdtrue.models.validation import CheckOutcome, CheckResult

Handler = Callable[[socket.socket], None]


class _Service:
    """A raw TCP service; each connection is handed to `handler` after the request was read."""

    def __init__(self) -> None:
        self.requests: list[str] = []
        self.handler: Handler = _answer(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/health"
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        if not self._thread.is_alive():
            return
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(timeout=5)

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                try:
                    self.requests.append(connection.recv(65536).decode())
                    self.handler(connection)
                except OSError:
                    continue


def _answer(data: bytes) -> Handler:
    return lambda connection: connection.sendall(data)


@pytest.fixture
def service() -> Iterator[_Service]:
    running = _Service()
    yield running
    running.close()


def _probe(
    service: _Service,
    *,
    status: int = 200,
    contains: str = "",
    timeout_seconds: float = 2.0,
    attempts: int = 1,
    url: str = "",
) -> CheckResult:
    probe = HttpProbe(
        name="health", url="-", status=status, contains=contains, timeout_seconds=timeout_seconds, attempts=attempts
    )
    return HttpProber(pause_seconds=0.02).probe(probe, url=url or service.url, target="web-1")


def test_the_good_answer_passes(service: _Service) -> None:
    result = _probe(service, contains="ok")
    assert (result.outcome, result.target, result.name, result.kind) == (CheckOutcome.PASSED, "web-1", "health", "http")
    assert service.requests[0].startswith("GET /health HTTP/1.1")


@pytest.mark.parametrize(
    ("answer", "status", "contains", "detail"),
    [
        (b"HTTP/1.1 500 Oops\r\nContent-Length: 4\r\n\r\nboom", 200, "", "boom"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nother", 200, "ok", "other"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200, "ok", "empty"),
        (b"HTTP/1.1 302 Found\r\nLocation: https://elsewhere.test/\r\nContent-Length: 0\r\n\r\n", 200, "", "elsewhere"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n\x00\x1b[31mok\xff\xfe", 404, "", "[31mok"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", 200, "", "HTTP"),
        (b"", 200, "", "HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nok", 200, "ok", "HTTP"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nok", 200, "ok", "HTTP"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 300_000 + b"\r\n\r\n", 200, "", "HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\nno", 200, "ok", "no"),
    ],
)
def test_another_answer_fails_and_says_what_came(
    service: _Service, answer: bytes, status: int, contains: str, detail: str
) -> None:
    service.handler = _answer(answer)
    result = _probe(service, status=status, contains=contains)
    assert result.outcome is CheckOutcome.FAILED
    assert detail in result.detail
    assert result.detail.isprintable()
    assert len(result.detail) < 300


def test_a_redirect_that_is_asked_for_passes(service: _Service) -> None:
    service.handler = _answer(b"HTTP/1.1 301 Moved\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n")
    assert _probe(service, status=301).outcome is CheckOutcome.PASSED
    assert len(service.requests) == 1


def test_a_body_without_end_is_judged_by_its_beginning(service: _Service) -> None:
    def flood(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\nok")
        while True:
            connection.sendall(b"x" * 65536)

    service.handler = flood
    assert _probe(service, contains="ok").outcome is CheckOutcome.PASSED
    assert _probe(service, contains="never").outcome is CheckOutcome.FAILED


def _silent(connection: socket.socket) -> None:
    connection.settimeout(2)
    connection.recv(1)


def _dripping_body(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")
    for _ in range(40):
        connection.sendall(b"x")
        time.sleep(0.05)


def _dripping_header(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    for _ in range(40):
        connection.sendall(b"X")
        time.sleep(0.05)


@pytest.mark.parametrize("handler", [_silent, _dripping_body, _dripping_header])
def test_an_attempt_ends_in_time_however_the_answer_drips(service: _Service, handler: Handler) -> None:
    service.handler = handler
    began = time.monotonic()
    result = _probe(service, timeout_seconds=0.3)
    assert time.monotonic() - began < 1.2
    assert result.outcome is CheckOutcome.FAILED
    assert "0.3 s" in result.detail


def test_a_service_that_comes_up_passes_at_a_later_attempt(service: _Service) -> None:
    good = service.handler
    answers = [_answer(b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n"), _answer(b""), good]

    def next_answer(connection: socket.socket) -> None:
        answers[len(service.requests) - 1](connection)

    service.handler = next_answer
    assert _probe(service, attempts=3).outcome is CheckOutcome.PASSED
    assert len(service.requests) == 3


def test_attempts_are_bounded(service: _Service) -> None:
    service.handler = _answer(b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n")
    assert _probe(service, attempts=4).outcome is CheckOutcome.FAILED
    assert len(service.requests) == 4


def test_a_closed_port_fails(service: _Service) -> None:
    service.close()
    result = _probe(service, attempts=2)
    assert result.outcome is CheckOutcome.FAILED
    assert "refused" in result.detail


@pytest.mark.parametrize(
    "url",
    [
        "",
        "nonsense",
        "file:///etc/passwd",
        "ftp://127.0.0.1/",
        "http://",
        "http://[::1",
        "http://a b/\x00",
        "http://127.0.0.1:99999/",
        "http://" + "a" * 64 + ".test/",
    ],
)
def test_a_url_that_cannot_be_asked_is_an_error(service: _Service, url: str) -> None:
    result = HttpProber().probe(HttpProbe(name="health", url="-"), url=url, target="web-1")
    assert result.outcome is CheckOutcome.ERROR
    assert service.requests == []


def test_a_proxy_of_the_worker_is_not_asked(service: _Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    assert _probe(service).outcome is CheckOutcome.PASSED


def test_a_name_that_does_not_exist_fails(service: _Service) -> None:
    result = _probe(service, url="http://no-such-host.invalid/", timeout_seconds=1.0)
    assert result.outcome is CheckOutcome.FAILED
