"""The drift verdict, from what each layer found."""

from collections.abc import Sequence
from datetime import date
from fnmatch import fnmatchcase
from typing import Final

from holdtrue.core.handlers import acknowledgement
from holdtrue.models.configuration import ConfigurationRun, TaskOutcome, TaskResult
from holdtrue.models.drift import AcceptedGap, DriftFinding, DriftVerdict, EnvironmentDrift, LayerDrift, NotChecked
from holdtrue.models.environment import DriftIgnore, DriftLayer
from holdtrue.models.handlers import OpenHandler
from holdtrue.models.stack import Operation, PropertyChange, RefreshResult, ResourceChange
from holdtrue.models.validation import CheckOutcome, CheckResult

UNREADABLE: Final = "unreadable"
UNREACHABLE: Final = "unreachable"
NO_TASK: Final = "no task"
NO_CHECK: Final = "no check"
UNKNOWN_FATE: Final = "unknown fate"
LATER_TASKS: Final = "later tasks"
"""Gap kinds that concern a whole target. Users write them in `drift.ignore`, so they do not change."""

_NOTHING: Final = (
    "nothing in this layer was checked; if there is nothing to check, leave the layer out of `drift.layers`"
)
_KILLED: Final = (
    "a run was killed while it was creating this, so Pulumi cannot tell whether it exists; run `provision`: its"
    " message says what to do"
)


def infrastructure_drift(refreshed: RefreshResult) -> LayerDrift:
    """Cloud against state: one finding for each property that differs, and one for each resource that is gone."""
    layer = DriftLayer.INFRASTRUCTURE
    gaps = dict.fromkeys(refreshed.unchecked, (UNREADABLE, "the provider could not read it"))
    gaps |= dict.fromkeys(refreshed.unknown_fate, (UNKNOWN_FATE, _KILLED))
    return LayerDrift(
        layer=layer,
        findings=tuple(finding for change in refreshed.changes for finding in _findings(change)),
        not_checked=tuple(
            NotChecked(layer=layer, target=urn, field=kind, reason=reason) for urn, (kind, reason) in gaps.items()
        ),
        unmanaged=tuple(finding for change in refreshed.unmanaged for finding in _findings(change)),
        checked=len(refreshed.checked),
    )


def _findings(change: ResourceChange) -> list[DriftFinding]:
    layer = DriftLayer.INFRASTRUCTURE
    if change.operation is Operation.DELETE:
        return [DriftFinding(layer=layer, target=change.urn, field="*", summary="is gone from the cloud")]
    return [
        DriftFinding(layer=layer, target=change.urn, field=item.path, summary=_describe(item))
        for item in change.changes or (PropertyChange(path="*"),)
    ]


def _describe(change: PropertyChange) -> str:
    if change.before is None and change.after is None:
        return "differs"
    match change.kind:
        case "add":
            return f"added: {change.after!r}"
        case "delete":
            return f"removed: {change.before!r}"
        case _:
            return f"recorded {change.before!r}, found {change.after!r}"


def configuration_drift(
    run: ConfigurationRun | None, missing: Sequence[OpenHandler] = (), failure: str = ""
) -> LayerDrift:
    """What the playbook would change, and the handlers that still have to run.

    A task that check mode cannot judge was not checked; neither was a host on which no task ran, nor what comes after a
    task that failed.

    Args:
        run: The check-mode run, as far as it came; None when it did not start.
        missing: Handlers of the environment that still have to run.
        failure: Why the run did not come to its end; empty when it did.
    """
    run = run or ConfigurationRun(check=True, hosts=(), results=())
    layer = DriftLayer.CONFIGURATION
    findings = [
        DriftFinding(layer=layer, target=result.host, field=result.task, summary=_would_change(result))
        for result in run.changed
    ]
    findings += [
        DriftFinding(layer=layer, target=item.host, field=item.handler, summary=_has_not_run(item)) for item in missing
    ]
    not_checked = [
        NotChecked(layer=layer, target=result.host, field=_gap(result), reason=_not_judged(result))
        for result in run.results
        if result.outcome in {TaskOutcome.SKIPPED, TaskOutcome.FAILED, TaskOutcome.UNREACHABLE}
    ]
    not_checked += [
        NotChecked(layer=layer, target=host.host, field=NO_TASK, reason=host.reason) for host in run.untouched
    ]
    failed = {result.host for result in run.results if result.outcome is TaskOutcome.FAILED} if failure else set()
    not_checked += [
        NotChecked(layer=layer, target=host, field=LATER_TASKS, reason="an earlier task failed")
        for host in sorted(failed)
    ]
    if failure and not failed:
        not_checked.append(NotChecked(layer=layer, target="*", reason=failure))
    elif not run.hosts and not run.untouched:
        not_checked.append(NotChecked(layer=layer, target="*", reason="the playbook ran on no host"))
    checked = sum(host.ok + host.changed for host in run.hosts)
    return LayerDrift(
        layer=layer,
        findings=tuple(findings),
        not_checked=tuple(not_checked),
        checked=checked,
        selection=f"tasks {run.selection}" if run.selection else "",
    )


def _has_not_run(item: OpenHandler) -> str:
    return (
        f"the handler was notified {item.notified_at:%Y-%m-%d %H:%M} UTC and has not run; do its work by hand, then run"
        f" `{acknowledgement(item)}`"
    )


