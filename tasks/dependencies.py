"""Dependency audit: what the fleet, its hosts and this worker hold, and what the advisory sources know about it."""

import sysconfig
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final, TypeAlias

from prefect import task
from prefect.utilities.annotations import quote

from holdtrue.auditing import Estate, audit, or_gap, read_estate
from holdtrue.core.audit_age import stale_sources
from holdtrue.core.audit_output.phrases import by_severity, stale_text
from holdtrue.core.neutral import for_terminal
from holdtrue.core.render import audit_line
from holdtrue.errors import AuditFailed, HoldtrueError, ResourceMissing
from holdtrue.models.audit import AuditReport, AuditVerdict, Finding
from holdtrue.models.audit_changes import EnvironmentAudit
from holdtrue.models.base import Progress, ProgressLevel
from holdtrue.models.credentials import HostAccess
from holdtrue.models.dependency import Gap, Inventory
from holdtrue.models.environment import Environment
from holdtrue.models.stack import StackOutputs
from holdtrue.settings import load_settings
from tasks.fleet import Fleet
from tasks.hosts import host_access
from tasks.infrastructure import read_outputs
from tasks.journal import current_journal, staged, watch
from tasks.policy import MUTATES, READS
from tasks.sbom import keep_sbom
from tasks.toolbox import toolbox

Hosts: TypeAlias = Mapping[str, tuple[Inventory, ...]]
"""What the hosts of each environment hold, by its name."""

_LINES: Final = 200
_LINE_LIMIT: Final = 500


@dataclass(frozen=True, slots=True)
class Audited:
    """A report, and the inventories that it is about."""

    report: AuditReport
    inventories: tuple[Inventory, ...]


def audit_fleet(fleet: Fleet) -> Audited:
    """All that these environments name as one batch; what cannot be read is in the report and hides nothing else.

    Raises:
        RejectedError: the settings name no usable advisory source.
    """
    unread = tuple(
        Inventory(f"{name}: manifest", "manifest", (), (Gap(name, reason),))
        for name, reason in fleet.unreadable.items()
    )
    hosts = {item.name: list_hosts(item) for item in fleet.environments if item.audit.hosts}
    return _audit(fleet.environments, hosts, unread)


def list_hosts(environment: Environment) -> tuple[Inventory, ...]:
    """What is installed on the environment's hosts; where that cannot be asked, one inventory says why."""
    return _ask_hosts(environment, lambda: read_outputs(environment))


def _ask_hosts(environment: Environment, outputs: Callable[[], StackOutputs]) -> tuple[Inventory, ...]:
    def ask() -> tuple[Inventory, ...]:
        with host_access(environment, outputs()) as access:
            return list_host_packages(environment, access)

    return or_gap(f"{environment.name}/hosts", "hosts", ask)


@task(name="list host packages", **READS)
@staged
def list_host_packages(environment: Environment, access: HostAccess) -> tuple[Inventory, ...]:
    """Ask every host what is installed; a host that does not answer is an inventory with the reason as its gap."""
    return toolbox().host_inventories(environment, access)


def _audit(environments: Sequence[Environment], hosts: Hosts, unread: Sequence[Inventory] = ()) -> Audited:
    # Prefect looks at every part of a parameter: seconds for the packages of a hundred hosts, if they were not quoted.
    quoted: Any = quote(hosts)
    audited: Audited = audit_dependencies(environments, quoted, unread)
    return audited


