"""What is new, known and fixed since the last audit."""

from collections.abc import Iterable

from holdtrue.models.audit import AuditReport, Finding, NotAudited
from holdtrue.models.audit_changes import AuditChanges

_Name = tuple[str, str]


def compare(previous: AuditReport | None, current: AuditReport) -> AuditChanges:
    """Tell the findings of two audits apart.

    Findings are the same when they are about one package, whatever its version, and share an id: an update that does
    not mend stays known, and so does a vulnerability that gets another id. Without a previous audit all are new.

    What is gone is fixed only when it was looked for: every inventory that held it was read again, judged, and has no
    unreadable part that it did not have before; every source that reported it answered; and the package is not among
    those that were not audited.
    """
    if previous is None:
        return AuditChanges(since=None, new=current.findings)
    then, now, sight = Namesakes(previous.findings), Namesakes(current.findings), Sight(previous, current)
    gone = [item for item in previous.findings if not now.of(item)]
    known = [item for item in current.findings if then.of(item)]
    return AuditChanges(
        since=previous.started_at,
        new=tuple(item for item in current.findings if not then.of(item)),
        known=tuple(known),
        counts_now=tuple(
            item for item in known if not item.tolerated and all(earlier.tolerated for earlier in then.of(item))
        ),
        fixed=tuple(item for item in gone if sight.covers(item)),
        not_looked_at=tuple(item for item in gone if not sight.covers(item)),
    )


class Namesakes:
    """The findings of one audit, to be found by those of another."""

    def __init__(self, findings: Iterable[Finding]) -> None:
        self._by_name: dict[_Name, list[Finding]] = {}
        for finding in findings:
            for name in _names(finding):
                self._by_name.setdefault(name, []).append(finding)

    def of(self, finding: Finding) -> list[Finding]:
        """Those that are the same vulnerability of the same package, whatever its version."""
        return [*{id(item): item for name in _names(finding) for item in self._by_name.get(name, ())}.values()]


class Sight:
    """What the current audit looked at, of what the previous one found."""

    def __init__(self, previous: AuditReport, current: AuditReport) -> None:
        newly_unread = {gap.inventory for gap in new_parts(previous, current)}
        self._inventories = {item.label for item in current.inventories if item.audited} - newly_unread
        self._sources = {source.name for source in current.sources if not source.failure}
        self._unaudited = {(gap.name, gap.inventory) for gap in current.not_audited}

    def covers(self, finding: Finding) -> bool:
        """Whether every place that held it and every source that reported it was looked at."""
        labels = {item.inventory for item in finding.occurrences}
        return (
            labels <= self._inventories
            and self._sources.issuperset(finding.sources)
            and all((finding.package, label) not in self._unaudited for label in (*labels, ""))
        )


def unread_parts(report: AuditReport) -> list[NotAudited]:
    """The gaps that are no package but a part of an inventory that could not be read: anything may be in it."""
    return [gap for gap in report.not_audited if gap.origin is None and not gap.version]


def new_parts(previous: AuditReport, current: AuditReport) -> set[NotAudited]:
    """Those parts that could be read the last time."""
    earlier = {(gap.inventory, gap.name, gap.reason) for gap in unread_parts(previous)}
    return {gap for gap in unread_parts(current) if (gap.inventory, gap.name, gap.reason) not in earlier}


def _names(finding: Finding) -> set[_Name]:
    return {(finding.package, name.casefold()) for name in finding.names}
