"""What the JSON client makes of a service that does not even speak whole headers, or not at all."""

import socket
import threading
import time
from collections.abc import Iterator

import pytest
from urllib3 import HTTPResponse

from holdtrue.errors import ServiceUnreachable
from holdtrue.runtime.http_retry import RetryPolicy
from holdtrue.runtime.json_client import JsonClient
from holdtrue.runtime.json_client import _own_address as own_address

SHORT = RetryPolicy(attempts=1, total_seconds=0.5)


@pytest.fixture
def endless_headers() -> Iterator[str]:
    """A service whose answer is one header line after the other, each in good time."""
    over = threading.Event()
    listener = socket.create_server(("127.0.0.1", 0))

    def drip() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.sendall(b"HTTP/1.1 200 OK\r\n")
            while not over.wait(0.05):
                try:
                    connection.sendall(b"X-More: more\r\n")
                except OSError:
                    return

    thread = threading.Thread(target=drip, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    over.set()
    thread.join(10)
    listener.close()


def test_headers_that_never_end_are_given_up_with_the_time_allowed(endless_headers: str) -> None:
    started = time.monotonic()

    with JsonClient(endless_headers, service="it", timeout_seconds=5, retries=SHORT) as client:
        found = client.gather(["/x"], lambda path: client.ask("GET", path, limit_bytes=100))

    assert time.monotonic() - started < 4
    (error,) = found.values()
    assert isinstance(error, ServiceUnreachable)
    assert "0.5 s" in error.what


def test_a_refused_connection_is_no_silence() -> None:
    with (
        JsonClient("http://127.0.0.1:1", service="it", timeout_seconds=5, retries=SHORT) as client,
        pytest.raises(ServiceUnreachable, match="cannot be connected to"),
    ):
        client.ask("GET", "/x", limit_bytes=100)


@pytest.mark.parametrize(
    ("here", "location", "is_own"),
    [
        ("https://h/v1", "https://h:443/v2", True),
        ("https://h:443/v1", "https://h/v2", True),
        ("http://h:80/v1", "http://h/v2", True),
        ("https://h/v1", "https://h:8443/v2", False),
        ("https://h/v1", "http://h/v2", False),
        ("https://h/v1", "https://u:p@h/v2", False),
    ],
)
def test_a_place_is_the_same_with_its_port_written_or_not(here: str, location: str, is_own: bool) -> None:  # noqa: FBT001 - a table's column
    response = HTTPResponse(headers={"Location": location}, status=301)

    assert (own_address(here, response) is not None) is is_own
