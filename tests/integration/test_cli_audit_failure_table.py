"""`holdtrue audit` against every failure of a source that made another audit lie, die or lose findings, in one table.

Each row is a run of the whole command against a server that fails in that way: what the exit code and the verdict say,
how much counts as audited, which findings are kept, and whether the address that failed is named.
"""

import re
import socket
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.integration.audit_desk import (
    CLEAN,
    FORMATS,
    INCOMPLETE,
    THE_FINDING,
    VULNERABLE,
    Desk,
    desk,
    names_the_finding,
    server,
)
from tests.integration.osv_fault_server import Fault, FaultServer, advisory

__all__ = ["desk", "server"]

BATCH = "/v1/querybatch"
ATTEMPTS = 4
"""How often the command puts a question to a source that may recover."""


# The source does not answer: incomplete, whatever it did instead.


@pytest.mark.parametrize(
    ("fault", "attempts"),
    [
        pytest.param(Fault(".*", 404), 1, id="404 on all"),
        pytest.param(Fault(".*", 429), ATTEMPTS, id="429"),
        pytest.param(Fault(".*", 503), ATTEMPTS, id="503"),
        pytest.param(Fault(".*", body=b"<html><form>please log in</form></html>"), 1, id="HTML login page"),
        pytest.param(Fault(".*", body=b'{"results": [{"vulns": [{"id": "PYS'), 1, id="truncated JSON"),
        pytest.param(Fault(".*", body=b"{}"), 1, id="{} for a batch"),
        pytest.param(Fault(".*", delay_seconds=60), ATTEMPTS, id="read time-out"),
    ],
)
def test_a_source_that_does_not_answer(desk: Desk, server: FaultServer, fault: Fault, attempts: int) -> None:
    server.faults = [fault]
    desk.hurry(silence_seconds=0.2 if fault.delay_seconds else 15)

    _expect_incomplete(desk, server.url)

    # Once for each of the two runs.
    assert server.counts() == {"querybatch": 2 * attempts}


def test_a_source_that_refuses_the_connection(desk: Desk, refusing_url: str) -> None:
    desk.hurry()

    _expect_incomplete(desk, refusing_url)


def _expect_incomplete(desk: Desk, url: str) -> None:
    """Alone it leaves everything unaudited; beside a source that answers it hides no finding of that one."""
    alone, beside = desk.audit_together(("--osv-url", url), ("--osv-url", url, "--osv-db", "dump.jsonl"))

    assert (alone.code, alone.document.verdict, alone.document.findings) == (INCOMPLETE, "incomplete", ())
    assert (beside.code, beside.document.verdict, beside.found) == (VULNERABLE, "vulnerable", THE_FINDING)
    for ended, audited, failures in ((alone, 0, [True]), (beside, 2, [False, True])):
        document = ended.document
        assert (document.counts.audited, document.counts.unique) == (audited, 2)
        assert [bool(source.failure) for source in document.sources] == failures
        assert [url in item.reason for item in document.not_audited if item.name == "osv"] == [True]
        assert (ended.err.startswith("holdtrue: osv: "), ended.err.count("\n"), url in ended.err) == (True, 1, True)


