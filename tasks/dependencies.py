"""Dependency audit: what to audit, and asking about each."""

import sysconfig
from collections.abc import Sequence
from pathlib import Path

from prefect import task

from holdtrue.errors import HoldtrueError
from holdtrue.models.advisory import AuditTarget, InventoryKind, NotAudited, TargetAudit
from holdtrue.models.base import Progress, ProgressLevel
from holdtrue.models.environment import Environment
from holdtrue.settings import load_settings
from tasks.journal import staged, watch
from tasks.policy import READS
from tasks.toolbox import toolbox


def audit_targets(environments: Sequence[Environment]) -> tuple[AuditTarget, ...]:
    """Every requirements file of these environments once, and the worker's own Python environment where one asks."""
    files = dict.fromkeys(path for environment in environments for path in environment.audit.requirements)
    targets = [
        AuditTarget(label=path, kind=InventoryKind.REQUIREMENTS, path=load_settings().fleet.resolve() / path)
        for path in files
    ]
    if any(environment.audit.worker for environment in environments):
        installed = Path(sysconfig.get_path("purelib"))
        targets.append(AuditTarget(label="worker", kind=InventoryKind.INSTALLED, path=installed))
    return tuple(targets)


@task(name="audit target", **READS)
@staged
def audit_target(target: AuditTarget) -> TargetAudit:
    """List one target's packages and ask the advisory source about every one."""
    audit = toolbox().auditor().audit(target)
    for advisory in audit.advisories:
        fixed = f", fixed in {', '.join(advisory.fixed_in)}" if advisory.fixed_in else ""
        line = f"{target.label} | {advisory.package} {advisory.version} | {advisory.id}{fixed}"
        watch(Progress(message=line, level=ProgressLevel.WARNING))
    return audit


def audit_each(targets: Sequence[AuditTarget]) -> tuple[tuple[TargetAudit, ...], tuple[NotAudited, ...]]:
    """Audit every target; one that could not be audited is listed with its reason and hides no other."""
    audits: list[TargetAudit] = []
    failures: list[NotAudited] = []
    for target in targets:
        try:
            audits.append(audit_target(target))
        except HoldtrueError as error:
            failures.append(NotAudited(name="*", reason=str(error), found_in=target.label))
    return tuple(audits), tuple(failures)
