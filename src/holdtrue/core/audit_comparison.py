"""What is new, known and fixed since the last audit."""

from collections.abc import Iterable

from holdtrue.models.audit import AuditReport, Finding
from holdtrue.models.audit_changes import AuditChanges

_Name = tuple[str, str]


def compare(previous: AuditReport | None, current: AuditReport) -> AuditChanges:
    """Tell the findings of two audits apart.

    Findings are the same when they are about one package, whatever its version, and share an id: an update that does
    not mend stays known, and so does a vulnerability that gets another id. Without a previous audit all are new.

    What is gone is fixed only when it was looked for: every inventory that held it was read again, judged, and has no
    unreadable part that it did not have before; a source that reported it answered; and the package is not among those
    that were not audited.
    """
    if previous is None:
        return AuditChanges(since=None, new=current.findings)
    known_names = _names(previous.findings)
    current_names = _names(current.findings)
    gone = [item for item in previous.findings if current_names.isdisjoint(_names((item,)))]
    sight = _Sight(previous, current)
    return AuditChanges(
        since=previous.started_at,
        new=tuple(item for item in current.findings if known_names.isdisjoint(_names((item,)))),
        known=tuple(item for item in current.findings if not known_names.isdisjoint(_names((item,)))),
        fixed=tuple(item for item in gone if sight.covers(item)),
        not_looked_at=tuple(item for item in gone if not sight.covers(item)),
    )


class _Sight:
    """What the current audit looked at."""

    def __init__(self, previous: AuditReport, current: AuditReport) -> None:
        earlier = {(gap.inventory, gap.name, gap.reason) for gap in previous.not_audited}
        # A gap without an origin is no package but a part that could not be read: anything may be in it.
        newly_unread = {
            gap.inventory
            for gap in current.not_audited
            if gap.origin is None and not gap.version and (gap.inventory, gap.name, gap.reason) not in earlier
        }
        self._inventories = {item.label for item in current.inventories if item.audited} - newly_unread
        self._sources = {source.name for source in current.sources if not source.failure}
        self._unaudited = {(gap.name, gap.inventory) for gap in current.not_audited}

    def covers(self, finding: Finding) -> bool:
        labels = {item.inventory for item in finding.occurrences}
        return (
            labels <= self._inventories
            and not self._sources.isdisjoint(finding.sources)
            and all((finding.package, label) not in self._unaudited for label in (*labels, ""))
        )


def _names(findings: Iterable[Finding]) -> set[_Name]:
    return {(item.package, name.casefold()) for item in findings for name in (item.id, *item.aliases)}
