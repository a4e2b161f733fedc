"""From what each layer saw to one drift verdict."""

from collections.abc import Sequence
from datetime import date
from fnmatch import fnmatchcase
from typing import Final

from holdtrue.models.configuration import ConfigurationRun, TaskOutcome, TaskResult
from holdtrue.models.drift import DriftFinding, DriftVerdict, EnvironmentDrift, LayerDrift, NotChecked
from holdtrue.models.environment import DriftIgnore, DriftLayer
from holdtrue.models.stack import Operation, PropertyChange, RefreshResult, ResourceChange
from holdtrue.models.validation import CheckOutcome, CheckResult

_UNKNOWN_FATE: Final = (
    "a run was killed while it was creating this: nobody knows whether it exists; provision says what to do"
)


def infrastructure_drift(refreshed: RefreshResult) -> LayerDrift:
    """Cloud against state: one finding a property, one a resource that is gone."""
    layer = DriftLayer.INFRASTRUCTURE
    unread = dict.fromkeys(refreshed.unchecked, "the provider could not read it")
    unread |= dict.fromkeys(refreshed.unknown_fate, _UNKNOWN_FATE)
    return LayerDrift(
        layer=layer,
        findings=tuple(finding for change in refreshed.changes for finding in _findings(change)),
        not_checked=tuple(NotChecked(layer=layer, target=urn, reason=reason) for urn, reason in unread.items()),
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
    return f"declared {change.before!r}, found {change.after!r}"


def configuration_drift(run: ConfigurationRun) -> LayerDrift:
    """What the playbook would change; a task that check mode cannot judge was not checked."""
    layer = DriftLayer.CONFIGURATION
    findings = [
        DriftFinding(layer=layer, target=result.host, field=result.task, summary=_would_change(result))
        for result in run.changed
    ]
    not_checked = [
        NotChecked(layer=layer, target=result.host, reason=f"{result.task}: {result.outcome}: {result.message}".strip())
        for result in run.results
        if result.outcome in {TaskOutcome.SKIPPED, TaskOutcome.FAILED, TaskOutcome.UNREACHABLE}
    ]
    if not run.hosts:
        not_checked.append(NotChecked(layer=layer, target="*", reason="the playbook ran on no host"))
    checked = sum(host.ok + host.changed for host in run.hosts)
    return LayerDrift(layer=layer, findings=tuple(findings), not_checked=tuple(not_checked), checked=checked)


def _would_change(result: TaskResult) -> str:
    files = ", ".join(diff.path for diff in result.diffs)
    return f"would change {files}" if files else "would change the host"


def runtime_drift(checks: Sequence[CheckResult], hosts: Sequence[str]) -> LayerDrift:
    """Failed checks are drift; a host on which nothing could be checked is unknown."""
    layer = DriftLayer.RUNTIME
    looked = [check for check in checks if check.outcome in {CheckOutcome.PASSED, CheckOutcome.FAILED}]
    seen = {check.target for check in looked if check.kind != "ssh"}
    not_checked = [
        NotChecked(layer=layer, target=check.target, reason=f"{check.name}: {check.detail}")
        for check in checks
        if check.outcome is CheckOutcome.ERROR
    ]
    not_checked += [
        NotChecked(layer=layer, target=host, reason="no check ran on it") for host in hosts if host not in seen
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
    """A layer that could not be looked at, as a whole."""
    return LayerDrift(layer=layer, not_checked=(NotChecked(layer=layer, target="*", reason=reason),), checked=0)


def environment_unknown(environment: str, reason: str) -> EnvironmentDrift:
    """An environment that could not be looked at, as a whole."""
    return EnvironmentDrift(
        environment=environment,
        verdict=DriftVerdict.UNKNOWN,
        not_checked=(NotChecked(layer=None, target="*", reason=reason),),
        checked=0,
    )


def judge(
    environment: str, layers: Sequence[LayerDrift], rules: Sequence[DriftIgnore], *, today: date
) -> EnvironmentDrift:
    """Apply the ignore rules and decide: drift wins over unknown, unknown over in sync."""
    valid = [rule for rule in rules if rule.expires >= today]
    found = [finding for layer in layers for finding in layer.findings]
    matches = {finding: [rule for rule in valid if _covers(rule, finding)] for finding in found}
    findings = tuple(finding for finding in found if not matches[finding])
    not_checked = tuple(item for layer in layers for item in layer.not_checked)
    checked = sum(layer.checked for layer in layers)
    if findings:
        verdict = DriftVerdict.DRIFTED
    elif not_checked or not layers or any(layer.checked == 0 for layer in layers):
        verdict = DriftVerdict.UNKNOWN
    else:
        verdict = DriftVerdict.IN_SYNC
    used = {rule for hits in matches.values() for rule in hits}
    return EnvironmentDrift(
        environment=environment,
        verdict=verdict,
        findings=findings,
        ignored=tuple(finding for finding in found if matches[finding]),
        unmanaged=tuple(finding for layer in layers for finding in layer.unmanaged),
        not_checked=not_checked,
        checked=checked,
        expired_rules=tuple(rule for rule in rules if rule.expires < today),
        unused_rules=tuple(rule for rule in valid if rule not in used),
    )


def _covers(rule: DriftIgnore, finding: DriftFinding) -> bool:
    return (
        rule.layer is finding.layer
        and fnmatchcase(finding.target, rule.target)
        and fnmatchcase(finding.field, rule.field)
    )


def overall(environments: Sequence[EnvironmentDrift]) -> DriftVerdict:
    """The fleet's verdict: any drift is drift, any unknown is unknown, no environment at all is unknown."""
    verdicts = {item.verdict for item in environments}
    if DriftVerdict.DRIFTED in verdicts:
        return DriftVerdict.DRIFTED
    if verdicts == {DriftVerdict.IN_SYNC}:
        return DriftVerdict.IN_SYNC
    return DriftVerdict.UNKNOWN
