"""Which findings break an audit: waivers first, then the policy's rules, each written beside what it lets pass.

The order, of which the first that applies decides:

1. `exploited_always_counts`: a finding in KEV counts, whatever a waiver or rule says.
2. A waiver that still holds or a VEX statement, or several together, that cover every place that counts: tolerated.
   Of a finding that is several flaws, tied together by an advisory that names them all, every one has to be waived.
3. `inventories`: no place of it counts: tolerated.
4. `minimum_severity`: known to be below: tolerated.
5. `only_fixable`: it is sure that no version mends it: tolerated. Malware never has one, and counts.
6. `only_direct`: every place that counts is known to be transitive: tolerated.
7. `minimum_epss`: an EPSS is known and below: tolerated.
8. `fix_within_days`: published, no longer ago than its severity allows: tolerated. A date in the future is none.

What is left counts. A possible finding counts like a sure one, and what is unknown (severity, fixes, EPSS,
publication, whether it is direct) tolerates nothing. A place counts when one of the policy's patterns takes in the
label of its inventory.

Waivers that cover only some of those places hide nothing: a finding is one, and it stands until it is waived wholly.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime
from fnmatch import fnmatchcase
from itertools import product
from typing import Final

from holdtrue.core.audit_aliases import is_malware, separate_ids
from holdtrue.core.audit_finding import aware
from holdtrue.core.severity import is_below
from holdtrue.core.vex import VexStatement
from holdtrue.core.waiver_book import NOWHERE, WaiverBook, Waiving
from holdtrue.models.audit import AuditPolicy, Finding, Occurrence, Waiver, WaiverUse
from holdtrue.models.osv import Certainty

_ANY: Final = "*"


def apply_policy(
    findings: Iterable[Finding], policy: AuditPolicy, waivers: Iterable[Waiver | VexStatement], today: date
) -> tuple[tuple[Finding, ...], tuple[WaiverUse, ...]]:
    """The findings, each with what tolerates it, and what became of every waiver; `today` is a day in UTC.

    A waiver is expired once its last day is over, and then hides nothing; used when it speaks of a finding that is
    there, even one that counts all the same; and otherwise unused. A VEX statement that hides is listed as a waiver.
    """
    book = WaiverBook(waivers, today)
    judged = tuple(_judge(finding, policy, book.about(finding), today) for finding in findings)
    return judged, tuple(book.uses())


def _judge(finding: Finding, policy: AuditPolicy, waivings: Sequence[Waiving], today: date) -> Finding:
    exploitation = finding.exploitation
    if policy.exploited_always_counts and exploitation and exploitation.is_known_exploited:
        return finding.model_copy(update={"tolerated": "", "waiver": None})
    counting = _counting_places(finding, policy)
    deciding = _deciding(finding, counting, waivings)
    if deciding:
        # It stands for all: somebody's own word before a statement, and among those the first to run out.
        waiver = min(deciding, key=lambda item: (bool(item.vex), item.expires))
        until = "" if waiver.expires == date.max else f" until {waiver.expires}"
        return finding.model_copy(update={"tolerated": f"waived by {waiver.owner}{until}", "waiver": waiver})
    rule = _tolerating_rule(finding, counting, policy, today)
    return finding.model_copy(update={"tolerated": rule, "waiver": None})


def _deciding(finding: Finding, counting: Sequence[Occurrence], waivings: Sequence[Waiving]) -> Sequence[Waiver]:
    """The waivers that together waive every flaw in every place that counts; none when something is left."""
    if not waivings:
        return ()
    deciding: list[Waiver] = []
    flaws = sorted(separate_ids(finding.names)) or [""]
    for place, flaw in product(counting, flaws):
        found = (item.waiver for item in waivings if place.inventory in item.labels and _names(item.waiver, flaw))
        waiver = next(found, None)
        if waiver is None:
            return ()
        deciding.append(waiver)
    return deciding


def _names(waiver: Waiver, flaw: str) -> bool:
    return not flaw or flaw in {name.casefold() for name in waiver.names}


def _tolerating_rule(finding: Finding, counting: Sequence[Occurrence], policy: AuditPolicy, today: date) -> str:
    """The first rule of the policy that lets it pass; empty when none does."""
    epss = finding.exploitation.epss if finding.exploitation else None
    days = policy.fix_within_days.get(finding.severity, -1)
    rules = (
        (not counting, "no inventory that counts holds it"),
        (is_below(finding.severity, policy.minimum_severity), f"below severity {policy.minimum_severity}"),
        (policy.only_fixable and _is_unmendable(finding), "no version mends it"),
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


def _is_unmendable(finding: Finding) -> bool:
    """Whether it is known that no version mends it."""
    is_mendable = bool(finding.fixed_in) or finding.may_be_mended
    is_sure = finding.certainty is Certainty.AFFECTED
    return is_sure and not is_mendable and not is_malware(finding.names)


def _age_days(published: datetime, today: date) -> int:
    return (today - aware(published).astimezone(UTC).date()).days


def _counting_places(finding: Finding, policy: AuditPolicy) -> Sequence[Occurrence]:
    if not finding.occurrences or _ANY in policy.inventories:
        return finding.occurrences or (NOWHERE,)
    return [
        place
        for place in finding.occurrences
        if any(place.inventory == pattern or fnmatchcase(place.inventory, pattern) for pattern in policy.inventories)
    ]
