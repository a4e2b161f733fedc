"""The live advisory sources against a server that fails in every way that was seen to deceive an audit."""

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from holdtrue.adapters.osv_api import OsvApi
from holdtrue.adapters.pip_audit_source import PipAuditSource
from holdtrue.adapters.pypi_advisories import PypiAdvisories
from holdtrue.errors import ServiceNotReady
from holdtrue.models.dependency import Pin
from holdtrue.models.osv import Certainty, SourceAnswer
from holdtrue.runtime.http_retry import RetryPolicy
from tests.integration.advisory_questions import BATCH, POLICY, A, B, C, Clock, ask, found, many
from tests.integration.osv_fault_server import LARGEST_BATCH, Fault, FaultServer, advisory


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer() as running:
        yield running


# What works, so that the faults below prove something.


def test_a_healthy_source_names_what_it_knows_and_nothing_else(server: FaultServer) -> None:
    server.add(advisory("demo-b", aliases=["CVE-2099-1"]))

    answer = ask(server)

    (item,) = answer.matches[B]
    assert (item.advisory.id, item.advisory.aliases) == ("PYSEC-2099-1", ("CVE-2099-1",))
    assert (item.certainty, item.doubt, item.fixed_in) == (Certainty.AFFECTED, "", ("9.0",))
    assert (list(answer.matches), answer.unanswered, answer.snapshot_at) == ([B], {}, None)


def test_a_source_that_knows_nothing_is_an_answer(server: FaultServer) -> None:
    assert ask(server) == SourceAnswer()


def test_nothing_to_ask_asks_nothing(server: FaultServer) -> None:
    assert OsvApi(server.url, cache_folder=None).ask([]) == SourceAnswer()
    assert PypiAdvisories(server.url).ask([]) == SourceAnswer()
    assert PipAuditSource(server.url).ask([]) == SourceAnswer()
    assert server.asked == []


# Nothing can be asked.

NO_ANSWERS = [
    b"<html>log in</html>", b'{"results": [{"vulns"', b"", b"{}", b"[]", b"null", b'"down"', b'{"results": null}',
    b'{"results": {}}', b'{"results": []}', b'{"results": [{}, {}]}', b'{"results": [null, [], "x"]}',
    b'{"results": [{"error": "down"}, {"error": "down"}, {"error": "down"}]}', b"\xff\xfe\x00", b"[" * 100_000,
]  # fmt: skip


@pytest.mark.parametrize("body", NO_ANSWERS, ids=lambda body: body[:40].decode(errors="replace"))
def test_an_answer_that_is_none_names_the_address(server: FaultServer, body: bytes) -> None:
    server.faults = [Fault(BATCH, body=body)]

    with pytest.raises(ServiceNotReady) as caught:
        ask(server)

    assert caught.value.where == f"{server.url}{BATCH}"
    assert "proxy or login page" in caught.value.next_step
    assert len(server.asked) == 1


# A part can be asked: the rest is kept, and what is missing is said.


@pytest.mark.parametrize("entry", [None, [], "x", {"error": "down"}, {"vulns": None}, {"vulns": "x"}])
def test_one_unreadable_entry_costs_one_pin(server: FaultServer, entry: Any) -> None:
    server.add(advisory("demo-a"), advisory("demo-c", "PYSEC-2099-3"))
    server.entries["demo-b"] = lambda _: entry

    answer = ask(server)

    assert (found(answer, A), found(answer, C)) == (["PYSEC-2099-1"], ["PYSEC-2099-3"])
    assert answer.unanswered.keys() == {B}


@pytest.mark.parametrize("item", [None, "PYSEC-2099-2", {}, {"id": ""}, {"id": 7}, {"id": "../v1"}, {"id": "a\x1b[2J"}])
def test_an_unreadable_name_costs_itself_only(server: FaultServer, item: Any) -> None:
    server.add(advisory("demo-b"))
    server.entries["demo-b"] = lambda _: {"vulns": [{"id": "PYSEC-2099-1", "modified": "2099-01-01T00:00:00Z"}, item]}

    answer = ask(server)

    assert found(answer, B) == ["PYSEC-2099-1"]
    assert answer.unanswered.keys() == {B}


def test_a_failing_slice_costs_its_own_pins(server: FaultServer) -> None:
    pins = many(2 * LARGEST_BATCH + 1)
    server.add(advisory("demo-0"), advisory("demo-2000", "PYSEC-2099-2"))
    server.faults = [Fault(BATCH, 500, times=1)]
    policy = RetryPolicy(attempts=1)

    answer = OsvApi(server.url, cache_folder=None, retries=policy, connections=1).ask(pins)

    assert set(answer.unanswered) == set(pins[:LARGEST_BATCH])
    assert "500" in answer.unanswered[pins[0]]
    assert list(answer.matches) == [pins[2000]]
    assert server.counts() == {"querybatch": 3, "vulns": 1}


