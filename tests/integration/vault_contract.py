"""A server that speaks Vault's API for tokens and leases, as HashiCorp documents it, for methods that OpenBao lacks.

Sources: developer.hashicorp.com/vault/api-docs/auth/token and .../system/leases.
"""

import http.server
import json
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any


class Refused(Exception):
    """An answer with `errors`."""

    def __init__(self, status: HTTPStatus, *errors: str) -> None:
        super().__init__(*errors)
        self.status = status
        self.errors = errors


@dataclass(slots=True)
class Lived:
    """A token or a lease: it ends at `ends`, and never lives beyond `latest` (both monotonic)."""

    ends: float
    latest: float
    token: str
    """The token, or the one that the lease dies with."""
    end: Callable[[], None] = field(default=lambda: None)

    @property
    def left(self) -> int:
        return max(0, round(self.ends - time.monotonic()))

    def renew(self, seconds: int) -> int:
        self.ends = min(time.monotonic() + seconds, self.latest)
        return self.left


@dataclass(frozen=True, slots=True)
class Asked:
    """One request of a client."""

    path: str
    body: dict[str, Any]
    token: str


Route = Callable[[Asked], dict[str, Any] | None]
"""What a client gets; None for an answer without content. Raises Refused."""


class VaultContract:
    """The server; it listens from construction until `stop()`.

    Attributes:
        url: Base address.
        logins: Paths that need no token.
        routes: Every other path below /v1/, or its part before the last slash.
        asked: Paths of all requests, in order.
    """

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.logins: dict[str, Route] = {}
        self.routes: dict[str, Route] = {
            "auth/token/lookup-self": lambda asked: self._described(self._accessor(asked.token)),
            "auth/token/renew-self": self._renew_token,
            "auth/token/revoke-self": lambda asked: self._revoke_token(self._accessor(asked.token)),
            "auth/token/lookup-accessor": lambda asked: self._described(asked.body["accessor"]),
            "auth/token/revoke-accessor": lambda asked: self._revoke_token(asked.body["accessor"]),
            "sys/leases/lookup": self._look_up_lease,
            "sys/leases/renew": self._renew_lease,
            "sys/leases/revoke": lambda asked: self._revoke_lease(asked.body["lease_id"]),
        }
        self._lock = threading.Lock()
        self._tokens: dict[str, Lived] = {}
        self._leases: dict[str, Lived] = {}
        contract = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def _handle(self) -> None:
                content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                body = json.loads(content) if content else {}
                path = self.path.removeprefix("/v1/").split("?")[0]
                status, answer = contract._answer(Asked(path, body, self.headers.get("X-Vault-Token") or ""))
                written = json.dumps(answer).encode() if answer is not None else b""
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(written)))
                self.end_headers()
                self.wfile.write(written)

            do_GET = do_POST = do_PUT = _handle  # noqa: N815 - the names http.server looks up

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name in the base class
                """Stay quiet."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()

    def stop(self) -> None:
        """Refuse connections; harmless when done twice."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def accessors(self) -> frozenset[str]:
        """Of all tokens that live."""
        with self._lock:
            self._expire()
            return frozenset(self._tokens)

    @property
    def leases(self) -> frozenset[str]:
        """Ids of all leases that live."""
        with self._lock:
            self._expire()
            return frozenset(self._leases)

    def grant(self, seconds: int, latest_seconds: int) -> dict[str, Any]:
        """A new token, as the `auth` of a login's answer."""
        token, accessor = f"hvs.{secrets.token_urlsafe(24)}", secrets.token_urlsafe(18)
        now = time.monotonic()
        self._tokens[accessor] = Lived(now + seconds, now + latest_seconds, token)
        lived = {"lease_duration": seconds, "renewable": True, "token_type": "service"}
        return {"client_token": token, "accessor": accessor, "token_policies": ["holdtrue"], **lived}

    def lease(
        self,
        asked: Asked,
        data: dict[str, Any],
        seconds: int,
        latest_seconds: int,
        end: Callable[[], None] | None = None,
    ) -> dict[str, Any]:
        """An answer with a lease; what has no `end` cannot be renewed either."""
        lease_id, now = f"{asked.path}/{secrets.token_urlsafe(18)}", time.monotonic()
        self._leases[lease_id] = Lived(now + seconds, now + latest_seconds, asked.token, end or (lambda: None))
        return {"lease_id": lease_id, "lease_duration": seconds, "renewable": end is not None, "data": data}

    def _answer(self, asked: Asked) -> tuple[HTTPStatus, dict[str, Any] | None]:
        with self._lock:
            self.asked.append(asked.path)
            self._expire()
            try:
                answer = self._route(asked)(asked)
            except Refused as refusal:
                return refusal.status, {"errors": list(refusal.errors)}
        return (HTTPStatus.OK if answer is not None else HTTPStatus.NO_CONTENT), answer

    def _route(self, asked: Asked) -> Route:
        if asked.path in self.logins:
            return self.logins[asked.path]
        if all(token.token != asked.token for token in self._tokens.values()):
            raise Refused(HTTPStatus.FORBIDDEN, "permission denied")
        route = self.routes.get(asked.path) or self.routes.get(asked.path.rpartition("/")[0])
        if route is None:
            raise Refused(HTTPStatus.NOT_FOUND, f"no handler for route {asked.path!r}. route entry not found.")
        return route

    def _accessor(self, token: str) -> str:
        return next(accessor for accessor, lived in self._tokens.items() if lived.token == token)

    def _described(self, accessor: str) -> dict[str, Any]:
        return {"data": {"accessor": accessor, "ttl": _known(self._tokens, accessor, "invalid accessor").left}}

    def _renew_token(self, asked: Asked) -> dict[str, Any]:
        left = self._tokens[self._accessor(asked.token)].renew(asked.body["increment"])
        return {"auth": {"lease_duration": left, "renewable": True}}

    def _revoke_token(self, accessor: str) -> None:
        token = _known(self._tokens, accessor, "invalid accessor").token
        for lease_id in [lease_id for lease_id, lease in self._leases.items() if lease.token == token]:
            self._revoke_lease(lease_id)
        del self._tokens[accessor]

    def _look_up_lease(self, asked: Asked) -> dict[str, Any]:
        lease_id = asked.body["lease_id"]
        return {"data": {"id": lease_id, "ttl": _known(self._leases, lease_id, "invalid lease").left}}

    def _renew_lease(self, asked: Asked) -> dict[str, Any]:
        left = _known(self._leases, asked.body["lease_id"], "lease not found").renew(asked.body["increment"])
        return {"lease_id": asked.body["lease_id"], "renewable": True, "lease_duration": left}

    def _revoke_lease(self, lease_id: str) -> None:
        """Vault takes the revocation of a lease that it does not know."""
        if lease_id in self._leases:
            self._leases.pop(lease_id).end()

    def _expire(self) -> None:
        now = time.monotonic()
        for lease_id in [lease_id for lease_id, lease in self._leases.items() if lease.ends <= now]:
            self._revoke_lease(lease_id)
        for accessor in [accessor for accessor, token in self._tokens.items() if token.ends <= now]:
            self._revoke_token(accessor)


def _known(lived: dict[str, Lived], name: str, refusal: str) -> Lived:
    if name not in lived:
        raise Refused(HTTPStatus.BAD_REQUEST, refusal)
    return lived[name]
