"""The report as titled tables, for the outputs that are pages. Cells are raw text: each page escapes it for itself."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from holdtrue.core.audit_output.phrases import (
    by_severity,
    fixes_text,
    gap_lines,
    places,
    remarks,
    severity_text,
    source_text,
    tolerance_text,
    waiver_text,
)
from holdtrue.core.neutral import web_link
from holdtrue.models.audit import AuditReport, Finding

_PLACES: Final = 5
_FINDING_HEADINGS: Final = (
    "Severity", "Package", "Version", "Advisory", "Also known as", "Fixed in", "Where", "About", "Notes",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Cell:
    """A text, and the http(s) address it leads to if any."""

    text: str
    link: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    """A titled table; `rows` has as many cells in each row as there are headings."""

    title: str
    headings: Sequence[str]
    rows: Sequence[Sequence[Cell]]


def sections(report: AuditReport) -> Iterator[Section]:
    """Those that hold something, the most important first; findings are always told of, none of them too."""
    tolerated = [finding for finding in report.findings if finding.tolerated]
    yield _section("Findings", _FINDING_HEADINGS, map(_finding, by_severity(report.counting)))
    others = (
        _section(
            "Not audited",
            ("Inventory", "Name", "Reason"),
            ((Cell(gap.inventory), Cell(gap.what), Cell(gap.reason)) for gap in gap_lines(report.not_audited)),
        ),
        _section(
            "Tolerated", (*_FINDING_HEADINGS, "Tolerated because"), map(_tolerated_finding, by_severity(tolerated))
        ),
        _section(
            "Expired and unused waivers",
            ("Waiver",),
            ((Cell(waiver_text(use)),) for use in report.waivers if use.state != "used"),
        ),
        _section(
            "Sources", ("Source",), ((Cell(source_text(source, report.started_at)),) for source in report.sources)
        ),
        _section(
            "Inventories",
            ("Inventory", "Kind", "Audited", "Not audited", "Findings"),
            (
                tuple(
                    Cell(str(value)) for value in (item.label, item.kind, item.audited, item.not_audited, item.findings)
                )
                for item in report.inventories
            ),
        ),
    )
    yield from (section for section in others if section.rows)


def _section(title: str, headings: Sequence[str], rows: Iterable[Sequence[Cell]]) -> Section:
    return Section(title, headings, tuple(rows))


def _finding(finding: Finding) -> tuple[Cell, ...]:
    return (
        Cell(severity_text(finding)),
        Cell(finding.package),
        Cell(finding.version),
        Cell(finding.id, web_link(finding.link)),
        Cell(", ".join(finding.aliases)),
        Cell(fixes_text(finding)),
        Cell("; ".join(places(finding, _PLACES))),
        Cell(finding.summary),
        Cell("; ".join(remarks(finding))),
    )


def _tolerated_finding(finding: Finding) -> tuple[Cell, ...]:
    return *_finding(finding), Cell(tolerance_text(finding))
