"""What one audit keeps for the next one: enough to tell new findings from known ones, in a text of bounded size."""

import json
from collections.abc import Iterable
from typing import Final

from pydantic import ValidationError

from holdtrue.models.audit import AuditReport, Finding, Occurrence

LIMIT_BYTES: Final = 4 << 20
"""Some fifteen thousand findings."""

_FENCE: Final = "```"
_NOTHING: Final = {
    "score": None, "vector": "", "doubt": "", "summary": "", "link": "", "published": None, "disagreement": "",
    "exploitation": None, "waiver": None,
}  # fmt: skip


class MemoryUnreadable(ValueError):
    """It is not what an audit kept; the text says why."""


def remembered(current: AuditReport, previous: AuditReport | None, unseen: Iterable[Finding], *, is_whole: bool) -> str:
    """The text to keep of an audit: JSON in a fence of markdown.

    What was out of sight this time is kept from the previous one, or it would be new when it is seen again.

    Args:
        current: The audit.
        previous: What the one before it kept.
        unseen: The findings of the previous one that this one could not look for.
        is_whole: Whether it was about everything: what no inventory holds any more is forgotten then.
    """
    labels = {item.label for item in current.inventories}
    kept = [finding for finding in unseen if not is_whole or _is_below(finding, labels)]
    gaps = [gap for gap in current.not_audited if gap.origin is None and not gap.version]
    gaps += [gap for gap in previous.not_audited if gap.inventory not in labels] if previous and not is_whole else []
    slim = current.model_copy(
        update={
            "findings": tuple(_slim(finding) for finding in (*current.findings, *kept)),
            "not_audited": tuple(gaps),
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


def _is_below(finding: Finding, labels: Iterable[str]) -> bool:
    """Whether any of its places is still there: what stands for a silent host or an unread folder begins its label."""
    return any(
        place.inventory == label or place.inventory.startswith((f"{label}:", f"{label}/"))
        for place in finding.occurrences
        for label in labels
    )