@pytest.fixture
def refusing_url() -> Iterator[str]:
    """An address where nobody listens, kept for as long as it is needed: bound, so that nobody else gets it."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


@pytest.mark.parametrize("projects", [{}, {"demo-a": {}, "demo-b": {}}], ids=["404 on all", "404 for each version"])
def test_an_index_that_knows_no_page_of_a_version(desk: Desk, server: FaultServer, projects: dict[str, Any]) -> None:
    server.projects = projects

    ended = desk.audit("--pypi-url", server.url)

    assert (ended.code, ended.document.verdict) == (INCOMPLETE, "incomplete")
    assert (ended.document.counts.audited, ended.document.counts.not_audited) == (0, 2)
    (source,) = ended.document.sources
    assert (source.location, "unknown to the index" in source.failure) == (server.url, True)
    assert [(item.name, item.reason) for item in ended.document.not_audited] == [("pypi", source.failure)]
    assert ended.err == f"holdtrue: pypi: {source.failure}\n"


# It says when it will answer.


@pytest.mark.parametrize("status", [429, 503])
def test_a_source_that_asks_for_patience_gets_it(desk: Desk, server: FaultServer, status: int) -> None:
    server.faults = [Fault(BATCH, status, headers={"Retry-After": "1"}, times=1)]

    ended = desk.audit("--osv-url", server.url)

    assert (ended.code, ended.found, ended.err) == (VULNERABLE, THE_FINDING, "")
    assert (ended.document.counts.audited, ended.document.not_audited) == (2, ())
    first, second = [item.at for item in server.asked if item.path == BATCH]
    assert second - first >= 1


# It answers, and oddly: no finding is lost.


def test_an_empty_object_is_an_answer_where_one_package_is_asked_about(desk: Desk, server: FaultServer) -> None:
    desk.file("requirements.txt", "demo-b==2.0\n")

    ended = desk.audit("--pip-audit-url", server.url)

    assert (ended.code, ended.document.verdict, ended.err) == (CLEAN, "clean", "")
    assert server.counts() == {"querybatch": 1, "query": 1}


def _not_pep_440(server: FaultServer) -> None:
    server.add(
        advisory("demo-a", fixed="2.0-n653"),
        advisory("demo-a", "PYSEC-2099-2", fixed="2019-09-12"),
        advisory("demo-a", "PYSEC-2099-3"),
        advisory("demo-b", "PYSEC-2099-4"),
    )


def _moment_with_offset(server: FaultServer) -> None:
    server.add(
        advisory("demo-a", published="2099-01-01T00:00:00+00:00", modified="2099-01-01T00:00:00.123456+00:00"),
        advisory("demo-b", "PYSEC-2099-2", published="2099-01-01T02:00:00+02:00"),
    )


def _page(number: int, token: str) -> dict[str, Any]:
    return {"vulns": [{"id": f"PYSEC-2099-{number}", "modified": "2099-01-01T00:00:00Z"}], "next_page_token": token}


def _pages(server: FaultServer) -> None:
    server.add(*(advisory("demo-b", f"PYSEC-2099-{number}") for number in (2, 3)))
    pages = {"": _page(2, "p1"), "p1": {"next_page_token": "p2"}, "p2": _page(3, "")}
    server.entries = {"demo-b": pages.__getitem__}


def _two_entries(server: FaultServer) -> None:
    entries = [advisory("demo-a", fixed=version)["affected"][0] for version in ("2.20.0", "3.1", "0.9")]
    server.add(advisory("demo-a") | {"affected": entries})


def _unnormalised_name(server: FaultServer) -> None:
    server.add(advisory("Demo_A", fixed="3.1"))


AFFECTED, POSSIBLE = "affected", "possible"
Told = Mapping[tuple[str, str], tuple[str, tuple[str, ...]]]
"""By package and id: how sure it is, and what mends it."""
ODDITIES: dict[str, tuple[Callable[[FaultServer], None], Told]] = {
    "fixed is not PEP 440": (
        _not_pep_440,
        {
            ("demo-a", "PYSEC-2099-1"): (POSSIBLE, ("2.0-n653",)),
            ("demo-a", "PYSEC-2099-2"): (POSSIBLE, ("2019-09-12",)),
            ("demo-a", "PYSEC-2099-3"): (AFFECTED, ("9.0",)),
            ("demo-b", "PYSEC-2099-4"): (AFFECTED, ("9.0",)),
        },
    ),
    "published +00:00": (
        _moment_with_offset,
        {("demo-a", "PYSEC-2099-1"): (AFFECTED, ("9.0",)), ("demo-b", "PYSEC-2099-2"): (AFFECTED, ("9.0",))},
    ),
    "next_page_token, and a page with only a token": (
        _pages,
        {
            ("demo-a", "PYSEC-2099-1"): (AFFECTED, ("9.0",)),
            ("demo-b", "PYSEC-2099-2"): (AFFECTED, ("9.0",)),
            ("demo-b", "PYSEC-2099-3"): (AFFECTED, ("9.0",)),
        },
    ),
    "two affected entries for one package": (
        _two_entries,
        {("demo-a", "PYSEC-2099-1"): (AFFECTED, ("2.20.0", "3.1"))},
    ),
    "un-normalised affected name": (_unnormalised_name, {("demo-a", "PYSEC-2099-1"): (AFFECTED, ("3.1",))}),
}


@pytest.mark.parametrize("oddity", ODDITIES)
def test_an_odd_answer_costs_no_finding(desk: Desk, server: FaultServer, oddity: str) -> None:
    arrange, told = ODDITIES[oddity]
    arrange(server)

    ended = desk.audit("--osv-url", server.url)

    assert (ended.code, ended.document.verdict, ended.err) == (VULNERABLE, "vulnerable", "")
    assert (ended.document.counts.audited, ended.document.not_audited) == (2, ())
    found = ended.document.findings
    assert {(item.package, item.id): (item.certainty, item.fixed_in) for item in found} == told
    assert [item.package for item in found if item.certainty == POSSIBLE and not item.doubt] == []
    if arrange is _moment_with_offset:
        assert {item.published for item in found} == {datetime(2099, 1, 1, tzinfo=UTC)}


# Its texts are hostile: each output keeps the finding, and obeys nobody.

HOSTILE = (
    "\x1b[31mred\x1b[0m\n::error::x ##vso[task.complete]y | <script>alert(1)</script> ![a](http://evil.example) \u202e"
)


@pytest.mark.parametrize("form", FORMATS)
def test_a_hostile_summary(desk: Desk, server: FaultServer, form: str) -> None:
    server.add(advisory("demo-a", summary=HOSTILE))

    ended = desk.run("-r", "requirements.txt", "--osv-url", server.url, "--format", form)

    assert (ended.code, ended.err) == (VULNERABLE, "")
    assert names_the_finding(form, ended.out)
    assert all(character.isprintable() or character == "\n" for character in ended.out)
    assert not re.search(r"^\s*::error|##(\w+)?\[", ended.out, re.MULTILINE)
    match form:
        case "json":
            assert ended.document.findings[0].summary == " ".join(HOSTILE.split())
        case "markdown":
            (header,) = re.findall(r"^\| Severity .*", ended.out, re.MULTILINE)
            (row,) = re.findall(r"^.*PYSEC-2099-1.*", ended.out, re.MULTILINE)
            assert row.count("|") == header.count("|")
            assert "<script" not in ended.out
        case "html" | "openvex":
            assert "<script" not in ended.out


# It does not know the name, which OSV cannot tell from a package without advisories; the index can.


def test_a_mistyped_name_is_unknown_to_the_index(desk: Desk, server: FaultServer) -> None:
    desk.file("requirements.txt", "demo-b==2.0\nreqeusts==2.19.0\n")
    page = {"info": {"name": "demo-b", "version": "2.0"}, "vulnerabilities": []}
    server.projects = {"demo-b": {"2.0": page}}

    ended = desk.audit("--pypi-url", server.url)

    assert (ended.code, ended.document.verdict) == (INCOMPLETE, "incomplete")
    assert (ended.document.counts.audited, ended.document.counts.not_audited) == (1, 1)
    assert [(item.name, item.version, item.reason) for item in ended.document.not_audited] == [
        ("reqeusts", "2.19.0", "pypi: unknown to the index (no such project)")
    ]
