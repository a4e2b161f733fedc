"""What an audit leaves for people and tools: the SBOM with its findings, the page, and events about findings."""

from itertools import islice
from typing import Final

from prefect import runtime
from prefect.events import emit_event

from holdtrue.core.audit_output.html import to_html
from holdtrue.core.audit_output.phrases import by_severity
from holdtrue.core.run_subject import RunSubject
from holdtrue.models.audit import Finding
from holdtrue.models.audit_changes import AuditChanges
from holdtrue.models.base import Progress, ProgressLevel
from tasks.dependencies import Audited
from tasks.journal import watch
from tasks.reports import save_report
from tasks.sbom import keep_sbom

_EVENTS: Final = 100
_PLACES: Final = 20


def save_documents(audited: Audited) -> None:
    """Write `sbom.cdx.json` and `audit.html` into the run's report folder, and the SBOM into an artifact too.

    The artifact is `audit-sbom` for the fleet and `sbom-<environment>` for one environment.
    """
    subject = RunSubject.of(runtime.flow_run.parameters)
    key = "audit-sbom" if subject.suffix == "" else subject.key("sbom")
    keep_sbom(key, audited.report, audited.inventories)
    save_report("audit.html", to_html(audited.report))


def announce_changes(changes: AuditChanges) -> None:
    """An event for each finding that counts and did not the last time; beyond a hundred they are only counted.

    `holdtrue.audit.NewFinding` is about a new one, `holdtrue.audit.FindingCountsNow` about one that was tolerated.
    """
    began = set(changes.counts_now)
    new = [finding for finding in changes.new if not finding.tolerated]
    told = by_severity((*new, *changes.counts_now))
    for finding in islice(told, _EVENTS):
        _announce(finding, "FindingCountsNow" if finding in began else "NewFinding")
    if len(told) > _EVENTS:
        message = f"{len(told) - _EVENTS} more new findings, or findings that count now, have no event of their own"
        watch(Progress(message=message, level=ProgressLevel.WARNING))


def _announce(finding: Finding, name: str) -> None:
    places = [*dict.fromkeys(place.inventory for place in finding.occurrences)]
    emit_event(
        event=f"holdtrue.audit.{name}",
        resource={
            "prefect.resource.id": f"holdtrue.finding.{finding.package}.{finding.id}",
            "prefect.resource.name": f"{finding.package} {finding.version}: {finding.id}",
        },
        payload={
            "package": finding.package,
            "version": finding.version,
            "id": finding.id,
            "aliases": list(finding.aliases),
            "severity": finding.severity.value,
            "certainty": finding.certainty.value,
            "fixed_in": list(finding.fixed_in),
            "inventories": places[:_PLACES],
            "more_inventories": max(0, len(places) - _PLACES),
        },
    )
