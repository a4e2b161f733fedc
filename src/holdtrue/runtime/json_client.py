"""Ask a JSON service over HTTP with patience: what may pass is asked again, and no answer is endless.

On urllib3 rather than httpx: a cold audit is hundreds of small answers over many connections, for which httpx takes
twice the CPU time at 32 connections and four times at 64.
"""

import json
import math
import threading
import time
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Final, Self, TypeVar
from urllib.parse import urljoin

import urllib3
from urllib3 import exceptions

from holdtrue.errors import RejectedError, ServiceNotReady, ServiceUnreachable, TransientError
from holdtrue.runtime.http_connections import open_connections
from holdtrue.runtime.http_retry import MAY_PASS, PATIENT, RetryPolicy, parse_retry_after
from holdtrue.runtime.threads import in_threads

K = TypeVar("K")
T = TypeVar("T")

_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_LONGEST_REDIRECTION: Final = 3

NOT_THE_SERVICE: Final = "look for a proxy or login page in between, and check the address"
"""What to do about an answer that is none."""

_HEADERS: Final = {"Accept": "application/json", "Accept-Encoding": "gzip", "User-Agent": "holdtrue"}
_JSON: Final = {"Content-Type": "application/json"}
_CHUNK_BYTES: Final = 1 << 16
_GRACE_SECONDS: Final = 1.0
"""Each question minds the time itself and says what became of it; only a header that never ends escapes it."""


class NotFound(ServiceNotReady):
    """It answered 404: there is no such thing, or no such service behind the address."""


@dataclass(frozen=True, slots=True)
class _Setback:
    """A failure that may pass, and how long the service asks to be left alone."""

    error: TransientError
    asked_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class _Moved:
    """Another address of the same service."""

    url: str


