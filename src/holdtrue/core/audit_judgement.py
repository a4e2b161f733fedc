"""One batch, several judgements: each environment judges what it holds by its own policy and waivers.

A finding counts when it counts for any of them, and is tolerated only when every one that holds it tolerates it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Final

from holdtrue.core.audit_policy import apply_policy
from holdtrue.core.exploitation import ExploitationData, tell_exploitation
from holdtrue.core.vex import VexStatement
from holdtrue.models.audit import AuditPolicy, Finding, Waiver, WaiverUse

_Judged = list[Finding]

# A waiver has the same last day everywhere, so one that is expired is so in every environment.
_STATES: Final = ("used", "expired", "unused")


@dataclass(frozen=True, slots=True)
class Judgement:
    """By what findings are judged, and where.

    Attributes:
        policy: Which findings count.
        waivers: Which may stand for a while, and the statements of VEX documents, those that hide nothing too: they
            take back others.
        exploitation: What is known of attacks; None when nobody supplied any data.
        labels: Labels of the inventories that it is about; None for all.
        name: Whose it is, for the reason why a finding is tolerated; empty when there is only one.
    """

    policy: AuditPolicy = field(default_factory=AuditPolicy)
    waivers: tuple[Waiver | VexStatement, ...] = ()
    exploitation: ExploitationData | None = None
    labels: frozenset[str] | None = None
    name: str = ""


def judge_findings(
    findings: Sequence[Finding], judgements: Iterable[Judgement], today: date
) -> tuple[tuple[Finding, ...], tuple[WaiverUse, ...]]:
    """The findings in their order, each with what tolerates it, and what became of every waiver.

    What is in places that no judgement is about counts. A waiver of several is listed once, as used when any uses it.
    """
    judged: list[_Judged] = [[] for _ in findings]
    uses: dict[Waiver, WaiverUse] = {}
    for judgement in judgements:
        held = [(index, part) for index, finding in enumerate(findings) if (part := _within(finding, judgement.labels))]
        parts: Sequence[Finding] = [part for _, part in held]
        if judgement.exploitation is not None:
            parts = tell_exploitation(parts, judgement.exploitation)
        results, used = apply_policy(parts, judgement.policy, judgement.waivers, today)
        for (index, _), result in zip(held, results, strict=True):
            judged[index].append(_named(result, judgement.name))
        for use in used:
            known = uses.setdefault(use.waiver, use)
            uses[use.waiver] = min(known, use, key=lambda item: _STATES.index(item.state))
    return tuple(map(_join, findings, judged)), tuple(uses.values())


def _within(finding: Finding, labels: frozenset[str] | None) -> Finding | None:
    """The finding as this judgement sees it: in its own places only."""
    if labels is None:
        return finding
    places = tuple(place for place in finding.occurrences if place.inventory in labels)
    if not places:
        return None
    return finding if len(places) == len(finding.occurrences) else finding.model_copy(update={"occurrences": places})


def _named(finding: Finding, name: str) -> Finding:
    if not name or not finding.tolerated:
        return finding
    return finding.model_copy(update={"tolerated": f"{name}: {finding.tolerated}"})


def _join(finding: Finding, judged: _Judged) -> Finding:
    if len(judged) == 1 and judged[0].occurrences == finding.occurrences:
        return judged[0]
    exploitation = next((item.exploitation for item in judged if item.exploitation), finding.exploitation)
    seen_by = {place for item in judged for place in item.occurrences}
    if not judged or not seen_by.issuperset(finding.occurrences) or any(not item.tolerated for item in judged):
        return finding.model_copy(update={"exploitation": exploitation, "tolerated": "", "waiver": None})
    waivers = [item.waiver for item in judged if item.waiver]
    return finding.model_copy(
        update={
            "exploitation": exploitation,
            "tolerated": "; ".join(dict.fromkeys(item.tolerated for item in judged)),
            # Somebody accepted the risk only where every one did; a VEX statement clears it only where all have one.
            "waiver": min(waivers, key=lambda item: bool(item.vex)) if len(waivers) == len(judged) else None,
        }
    )