# Not retried here: each advisory source asks again by itself where that may help, and what has answered is not asked
# twice because another has not.
@task(name="audit dependencies", **MUTATES)
@staged
def audit_dependencies(environments: Sequence[Environment], hosts: Hosts, unread: Sequence[Inventory]) -> Audited:
    """Read the inventories, ask every source once about their union, and judge what is found.

    Args:
        environments: Whose dependencies.
        hosts: What their hosts hold.
        unread: What could not be read before, with the reasons.

    Raises:
        RejectedError: the settings name no usable advisory source.
    """
    settings, sources = load_settings(), toolbox().advisory_sources()
    estate: Estate = read_estate(
        environments,
        fleet=settings.fleet.expanduser().resolve(),
        worker=Path(sysconfig.get_path("purelib")),
        hosts=hosts,
    )
    inventories = (*estate.inventories, *unread)
    report = audit(inventories, sources, *estate.judgements, goes_on=True)
    if settings.osv_db_max_age_days is None:
        for source in stale_sources(report):
            text = for_terminal(stale_text(source, report.started_at), _LINE_LIMIT)
            watch(Progress(message=text, level=ProgressLevel.WARNING))
    _tell(report)
    return Audited(report, inventories)


def _tell(report: AuditReport) -> None:
    """A line for each finding that counts, the gravest first."""
    for finding in islice(by_severity(report.counting), _LINES):
        watch(Progress(message=_line(finding), level=ProgressLevel.WARNING))
    if len(report.counting) > _LINES:
        watch(Progress(message=f"and {len(report.counting) - _LINES} more findings", level=ProgressLevel.WARNING))


def _line(finding: Finding) -> str:
    labels = [*dict.fromkeys(place.inventory for place in finding.occurrences)]
    more = f" and {len(labels) - 1} more" if len(labels) > 1 else ""
    fixed = f", fixed in {', '.join(finding.fixed_in)}" if finding.fixed_in else ""
    return for_terminal(
        f"{''.join(labels[:1])}{more} | {finding.package} {finding.version} | {finding.id} ({finding.severity}){fixed}",
        _LINE_LIMIT,
    )


def audit_before_changes(environment: Environment) -> EnvironmentAudit:
    """The audit of one environment that is about to be provisioned. Whatever it says, and if it fails, is a value.

    Its SBOM is kept in the artifact `sbom-<environment>` and in the run's report folder. A first provision has no hosts
    yet, which is noted and no gap.
    """
    try:
        hosts, notes = _list_hosts_if_any(environment)
        audited = _audit([environment], hosts)
        report = audited.report
        keep_sbom(f"sbom-{environment.name}", report, audited.inventories)
        result = EnvironmentAudit(verdict=report.verdict, line=audit_line(report), counts=report.counts, notes=notes)
    except HoldtrueError as error:
        result = EnvironmentAudit(verdict=AuditVerdict.INCOMPLETE, line=f"could not be audited: {error}")
    current_journal().results["audit before changes"] = result
    level = ProgressLevel.INFO if result.verdict is AuditVerdict.CLEAN else ProgressLevel.WARNING
    watch(Progress(message=for_terminal(f"dependencies: {result.line}", _LINE_LIMIT), level=level))
    for note in result.notes:
        watch(Progress(message=note))
    return result


def require_audit(environment: Environment, audited: EnvironmentAudit) -> None:
    """Stop a provision whose dependencies are not clean, where its manifest says so.

    Raises:
        AuditFailed: naming what was found, or what could not be audited.
    """
    if environment.audit.blocks_provision and audited.verdict is not AuditVerdict.CLEAN:
        raise AuditFailed(
            f"the audit says {audited.line}",
            where=f"environment {environment.name}",
            next_step="update or waive what is named, or set audit.blocks_provision to false; nothing was changed",
        )


def _list_hosts_if_any(environment: Environment) -> tuple[Hosts, tuple[str, ...]]:
    if not environment.audit.hosts:
        return {}, ()
    output = environment.infrastructure.hosts_output
    notes: list[str] = []

    def outputs() -> StackOutputs:
        try:
            found = read_outputs(environment)
        except ResourceMissing as error:
            notes.append(f"no host was audited, for there is none yet: {error.what}")
            raise
        if not found.values.get(output) and output not in found.secret_names:
            notes.append(f"no host was audited, for there is none yet: the stack has no output '{output}'")
        return found

    hosts = _ask_hosts(environment, outputs)
    return ({} if notes else {environment.name: hosts}), tuple(notes)
