"""What is new, known and fixed since the last audit, for the outcome's line and for the report's page."""

from collections.abc import Sequence
from typing import Final

from holdtrue.core.audit_output.phrases import amount, by_severity, fixes_text, severity_text
from holdtrue.core.neutral import for_markdown
from holdtrue.models.audit import Finding
from holdtrue.models.audit_changes import FleetAudit

_LISTED: Final = 50


def changes_text(audit: FleetAudit) -> str:
    """`1 new, 4 known (1 counts now that did not), 2 fixed since 2030-01-01 04:30 UTC`, or why that is not known."""
    changes = audit.changes
    if changes.since is None:
        return f"not compared: {audit.not_compared}"
    unseen = f", {len(changes.not_looked_at)} not looked at" if changes.not_looked_at else ""
    began = _began_text(len(changes.counts_now))
    return (
        f"{len(changes.new)} new, {len(changes.known)} known{began}, {len(changes.fixed)} fixed{unseen} "
        f"since {changes.since:%Y-%m-%d %H:%M} UTC"
    )


def _began_text(number: int) -> str:
    return f" ({number} {'counts' if number == 1 else 'count'} now that did not)" if number else ""


def changes_markdown(audit: FleetAudit) -> str:
    """A section of what is new, counts now, is fixed or out of sight, fifty of each; the other findings are counted."""
    changes = audit.changes
    parts = ["## Since the last audit", for_markdown(f"{changes_text(audit)}.")]
    if changes.since is not None:
        parts += _list("New", changes.new)
        parts += _list("Known, and counting now; tolerated the last time", changes.counts_now)
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