class JsonClient:
    """A client of one service; a context manager. Its questions may be put by many threads at once.

    Connection errors, time-outs and the statuses 429, 500, 502, 503 and 504 are asked again as `retries` says.
    Redirects are followed for GET within the service's own scheme, host and port only. Proxies are taken from the
    environment, as every Python client takes them.

    Args:
        address: The base address, as `parse_base_address` returns it.
        service: What messages call it, such as `the advisory source`.
        timeout_seconds: How long the service may be silent.
        retries: How long to insist; its total counts from entering the context.
        connections: How many questions `gather` puts at once.
        sleep: What waits between attempts; by default it ends early when the client is closed.

    Raises:
        RejectedError: on entering, when the proxies or certificates named by the environment cannot be used.
    """

    def __init__(
        self,
        address: str,
        *,
        service: str,
        timeout_seconds: float,
        retries: RetryPolicy = PATIENT,
        connections: int = 16,
        sleep: Callable[[float], object] | None = None,
    ) -> None:
        self.address = address
        self._service = service
        self._timeout_seconds = timeout_seconds
        self._retries = retries
        self._connections = connections
        self._stopped = threading.Event()
        self._sleep = sleep or self._stopped.wait
        self._deadline = math.inf

    def __enter__(self) -> Self:
        try:
            self._http = open_connections(self.address, at_once=self._connections)
        except (ValueError, OSError):
            # Not chained: it may quote the address of a proxy.
            raise RejectedError(
                "the proxy or the certificates that the environment names cannot be used",
                where=self.address,
                next_step="check HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, SSL_CERT_FILE and SSL_CERT_DIR",
            ) from None
        self._deadline = time.monotonic() + self._retries.total_seconds
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._http.clear()

    def ask(self, method: str, path: str, *, body: object = None, limit_bytes: int) -> object:
        """The JSON document that it answers with.

        Raises:
            ServiceUnreachable: refused, reset, timed out, no such name, or a certificate that is not trusted.
            NotFound: 404.
            ServiceNotReady: another status than 200, no JSON, or more than `limit_bytes`.
        """
        return self.ask_for_text(method, path, body=body, limit_bytes=limit_bytes)[0]

    def ask_for_text(self, method: str, path: str, *, body: object = None, limit_bytes: int) -> tuple[object, bytes]:
        """The same, and the text of the document. It raises what `ask` raises."""
        content = self._insist(method, path, body, limit_bytes)
        try:
            return json.loads(content), content
        except (ValueError, RecursionError):
            raise ServiceNotReady(
                f"{self._service} answered something that is not JSON",
                where=self.where(path),
                next_step=NOT_THE_SERVICE,
            ) from None

    def exists(self, path: str) -> bool:
        """Whether it answers a GET with 200 and not with 404; the answer is not read.

        Raises:
            ServiceUnreachable, ServiceNotReady: it answered neither.
        """
        try:
            self._insist("GET", path, None, None)
        except NotFound:
            return False
        return True

    def gather(self, items: Iterable[K], fetch: Callable[[K], T]) -> dict[K, T | TransientError]:
        """Fetch each, as many at once as there are connections; in the order of the items.

        An item that failed has its error, and so has one whose answer has not come when the time of all is over.
        Anything but a TransientError, a termination above all, ends it at once: nothing on its way is waited for.
        """
        wanted = dict.fromkeys(items)
        until = self._deadline + _GRACE_SECONDS
        found = dict(
            in_threads(tuple(wanted), lambda item: _fetch_or_error(fetch, item), at_once=self._connections, until=until)
        )
        return {item: found[item] if item in found else self._unreachable(self._no_answer(), "") for item in wanted}

    def where(self, path: str) -> str:
        """The address of a path, for messages."""
        return f"{self.address}{path}"

    def _insist(self, method: str, path: str, body: object, limit_bytes: int | None) -> bytes:
        for attempt in range(1, self._retries.attempts + 1):
            outcome = self._follow(method, path, body, limit_bytes)
            if isinstance(outcome, bytes):
                return outcome
            pause = self._retries.pause_seconds(attempt, outcome.asked_seconds)
            if attempt == self._retries.attempts or pause >= self._seconds_left():
                raise outcome.error
            self._sleep(pause)
        raise ValueError(f"a policy of {self._retries.attempts} attempts asks nothing")

    def _follow(self, method: str, path: str, body: object, limit_bytes: int | None) -> bytes | _Setback:
        """One attempt, with the redirects that it meets."""
        url = self.where(path)
        for _ in range(1 + _LONGEST_REDIRECTION):
            outcome = self._exchange(method, url, path, body, limit_bytes)
            if not isinstance(outcome, _Moved):
                return outcome
            url = outcome.url
        raise self._not_ready("redirects in circles", path)

    def _exchange(
        self, method: str, url: str, path: str, body: object, limit_bytes: int | None
    ) -> bytes | _Setback | _Moved:
        left = self._seconds_left()
        if left <= 0 or self._stopped.is_set():
            return _Setback(self._unreachable(self._no_answer(), path))
        timeout = min(self._timeout_seconds, left)
        try:
            with self._http.request(
                method, url, body=None if body is None else json.dumps(body), headers=_headers(body),
                timeout=timeout, retries=False, redirect=False, preload_content=False, decode_content=False,
            ) as response:  # fmt: skip
                return self._judge(response, method, url, path, limit_bytes)
        except (exceptions.HTTPError, OSError) as error:
            # Never chained or quoted: the text may hold the address of a proxy, with its password.
            if "CERTIFICATE_VERIFY_FAILED" in str(error):
                raise self._unreachable("has a certificate that is not trusted", path) from None
            reason = "speaks no TLS that is understood here" if "[SSL" in str(error) else _describe(error, timeout)
            return _Setback(self._unreachable(reason, path))

    def _judge(
        self, response: urllib3.BaseHTTPResponse, method: str, url: str, path: str, limit_bytes: int | None
    ) -> bytes | _Setback | _Moved:
        status = response.status
        if status == HTTPStatus.OK:
            return b"" if limit_bytes is None else self._read(response, path, limit_bytes)
        if status == HTTPStatus.NOT_FOUND:
            raise NotFound(
                f"{self._service} answered HTTP 404", where=self.where(path), next_step="check the base address"
            )
        if status in _REDIRECTS and method == "GET" and (moved := _own_address(url, response)):
            return moved
        if status in _REDIRECTS:
            raise self._not_ready(f"answered HTTP {status}, which leads elsewhere", path)
        if status not in MAY_PASS:
            raise self._not_ready(f"answered HTTP {status}", path)
        asked = parse_retry_after(response.headers.get("Retry-After", ""), datetime.now(UTC))
        advice = f" and asks to wait {asked:g} s" if asked else ""
        return _Setback(self._not_ready(f"answered HTTP {status}{advice}", path, "ask again later"), asked)

    def _read(self, response: urllib3.BaseHTTPResponse, path: str, limit_bytes: int) -> bytes:
        """The whole body, decoded by ourselves: a bomb is small on the wire."""
        raw = bytearray()
        while chunk := response.read1(_CHUNK_BYTES, decode_content=False):
            raw += chunk
            if len(raw) > limit_bytes:
                raise self._not_ready(f"answered more than {limit_bytes} bytes", path)
            if self._seconds_left() <= 0:
                raise self._unreachable(f"had not answered whole after {self._retries.total_seconds:g} s in all", path)
        if response.headers.get("Content-Encoding", "").lower() != "gzip":
            return bytes(raw)
        decoder = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
        try:
            content = decoder.decompress(raw, limit_bytes + 1)
        except zlib.error:
            raise self._not_ready("answered something that is not gzip, as it says", path) from None
        if len(content) > limit_bytes:
            raise self._not_ready(f"answered more than {limit_bytes} bytes", path)
        if not decoder.eof:
            raise self._not_ready("answered with a cut gzip stream", path)
        return content

    def _no_answer(self) -> str:
        return f"gave no answer within {self._retries.total_seconds:g} s in all"

    def _seconds_left(self) -> float:
        return self._deadline - time.monotonic()

    def _unreachable(self, what: str, path: str) -> ServiceUnreachable:
        return ServiceUnreachable(
            f"{self._service} {what}",
            where=self.where(path),
            next_step="check address, network and proxy; a private certificate authority goes into SSL_CERT_FILE",
        )

    def _not_ready(self, what: str, path: str, next_step: str = NOT_THE_SERVICE) -> ServiceNotReady:
        return ServiceNotReady(f"{self._service} {what}", where=self.where(path), next_step=next_step)


