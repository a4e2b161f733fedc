"""The report for a terminal or a CI log."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from holdtrue.core.audit_output.phrases import (
    by_severity,
    counts_text,
    fixes_text,
    gap_lines,
    places,
    remarks,
    severity_text,
    source_text,
    tolerance_text,
    verdict_text,
    waiver_text,
)
from holdtrue.core.neutral import for_terminal
from holdtrue.models.audit import AuditReport, Finding

_HEADINGS: Final = ("SEVERITY", "PACKAGE", "VERSION", "ADVISORY", "FIXED IN")
_CELL_LIMIT: Final = 60
_PROSE_LIMIT: Final = 600
_PLACES: Final = 5
_NARROWEST: Final = 40


def describe(report: AuditReport, *, width: int | None = None) -> list[str]:
    """Lines for a terminal: the verdict first, the counts last.

    Every line begins with a word or blank of ours and is printable. The findings that count come first, the gravest
    on top, and what is tolerated has a section of its own.

    Args:
        report: What to tell.
        width: Columns of the terminal: prose and places are cut there. Ids, versions, fixes and reasons never are.
    """
    tolerated = [finding for finding in report.findings if finding.tolerated]
    gaps = gap_lines(report.not_audited)
    return [
        verdict_text(report),
        *_section("Findings", _findings(report.counting, width)),
        *_section("Tolerated", _findings(tolerated, width)),
        *_section("Not audited", (f"  {_gap(gap.inventory, gap.what, gap.reason)}" for gap in gaps)),
        *_section("Waivers", (f"  {_say(waiver_text(use))}" for use in report.waivers if use.state != "used")),
        *_section("Sources", (f"  {_say(source_text(source, report.started_at))}" for source in report.sources)),
        "",
        counts_text(report),
    ]


def _section(title: str, lines: Iterable[str]) -> list[str]:
    listed = list(lines)
    return ["", f"{title}:", *listed] if listed else []


def _findings(findings: Sequence[Finding], width: int | None) -> Iterator[str]:
    """One row of columns for each, and below it what is too long for columns."""
    if not findings:
        return
    ordered = by_severity(findings)
    rows = [_cells(finding) for finding in ordered]
    widths = [max(map(len, column)) for column in zip(_HEADINGS, *rows, strict=True)]
    yield _row(_HEADINGS, widths)
    for finding, row in zip(ordered, rows, strict=True):
        yield _row(row, widths)
        yield from _details(finding, width)


def _cells(finding: Finding) -> tuple[str, ...]:
    texts = (severity_text(finding), finding.package, finding.version, finding.id, fixes_text(finding))
    return tuple(for_terminal(text, _CELL_LIMIT) for text in texts)


def _row(cells: Sequence[str], widths: Sequence[int]) -> str:
    return f"  {'  '.join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True))}".rstrip()


def _details(finding: Finding, width: int | None) -> Iterator[str]:
    for place in places(finding, _PLACES):
        yield _cut(f"      in {for_terminal(place)}", width)
    if finding.aliases:
        yield f"      also known as {_say(', '.join(finding.aliases))}"
    if finding.summary:
        yield _cut(f"      about: {for_terminal(finding.summary)}", width)
    for remark in remarks(finding):
        yield f"      note: {_say(remark)}"
    if finding.tolerated:
        yield f"      tolerated: {_say(tolerance_text(finding))}"


def _gap(inventory: str, what: str, reason: str) -> str:
    where = f"{inventory}: " if inventory else ""
    return f"- {_say(f'{where}{what}: {reason}')}"


def _say(text: str) -> str:
    return for_terminal(text, _PROSE_LIMIT)


def _cut(line: str, width: int | None) -> str:
    columns = len(line) if width is None else max(width, _NARROWEST)
    return line if len(line) <= columns else f"{line[: columns - 1]}…"
