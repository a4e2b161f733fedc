"""What a person reads who is to approve a plan."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Final

from holdtrue.core.approval_text import as_time
from holdtrue.core.neutral import for_markdown
from holdtrue.core.render import PLAN_HEADINGS, count, plan_rows, table
from holdtrue.models.stack import Plan, ResourceChange

FORM_BYTES: Final = 40_000
"""Size of the changes in a form, so that a browser shows it at once and a person still reads it."""

PAGE_BYTES: Final = 1_000_000
"""Size of the changes in an artifact's page."""

_REASON_LIMIT: Final = 1_000


def plan_page(environment: str, plan: Plan, needed: Sequence[ResourceChange], *, limit_bytes: int, whole: str) -> str:
    """Every change of a plan with its properties, those that need an approval first; secrets are placeholders.

    Args:
        environment: Where it is to be applied.
        plan: The plan.
        needed: The changes that need an approval.
        limit_bytes: Size of the tables. Rows that do not fit are counted.
        whole: Where the whole plan is.
    """
    others = [change for change in plan.changes if change not in needed]
    parts = [
        f"Plan `{for_markdown(plan.digest)}` of environment **{for_markdown(environment)}**: "
        f"{count(len(plan.changes), 'change')}, of which {len(needed)} need an approval; "
        f"{count(plan.unchanged, 'resource')} unchanged."
    ]
    room = limit_bytes
    for title, changes in (("Changes that need an approval", needed), ("Other changes", others)):
        text, left_out = _bounded(changes, room)
        room -= len(text.encode())
        parts += [f"### {title}", text] if changes else []
        parts += [f"**{left_out} rows are left out here.** The whole plan is in {whole}."] if left_out else []
    return "\n\n".join(parts)


def _bounded(changes: Sequence[ResourceChange], room: int) -> tuple[str, int]:
    rows = list(plan_rows(changes))
    shown = list(_as_long_as_there_is_room(rows, room))
    return table(PLAN_HEADINGS, shown, limit=len(shown)), len(rows) - len(shown)


def _as_long_as_there_is_room(rows: Iterable[Sequence[object]], room: int) -> Iterator[Sequence[object]]:
    for row in rows:
        room -= len(table((), [row]).encode())
        if room < 0:
            return
        yield row


def question(page: str, expires_at: datetime, objections: Collection[str]) -> str:
    """The form's text: the plan, until when it can be approved, and why an approval that was given does not count."""
    lines = [page, f"It can be approved until {as_time(expires_at)}."]
    if objections:
        listed = "\n".join(f"- {for_markdown(line, _REASON_LIMIT)}" for line in objections)
        lines.append(f"The approval that this run was given does not cover the plan:\n\n{listed}")
    return "\n\n".join(lines)
