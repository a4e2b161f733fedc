"""Moto's STS with what moto leaves out: an identity's token is checked, and sessions end.

Source: docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html, its errors in particular.
"""

import http.client
import http.server
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from sandbox.aws import MotoAws

AUDIENCE: Final = "sts.amazonaws.com"
_KEY_ID: Final = re.compile(r"Credential=(\w+)/")
_ISSUED: Final = re.compile(rb"<AccessKeyId>(\w+)</AccessKeyId>")
_EXPIRATION: Final = re.compile(rb"<Expiration>[^<]+</Expiration>")

Claims = Callable[[str], dict[str, Any] | None]
"""What the trusted provider says in a token; None for one that it did not sign."""


class StsFront:
    """Listens from construction until `stop()`; what is not refused here goes to moto as it came.

    Attributes:
        url: The endpoint for clients.
        session_seconds: How long the keys of a role live.
        assumed: The tokens that a role was given for, in order.
        is_silent: True answers as AWS does when it cannot reach the identity provider.
    """

    def __init__(self, aws: MotoAws, claims: Claims) -> None:
        self.session_seconds = 900.0
        self.assumed: list[str] = []
        self.is_silent = False
        self._claims = claims
        self._aws = aws
        self._ends: dict[str, datetime] = {}
        front = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                status, content = front._answer(self.path, body, dict(self.headers.items()))
                self.send_response(status)
                self.send_header("Content-Type", "text/xml")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

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

    def _answer(self, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
        asked = {name: values[0] for name, values in parse_qs(body.decode()).items()}
        assumes = asked.get("Action") == "AssumeRoleWithWebIdentity"
        refusal = self._refusal(asked["WebIdentityToken"]) if assumes else self._ended(headers.get("Authorization", ""))
        if refusal is not None:
            return refusal
        status, content = self._forward(path, body, self._signed(path, body) if assumes else headers)
        if assumes and status == HTTPStatus.OK:
            ends = datetime.now(UTC) + timedelta(seconds=self.session_seconds)
            self.assumed.append(asked["WebIdentityToken"])
            self._ends |= {key.decode(): ends for key in _ISSUED.findall(content)}
            content = _EXPIRATION.sub(f"<Expiration>{ends.isoformat()}</Expiration>".encode(), content)
        return status, content

    def _refusal(self, token: str) -> tuple[int, bytes] | None:
        if self.is_silent:
            return _error(HTTPStatus.BAD_REQUEST, "IDPCommunicationError", "Unable to reach the identity provider")
        claims = self._claims(token)
        if claims is None:
            return _error(HTTPStatus.BAD_REQUEST, "InvalidIdentityToken", "Couldn't retrieve verification key")
        if AUDIENCE not in ([claims["aud"]] if isinstance(claims["aud"], str) else claims["aud"]):
            return _error(HTTPStatus.BAD_REQUEST, "InvalidIdentityToken", "Incorrect token audience")
        if claims["exp"] <= datetime.now(UTC).timestamp():
            return _error(HTTPStatus.BAD_REQUEST, "ExpiredTokenException", "Token expired")
        return None

    def _ended(self, authorization: str) -> tuple[int, bytes] | None:
        ends = [self._ends[key] for key in _KEY_ID.findall(authorization) if key in self._ends]
        if any(end <= datetime.now(UTC) for end in ends):
            return _error(HTTPStatus.FORBIDDEN, "ExpiredToken", "The security token included in the request is expired")
        return None

    def _signed(self, path: str, body: bytes) -> dict[str, str]:
        """Moto wants a signature under each request; AWS wants none under this one, whose token is checked here."""
        keys = Credentials(self._aws.access_key_id, self._aws.secret_access_key.get_secret_value())
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        request = AWSRequest("POST", f"{self._aws.endpoint_url}{path}", headers=kind, data=body)
        SigV4Auth(keys, "sts", self._aws.region).add_auth(request)
        return dict(request.prepare().headers.items())

    def _forward(self, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(urlsplit(self._aws.endpoint_url).netloc, timeout=30)
        try:
            connection.request("POST", path, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()


def _error(status: HTTPStatus, code: str, message: str) -> tuple[int, bytes]:
    said = f"<Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>"
    return status, f"<ErrorResponse>{said}<RequestId>1</RequestId></ErrorResponse>".encode()


@contextmanager
def sts_front(aws: MotoAws, claims: Claims) -> Iterator[StsFront]:
    """The endpoint for one `with` block."""
    front = StsFront(aws, claims)
    try:
        yield front
    finally:
        front.stop()
