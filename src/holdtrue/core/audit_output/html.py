"""The report as one HTML page that needs nothing else: no script, no picture, no style sheet from elsewhere."""

from typing import Final

from holdtrue.core.audit_output.phrases import counts_text, verdict_text
from holdtrue.core.audit_output.sections import Cell, Section, sections
from holdtrue.core.neutral import for_html
from holdtrue.models.audit import AuditReport

_CELL_LIMIT: Final = 600
_STYLE: Final = """
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif; }
body { margin: 2rem auto; max-width: 90rem; padding: 0 1rem; background: Canvas; color: CanvasText; }
h1 { font-size: 1.4rem; border-left: .5rem solid; padding-left: .75rem; }
h1.clean { border-color: #2e8b57; } h1.vulnerable { border-color: #c62828; } h1.incomplete { border-color: #b26a00; }
div { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; }
th, td { border: 1px solid GrayText; padding: .3rem .5rem; text-align: left; vertical-align: top; }
td { overflow-wrap: anywhere; }
"""


def to_html(report: AuditReport) -> str:
    """A whole document, in the colours that the reader's system prefers. Its policy forbids scripts and loading."""
    verdict = for_html(verdict_text(report))
    return "\n".join(
        (
            "<!doctype html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8">',
            """<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">""",
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="referrer" content="no-referrer">',
            f"<title>Dependency audit: {verdict}</title>",
            f"<style>{_STYLE}</style>",
            "</head>",
            "<body>",
            f'<h1 class="{report.verdict}">{verdict}</h1>',
            *map(_section, sections(report)),
            f"<p>{for_html(counts_text(report))}</p>",
            "</body>",
            "</html>\n",
        )
    )


def _section(section: Section) -> str:
    title = f"<h2>{for_html(section.title)}</h2>"
    if not section.rows:
        return f"{title}\n<p>None.</p>"
    head = "".join(f"<th>{for_html(heading)}</th>" for heading in section.headings)
    rows = "\n".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in section.rows)
    return f"{title}\n<div><table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}\n</tbody>\n</table></div>"


def _cell(cell: Cell) -> str:
    text = for_html(cell.text, _CELL_LIMIT)
    if not cell.link:
        return f"<td>{text}</td>"
    return f'<td><a href="{for_html(cell.link, len(cell.link))}" rel="noopener noreferrer nofollow">{text}</a></td>'
