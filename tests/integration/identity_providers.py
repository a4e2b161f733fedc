"""Who vouches for a workload: an issuer of JWTs, a CA for clients, and the part of Kubernetes that Vault asks."""

import base64
import datetime
import http.server
import json
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from sandbox.certificates import issue_loopback_certificate

_HALF: Final = 32
"""Bytes of each of the two numbers of an ES256 signature (RFC 7518, 3.4)."""


class JwtIssuer:
    """Signs JWTs by ES256, as an identity provider or a cluster does."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._key = ec.generate_private_key(ec.SECP256R1())

    @property
    def public_key(self) -> str:
        """PEM."""
        return (
            self._key.public_key()
            .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
            .decode()
        )

    def sign(self, **claims: Any) -> str:
        """A JWT that is valid from now for five minutes, but for what `claims` say."""
        now = int(time.time())
        payload = {"iss": self.name, "iat": now, "nbf": now, "exp": now + 300} | claims
        body = f"{_encoded({'alg': 'ES256', 'typ': 'JWT'})}.{_encoded(payload)}"
        first, second = decode_dss_signature(self._key.sign(body.encode(), ec.ECDSA(hashes.SHA256())))
        return f"{body}.{_base64url(first.to_bytes(_HALF) + second.to_bytes(_HALF))}"

    def claims(self, token: str) -> dict[str, Any] | None:
        """What this issuer signed; None for anything else."""
        with suppress(ValueError, InvalidSignature):
            body, signature = token.rsplit(".", 1)
            numbers = _decoded(signature)
            first, second = int.from_bytes(numbers[:_HALF]), int.from_bytes(numbers[_HALF:])
            self._key.public_key().verify(encode_dss_signature(first, second), body.encode(), ec.ECDSA(hashes.SHA256()))
            return _payload(token)
        return None


def claims_by_key_set(token: str, key_set: dict[str, Any]) -> dict[str, Any] | None:
    """What one of the keys (JWKS, RFC 7517) signed by RS256; None for anything else."""
    body, signature = token.rsplit(".", 1)
    for key in key_set["keys"]:
        exponent, modulus = (int.from_bytes(_decoded(key[name])) for name in ("e", "n"))
        with suppress(InvalidSignature):
            public = rsa.RSAPublicNumbers(exponent, modulus).public_key()
            public.verify(_decoded(signature), body.encode(), padding.PKCS1v15(), hashes.SHA256())
            return _payload(token)
    return None


def _payload(token: str) -> dict[str, Any]:
    claims: dict[str, Any] = json.loads(_decoded(token.split(".")[1]))
    return claims


def _encoded(value: object) -> str:
    return _base64url(json.dumps(value).encode())


def _base64url(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def _decoded(value: str) -> bytes:
    return base64.urlsafe_b64decode(value + "=" * (-len(value) % 4))


@dataclass(frozen=True, slots=True)
class ClientFiles:
    """PEM files of a client certificate."""

    certificate: Path
    key: Path


class ClientAuthority:
    """A CA that issues client certificates into a directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _common_name("test clients' CA")
        self._certificate = (
            _certificate(self._name, self._name, self._key, *_around_now())
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .sign(self._key, hashes.SHA256())
        )

    @property
    def certificate(self) -> str:
        """PEM."""
        return self._certificate.public_bytes(serialization.Encoding.PEM).decode()

    def issue(self, name: str, *, password: bytes = b"", has_expired: bool = False) -> ClientFiles:
        """A certificate for this name, and its key, encrypted if there is a password."""
        key = ec.generate_private_key(ec.SECP256R1())
        starts, ends = _around_now()
        certificate = (
            _certificate(
                _common_name(name), self._name, key, starts, starts + (ends - starts) / 4 if has_expired else ends
            )
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        files = ClientFiles(self._directory / f"{name}.pem", self._directory / f"{name}.key")
        files.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        encryption = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
        files.key.write_bytes(
            key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
        )
        return files


def _around_now() -> tuple[datetime.datetime, datetime.datetime]:
    now = datetime.datetime.now(datetime.UTC)
    return now - datetime.timedelta(hours=1), now + datetime.timedelta(hours=1)


def _common_name(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _certificate(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    starts: datetime.datetime,
    ends: datetime.datetime,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(starts)
        .not_valid_after(ends)
    )


class Cluster:
    """A Kubernetes API server that answers TokenReview and nothing else, over TLS.

    Source: kubernetes.io/docs/reference/kubernetes-api/authentication-resources/token-review-v1.

    Attributes:
        url: Of the API server.
        authority: PEM of the CA that signed its certificate.
        reviewer: The token that may ask for reviews.
        reviews: How many it answered.
    """

    audience = "vault"

    def __init__(self, directory: Path) -> None:
        self._issuer = JwtIssuer("https://kubernetes.default.svc.cluster.local")
        self.reviewer = self.service_account_token("vault-reviewer", namespace="kube-system")
        self.reviews = 0
        files = issue_loopback_certificate(directory)
        self.authority = files.authority.read_text()
        cluster = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                status, answer = cluster._answer(self.path, self.headers["Authorization"], asked)
                content = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name in the base class
                """Stay quiet."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(files.certificate, files.key)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.url = f"https://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()

    def service_account_token(self, name: str, *, namespace: str = "jobs", **claims: Any) -> str:
        """A bound token as the kubelet mounts it."""
        account = {"namespace": namespace, "serviceaccount": {"name": name, "uid": f"uid-of-{name}"}}
        subject = f"system:serviceaccount:{namespace}:{name}"
        wanted = {"sub": subject, "aud": [self.audience], "kubernetes.io": account} | claims
        return self._issuer.sign(**wanted)

    def stop(self) -> None:
        """Refuse connections; harmless when done twice."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _answer(self, path: str, authorization: str, asked: dict[str, Any]) -> tuple[HTTPStatus, dict[str, Any]]:
        if path != "/apis/authentication.k8s.io/v1/tokenreviews":
            return HTTPStatus.NOT_FOUND, _failure(HTTPStatus.NOT_FOUND, "NotFound")
        if authorization != f"Bearer {self.reviewer}":
            return HTTPStatus.UNAUTHORIZED, _failure(HTTPStatus.UNAUTHORIZED, "Unauthorized")
        self.reviews += 1
        return HTTPStatus.CREATED, {
            "kind": "TokenReview",
            "apiVersion": "authentication.k8s.io/v1",
            "metadata": {"creationTimestamp": None},
            "spec": asked["spec"],
            "status": self._review(asked["spec"]["token"], asked["spec"].get("audiences") or [self.audience]),
        }

    def _review(self, token: str, audiences: list[str]) -> dict[str, Any]:
        claims = self._issuer.claims(token)
        shared = sorted(set(audiences) & set(claims["aud"])) if claims else []
        if claims is None or not shared or not claims["nbf"] <= time.time() < claims["exp"]:
            return {"authenticated": False, "error": "[invalid bearer token, token lookup failed]"}
        namespace = claims["kubernetes.io"]["namespace"]
        return {
            "authenticated": True,
            "user": {
                "username": claims["sub"],
                "uid": claims["kubernetes.io"]["serviceaccount"]["uid"],
                "groups": ["system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated"],
            },
            "audiences": shared,
        }


def _failure(status: HTTPStatus, reason: str) -> dict[str, Any]:
    return {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "code": status.value}


@contextmanager
def cluster(directory: Path) -> Iterator[Cluster]:
    """A cluster for one `with` block."""
    running = Cluster(directory)
    try:
        yield running
    finally:
        running.stop()
