from datetime import UTC, date, datetime, timedelta

import pytest

from holdtrue.core.drift import configuration_drift, infrastructure_drift, judge, layer_unknown, overall, runtime_drift
from holdtrue.core.render_drift import environment_page
from holdtrue.models.configuration import (
    ConfigurationRun,
    FileDiff,
    HostSummary,
    TaskOutcome,
    TaskResult,
    UntouchedHost,
)
from holdtrue.models.drift import DriftVerdict, EnvironmentDrift, LayerDrift, NotChecked
from holdtrue.models.environment import DriftIgnore, DriftLayer
from holdtrue.models.handlers import OpenHandler
from holdtrue.models.stack import Operation, PropertyChange, RefreshResult, ResourceChange
from holdtrue.models.validation import CheckOutcome, CheckResult

TODAY = date(2030, 1, 1)
BUCKET = "urn:pulumi:demo::shop::aws:Bucket::assets"


def refreshed(*changes: ResourceChange, unchecked: tuple[str, ...] = ()) -> LayerDrift:
    return infrastructure_drift(RefreshResult(changes=changes, checked=(BUCKET,), unchecked=unchecked))


def tag_change() -> ResourceChange:
    change = PropertyChange(path="tags.Owner", before="web", after="mallory")
    return ResourceChange(urn=BUCKET, type="aws:Bucket", operation=Operation.UPDATE, changes=(change,))


def rule(*, days: int = 1, target: str = "*", field: str = "tags.*") -> DriftIgnore:
    return DriftIgnore(
        layer=DriftLayer.INFRASTRUCTURE,
        target=target,
        field=field,
        reason="scanner writes it",
        owner="sre",
        expires=TODAY + timedelta(days=days),
    )


def verdict(*layers: LayerDrift, rules: tuple[DriftIgnore, ...] = ()) -> EnvironmentDrift:
    return judge("demo", layers, rules, today=TODAY)


def test_a_changed_property_is_named_with_both_values() -> None:
    drift = verdict(refreshed(tag_change()))

    assert drift.verdict is DriftVerdict.DRIFTED
    (finding,) = drift.findings
    assert (finding.target, finding.field) == (BUCKET, "tags.Owner")
    assert "web" in finding.summary
    assert "mallory" in finding.summary


@pytest.mark.parametrize(
    ("change", "summary"),
    [
        (PropertyChange(path="tags.New", after="x", kind="add"), "added: 'x'"),
        (PropertyChange(path="tags.Old", before="x", kind="delete"), "removed: 'x'"),
    ],
)
def test_a_property_on_one_side_only_shows_no_value_for_the_other(change: PropertyChange, summary: str) -> None:
    changed = ResourceChange(urn=BUCKET, type="aws:Bucket", operation=Operation.UPDATE, changes=(change,))

    (finding,) = verdict(refreshed(changed)).findings
    assert finding.summary == summary


def test_a_deleted_resource_is_drift() -> None:
    gone = ResourceChange(urn=BUCKET, type="aws:Bucket", operation=Operation.DELETE)

    assert verdict(refreshed(gone)).verdict is DriftVerdict.DRIFTED


def test_a_change_without_details_is_still_drift() -> None:
    vague = ResourceChange(urn=BUCKET, type="aws:Bucket", operation=Operation.UPDATE)

    assert verdict(refreshed(vague)).verdict is DriftVerdict.DRIFTED


def test_everything_read_and_equal_is_in_sync() -> None:
    assert verdict(refreshed()).verdict is DriftVerdict.IN_SYNC


def test_a_resource_of_unknown_fate_is_unknown_and_says_why() -> None:
    layer = infrastructure_drift(RefreshResult(changes=(), checked=(BUCKET,), unknown_fate=("urn:x",)))
    drift = verdict(layer)
    assert drift.verdict is DriftVerdict.UNKNOWN
    (gap,) = drift.not_checked
    assert gap.target == "urn:x"
    assert "killed" in gap.reason


def test_what_the_program_leaves_to_others_is_listed_and_in_sync() -> None:
    layer = infrastructure_drift(RefreshResult(changes=(), checked=(BUCKET,), unmanaged=(tag_change(),)))
    drift = verdict(layer)
    assert drift.verdict is DriftVerdict.IN_SYNC
    assert [(item.target, item.field) for item in drift.unmanaged] == [(BUCKET, "tags.Owner")]
    assert "tags.Owner" in environment_page(drift)


def test_a_resource_that_could_not_be_read_is_unknown() -> None:
    drift = verdict(refreshed(unchecked=("urn:x",)))

    assert drift.verdict is DriftVerdict.UNKNOWN
    assert [item.target for item in drift.not_checked] == ["urn:x"]


