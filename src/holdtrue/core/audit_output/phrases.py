"""What every output for people says, in the same words and order. Nothing here is escaped: each sink does that."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Final, assert_never

from holdtrue.core.clock_skew import is_from_the_future
from holdtrue.models.audit import (
    AuditReport,
    AuditVerdict,
    Finding,
    NotAudited,
    Occurrence,
    Severity,
    SourceAnswered,
    SourceUse,
    WaiverUse,
)
from holdtrue.models.dependency import Origin
from holdtrue.models.osv import Certainty

# Unknown may turn out to be anything, so it stands before what is known to be lesser.
_SEVERITY_ORDER: Final = (
    Severity.CRITICAL, Severity.HIGH, Severity.UNKNOWN, Severity.MEDIUM, Severity.LOW, Severity.NONE,
)  # fmt: skip
_RANKS: Final = {severity: rank for rank, severity in enumerate(_SEVERITY_ORDER)}
_LISTED_GAPS: Final = 20
_NAMED_GAPS: Final = 3
_SHOWN_FIXES: Final = 5
_SECONDS_A_DAY: Final = 86_400
_SECONDS_AN_HOUR: Final = 3_600
_DAYS_FROM: Final = 2


@dataclass(frozen=True, slots=True)
class GapLine:
    """Things of one inventory that were not audited for one reason."""

    what: str
    inventory: str
    reason: str


def by_severity(findings: Iterable[Finding]) -> list[Finding]:
    """The gravest first, then by package, version and id."""
    return sorted(findings, key=lambda item: (_RANKS[item.severity], item.package, item.version, item.id))


def gravest(findings: Iterable[Finding]) -> Severity:
    """The first severity in the order of the outputs; unknown for none."""
    return min((item.severity for item in findings), key=_RANKS.__getitem__, default=Severity.UNKNOWN)


def amount(number: int, noun: str) -> str:
    """`1 finding`, `2 findings`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def verdict_text(report: AuditReport) -> str:
    """The verdict and what it rests on, in one line that begins with its word."""
    counting = len(report.counting)
    tolerated = len(report.findings) - counting
    counts = "counts" if counting == 1 else "count"
    parts = [
        f"{amount(counting, 'finding')} that {counts}" if counting else "no finding that counts",
        *([f"{tolerated} tolerated"] if tolerated else []),
        *(
            [f"{amount(len(report.not_audited), 'thing')} not audited{_tolerated_gaps(report)}"]
            if report.not_audited
            else []
        ),
    ]
    match report.verdict:
        case AuditVerdict.INCOMPLETE:
            parts.append("not everything could be looked at")
        case AuditVerdict.CLEAN | AuditVerdict.VULNERABLE:
            pass
        case _:
            assert_never(report.verdict)
    return f"{report.verdict}: {', '.join(parts)}"


def counts_text(report: AuditReport) -> str:
    """How much was judged, in one line."""
    counts = report.counts
    tolerated = f" ({counts.not_audited_tolerated} tolerated)" if counts.not_audited_tolerated else ""
    return (
        f"audited {counts.audited} (distinct {counts.unique}), not audited {counts.not_audited}{tolerated}, "
        f"findings {counts.findings}, tolerated {counts.tolerated}, in {report.duration_seconds:.1f} s"
    )


def _tolerated_gaps(report: AuditReport) -> str:
    tolerated = sum(bool(item.tolerated) for item in report.not_audited)
    return f" ({tolerated} tolerated)" if tolerated else ""


def severity_text(finding: Finding) -> str:
    """`high`, or `high, possible` when the match is not sure."""
    possible = ", possible" if finding.certainty is Certainty.POSSIBLE else ""
    score = f" {finding.score:.1f}" if finding.score is not None else ""
    return f"{finding.severity}{score}{possible}"


def fixes_text(finding: Finding) -> str:
    """The versions that mend it."""
    more = len(finding.fixed_in) - _SHOWN_FIXES
    listed = ", ".join(finding.fixed_in[:_SHOWN_FIXES])
    return f"{listed} and {more} more" if more > 0 else listed or "no fix known"


def places(finding: Finding, limit: int) -> Iterator[str]:
    """Where the package is and what brought it in; after `limit` places, how many more there are."""
    yield from map(occurrence_text, finding.occurrences[:limit])
    if len(finding.occurrences) > limit:
        yield f"{amount(len(finding.occurrences) - limit, 'more place')}"


