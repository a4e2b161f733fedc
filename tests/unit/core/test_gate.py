import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdtrue.core.gate import admit, decide
from holdtrue.errors import GateClosed
from holdtrue.models.validation import CheckOutcome, CheckResult, Verdict, VerdictOutcome

NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)
CASES = json.loads((Path(__file__).parents[2] / "cases" / "gate.json").read_text())


def judge(checks: list[CheckResult], hosts: list[str]) -> Verdict:
    return decide(checks, environment="demo", hosts=hosts, plan_digest="d1", now=NOW, ttl_seconds=60)


def check(target: str, outcome: str, kind: str = "testinfra") -> CheckResult:
    return CheckResult(target=target, name="a", kind=kind, outcome=CheckOutcome(outcome))


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_truth_table(case: dict[str, Any]) -> None:
    verdict = judge([check(*item) for item in case["checks"]], case["hosts"])

    assert verdict.outcome == case["outcome"]
    assert bool(verdict.reasons) == (case["outcome"] != "pass")


outcomes = st.sampled_from(CheckOutcome)


@given(st.lists(st.tuples(st.sampled_from(["a", "b"]), outcomes), max_size=8))
def test_pass_means_every_host_has_a_passed_check_and_nothing_failed_or_was_blind(
    items: list[tuple[str, CheckOutcome]],
) -> None:
    verdict = judge([check(target, outcome) for target, outcome in items], ["a", "b"])

    bad = any(outcome in {CheckOutcome.FAILED, CheckOutcome.ERROR} for _, outcome in items)
    proved = {target for target, outcome in items if outcome is CheckOutcome.PASSED}
    assert (verdict.outcome is VerdictOutcome.PASS) == (not bad and proved == {"a", "b"})


def passed() -> Verdict:
    return judge([check("a", "passed"), check("b", "passed")], ["a", "b"])


def test_a_passed_verdict_admits_traffic() -> None:
    admit(passed(), environment="demo", hosts=["b", "a"], plan_digest="d1", now=NOW + timedelta(seconds=59))


@pytest.mark.parametrize(
    "change",
    [
        {"now": NOW + timedelta(seconds=60)},
        {"now": NOW - timedelta(seconds=1)},
        {"environment": "other"},
        {"hosts": ["a"]},
        {"hosts": ["a", "b", "c"]},
        {"plan_digest": "d2"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_passed_verdict_on_anything_else_is_refused(change: dict[str, Any]) -> None:
    asked: dict[str, Any] = {"environment": "demo", "hosts": ["a", "b"], "plan_digest": "d1", "now": NOW}

    with pytest.raises(GateClosed):
        admit(passed(), **(asked | change))


@pytest.mark.parametrize("outcome", ["failed", "error", "skipped"])
def test_a_verdict_that_is_no_pass_is_refused(outcome: str) -> None:
    verdict = judge([check("a", outcome), check("b", "passed")], ["a", "b"])

    with pytest.raises(GateClosed):
        admit(verdict, environment="demo", hosts=["a", "b"], plan_digest="d1", now=NOW)
