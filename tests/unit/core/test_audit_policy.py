"""The decision table of the audit's policy."""

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from holdtrue.core.audit_policy import apply_policy
from holdtrue.models.audit import AuditPolicy, Exploitation, Finding, Waiver

CASES = json.loads((Path(__file__).parents[2] / "cases" / "audit_policy.json").read_text())
TODAY = date(2030, 6, 15)


def finding(places: list[dict[str, Any]], **more: Any) -> Finding:
    return Finding.model_validate(
        {
            "package": "demo-a",
            "version": "1.0",
            "id": "PYSEC-2099-1",
            "aliases": ["CVE-2099-1", "GHSA-demo"],
            "severity": "high",
            "fixed_in": ["2.0"],
            "sources": ["osv"],
            "occurrences": [{"inventory": "app.txt", **place} for place in places],
            **more,
        }
    )


def waiver(**more: Any) -> Waiver:
    return Waiver.model_validate(
        {
            "id": "CVE-2099-1",
            "reason": "not reachable",
            "owner": "somebody",
            "expires": "2030-12-31",
            **more,
        }
    )


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_policy(case: dict[str, Any]) -> None:
    waivers = [waiver(**item) for item in case.get("waivers", ())]
    policy = AuditPolicy.model_validate(case.get("policy", {}))

    (judged,), uses = apply_policy(
        [finding(case.get("places", [{}]), **case.get("finding", {}))], policy, waivers, TODAY
    )

    assert bool(judged.tolerated) == bool(case["tolerated"])
    assert case["tolerated"] in judged.tolerated
    assert (judged.waiver in waivers) == ("waived" in case["tolerated"])
    assert [item.state for item in uses] == case.get("states", [])
    assert [item.waiver for item in uses] == waivers


def test_cases_cover_every_field_of_a_policy_and_every_state() -> None:
    assert {field for case in CASES for field in case.get("policy", ())} == set(AuditPolicy.model_fields)
    assert {state for case in CASES for state in case.get("states", ())} == {"used", "unused", "expired"}


def test_only_what_tolerates_changes_and_judging_anew_forgets_the_last_judgement() -> None:
    original = finding([{}])

    (tolerated,), _ = apply_policy([original], AuditPolicy(), [waiver()], TODAY)
    (again,), _ = apply_policy([tolerated], AuditPolicy(), [], TODAY)
    exploited = tolerated.model_copy(update={"exploitation": Exploitation(is_known_exploited=True)})
    (counting,), _ = apply_policy([exploited], AuditPolicy(), [waiver()], TODAY)

    assert tolerated.model_copy(update={"tolerated": "", "waiver": None}) == original
    assert again == original
    assert (counting.tolerated, counting.waiver) == ("", None)


def test_one_waiver_may_speak_of_several_findings_and_is_told_of_once() -> None:
    findings, uses = apply_policy(
        [finding([{}]), finding([{}], package="demo-b"), finding([{}], id="CVE-2099-7", aliases=[])],
        AuditPolicy(),
        [waiver()],
        TODAY,
    )

    assert [bool(item.tolerated) for item in findings] == [True, True, False]
    assert [item.state for item in uses] == ["used"]
