"""Our own questions to the advisory source."""

import json
from collections.abc import Callable

import httpx
import pytest

from holdtrue.adapters.pip_audit.source import Named, find_withdrawn, name_advisories
from holdtrue.core.requirements import Pin
from holdtrue.errors import ServiceNotReady, ServiceUnreachable

Handler = Callable[[httpx.Request], httpx.Response]


def client_of(handler: Handler) -> httpx.Client:
    return httpx.Client(transport=httpx.MockTransport(handler), base_url="http://osv.example")


def answering(status: int, body: bytes, **headers: str) -> httpx.Client:
    return client_of(lambda _: httpx.Response(status, content=body, headers=headers))


def test_names_and_further_pages_by_pin() -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        assert (request.method, request.url.path) == ("POST", "/v1/querybatch")
        assert [query["version"] for query in json.loads(request.content)["queries"]] == ["1.0", "2.0"]
        results = [{"vulns": [{"id": "A", "modified": "x"}], "next_page_token": "more"}, {}]
        return httpx.Response(200, json={"results": results})

    with client_of(handler) as client:
        named = name_advisories(client, [Pin("a", "1.0"), Pin("b", "2.0")])

    assert named == {
        Pin("a", "1.0"): Named(frozenset({"A"}), has_more_pages=True),
        Pin("b", "2.0"): Named(frozenset(), has_more_pages=False),
    }


def test_more_packages_than_one_batch_takes() -> None:
    sizes: list[int] = []

    def handler(request: httpx.Request) -> httpx.Response:
        queries = json.loads(request.content)["queries"]
        sizes.append(len(queries))
        return httpx.Response(200, json={"results": [{"vulns": [{"id": item["package"]["name"]}]} for item in queries]})

    pins = [Pin(f"demo-{number}", "1.0") for number in range(2001)]
    with client_of(handler) as client:
        named = name_advisories(client, pins)

    assert sizes == [1000, 1000, 1]
    assert all(named[pin].ids == {pin.name} for pin in pins)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b"{}"), (200, b"[]"), (200, b"null"), (200, b""), (200, b'{"results": null}'), (200, b'{"results": []}'),
        (200, b'{"results": [{}, {}]}'), (200, b'{"results": [{"vulns": [{}]}]}'), (200, b'{"results": [null]}'),
        (200, b"<html>please log in</html>"), (200, b'{"results": [{"vulns"'), (200, b"\xff\xfe"), (204, b""),
        (302, b""), (400, b"{}"), (403, b"{}"), (404, b'{"results": [{}]}'), (429, b""), (500, b""), (503, b""),
    ],
)  # fmt: skip
def test_what_is_no_answer_is_an_error(status: int, body: bytes) -> None:
    with answering(status, body) as client, pytest.raises(ServiceNotReady) as caught:
        name_advisories(client, [Pin("demo", "1.0")])

    assert "osv.example" in caught.value.where
    assert caught.value.next_step


@pytest.mark.parametrize(
    "error",
    [
        httpx.ConnectError("refused"), httpx.ReadTimeout("slow"), httpx.ConnectTimeout("slow"),
        httpx.ReadError("reset"),
        httpx.RemoteProtocolError("cut"), httpx.ProxyError("http://user:s3cr3t-value@proxy"),
        httpx.ConnectError("[SSL: CERTIFICATE_VERIFY_FAILED]"),
    ],
)  # fmt: skip
def test_no_answer_at_all_is_unreachable_and_repeats_nothing(error: httpx.TransportError) -> None:
    def handler(_: httpx.Request) -> httpx.Response:
        raise error

    with client_of(handler) as client, pytest.raises(ServiceUnreachable) as caught:
        name_advisories(client, [Pin("demo", "1.0")])

    assert "s3cr3t-value" not in str(caught.value)


def test_only_what_the_source_withdrew_counts_as_withdrawn() -> None:
    records = {
        "/v1/vulns/GONE": httpx.Response(200, json={"id": "GONE", "withdrawn": "2030-01-01T00:00:00Z"}),
        "/v1/vulns/STANDS": httpx.Response(200, json={"id": "STANDS"}),
    }

    with client_of(lambda request: records.get(request.url.path, httpx.Response(404))) as client:
        assert find_withdrawn(client, ["STANDS", "UNKNOWN", "GONE"]) == {"GONE"}


def test_a_source_that_stops_answering_withdraws_nothing() -> None:
    asked: list[str] = []

    def handler(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        raise httpx.ReadTimeout("slow")

    with client_of(handler) as client:
        assert find_withdrawn(client, ["A", "B"]) == frozenset()
    assert asked == ["/v1/vulns/A"]
