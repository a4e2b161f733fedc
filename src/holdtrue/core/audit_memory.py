"""What one audit keeps for the next one: enough to tell new findings from known ones, in a text of bounded size."""

import json
from collections.abc import Container, Iterable, Iterator, Sequence
from typing import Final

from pydantic import ValidationError

from holdtrue.core.audit_comparison import Namesakes, Sight, new_parts, unread_parts
from holdtrue.models.audit import AuditReport, Finding, NotAudited, Occurrence

LIMIT_BYTES: Final = 4 << 20
"""Some fifteen thousand findings."""

_FENCE: Final = "```"
_NOTHING: Final = {
    "score": None, "vector": "", "doubt": "", "summary": "", "link": "", "published": None, "disagreement": "",
    "exploitation": None, "waiver": None,
}  # fmt: skip


class MemoryUnreadable(ValueError):
    """It is not what an audit kept; the text says why."""


def remembered(current: AuditReport, previous: AuditReport | None, *, is_whole: bool) -> str:
    """The text to keep of an audit: JSON in a fence of markdown.

    What was out of sight this time is kept from the previous one: a finding, or it would be new when it is seen again;
    and a place or a source of a finding that is still there elsewhere, or that would be fixed without a look at it.

    Args:
        current: The audit.
        previous: What the one before it kept.
        is_whole: Whether it was about everything: what no inventory holds any more, and what only sources told that are
            asked no more, is forgotten then.
    """
    hidden = _hidden(current, previous, is_whole=is_whole)
    now, behind = Namesakes(current.findings), Namesakes(hidden)
    found = [_united(finding, behind.of(finding)) for finding in current.findings]
    unseen = [finding for finding in hidden if not now.of(finding)]
    slim = current.model_copy(
        update={
            "findings": tuple(_slim(finding) for finding in (*found, *unseen)),
            "not_audited": tuple(_gaps(current, previous, hidden, is_whole=is_whole)),
            "waivers": (),
            "inventories": (),
            "sources": (),
        }
    )
    document = slim.model_dump(mode="json", exclude_defaults=True) | {"schema_version": slim.schema_version}
    text = f"{_FENCE}json\n{json.dumps(document, separators=(',', ':'))}\n{_FENCE}\n"
    if len(text) > LIMIT_BYTES:
        return f"{len(slim.findings)} findings are more than can be kept for a comparison.\n"
    return text


def read_memory(text: str) -> AuditReport:
    """What the last audit kept.

    Raises:
        MemoryUnreadable: it is something else, or of another version.
    """
    body = text.strip().removeprefix(f"{_FENCE}json").removesuffix(_FENCE)
    try:
        return AuditReport.model_validate_json(body)
    except ValidationError as error:
        raise MemoryUnreadable(f"what the last audit kept cannot be read ({error.error_count()} errors)") from None


def _slim(finding: Finding) -> Finding:
    places = dict.fromkeys(item.inventory for item in finding.occurrences)
    return finding.model_copy(
        update={**_NOTHING, "occurrences": tuple(Occurrence(inventory=label) for label in places)}
    )


def _hidden(current: AuditReport, previous: AuditReport | None, *, is_whole: bool) -> list[Finding]:
    """The findings of the previous audit that may still be where this one did not look."""
    if previous is None:
        return []
    sight = Sight(previous, current)
    hidden = [finding for finding in previous.findings if not sight.covers(finding)]
    return _still_there(hidden, current) if is_whole else hidden


def _gaps(
    current: AuditReport, previous: AuditReport | None, hidden: Iterable[Finding], *, is_whole: bool
) -> Iterator[NotAudited]:
    """The unreadable parts beside which findings are seen; one that may hide a finding stays new until it is mended."""
    if previous is None:
        yield from unread_parts(current)
        return
    labels = {item.label for item in current.inventories}
    hiding = {place.inventory for finding in hidden for place in finding.occurrences}
    new = new_parts(previous, current)
    yield from (gap for gap in unread_parts(current) if gap not in new or gap.inventory not in hiding)
    if not is_whole:
        yield from (gap for gap in previous.not_audited if gap.inventory not in labels)


def _still_there(findings: Iterable[Finding], current: AuditReport) -> list[Finding]:
    """The findings without the places and the sources that the audit does not know any more."""
    labels = {item.label for item in current.inventories}
    asked = {source.name for source in current.sources}
    narrowed = [
        finding.model_copy(
            update={
                "occurrences": tuple(item for item in finding.occurrences if _is_below(item.inventory, labels)),
                "sources": tuple(name for name in finding.sources if name in asked),
            }
        )
        for finding in findings
    ]
    return [finding for finding in narrowed if finding.occurrences and finding.sources]


def _is_below(place: str, labels: Container[str]) -> bool:
    """Whether a place is still there: what stands for a silent host or an unread folder begins its label."""
    return place in labels or any(place[:end] in labels for end, letter in enumerate(place) if letter in ":/")


def _united(finding: Finding, hidden: Sequence[Finding]) -> Finding:
    """One finding in all places and of all sources; it counts when it did in a place where nobody looked."""
    places = {place.inventory for place in finding.occurrences}
    hidden_places = [place for item in hidden for place in item.occurrences]
    counts = any(
        not item.tolerated and not places.issuperset(place.inventory for place in item.occurrences) for item in hidden
    )
    return finding.model_copy(
        update={
            "occurrences": (*finding.occurrences, *hidden_places),
            "sources": tuple(dict.fromkeys((*finding.sources, *(name for item in hidden for name in item.sources)))),
            "tolerated": "" if counts else finding.tolerated,
        }
    )
