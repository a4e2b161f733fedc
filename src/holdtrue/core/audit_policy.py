"""Which findings break an audit: waivers first, then the policy's rules, each written beside what it lets pass.

The order, of which the first that applies decides:

1. `exploited_always_counts`: a finding in KEV counts, whatever a waiver or rule says.
2. A waiver that still holds, or several together, that cover every place that counts: tolerated.
3. `inventories`: no place of it counts: tolerated.
4. `minimum_severity`: known to be below: tolerated.
5. `only_fixable`: no version mends it: tolerated.
6. `only_direct`: every place that counts is known to be transitive: tolerated.
7. `minimum_epss`: an EPSS is known and below: tolerated.
8. `fix_within_days`: published, no longer ago than its severity allows: tolerated. A date in the future is none.

What is left counts. A possible finding counts like a sure one, and what is unknown (severity, EPSS, publication,
whether it is direct) tolerates nothing. A place counts when one of the policy's patterns takes in the label of its
inventory.

Waivers that cover only some of those places hide nothing: a finding is one, and it stands until it is waived wholly.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime
from fnmatch import fnmatchcase
from typing import Final

from holdtrue.core.audit_finding import aware
from holdtrue.core.severity import is_below
from holdtrue.core.waivers import covers, is_expired, speaks_of
from holdtrue.models.audit import AuditPolicy, Finding, Occurrence, Waiver, WaiverUse

_ANY: Final = "*"
_NOWHERE: Final = Occurrence(inventory="")
"""The place of a finding that has none: it counts, and only a waiver for every inventory covers it."""


def apply_policy(
    findings: Iterable[Finding], policy: AuditPolicy, waivers: Sequence[Waiver], today: date
) -> tuple[tuple[Finding, ...], tuple[WaiverUse, ...]]:
    """The findings, each with what tolerates it, and what became of every waiver; `today` is a day in UTC.

    A waiver is expired once its last day is over, and then hides nothing; used when it speaks of a finding that is
    there, even one that counts all the same; and otherwise unused.
    """
    by_name: dict[str, list[int]] = {}
    for index, waiver in enumerate(waivers):
        if not is_expired(waiver, today):
            by_name.setdefault(waiver.id.casefold(), []).append(index)
    used: set[int] = set()
    judged: list[Finding] = []
    for finding in findings:
        names = {name.casefold() for name in (finding.id, *finding.aliases)}
        speaking = {
            index: waivers[index]
            for index in sorted(index for name in names for index in by_name.get(name, ()))
            if speaks_of(waivers[index], finding) and any(covers(waivers[index], place) for place in _places(finding))
        }
        used |= speaking.keys()
        judged.append(_judge(finding, policy, tuple(speaking.values()), today))
    uses = (
        WaiverUse(
            waiver=waiver, state="expired" if is_expired(waiver, today) else "used" if index in used else "unused"
        )
        for index, waiver in enumerate(waivers)
    )
    return tuple(judged), tuple(uses)


def _judge(finding: Finding, policy: AuditPolicy, waivers: Sequence[Waiver], today: date) -> Finding:
    exploitation = finding.exploitation
    if policy.exploited_always_counts and exploitation and exploitation.is_known_exploited:
        return finding.model_copy(update={"tolerated": "", "waiver": None})
    counting = _counting_places(finding, policy)
    if counting and all(any(covers(waiver, place) for waiver in waivers) for place in counting):
        waiver = next(waiver for waiver in waivers if any(covers(waiver, place) for place in counting))
        until = "" if waiver.expires == date.max else f" until {waiver.expires}"
        return finding.model_copy(update={"tolerated": f"waived by {waiver.owner}{until}", "waiver": waiver})
    rule = _tolerating_rule(finding, counting, policy, today)
    return finding.model_copy(update={"tolerated": rule, "waiver": None})


def _tolerating_rule(finding: Finding, counting: Sequence[Occurrence], policy: AuditPolicy, today: date) -> str:
    """The first rule of the policy that lets it pass; empty when none does."""
    epss = finding.exploitation.epss if finding.exploitation else None
    days = policy.fix_within_days.get(finding.severity, -1)
    rules = (
        (not counting, "no inventory that counts holds it"),
        (is_below(finding.severity, policy.minimum_severity), f"below severity {policy.minimum_severity}"),
        (policy.only_fixable and not finding.fixed_in, "no version mends it"),
        (policy.only_direct and all(place.is_direct is False for place in counting), "only in transitive dependencies"),
        (
            policy.minimum_epss is not None and epss is not None and epss < policy.minimum_epss,
            f"EPSS below {policy.minimum_epss}",
        ),
        (
            finding.published is not None and 0 <= _age_days(finding.published, today) <= days,
            f"published within the last {days} days",
        ),
    )
    return next((text for applies, text in rules if applies), "")


def _age_days(published: datetime, today: date) -> int:
    return (today - aware(published).astimezone(UTC).date()).days


def _places(finding: Finding) -> Sequence[Occurrence]:
    return finding.occurrences or (_NOWHERE,)


def _counting_places(finding: Finding, policy: AuditPolicy) -> Sequence[Occurrence]:
    if not finding.occurrences or _ANY in policy.inventories:
        return _places(finding)
    return [
        place
        for place in finding.occurrences
        if any(place.inventory == pattern or fnmatchcase(place.inventory, pattern) for pattern in policy.inventories)
    ]