@pytest.mark.parametrize(
    ("fault", "body"),
    [
        (Fault("/v1/vulns/PYSEC-2099-2", 404), None),
        (Fault("/v1/vulns/PYSEC-2099-2", 500), None),
        (Fault("/v1/vulns/PYSEC-2099-2", is_cut=True), None),
        (Fault("/v1/vulns/PYSEC-2099-2", body=b"<html>"), None),
        (Fault("/v1/vulns/PYSEC-2099-2", body=b"{}"), None),
        (None, advisory("demo-b", "PYSEC-2099-9")),
    ],
    ids=["404", "500", "cut", "html", "empty", "another advisory"],
)
def test_an_advisory_without_its_text_is_a_possible_finding(
    server: FaultServer, fault: Fault | None, body: Any
) -> None:
    server.add(advisory("demo-b"), advisory("demo-b", "PYSEC-2099-2"))
    server.faults = [fault] if fault else []
    server.bodies = {"PYSEC-2099-2": body} if body else {}

    answer = ask(server)

    assert {item.advisory.id: item.certainty for item in answer.matches[B]} == {
        "PYSEC-2099-1": Certainty.AFFECTED,
        "PYSEC-2099-2": Certainty.POSSIBLE,
    }
    assert "PYSEC-2099-2" in answer.unanswered[B]
    assert answer.unanswered.keys() == {B}


def test_a_silent_advisory_costs_itself_only(server: FaultServer) -> None:
    server.add(advisory("demo-a"), advisory("demo-b", "PYSEC-2099-2"))
    server.faults = [Fault("/v1/vulns/PYSEC-2099-2", delay_seconds=30)]

    answer = ask(server, timeout=0.3)

    assert (found(answer, A), found(answer, B)) == (["PYSEC-2099-1"], ["PYSEC-2099-2"])
    assert answer.unanswered.keys() == {B}


# Pages.


def page(*numbers: int, token: str = "") -> dict[str, Any]:
    names = [{"id": f"PYSEC-2099-{number}", "modified": "2099-01-01T00:00:00Z"} for number in numbers]
    return ({"vulns": names} if names else {}) | ({"next_page_token": token} if token else {})


def test_pages_are_followed_to_the_end_for_those_that_have_them(server: FaultServer) -> None:
    server.add(*(advisory("demo-b", f"PYSEC-2099-{number}") for number in range(4)), advisory("demo-a", "PYSEC-2099-9"))
    pages = {"": page(0, 1, token="p1"), "p1": page(token="p2"), "p2": page(2, 3)}
    server.entries["demo-b"] = pages.__getitem__

    answer = ask(server)

    assert found(answer, B) == [f"PYSEC-2099-{number}" for number in range(4)]
    assert (found(answer, A), answer.unanswered) == (["PYSEC-2099-9"], {})
    batches = [item.body["queries"] for item in server.asked if item.path == BATCH]
    assert [[query["package"]["name"] for query in batch] for batch in batches] == [
        ["demo-a", "demo-b", "demo-c"], ["demo-b"], ["demo-b"],
    ]  # fmt: skip


@pytest.mark.parametrize("is_counting", [True, False])
def test_pages_without_an_end_are_left_and_what_was_found_is_kept(server: FaultServer, *, is_counting: bool) -> None:
    server.add(advisory("demo-b"), advisory("demo-a", "PYSEC-2099-9"))
    server.entries["demo-b"] = lambda token: page(1, token=f"{token}x" if is_counting else "same")

    answer = ask(server)

    assert (found(answer, B), found(answer, A)) == (["PYSEC-2099-1"], ["PYSEC-2099-9"])
    assert answer.unanswered.keys() == {B}
    assert server.counts()["querybatch"] <= 101


def test_a_failing_page_keeps_the_pages_before_it(server: FaultServer) -> None:
    server.add(advisory("demo-b"))
    server.entries["demo-b"] = lambda token: None if token else page(1, token="p1")

    answer = ask(server)

    assert found(answer, B) == ["PYSEC-2099-1"]
    assert answer.unanswered.keys() == {B}


# Odd records.


def test_a_withdrawn_advisory_has_the_time_of_its_withdrawal(server: FaultServer) -> None:
    server.add(advisory("demo-b", withdrawn="2026-02-01T00:00:00Z"))

    (item,) = ask(server).matches[B]

    assert not item.advisory.stands(datetime(2026, 2, 1, tzinfo=UTC))
    assert item.advisory.stands(datetime(2026, 1, 31, tzinfo=UTC))


