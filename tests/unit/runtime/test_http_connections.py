"""Proxies and certificates of the environment, as the JSON client takes them."""

import json
import threading
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar
from urllib.parse import quote

import pytest

from holdtrue.errors import RejectedError, ServiceUnreachable
from holdtrue.runtime.http_retry import RetryPolicy
from holdtrue.runtime.json_client import JsonClient

PASSWORD = "s3cr3t/ß"
ONCE = RetryPolicy(attempts=1)


class _Proxy(BaseHTTPRequestHandler):
    """Answers for the service itself, and remembers what it was asked for and by whom."""

    protocol_version = "HTTP/1.1"
    seen: ClassVar[list[tuple[str, str | None]]] = []

    def do_GET(self) -> None:
        self.seen.append((self.path, self.headers["Proxy-Authorization"]))
        answer = json.dumps({"by": "proxy" if "//" in self.path else "service"}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def port() -> Iterator[int]:
    _Proxy.seen.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Proxy)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@contextmanager
def client(address: str) -> Iterator[JsonClient]:
    with JsonClient(address, service="it", timeout_seconds=5, retries=ONCE) as opened:
        yield opened


def ask(address: str) -> object:
    with client(address) as it:
        return it.ask("GET", "/x", limit_bytes=1000)


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_the_proxy_is_asked_in_place_of_the_service(port: int, monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.delenv("REQUEST_METHOD", raising=False)
    monkeypatch.setenv(variable, f"http://127.0.0.1:{port}")

    assert ask("http://osv.invalid") == {"by": "proxy"}
    assert _Proxy.seen == [("http://osv.invalid/x", None)]


def test_a_proxy_without_scheme_is_one_too(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"127.0.0.1:{port}")

    assert ask("http://osv.invalid") == {"by": "proxy"}


def test_the_proxy_gets_its_user_and_password(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://us%40er:{quote(PASSWORD, safe='')}@127.0.0.1:{port}")

    assert ask("http://osv.invalid") == {"by": "proxy"}
    assert _Proxy.seen[0][1] == "Basic " + b64encode(f"us@er:{PASSWORD}".encode()).decode()


@pytest.mark.parametrize("exempt", ["127.0.0.1", "*", "elsewhere.example, 127.0.0.1"])
def test_no_proxy_exempts_the_service(port: int, monkeypatch: pytest.MonkeyPatch, exempt: str) -> None:
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    with pytest.raises(ServiceUnreachable, match="proxy"):
        ask(f"http://127.0.0.1:{port}")

    monkeypatch.setenv("NO_PROXY", exempt)
    assert ask(f"http://127.0.0.1:{port}") == {"by": "service"}


def test_no_proxy_exempts_an_ipv6_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("NO_PROXY", "localhost,::1")

    with pytest.raises(ServiceUnreachable, match="cannot be connected to"):
        ask("http://[::1]:1")


@pytest.mark.parametrize("proxy", ["socks5://user:s3cr3t@127.0.0.1:1", "http://user:s3cr3t@[half", "ftp://127.0.0.1"])
def test_a_proxy_that_cannot_be_used_is_refused_without_its_password(
    monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    monkeypatch.setenv("HTTP_PROXY", proxy)

    with pytest.raises(RejectedError, match="HTTP_PROXY") as caught:
        ask("http://osv.invalid")

    assert "s3cr3t" not in f"{caught.value!r}{caught.value.__cause__!r}"


def test_a_cross_protocol_proxy_is_used_for_tls(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """It answers no CONNECT, which is enough to see that it is asked."""
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")

    with pytest.raises(ServiceUnreachable, match="proxy"):
        ask("https://osv.invalid")