def _fetch_or_error(fetch: Callable[[K], T], item: K) -> T | TransientError:
    try:
        return fetch(item)
    except TransientError as error:
        return error


def _headers(body: object) -> dict[str, str]:
    return _HEADERS if body is None else _HEADERS | _JSON


def _own_address(url: str, response: urllib3.BaseHTTPResponse) -> _Moved | None:
    """Where a redirect leads to, if that is the same scheme, host and port."""
    try:
        target = urllib3.util.parse_url(urljoin(url, response.headers.get("Location", "")))
    except ValueError:
        return None
    here = urllib3.util.parse_url(url)
    is_own = _origin(target) == _origin(here) and not target.auth
    return _Moved(target.url) if is_own else None


def _origin(url: urllib3.util.Url) -> tuple[str | None, str | None, int | None]:
    return url.scheme, url.host, url.port or urllib3.connection.port_by_scheme.get(url.scheme or "")


def _describe(error: Exception, timeout: float) -> str:
    match error:
        case exceptions.NewConnectionError() | exceptions.LocationParseError():
            return "cannot be connected to"
        case exceptions.TimeoutError():
            return f"was silent for {timeout:g} s"
        case exceptions.ProxyError():
            return "is behind a proxy that refuses"
        case exceptions.ProtocolError():
            return "broke off the connection, or speaks no HTTP"
        case _:
            return f"cannot be asked: {type(error).__name__}"