def test_what_the_source_lists_against_its_own_ranges_is_possible(server: FaultServer) -> None:
    server.add(advisory("demo-b", fixed="1.5"))

    answer = ask(server)

    (item,) = answer.matches[B]
    assert (item.certainty, item.doubt) == (Certainty.POSSIBLE, "OSV lists it, its ranges do not")
    assert answer.unanswered == {}


def test_a_fix_that_is_no_version_keeps_every_finding(server: FaultServer) -> None:
    server.add(
        advisory("demo-b", fixed="2.0-n653"), advisory("demo-b", "PYSEC-2099-2"), advisory("demo-c", "PYSEC-2099-3")
    )

    answer = ask(server)

    assert (found(answer, B), found(answer, C)) == (["PYSEC-2099-1", "PYSEC-2099-2"], ["PYSEC-2099-3"])
    assert answer.matches[B][0].certainty is Certainty.POSSIBLE


def test_every_form_of_a_date_is_read(server: FaultServer) -> None:
    server.add(
        advisory("demo-b", published="2099-01-01T02:00:00+02:00"), advisory("demo-c", "PYSEC-2099-3", published="?")
    )

    answer = ask(server)

    assert answer.matches[B][0].advisory.published == datetime(2099, 1, 1, tzinfo=UTC)
    assert (found(answer, C), answer.matches[C][0].advisory.published) == (["PYSEC-2099-3"], None)


def test_fixes_of_every_affected_entry_are_united(server: FaultServer) -> None:
    two = advisory("demo-b", fixed="2.20.0")
    two["affected"] += advisory("demo-b", fixed="3.1")["affected"] + advisory("demo-b", fixed="1.1")["affected"]
    server.add(two)

    assert ask(server).matches[B][0].fixed_in == ("2.20.0", "3.1")


def test_names_are_compared_as_the_index_does(server: FaultServer) -> None:
    server.add(advisory("Demo_B"))

    (item,) = ask(server).matches[B]
    assert (item.certainty, item.fixed_in) == (Certainty.AFFECTED, ("9.0",))


def test_a_hostile_summary_keeps_its_finding(server: FaultServer) -> None:
    server.add(advisory("demo-b", summary="\x1b[2J::error::<script>|\ud800\nend"))

    assert found(ask(server), B) == ["PYSEC-2099-1"]


# The index.


def listed(**more: Any) -> dict[str, Any]:
    return {
        "id": "PYSEC-2099-1", "aliases": ["CVE-2099-1"], "fixed_in": ["9.0", "1.5", "2.0-n653"], "summary": None,
        "details": "made up\nhere", "link": "https://osv.example/1", "withdrawn": None, "source": "osv",
    } | more  # fmt: skip


def about(pin: Pin, *entries: Any, **more: Any) -> dict[str, Any]:
    return {"info": {"name": pin.name, "version": pin.version}, "vulnerabilities": list(entries)} | more


def ask_index(server: FaultServer, *pins: Pin, policy: RetryPolicy = POLICY) -> SourceAnswer:
    return PypiAdvisories(server.url, timeout_seconds=5, retries=policy, sleep=Clock()).ask(pins or (A, B, C))


@pytest.fixture
def index(server: FaultServer) -> FaultServer:
    server.projects = {pin.name: {pin.version: about(pin)} for pin in (A, B, C)}
    return server


def test_the_index_names_what_it_knows(index: FaultServer) -> None:
    index.projects["demo-b"]["2.0"] = about(B, listed(), listed(id="PYSEC-2099-2", withdrawn="2026-02-01T00:00:00Z"))

    answer = ask_index(index)

    item, withdrawn = answer.matches[B]
    assert (withdrawn.advisory.id, withdrawn.advisory.withdrawn is not None) == ("PYSEC-2099-2", True)
    assert (item.advisory.id, item.advisory.aliases, item.advisory.summary) == (
        "PYSEC-2099-1",
        ("CVE-2099-1",),
        "made up here",
    )
    assert (item.certainty, item.fixed_in, item.advisory.link) == (
        Certainty.AFFECTED,
        ("9.0", "2.0-n653"),
        "https://osv.example/1",
    )
    assert (list(answer.matches), answer.unanswered) == ([B], {})
    assert index.counts() == {"pypi": 3}


def test_a_name_that_the_index_does_not_know_is_unanswered(index: FaultServer) -> None:
    unknown, other_version = Pin("reqeusts", "1.0"), Pin("demo-b", "2.1")

    answer = ask_index(index, A, unknown, other_version)

    assert answer.unanswered == {
        unknown: "unknown to the index (no such project)",
        other_version: "unknown to the index (no such version, or no page of it)",
    }


def test_an_index_that_does_not_say_which_is_unknown(index: FaultServer) -> None:
    index.faults = [Fault("/pypi/reqeusts/json", 500)]

    answer = ask_index(index, A, Pin("reqeusts", "1.0"))

    assert list(answer.unanswered.values()) == ["unknown to the index (no such project or version)"]


