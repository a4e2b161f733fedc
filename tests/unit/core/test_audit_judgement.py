"""Several environments judge one batch."""

from datetime import UTC, date, datetime

import pytest

from holdtrue.core.audit_judgement import Judgement, judge_findings
from holdtrue.core.vex import VexProduct, VexStatement, VexStatus, cleared_by
from holdtrue.models.audit import AuditPolicy, Finding, Occurrence, Severity, Waiver, WaiverUse

TODAY = date(2030, 1, 1)
NOW = datetime(2030, 1, 1, tzinfo=UTC)
STRICT = AuditPolicy()
LENIENT = AuditPolicy(only_fixable=True)


def finding(*labels: str, name: str = "PYSEC-1") -> Finding:
    return Finding(
        package="demo-a",
        version="1.0",
        id=name,
        severity=Severity.HIGH,
        sources=("osv",),
        occurrences=tuple(Occurrence(inventory=label) for label in labels),
    )


def waiver(name: str = "PYSEC-1", inventory: str = "*", expires: date = date.max, owner: str = "sre") -> Waiver:
    return Waiver(id=name, inventory=inventory, reason="known", owner=owner, expires=expires)


def of(name: str, policy: AuditPolicy, *labels: str, waivers: tuple[Waiver, ...] = ()) -> Judgement:
    return Judgement(policy, waivers, labels=frozenset(labels), name=name)


def tolerated(finding: Finding, *judgements: Judgement) -> str:
    ((judged,), _) = judge_findings([finding], judgements, TODAY)
    assert judged.occurrences == finding.occurrences
    return judged.tolerated


def test_without_a_judgement_everything_counts() -> None:
    assert tolerated(finding("a")) == ""


def test_one_judgement_about_everything_is_the_policy_alone() -> None:
    assert tolerated(finding("a"), Judgement(LENIENT)) == "no version mends it"
    assert tolerated(finding("a"), Judgement(STRICT)) == ""


@pytest.mark.parametrize(
    ("first", "second", "counts"),
    [(STRICT, STRICT, True), (STRICT, LENIENT, True), (LENIENT, STRICT, True), (LENIENT, LENIENT, False)],
)
def test_it_counts_if_it_counts_for_any_that_holds_it(first: AuditPolicy, second: AuditPolicy, counts: bool) -> None:  # noqa: FBT001
    reason = tolerated(finding("a", "b"), of("one", first, "a"), of("two", second, "b"))

    assert (reason == "") is counts
    if not counts:
        assert reason == "one: no version mends it; two: no version mends it"


def test_who_does_not_hold_it_has_no_say() -> None:
    assert tolerated(finding("a"), of("one", LENIENT, "a"), of("two", STRICT, "b")) == "one: no version mends it"
    assert tolerated(finding("a"), of("one", STRICT, "a"), of("two", LENIENT, "b")) == ""


def test_a_shared_place_is_judged_by_all_who_hold_it() -> None:
    assert tolerated(finding("a"), of("one", LENIENT, "a"), of("two", STRICT, "a")) == ""


@pytest.mark.parametrize("labels", [("a",), ()])
def test_a_place_that_nobody_judges_counts(labels: tuple[str, ...]) -> None:
    assert tolerated(finding("a", "b"), of("one", LENIENT, *labels)) == ""


def test_a_waiver_of_one_environment_covers_its_own_places_only() -> None:
    (judged,), uses = judge_findings(
        [finding("a", "b")], [of("one", STRICT, "a", waivers=(waiver(),)), of("two", STRICT, "b")], TODAY
    )

    assert (judged.tolerated, judged.waiver) == ("", None)
    assert uses == (WaiverUse(waiver=waiver(), state="used"),)


def test_a_risk_is_accepted_only_where_every_one_accepted_it() -> None:
    one, two = of("one", STRICT, "a", waivers=(waiver(),)), of("two", STRICT, "b", waivers=(waiver(owner="web"),))
    (both,), _ = judge_findings([finding("a", "b")], [one, two], TODAY)
    (mixed,), _ = judge_findings([finding("a", "b")], [one, of("two", LENIENT, "b")], TODAY)

    assert (both.waiver, mixed.waiver) == (waiver(), None)
    assert "waived by sre" in both.tolerated
    assert "waived by web" in both.tolerated
    assert "no version mends it" in mixed.tolerated


def test_a_vex_statement_clears_a_finding_only_where_every_one_has_one() -> None:
    said = VexStatement(("PYSEC-1",), VexProduct("demo-a"), VexStatus.NOT_AFFECTED, "unused", "vendor", NOW)
    one = Judgement(STRICT, (said,), labels=frozenset({"a"}), name="one")
    (mixed,), _ = judge_findings([finding("a", "b")], [one, of("two", STRICT, "b", waivers=(waiver(),))], TODAY)
    (both,), _ = judge_findings([finding("a", "b")], [Judgement(STRICT, (said,))], TODAY)

    assert (mixed.waiver, cleared_by(mixed)) == (waiver(), None)
    assert both.waiver is not None
    assert cleared_by(both) == both.waiver


def test_a_waiver_of_several_is_listed_once_and_used_when_any_uses_it() -> None:
    shared, old = waiver(inventory="a"), waiver("PYSEC-9", expires=date(2029, 1, 1))
    unused = of("two", STRICT, "b", waivers=(shared, old))

    for order in (
        [of("one", STRICT, "a", waivers=(shared, old)), unused],
        [unused, of("one", STRICT, "a", waivers=(shared,))],
    ):
        _, uses = judge_findings([finding("a", "b")], order, TODAY)
        assert {use.waiver: use.state for use in uses} == {shared: "used", old: "expired"}
        assert len(uses) == 2


def test_findings_keep_their_order_and_number() -> None:
    findings = [finding("a", name="PYSEC-2"), finding("b"), finding("c", name="PYSEC-3")]

    judged, _ = judge_findings(findings, [of("one", LENIENT, "b"), of("two", LENIENT, "c")], TODAY)

    assert [(item.id, bool(item.tolerated)) for item in judged] == [
        ("PYSEC-2", False), ("PYSEC-1", True), ("PYSEC-3", True),
    ]  # fmt: skip
