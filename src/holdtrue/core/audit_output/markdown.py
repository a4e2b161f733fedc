"""The report as markdown for a Prefect artifact, which has to stay small enough for the database that holds it."""

from collections.abc import Iterator, Sequence
from typing import Final

from holdtrue.core.audit_output.phrases import amount, counts_text, verdict_text
from holdtrue.core.audit_output.sections import Cell, Section, sections
from holdtrue.core.neutral import for_markdown
from holdtrue.models.audit import AuditReport

SIZE_LIMIT: Final = 500_000
"""Bytes of UTF-8."""

_FRAME: Final = 4_096
"""Room for titles, headings and the lines that count what was left out."""

_CELL_LIMIT: Final = 400


def to_markdown(report: AuditReport, *, limit_bytes: int = SIZE_LIMIT) -> str:
    """Verdict, tables and counts in at most `limit_bytes` (of at least 4096) bytes.

    What finds no room is counted where it is missing. A table takes at most half of the room that is left, so that many
    findings do not hide what was not audited.
    """
    room = limit_bytes - _FRAME
    parts = [f"**{for_markdown(verdict_text(report))}**"]
    for section in sections(report):
        rows = tuple(_rows_within(section, room // 2))
        room -= sum(map(_size, rows))
        parts.append(_table(section, rows))
    return "\n\n".join([*parts, for_markdown(counts_text(report))]) + "\n"


def _rows_within(section: Section, room: int) -> Iterator[str]:
    for cells in section.rows:
        row = f"| {' | '.join(map(_cell, cells))} |"
        room -= _size(row)
        if room < 0:
            return
        yield row


def _size(row: str) -> int:
    return len(row.encode()) + len("\n")


def _table(section: Section, rows: Sequence[str]) -> str:
    title = f"## {section.title}"
    if not section.rows:
        return f"{title}\n\nNone."
    head = (f"| {' | '.join(section.headings)} |", f"|{'---|' * len(section.headings)}")
    left_out = len(section.rows) - len(rows)
    note = f"\n\n{amount(left_out, 'more row')} left out: the page has no room for more." if left_out else ""
    return "\n".join((f"{title}\n", *head, *rows)) + note


def _cell(cell: Cell) -> str:
    text = for_markdown(cell.text, _CELL_LIMIT)
    if not cell.link or not text:
        return text
    # These would end the address, or be read as the beginning of an entity.
    address = cell.link.replace("&", "&amp;").replace("(", "%28").replace(")", "%29")
    return f"[{text}]({address})"