def test_an_index_without_pages_of_versions_answers_nothing(index: FaultServer) -> None:
    index.faults = [Fault("/pypi/[^/]+/[^/]+/json", 404)]

    assert ask_index(index).unanswered.keys() == {A, B, C}


@pytest.mark.parametrize(
    "body",
    [b"{}", b'{"info": {}}', b'{"vulnerabilities": null}', b"[]", b"null", b"<html>", b'{"vulnerabilities": [',
     json.dumps(about(A)).encode(), json.dumps(about(Pin("demo-b", "2.1"))).encode()],
)  # fmt: skip
def test_a_page_that_does_not_say_costs_one_pin_or_all(index: FaultServer, body: bytes) -> None:
    index.projects["demo-a"]["1.0"] = about(A, listed())
    index.faults = [Fault("/pypi/demo-b/.*", body=body)]

    answer = ask_index(index)

    assert (found(answer, A), set(answer.unanswered)) == (["PYSEC-2099-1"], {B})
    with pytest.raises(ServiceNotReady, match=r"/pypi/demo-b/2\.0/json"):
        ask_index(index, B)


def test_an_unreadable_entry_of_the_index_costs_itself_only(index: FaultServer) -> None:
    index.projects["demo-b"]["2.0"] = about(B, listed(fixed_in=None, aliases=7), None, "x", {"aliases": []})

    answer = ask_index(index)

    assert (found(answer, B), set(answer.unanswered)) == (["PYSEC-2099-1"], {B})


def test_the_index_is_asked_again_when_that_may_help(index: FaultServer) -> None:
    index.faults = [Fault("/pypi/demo-b/.*", 503, times=2)]
    assert ask_index(index) == SourceAnswer()

    index.faults = [Fault(".*", 503)]
    with pytest.raises(ServiceNotReady, match="503"):
        ask_index(index)


# pip-audit. Each run costs more than half a second, so only what differs from the others is tried.


def ask_pip_audit(server: FaultServer, pins: Sequence[Pin] = (A, B, C)) -> SourceAnswer:
    return PipAuditSource(server.url, timeout_seconds=60, retries=RetryPolicy(attempts=2), sleep=Clock()).ask(pins)


def test_pip_audit_names_what_the_api_knows_for_two_versions_of_a_package(server: FaultServer) -> None:
    other = Pin("demo-b", "10.0")
    server.add(advisory("demo-b", aliases=["CVE-2099-1"]))
    server.records["PYSEC-2099-1"]["affected"][0]["versions"] = ["2.0"]

    answer = ask_pip_audit(server, (A, B, other, Pin("demo-c", "no version")))

    (item,) = answer.matches[B]
    assert (item.advisory.id, item.advisory.aliases, item.fixed_in) == ("PYSEC-2099-1", ("CVE-2099-1",), ("9.0",))
    assert (list(answer.matches), [pin.name for pin in answer.unanswered]) == ([B], ["demo-c"])


def test_what_pip_audit_drops_is_unanswered_and_the_rest_is_kept(server: FaultServer) -> None:
    server.add(
        advisory("demo-a"),
        advisory("demo-b", "PYSEC-2099-2", schema_version="2.0.0"),
        advisory("demo-c", "PYSEC-2099-3", withdrawn="2026-02-01T00:00:00Z"),
    )

    answer = ask_pip_audit(server)

    assert (list(answer.matches), set(answer.unanswered)) == ([A], {B})
    assert "PYSEC-2099-2" in answer.unanswered[B]


def test_a_record_on_which_pip_audit_dies_costs_one_pin(server: FaultServer) -> None:
    server.add(advisory("demo-a"), advisory("demo-b", "PYSEC-2099-2", fixed="2.0-n653"))

    answer = ask_pip_audit(server)

    assert (list(answer.matches), set(answer.unanswered)) == ([A], {B})
    assert "InvalidVersion" in answer.unanswered[B]


def test_a_failure_that_passes_costs_pip_audit_a_run(server: FaultServer) -> None:
    server.add(advisory("demo-b"))
    server.faults = [Fault("/v1/query", 503, times=1)]

    assert found(ask_pip_audit(server), B) == ["PYSEC-2099-1"]


def test_a_failure_that_stays_is_no_answer_of_pip_audit(server: FaultServer) -> None:
    server.faults = [Fault("/v1/query", body=b"<html>please log in</html>")]
    with pytest.raises(ServiceNotReady, match="/v1/query"):
        ask_pip_audit(server)

    # Without the question of ours, pip-audit would call this clean.
    server.faults = [Fault(".*", body=b"{}")]
    with pytest.raises(ServiceNotReady):
        ask_pip_audit(server)
