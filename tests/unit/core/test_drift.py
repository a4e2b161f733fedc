from datetime import date, timedelta

import pytest

from holdtrue.core.drift import configuration_drift, infrastructure_drift, judge, layer_unknown, overall, runtime_drift
from holdtrue.core.render import environment_page
from holdtrue.models.configuration import ConfigurationRun, FileDiff, HostSummary, TaskOutcome, TaskResult
from holdtrue.models.drift import DriftVerdict, EnvironmentDrift, LayerDrift
from holdtrue.models.environment import DriftIgnore, DriftLayer
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


def test_a_rule_never_hides_what_was_not_checked() -> None:
    assert verdict(refreshed(unchecked=(BUCKET,)), rules=(rule(),)).verdict is DriftVerdict.UNKNOWN


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