def _gap(result: TaskResult) -> str:
    return UNREACHABLE if result.outcome is TaskOutcome.UNREACHABLE else result.task


def _not_judged(result: TaskResult) -> str:
    return f"{result.task}: {result.outcome}: {result.message}".strip()


def _would_change(result: TaskResult) -> str:
    files = ", ".join(diff.path for diff in result.diffs)
    return f"would change {files}" if files else "would change the host"


def runtime_drift(checks: Sequence[CheckResult], hosts: Sequence[str]) -> LayerDrift:
    """Failed checks are drift; a host on which nothing could be checked is unknown."""
    layer = DriftLayer.RUNTIME
    looked = [check for check in checks if check.outcome in {CheckOutcome.PASSED, CheckOutcome.FAILED}]
    seen = {check.target for check in looked if check.kind != "ssh"}
    not_checked = [
        NotChecked(layer=layer, target=check.target, field=check.name, reason=f"{check.name}: {check.detail}")
        for check in checks
        if check.outcome is CheckOutcome.ERROR
    ]
    not_checked += [
        NotChecked(layer=layer, target=host, field=NO_CHECK, reason="no check ran on it")
        for host in hosts
        if host not in seen
    ]
    return LayerDrift(
        layer=layer,
        findings=tuple(
            DriftFinding(layer=layer, target=check.target, field=check.name, summary=check.headline or "failed")
            for check in checks
            if check.outcome is CheckOutcome.FAILED
        ),
        not_checked=tuple(not_checked),
        checked=len(looked),
    )


def layer_unknown(layer: DriftLayer, reason: str) -> LayerDrift:
    """A layer in which nothing could be checked."""
    return LayerDrift(layer=layer, not_checked=(NotChecked(layer=layer, target="*", reason=reason),), checked=0)


def environment_unknown(environment: str, reason: str) -> EnvironmentDrift:
    """An environment in which nothing could be checked."""
    return EnvironmentDrift(
        environment=environment,
        verdict=DriftVerdict.UNKNOWN,
        not_checked=(NotChecked(layer=None, target="*", reason=reason),),
        checked=0,
    )


def judge(
    environment: str, layers: Sequence[LayerDrift], rules: Sequence[DriftIgnore], *, today: date
) -> EnvironmentDrift:
    """Apply the rules and decide: drift wins over unknown, unknown over in sync.

    A rule accepts a gap that it names. A layer in which nothing was checked stays unknown, whatever is accepted.
    """
    valid = [rule for rule in rules if rule.expires >= today]
    found = [finding for layer in layers for finding in layer.findings]
    gaps = [gap for layer in layers for gap in layer.not_checked]
    ignoring = {finding: [rule for rule in valid if _covers(rule, finding)] for finding in found}
    accepting = {gap: [rule for rule in valid if _accepts(rule, gap)] for gap in gaps}
    findings = tuple(finding for finding in found if not ignoring[finding])
    not_checked = tuple(gap for gap in gaps if not accepting[gap])
    open_layers = {gap.layer for gap in not_checked}
    not_checked += tuple(
        NotChecked(layer=layer.layer, target="*", reason=_NOTHING)
        for layer in layers
        if layer.checked == 0 and layer.layer not in open_layers
    )
    if findings:
        verdict = DriftVerdict.DRIFTED
    elif not_checked or not layers:
        verdict = DriftVerdict.UNKNOWN
    else:
        verdict = DriftVerdict.IN_SYNC
    used = {rule for matches in (ignoring, accepting) for hits in matches.values() for rule in hits}
    return EnvironmentDrift(
        environment=environment,
        verdict=verdict,
        findings=findings,
        ignored=tuple(finding for finding in found if ignoring[finding]),
        unmanaged=tuple(finding for layer in layers for finding in layer.unmanaged),
        not_checked=not_checked,
        accepted=tuple(AcceptedGap(gap=gap, rule=accepting[gap][0]) for gap in gaps if accepting[gap]),
        checked=sum(layer.checked for layer in layers),
        expired_rules=tuple(rule for rule in rules if rule.expires < today),
        unused_rules=tuple(rule for rule in valid if rule not in used),
        selections={layer.layer: layer.selection for layer in layers if layer.selection},
    )


def _covers(rule: DriftIgnore, found: DriftFinding | NotChecked) -> bool:
    return rule.layer is found.layer and fnmatchcase(found.target, rule.target) and fnmatchcase(found.field, rule.field)


def _accepts(rule: DriftIgnore, gap: NotChecked) -> bool:
    """A rule for all fields of a target covers its differences only: it must not hide that it was not checked."""
    return bool(gap.field) and rule.field != DriftIgnore.model_fields["field"].default and _covers(rule, gap)


def overall(environments: Sequence[EnvironmentDrift]) -> DriftVerdict:
    """The fleet's verdict: any drift is drift, any unknown is unknown, no environment at all is unknown."""
    verdicts = {item.verdict for item in environments}
    if DriftVerdict.DRIFTED in verdicts:
        return DriftVerdict.DRIFTED
    if verdicts == {DriftVerdict.IN_SYNC}:
        return DriftVerdict.IN_SYNC
    return DriftVerdict.UNKNOWN
