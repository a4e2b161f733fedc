"""HTTP probes: one question, asked again until the answer is good or the attempts are used up."""

import socket
import ssl
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import httpx

from holdtrue.core.neutral import one_line
from holdtrue.models.environment import HttpProbe
from holdtrue.models.validation import CheckOutcome, CheckResult
from holdtrue.runtime.tracing import span

_BODY_LIMIT_BYTES: Final = 1 << 20
_SHOWN_CHARACTERS: Final = 80
_PAUSE_SECONDS: Final = 1.0
_LABEL_LIMIT: Final = 63
"""RFC 1035 section 2.3.4; the resolver raises UnicodeError for a longer one."""
_HIGHEST_PORT: Final = 65_535
_HEADERS: Final = {"User-Agent": "holdtrue", "Accept": "*/*", "Accept-Encoding": "identity", "Connection": "close"}
"""Uncompressed, because a bomb is small on the wire; one connection an attempt, so a balancer decides anew."""


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    location: str
    body: bytes
    """At most the first MiB, as it came."""


class HttpProber:
    """A `Prober` that judges status and body itself: no redirect is followed, no proxy and no ~/.netrc is used.

    An attempt ends within the probe's `timeout_seconds`, name look-up aside, however slowly the answer drips; only the
    first MiB of a body is looked at. What the service does wrong, not answering included, is `failed`, for the service
    is what is being tested; only a URL that cannot be asked is an `error`.
    """

    def __init__(self, *, pause_seconds: float = _PAUSE_SECONDS) -> None:
        self._pause_seconds = pause_seconds

    def probe(self, probe: HttpProbe, *, url: str, target: str) -> CheckResult:
        """Ask up to `probe.attempts` times; the result tells what came instead of the good answer."""
        began = time.monotonic()

        def result(outcome: CheckOutcome, detail: str = "") -> CheckResult:
            duration = time.monotonic() - began
            return CheckResult(
                target=target, name=probe.name, kind="http", outcome=outcome, detail=detail, duration_seconds=duration
            )

        with span("http-probe", probe=probe.name, target=target):
            if reason := _cannot_be_asked(url):
                return result(CheckOutcome.ERROR, reason)
            complaint = ""
            for attempt in range(probe.attempts):
                if attempt:
                    time.sleep(self._pause_seconds)
                complaint = self._ask(probe, url)
                if not complaint:
                    return result(CheckOutcome.PASSED)
            return result(CheckOutcome.FAILED, f"{complaint} (attempts: {probe.attempts})")

    def _ask(self, probe: HttpProbe, url: str) -> str:
        """One attempt: what was wrong, or nothing."""
        cut = threading.Event()
        try:
            answer = self._fetch(url, probe.timeout_seconds, cut)
        except httpx.TimeoutException:
            return f"no answer within {probe.timeout_seconds:g} s"
        except httpx.ConnectError as error:
            return f"cannot connect: {_printable(str(error))}"
        except (httpx.HTTPError, OSError) as error:
            if cut.is_set():
                return f"no complete answer within {probe.timeout_seconds:g} s"
            return f"not an HTTP answer: {_printable(str(error)) or type(error).__name__}"
        return _judge(probe, answer)

    def _fetch(self, url: str, timeout_seconds: float, cut: threading.Event) -> _Answer:
        with (
            httpx.Client(verify=self._trust, timeout=timeout_seconds, trust_env=False) as client,
            _cut_after(timeout_seconds, cut) as on_event,
            client.stream("GET", url, headers=_HEADERS, extensions={"trace": on_event}) as response,
        ):
            body = bytearray()
            for chunk in response.iter_raw():
                body += chunk
                if len(body) >= _BODY_LIMIT_BYTES:
                    break
            location = response.headers.get("location", "")
            return _Answer(response.status_code, location, bytes(body[:_BODY_LIMIT_BYTES]))

    @cached_property
    def _trust(self) -> ssl.SSLContext:
        """The machine's trust store, or SSL_CERT_FILE; loaded once, because it takes as long as ten probes."""
        return ssl.create_default_context()


@contextmanager
def _cut_after(timeout_seconds: float, cut: threading.Event) -> Generator[Callable[[str, dict[str, object]], None]]:
    """Give a trace function for httpx; shut its connection down when the time is up.

    httpx bounds each read, not the whole answer (https://www.python-httpx.org/advanced/timeouts/): a server that sends
    a byte a second would hold the probe for ever.
    """
    sockets: list[socket.socket] = []

    def shut_down() -> None:
        cut.set()
        for connection in sockets:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def on_event(name: str, info: dict[str, object]) -> None:
        stream = info.get("return_value")
        if name == "connection.connect_tcp.complete" and stream is not None:
            connection = getattr(stream, "get_extra_info")("socket")  # noqa: B009 - httpcore publishes no type here
            sockets.append(connection)

    timer = threading.Timer(timeout_seconds, shut_down)
    timer.daemon = True
    timer.start()
    try:
        yield on_event
    finally:
        timer.cancel()
        timer.join()


def _judge(probe: HttpProbe, answer: _Answer) -> str:
    if answer.status != probe.status:
        redirected = f" to {_printable(answer.location)}" if answer.location else ""
        return f"status {answer.status}{redirected} instead of {probe.status}: {_shown(answer.body)}"
    # The text is looked for as UTF-8, whatever the answer says of itself: the manifest is UTF-8 too.
    if probe.contains.encode() not in answer.body:
        return f"status {answer.status}, but the body lacks {probe.contains!r}: {_shown(answer.body)}"
    return ""


def _cannot_be_asked(url: str) -> str:
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL:
        return "not a URL"
    if parsed.scheme not in {"http", "https"}:
        return f"not an http or https URL: scheme {_printable(parsed.scheme)!r}"
    if not parsed.host or max(map(len, parsed.host.split("."))) > _LABEL_LIMIT:
        return "the URL names no host that can exist"
    return "" if parsed.port is None or 0 < parsed.port <= _HIGHEST_PORT else f"no such port: {parsed.port}"


def _shown(body: bytes) -> str:
    return _printable(body[: 4 * _SHOWN_CHARACTERS].decode(errors="replace")) or "empty body"


def _printable(text: str) -> str:
    return one_line(text, _SHOWN_CHARACTERS)