@pytest.mark.parametrize(
    "layers",
    [
        (),
        (LayerDrift(layer=DriftLayer.RUNTIME, checked=0),),
        (layer_unknown(DriftLayer.RUNTIME, "down"),),
    ],
    ids=["no layers", "nothing checked", "layer down"],
)
def test_nothing_looked_at_is_unknown(layers: tuple[LayerDrift, ...]) -> None:
    assert verdict(*layers).verdict is DriftVerdict.UNKNOWN


def test_drift_wins_over_unknown_and_both_are_listed() -> None:
    drift = verdict(refreshed(tag_change()), layer_unknown(DriftLayer.RUNTIME, "ssh is down"))

    assert drift.verdict is DriftVerdict.DRIFTED
    assert drift.not_checked[0].reason == "ssh is down"


def test_a_valid_rule_hides_what_it_names_and_reports_it() -> None:
    drift = verdict(refreshed(tag_change()), rules=(rule(),))

    assert drift.verdict is DriftVerdict.IN_SYNC
    assert [item.field for item in drift.ignored] == ["tags.Owner"]


@pytest.mark.parametrize("other", [rule(days=-1), rule(field="acl"), rule(target="urn:other")])
def test_an_expired_or_other_rule_hides_nothing(other: DriftIgnore) -> None:
    drift = verdict(refreshed(tag_change()), rules=(other,))

    assert drift.verdict is DriftVerdict.DRIFTED
    assert other in (*drift.expired_rules, *drift.unused_rules)


@pytest.mark.parametrize("other", [rule(field="*"), rule(field="tags.*"), rule(days=-1, field="unreadable")])
def test_a_rule_that_does_not_name_a_gap_does_not_accept_it(other: DriftIgnore) -> None:
    drift = verdict(refreshed(unchecked=(BUCKET,)), rules=(other,))

    assert drift.verdict is DriftVerdict.UNKNOWN
    assert drift.accepted == ()
    assert other in (*drift.expired_rules, *drift.unused_rules)


def test_a_rule_that_names_a_gap_accepts_it_and_stays_listed_with_it() -> None:
    naming = rule(field="unreadable")

    drift = verdict(refreshed(unchecked=(BUCKET,)), rules=(naming,))

    assert drift.verdict is DriftVerdict.IN_SYNC
    assert [(item.gap.target, item.rule) for item in drift.accepted] == [(BUCKET, naming)]
    assert drift.unused_rules == ()


def test_an_accepted_gap_hides_no_other_gap_and_no_drift() -> None:
    naming = rule(field="unreadable", target=BUCKET)
    other = verdict(refreshed(unchecked=(BUCKET, "urn:x")), rules=(naming,))
    drifted = verdict(refreshed(tag_change(), unchecked=(BUCKET,)), rules=(naming,))

    assert (other.verdict, [item.target for item in other.not_checked]) == (DriftVerdict.UNKNOWN, ["urn:x"])
    assert drifted.verdict is DriftVerdict.DRIFTED


@pytest.mark.parametrize(
    "layer",
    [
        layer_unknown(DriftLayer.INFRASTRUCTURE, "down"),
        LayerDrift(
            layer=DriftLayer.INFRASTRUCTURE,
            not_checked=(NotChecked(layer=DriftLayer.INFRASTRUCTURE, target="x", field="unreadable", reason="no"),),
            checked=0,
        ),
    ],
    ids=["layer down", "every gap accepted"],
)
def test_no_rule_accepts_a_layer_in_which_nothing_was_looked_at(layer: LayerDrift) -> None:
    drift = verdict(layer, rules=(rule(field="?*"),))

    assert drift.verdict is DriftVerdict.UNKNOWN
    assert drift.not_checked[0].reason


def summary(*, changed: int = 0) -> HostSummary:
    return HostSummary(host="web-1", ok=5, changed=changed, failed=0, skipped=0)


def task_result(outcome: TaskOutcome) -> TaskResult:
    diffs = (FileDiff(path="/srv/config.json", before="a", after="b"),)
    return TaskResult(host="web-1", task="Configure", outcome=outcome, message="why", diffs=diffs)


def test_a_task_that_would_change_a_file_is_drift_naming_it() -> None:
    run = ConfigurationRun(check=True, hosts=(summary(changed=1),), results=(task_result(TaskOutcome.CHANGED),))

    (finding,) = configuration_drift(run).findings

    assert finding.target == "web-1"
    assert "/srv/config.json" in finding.summary


@pytest.mark.parametrize("outcome", [TaskOutcome.SKIPPED, TaskOutcome.FAILED, TaskOutcome.UNREACHABLE])
def test_a_task_that_check_mode_cannot_judge_was_not_checked(outcome: TaskOutcome) -> None:
    run = ConfigurationRun(check=True, hosts=(summary(),), results=(task_result(outcome),))

    assert verdict(configuration_drift(run)).verdict is DriftVerdict.UNKNOWN


