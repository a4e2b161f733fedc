"""The parts of the live advisory sources that need no server."""

import json
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdtrue.adapters.osv_api import source
from holdtrue.adapters.osv_api.cache import AdvisoryCache
from holdtrue.errors import RejectedError, ServiceNotReady, TransientError
from holdtrue.models.dependency import Pin
from holdtrue.models.osv import Certainty
from holdtrue.runtime.http_address import parse_base_address
from holdtrue.runtime.http_retry import RetryPolicy, parse_retry_after
from holdtrue.runtime.json_client import JsonClient
from holdtrue.runtime.osv_batch import Named, read_batch

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
WHERE = "http://osv.example/v1/querybatch"
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["results", "vulns", "id", "modified", "next_page_token", "x"]), inner, max_size=4
        )
    ),
    max_leaves=20,
)


def test_a_batch_is_read_entry_by_entry() -> None:
    named = {"id": "X", "modified": "2099-01-01T00:00:00Z"}
    document = {
        "results": [{"vulns": [named, named, {"id": "Y"}]}, {}, {"next_page_token": "t"}, {"vulns": [], "new": 1}]
    }

    first, second, third, fourth = read_batch(document, asked=4, where=WHERE)

    assert (first.modified, first.gap) == ({"X": "2099-01-01T00:00:00Z", "Y": ""}, "")
    assert (second.modified, second.next_page_token, second.gap, second.is_readable) == ({}, "", "", True)
    assert (third.next_page_token, third.gap) == ("t", "")
    assert (fourth.gap, fourth.is_readable) == ("", True)


@pytest.mark.parametrize("token", [7, ["x"], {"a": 1}])
def test_a_page_token_that_is_none_is_a_gap(token: Any) -> None:
    (entry,) = read_batch({"results": [{"vulns": [{"id": "X"}], "next_page_token": token}]}, asked=1, where=WHERE)

    assert (entry.modified, entry.next_page_token) == ({"X": ""}, "")
    assert entry.gap


@settings(deadline=None, max_examples=200)
@given(JSON | JSON.map(lambda entry: {"results": [entry]}))
def test_any_document_is_refused_or_read_and_unreadable_is_never_empty(document: Any) -> None:
    try:
        (entry,) = read_batch(document, asked=1, where=WHERE)
    except ServiceNotReady as error:
        assert error.where == WHERE  # noqa: PT017 - hypothesis may or may not find a document that is refused
        return
    raw = document["results"][0]
    if not entry.gap:
        assert isinstance(raw, dict)
        assert set(entry.modified) == {item["id"] for item in raw.get("vulns", [])}


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("7", 7), (" 7 ", 7), ("0", 0), ("", 0), ("-3", 0), ("1.5", 0), ("soon", 0), ("٣", 0), ("9" * 400, 31_536_000),
        ("Thu, 01 Jan 2026 12:00:30 GMT", 30), ("Thu, 01 Jan 2026 11:00:00 GMT", 0), ("Thu, 01 Jan 0000 11:00:00", 0),
    ],
)  # fmt: skip
def test_retry_after_is_seconds_or_a_date(text: str, seconds: float) -> None:
    assert parse_retry_after(text, NOW) == seconds


@settings(deadline=None, max_examples=100)
@given(st.integers(1, 40), st.floats(0, 1e9))
def test_a_pause_is_never_longer_than_allowed_nor_shorter_than_asked(attempt: int, asked: float) -> None:
    policy = RetryPolicy(first_pause_seconds=0.5, longest_pause_seconds=30)

    pause = policy.pause_seconds(attempt, asked)

    assert min(asked, 30) <= pause <= 30


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("https://api.osv.dev", "https://api.osv.dev"),
        ("http://[::1]:8080/mirror/", "http://[::1]:8080/mirror"),
    ],
)
def test_a_base_address_loses_its_trailing_slash(text: str, address: str) -> None:
    assert parse_base_address(text, next_step="x") == address


@settings(deadline=None, max_examples=100)
@given(st.text(max_size=30))
def test_any_text_is_an_address_or_refused(text: str) -> None:
    try:
        parse_base_address(f"http://{text}", next_step="x")
    except RejectedError as error:
        assert error.next_step == "x"  # noqa: PT017 - as above


def client() -> JsonClient:
    return JsonClient("http://osv.example", service="it", timeout_seconds=1, connections=3)


def test_gathering_keeps_order_errors_and_the_limit_of_connections() -> None:
    running: list[int] = []
    most: list[int] = []
    together = threading.Barrier(3)

    def fetch(number: int) -> int:
        running.append(number)
        if number < 3:
            together.wait(10)
        most.append(len(running))
        running.remove(number)
        if number == 4:
            raise ServiceNotReady("no")
        return number * 2

    outcome = client().gather(range(6), fetch)

    assert [value if isinstance(value, int) else type(value) for value in outcome.values()] == [
        0, 2, 4, 6, ServiceNotReady, 10,
    ]  # fmt: skip
    assert isinstance(outcome[4], TransientError)
    assert max(most) == 3


@pytest.mark.parametrize("kind", [KeyboardInterrupt, ValueError])
def test_a_termination_stops_the_rest(kind: type[BaseException]) -> None:
    started: list[int] = []

    def fetch(number: int) -> None:
        started.append(number)
        raise kind

    with pytest.raises(kind):
        client().gather(range(500), fetch)

    assert len(started) < 500


def test_the_cache_answers_for_the_same_api_id_and_date_only(tmp_path: Path) -> None:
    cache = AdvisoryCache(tmp_path / "new" / "folder", "http://one.example")
    cache.write([("X", "1", b"old"), ("Y", "1", b"y")])
    cache.write([("X", "2", b"new")])

    assert cache.read({"X": "2", "Y": "1", "Z": "1"}) == {"X": b"new", "Y": b"y"}
    assert cache.read({"X": "1", "Y": "2"}) == {}
    assert AdvisoryCache(tmp_path / "new" / "folder", "http://two.example").read({"X": "2"}) == {}


@pytest.mark.parametrize(("version", "fixes"), [("1.0", ("1.5",)), ("1.7", ())])
def test_what_the_api_lists_and_its_ranges_do_not_hold_keeps_its_fixes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str, fixes: tuple[str, ...]
) -> None:
    pin, when = Pin("demo", version), "2099-01-01T00:00:00Z"
    events = [{"introduced": "1.2"}, {"fixed": "1.5"}]
    affected = {"package": {"ecosystem": "PyPI", "name": "demo"}, "ranges": [{"type": "ECOSYSTEM", "events": events}]}
    text = json.dumps({"id": "PYSEC-1", "modified": when, "affected": [affected]})
    AdvisoryCache(tmp_path, "http://osv.example").write([("PYSEC-1", when, text.encode())])
    monkeypatch.setattr(source, "name_advisories", lambda *_: {pin: Named({"PYSEC-1": when})})

    (found,) = source.OsvApi("http://osv.example", cache_folder=tmp_path).ask([pin]).matches[pin]

    assert (found.advisory.id, found.certainty, found.fixed_in) == ("PYSEC-1", Certainty.POSSIBLE, fixes)


def test_a_cache_that_keeps_nothing_answers_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for cache in (AdvisoryCache(None, "x"), AdvisoryCache(tmp_path / "file", "x")):
        cache.write([("X", "1", b"text")])
        assert cache.read({"X": "1"}) == {}
