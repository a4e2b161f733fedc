"""`holdtrue audit`: which findings count."""

import pytest

from holdtrue.adapters.audit_inputs import read_vex
from tests.integration.audit_desk import CLEAN, VULNERABLE, WAIVER, Desk, desk
from tests.integration.osv_fault_server import advisory

__all__ = ["desk"]

CRITICAL = [{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}]
LOW = [{"type": "CVSS_V3", "score": "CVSS:3.1/AV:L/AC:H/PR:H/UI:R/S:U/C:L/I:N/A:N"}]


@pytest.mark.parametrize(
    ("waiver", "code", "state"),
    [
        ({}, CLEAN, "used"),
        ({"id": "cve-2099-9"}, VULNERABLE, "unused"),
        ({"expires": "2020-01-01"}, VULNERABLE, "expired"),
        ({"inventory": "other/*"}, VULNERABLE, "unused"),
    ],
)
def test_waivers(desk: Desk, waiver: dict[str, str], code: int, state: str) -> None:
    file = desk.json("waivers.json", {"waivers": [WAIVER | waiver]})

    arguments = ("-r", "requirements.txt", "--osv-db", "dump.jsonl", "--waivers", file)

    ended, told = desk.run_together((*arguments, "--json"), arguments)

    assert (ended.code, [use.state for use in ended.document.waivers]) == (code, [state])
    assert len(ended.document.findings) + len(ended.document.tolerated) == 1
    assert (state in told.out) is (state != "used")


def test_vex_documents_waive_and_are_written_again(desk: Desk) -> None:
    statement = {
        "vulnerability": {"name": "CVE-2099-1"},
        "products": [{"@id": "pkg:pypi/demo-a@1.0"}],
        "status": "not_affected",
        "impact_statement": "never called",
    }
    head = {"@context": "https://openvex.dev/ns/v0.2.0", "author": "Demo", "timestamp": "2030-01-01T00:00:00Z"}
    file = desk.json("vex.json", {**head, "statements": [statement]})
    arguments = ("-r", "requirements.txt", "--osv-db", "dump.jsonl", "--vex", file)

    ended, again = desk.run_together(
        (*arguments, "--json"), (*arguments, "--format", "openvex", "--output", "again.json")
    )

    assert (ended.code, [item.id for item in ended.document.tolerated]) == (CLEAN, ["PYSEC-2099-1"])
    assert (again.code, again.out) == (CLEAN, "")
    (said,) = read_vex(desk.folder / "again.json")
    assert (said.status, said.reason, said.product.package) == ("not_affected", "never called", "demo-a")
    assert {"PYSEC-2099-1", "CVE-2099-1"} <= set(said.names)


def test_exploitation_data_are_told_and_outweigh_a_waiver(desk: Desk) -> None:
    waivers = desk.json("waivers.json", [WAIVER | {"id": "CVE-2099-0001"}])
    epss = desk.file("epss.csv", "cve,epss,percentile\nCVE-2099-0001,0.5,0.5\n")
    kev = desk.json("kev.json", {"vulnerabilities": [{"cveID": "CVE-2099-0001"}]})
    desk.dump(advisory("demo-a", aliases=["CVE-2099-0001"]))

    arguments = ("--osv-db", "dump.jsonl", "--waivers", waivers, "--epss", epss)

    waived, exploited = desk.audit_together(arguments, (*arguments, "--kev", kev))

    assert (waived.code, exploited.code) == (CLEAN, VULNERABLE)
    (item,) = exploited.document.findings
    assert item.exploitation is not None
    assert (item.exploitation.is_known_exploited, item.exploitation.epss) == (True, 0.5)


def test_a_severity_that_is_not_known_is_below_nothing(desk: Desk) -> None:
    desk.dump(
        advisory("demo-a", "PYSEC-2099-1"),
        advisory("demo-a", "PYSEC-2099-2", severity=LOW),
        advisory("demo-a", "PYSEC-2099-3", severity=CRITICAL),
    )

    desk.dump(advisory("demo-a", severity=LOW), name="low.jsonl")

    high, only_low = desk.audit_together(
        ("--osv-db", "dump.jsonl", "--minimum-severity", "high"),
        ("--osv-db", "low.jsonl", "--minimum-severity", "high"),
    )

    assert {item.id: str(item.severity) for item in high.document.findings} == {
        "PYSEC-2099-1": "unknown", "PYSEC-2099-3": "critical",
    }  # fmt: skip
    assert [item.id for item in high.document.tolerated] == ["PYSEC-2099-2"]
    assert (only_low.code, only_low.document.tolerated[0].tolerated != "") == (CLEAN, True)


def test_only_fixable_and_only_direct(desk: Desk) -> None:
    unfixed = advisory("demo-a")
    unfixed["affected"][0]["ranges"][0]["events"] = [{"introduced": "0"}]
    desk.dump(unfixed)
    desk.file("chained.txt", "demo-a==1.0\n    # via demo-b\ndemo-b==2.0\n    # via -r requirements.in\n")

    ended = desk.run_together(
        ("-r", "requirements.txt", "--osv-db", "dump.jsonl"),
        ("-r", "requirements.txt", "--osv-db", "dump.jsonl", "--only-fixable"),
        ("-r", "chained.txt", "--osv-db", "dump.jsonl", "--only-direct"),
    )

    assert [item.code for item in ended] == [VULNERABLE, CLEAN, CLEAN]