def accepting(field: str, *, days: int = 1) -> DriftIgnore:
    given = {"layer": DriftLayer.CONFIGURATION, "target": "web-*", "field": field}
    return rule(days=days).model_copy(update=given)


def test_a_task_that_cannot_run_in_check_mode_can_be_accepted_by_its_name_until_the_rule_expires() -> None:
    run = ConfigurationRun(check=True, hosts=(summary(),), results=(task_result(TaskOutcome.SKIPPED),))

    accepted = verdict(configuration_drift(run), rules=(accepting("Configure"),))
    expired = verdict(configuration_drift(run), rules=(accepting("Configure", days=-1),))

    assert accepted.verdict is DriftVerdict.IN_SYNC
    assert [item.gap.field for item in accepted.accepted] == ["Configure"]
    assert expired.verdict is DriftVerdict.UNKNOWN
    assert [item.field for item in expired.not_checked] == ["Configure"]
    assert expired.expired_rules == (accepting("Configure", days=-1),)


def test_a_rule_for_a_task_does_not_accept_that_its_host_is_unreachable() -> None:
    run = ConfigurationRun(check=True, hosts=(summary(),), results=(task_result(TaskOutcome.UNREACHABLE),))

    assert verdict(configuration_drift(run), rules=(accepting("Configure"),)).verdict is DriftVerdict.UNKNOWN
    assert verdict(configuration_drift(run), rules=(accepting("unreachable"),)).verdict is DriftVerdict.IN_SYNC


def test_a_host_on_which_no_task_ran_is_unknown_until_a_rule_accepts_it() -> None:
    untouched = (UntouchedHost(host="web-2", reason="its play was ended"),)
    run = ConfigurationRun(check=True, hosts=(summary(),), results=(), untouched=untouched)

    assert verdict(configuration_drift(run)).verdict is DriftVerdict.UNKNOWN
    assert verdict(configuration_drift(run), rules=(accepting("no task"),)).verdict is DriftVerdict.IN_SYNC


def test_a_handler_that_has_not_run_is_drift_that_names_it() -> None:
    run = ConfigurationRun(check=True, hosts=(summary(),), results=())
    missing = OpenHandler(
        environment="demo", host="web-1", handler="Restart", notified_at=datetime(2029, 12, 31, tzinfo=UTC)
    )

    drift = verdict(configuration_drift(run, (missing,)))

    assert drift.verdict is DriftVerdict.DRIFTED
    assert [(item.target, item.field) for item in drift.findings] == [("web-1", "Restart")]


def test_a_playbook_on_no_host_is_unknown() -> None:
    assert verdict(configuration_drift(ConfigurationRun(check=True, hosts=(), results=()))).verdict is (
        DriftVerdict.UNKNOWN
    )


def check(target: str, outcome: CheckOutcome, kind: str = "testinfra") -> CheckResult:
    return CheckResult(target=target, name="service runs", kind=kind, outcome=outcome, detail="not running")


def test_a_failed_check_is_drift() -> None:
    drift = verdict(runtime_drift([check("web-1", CheckOutcome.FAILED)], ["web-1"]))

    assert drift.verdict is DriftVerdict.DRIFTED


@pytest.mark.parametrize(
    "checks",
    [
        [],
        [check("web-1", CheckOutcome.SKIPPED)],
        [check("web-1", CheckOutcome.ERROR)],
        [check("web-1", CheckOutcome.PASSED, kind="ssh")],
    ],
)
def test_a_host_on_which_nothing_was_checked_is_unknown(checks: list[CheckResult]) -> None:
    assert verdict(runtime_drift(checks, ["web-1"])).verdict is DriftVerdict.UNKNOWN


def environment(answer: DriftVerdict) -> EnvironmentDrift:
    return EnvironmentDrift(environment="demo", verdict=answer, checked=1)


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ([], DriftVerdict.UNKNOWN),
        (["in_sync", "in_sync"], DriftVerdict.IN_SYNC),
        (["in_sync", "unknown"], DriftVerdict.UNKNOWN),
        (["drifted", "unknown"], DriftVerdict.DRIFTED),
    ],
)
def test_the_fleets_verdict(answers: list[str], expected: DriftVerdict) -> None:
    assert overall([environment(DriftVerdict(answer)) for answer in answers]) is expected


def test_a_check_of_selected_tasks_says_so_and_counts_what_it_ran() -> None:
    summary = HostSummary(host="web-1", ok=2, changed=0, failed=0, skipped=0)
    run = ConfigurationRun(check=True, hosts=(summary,), results=(), selection="with the tags web")
    drift = verdict(configuration_drift(run), refreshed())
    assert drift.verdict is DriftVerdict.IN_SYNC
    assert drift.checked == 2 + 1
    assert drift.selections == {DriftLayer.CONFIGURATION: "tasks with the tags web"}
    assert verdict(refreshed()).selections == {}