def occurrence_text(occurrence: Occurrence) -> str:
    """`uv.lock, package 3 (through flask > werkzeug)`."""
    if occurrence.chain:
        notes = [f"through {' > '.join(occurrence.chain)}"]
    elif occurrence.is_direct is None:
        notes = []
    else:
        notes = ["direct" if occurrence.is_direct else "transitive"]
    if occurrence.origin is not Origin.INDEX:
        notes.append(f"installed as {occurrence.origin}")
    place = f", {occurrence.place}" if occurrence.place else ""
    noted = f" ({'; '.join(notes)})" if notes else ""
    return f"{occurrence.inventory}{place}{noted}"


def remarks(finding: Finding) -> Iterator[str]:
    """What qualifies a finding: doubt, disagreement, exploitation."""
    if finding.certainty is Certainty.POSSIBLE:
        yield f"only possible: {finding.doubt or 'it could not be decided'}"
    if finding.disagreement:
        yield f"the sources disagree: {finding.disagreement}"
    if finding.exploitation is not None and finding.exploitation.is_known_exploited:
        yield "known to be exploited (KEV)"
    if finding.exploitation is not None and finding.exploitation.epss is not None:
        yield f"EPSS {finding.exploitation.epss:.1%}"


def tolerance_text(finding: Finding) -> str:
    """The rule or waiver that lets it pass."""
    return f"{finding.tolerated}: {finding.waiver.reason}" if finding.waiver else finding.tolerated


def gap_lines(not_audited: Sequence[NotAudited]) -> list[GapLine]:
    """What was not audited, in order; more than 20 things of one inventory with one reason become one line."""
    groups: dict[tuple[str, str], list[NotAudited]] = {}
    for item in not_audited:
        reason = f"{item.reason} (tolerated: {item.tolerated})" if item.tolerated else item.reason
        groups.setdefault((item.inventory, reason), []).append(item)
    return [
        GapLine(what, inventory, reason) for (inventory, reason), group in groups.items() for what in _gap_names(group)
    ]


def _gap_names(group: Sequence[NotAudited]) -> list[str]:
    names = [f"{item.name} {item.version}".rstrip() for item in group]
    if len(names) <= _LISTED_GAPS:
        return names
    return [f"{len(names)} things ({', '.join(names[:_NAMED_GAPS])} and {len(names) - _NAMED_GAPS} more)"]


def waiver_text(use: WaiverUse) -> str:
    """Which waiver, and what became of it."""
    waiver = use.waiver
    package, version, inventory = (
        "" if text == "*" else text for text in (waiver.package, waiver.version, waiver.inventory)
    )
    within = f" in {inventory}" if inventory else ""
    scope = f"{waiver.id} for {package or 'any package'} {version or 'of any version'}{within}"
    match use.state:
        case "expired":
            return f"expired on {waiver.expires}: {scope}, owner {waiver.owner}: {waiver.reason}"
        case "unused" | "used":
            until = "" if waiver.expires == date.max else f", holds until {waiver.expires}"
            return f"{use.state}{until}: {scope}, owner {waiver.owner}: {waiver.reason}"
        case _:
            assert_never(use.state)


def source_text(source: SourceUse, asked_at: datetime) -> str:
    """Which source, and how old its data were; or why it did not answer."""
    named = f"{source.name} ({source.location})"
    if source.failure:
        return f"{named} did not answer: {source.failure}"
    match source.answered:
        case SourceAnswered.LIVE:
            return f"{named}, asked live"
        case SourceAnswered.NOT_ASKED:
            return f"{named}, not asked: there is no package version to ask about"
        case SourceAnswered.SNAPSHOT:
            return f"{named}, {_age_text(source.snapshot_at, asked_at)}"
        case _:
            assert_never(source.answered)


def stale_text(source: SourceUse, asked_at: datetime) -> str:
    """What to do about a snapshot that is old."""
    return (
        f"{source.name} ({source.location}), {_age_text(source.snapshot_at, asked_at)}: newer advisories may be"
        " missing. Next: download a newer dump, or set with --max-age-days (HOLDTRUE_OSV_DB_MAX_AGE_DAYS) how old it"
        " may be"
    )


def _age_text(snapshot_at: datetime | None, asked_at: datetime) -> str:
    if snapshot_at is None:
        return "data of unknown age"
    moment = f"{utc(snapshot_at):%Y-%m-%d %H:%M} UTC"
    if is_from_the_future(utc(snapshot_at), utc(asked_at)):
        return f"data dated in the future ({moment}), so their age is unknown"
    seconds = max(0.0, (utc(asked_at) - utc(snapshot_at)).total_seconds())
    days = int(seconds // _SECONDS_A_DAY)
    age = f"{days} days" if days >= _DAYS_FROM else amount(int(seconds // _SECONDS_AN_HOUR), "hour")
    return f"data of {moment}, {age} old"


def utc(moment: datetime) -> datetime:
    """In UTC; one without a zone is taken for that, since this machine's zone is no property of a report."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
