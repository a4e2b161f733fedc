"""What is new, known and fixed since the last audit, for the outcome's line and for the report's page."""

from collections.abc import Sequence
from typing import Final

from holdtrue.core.audit_output.phrases import amount, by_severity, fixes_text, severity_text
from holdtrue.core.audit_output.text import for_markdown
from holdtrue.models.audit import Finding
from holdtrue.models.audit_changes import FleetAudit

_LISTED: Final = 50


def changes_text(audit: FleetAudit) -> str:
    """`1 new, 4 known, 2 fixed since 2030-01-01 04:30 UTC`, or why that is not known."""
    changes = audit.changes
    if changes.since is None:
        return f"not compared: {audit.not_compared}"
    unseen = f", {len(changes.not_looked_at)} not looked at" if changes.not_looked_at else ""
    return (
        f"{len(changes.new)} new, {len(changes.known)} known, {len(changes.fixed)} fixed{unseen} "
        f"since {changes.since:%Y-%m-%d %H:%M} UTC"
    )


def changes_markdown(audit: FleetAudit) -> str:
    """A section with the findings that are new, fixed or out of sight, fifty of each; the known ones are counted."""
    changes = audit.changes
    parts = ["## Since the last audit", for_markdown(f"{changes_text(audit)}.")]
    if changes.since is not None:
        parts += _list("New", changes.new)
        parts += _list("Fixed", changes.fixed)
        parts += _list("Found the last time, and not looked at this time", changes.not_looked_at)
    return "\n\n".join(parts) + "\n"


def _list(title: str, findings: Sequence[Finding]) -> list[str]:
    if not findings:
        return []
    lines = [f"- {for_markdown(_line(finding))}" for finding in by_severity(findings)[:_LISTED]]
    if len(findings) > _LISTED:
        lines.append(f"- and {amount(len(findings) - _LISTED, 'more finding')}")
    return [f"{title}:", "\n".join(lines)]


def _line(finding: Finding) -> str:
    tolerated = ", tolerated" if finding.tolerated else ""
    return (
        f"{finding.package} {finding.version}: {finding.id} ({severity_text(finding)}{tolerated}), "
        f"fixed in: {fixes_text(finding)}"
    )
