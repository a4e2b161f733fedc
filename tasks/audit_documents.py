"""What an audit leaves for people and tools: the SBOM with its findings, the page, and events about new findings."""

import json
from importlib.metadata import version
from itertools import islice
from typing import Final
from uuid import uuid4

from prefect.artifacts import create_markdown_artifact
from prefect.events import emit_event

from holdtrue.core.audit_output.cyclonedx import to_cyclonedx
from holdtrue.core.audit_output.html import to_html
from holdtrue.core.audit_output.phrases import by_severity
from holdtrue.core.render import cell, table
from holdtrue.models.audit import Finding
from holdtrue.models.audit_changes import AuditChanges
from holdtrue.models.base import Progress, ProgressLevel
from tasks.dependencies import Audited
from tasks.journal import watch
from tasks.run import save_report

_EVENTS: Final = 100
_PLACES: Final = 20


def save_documents(audited: Audited) -> None:
    """Write `sbom.cdx.json` and `audit.html` into the run's report folder, and an artifact that says where they are."""
    report = audited.report
    sbom = to_cyclonedx(
        report,
        audited.inventories,
        serial_number=uuid4(),
        timestamp=report.started_at,
        tool_version=version("holdtrue"),
    )
    parts = json.loads(sbom)
    sbom_path = save_report("sbom.cdx.json", sbom)
    page_path = save_report("audit.html", to_html(report))
    components, vulnerabilities = len(parts.get("components", ())), len(parts.get("vulnerabilities", ()))
    files = table(("Document", "File on the worker"), (("CycloneDX 1.6", sbom_path), ("Page", page_path)))
    create_markdown_artifact(
        key="audit-sbom",
        markdown=f"{components} components, {vulnerabilities} vulnerabilities.\n\n{files}\n",
        description=cell(f"{components} components, {vulnerabilities} vulnerabilities: {sbom_path}"),
    )


def announce_new(changes: AuditChanges) -> None:
    """An event `holdtrue.audit.NewFinding` for each new finding that counts; beyond a hundred they are only counted."""
    new = [finding for finding in by_severity(changes.new) if not finding.tolerated]
    for finding in islice(new, _EVENTS):
        _announce(finding)
    if len(new) > _EVENTS:
        message = f"{len(new) - _EVENTS} more new findings have no event of their own"
        watch(Progress(message=message, level=ProgressLevel.WARNING))


def _announce(finding: Finding) -> None:
    places = [*dict.fromkeys(place.inventory for place in finding.occurrences)]
    emit_event(
        event="holdtrue.audit.NewFinding",
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
