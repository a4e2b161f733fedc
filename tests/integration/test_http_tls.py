"""Probes over TLS: a certificate nobody vouches for fails, one of a configured authority passes."""

import datetime
import ipaddress
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from holdtrue.adapters.http import HttpProber
from holdtrue.models.environment import HttpProbe
from holdtrue.models.validation import CheckOutcome


@dataclass(frozen=True, slots=True)
class _Site:
    url: str
    certificate: Path


def _self_signed(folder: Path) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "probe test")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    certificate_file, key_file = folder / "certificate.pem", folder / "key.pem"
    certificate_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return certificate_file, key_file


class _Page(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def site(tmp_path: Path) -> Iterator[_Site]:
    certificate, key = _self_signed(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Page)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.handle_error = lambda *_: None  # type: ignore[method-assign] # a refused handshake is what is tested
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield _Site(f"https://127.0.0.1:{server.server_port}/health", certificate)
    server.shutdown()
    server.server_close()
    thread.join(timeout=5)


_PROBE = HttpProbe(name="health", url="-", contains="ok", attempts=1)


def test_an_unknown_certificate_fails(site: _Site) -> None:
    result = HttpProber().probe(_PROBE, url=site.url, target="web-1")
    assert result.outcome is CheckOutcome.FAILED
    assert "certificate" in result.detail.lower()


def test_a_certificate_of_a_configured_authority_passes(site: _Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(site.certificate))
    assert HttpProber().probe(_PROBE, url=site.url, target="web-1").outcome is CheckOutcome.PASSED


def test_plain_http_to_a_tls_port_fails(site: _Site) -> None:
    url = site.url.replace("https", "http", 1)
    assert HttpProber().probe(_PROBE, url=url, target="web-1").outcome is CheckOutcome.FAILED
