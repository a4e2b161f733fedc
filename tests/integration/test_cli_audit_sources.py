"""`holdtrue audit`: whom it asks, how often, and about what."""

from tests.integration.audit_desk import CLEAN, INCOMPLETE, THE_FINDING, VULNERABLE, Desk, desk, server
from tests.integration.osv_fault_server import FaultServer, advisory

__all__ = ["desk", "server"]


def test_the_sources_named_are_the_only_ones_asked(desk: Desk, server: FaultServer) -> None:
    with FaultServer() as other:
        desk.settings = {"HOLDTRUE_OSV_URL": other.url, "HOLDTRUE_PYPI_URL": other.url}
        by_dump = desk.audit("--osv-db", "dump.jsonl")
        assert server.asked == []
        by_api = desk.audit("--osv-url", server.url)
        assert server.counts() == {"querybatch": 1, "vulns": 1}
        assert other.asked == []
        by_settings = desk.audit()
        assert set(other.counts()) == {"querybatch", "pypi"}

    assert [[source.name for source in ended.document.sources] for ended in (by_dump, by_api, by_settings)] == [
        ["osv-db"], ["osv"], ["osv", "pypi"],
    ]  # fmt: skip
    assert by_dump.found == by_api.found == THE_FINDING


def test_every_source_at_once_makes_one_finding_that_names_them(desk: Desk, server: FaultServer) -> None:
    page = {
        "vulnerabilities": [{"id": "PYSEC-2099-1", "aliases": ["CVE-2099-1"], "fixed_in": ["9.0"], "withdrawn": None}]
    }
    server.projects = {"demo-a": {"1.0": page}, "demo-b": {"2.0": {"vulnerabilities": []}}}

    ended = desk.audit(
        "--osv-db", "dump.jsonl", "--osv-url", server.url, "--pypi-url", server.url, "--pip-audit-url", server.url
    )

    assert [source.failure for source in ended.document.sources] == [""] * 4
    assert [(item.id, item.sources) for item in ended.document.findings] == [
        ("PYSEC-2099-1", ("osv", "osv-db", "pip-audit", "pypi"))
    ]


def test_internal_packages_are_nobody_elses_business(desk: Desk, server: FaultServer) -> None:
    ended = desk.audit("--osv-url", server.url, "--internal", "demo-[a]")

    assert [query["package"]["name"] for query in server.asked[0].body["queries"]] == ["demo-b"]
    assert ended.code == INCOMPLETE
    assert [(item.name, item.origin) for item in ended.document.not_audited] == [("demo-a", "internal")]


def test_internal_packages_that_are_audited_elsewhere_do_not_make_it_incomplete(desk: Desk) -> None:
    arguments = ("--osv-db", "dump.jsonl", "--internal", "demo-a")

    ended, trusting = desk.audit(*arguments), desk.audit(*arguments, "--trust-internal")

    assert (ended.code, trusting.code) == (INCOMPLETE, CLEAN)
    (listed,) = trusting.document.not_audited
    assert (listed.name, listed.origin, bool(listed.tolerated)) == ("demo-a", "internal", True)


def test_a_second_run_asks_for_no_advisory_again(desk: Desk, server: FaultServer) -> None:
    first = desk.audit("--osv-url", server.url)
    second = desk.audit("--osv-url", server.url)

    assert first.found == second.found == THE_FINDING
    assert server.counts() == {"querybatch": 2, "vulns": 1}


def test_data_that_are_too_old_are_not_enough(desk: Desk) -> None:
    desk.dump(advisory("demo-a") | {"modified": "2020-01-01T00:00:00Z"})
    desk.file("other.txt", "demo-b==2.0\n")

    found, nothing_found, young_enough = desk.run_together(
        ("-r", "requirements.txt", "--osv-db", "dump.jsonl", "--json", "--max-age-days", 7),
        ("-r", "other.txt", "--osv-db", "dump.jsonl", "--json", "--max-age-days", 7),
        ("-r", "other.txt", "--osv-db", "dump.jsonl", "--json", "--max-age-days", 1e6),
    )

    assert (found.code, found.found) == (VULNERABLE, THE_FINDING)
    assert "days old" in found.err
    assert (nothing_found.code, nothing_found.document.counts.audited) == (INCOMPLETE, 0)
    assert young_enough.code == CLEAN
