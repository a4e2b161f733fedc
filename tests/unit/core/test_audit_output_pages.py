"""The report as a Prefect artifact and as an HTML page."""

import re

import pytest

from holdtrue.core.audit_output.html import to_html
from holdtrue.core.audit_output.markdown import SIZE_LIMIT, to_markdown
from holdtrue.models.audit import AuditReport
from tests.unit.core.audit_output_samples import INCOMPLETE, ORDINARY, SOUND, many

PARTS = (
    "demo-web", "PYSEC-2026-1", "CVE-2026-0001, GHSA-aaaa-bbbb-cccc", "1.1, 2.0", "critical 9.8",
    "services/shop/uv.lock, line 41", "demo-server", "Requests are answered with the memory",
    "unknown, possible", "only possible: installed from a repository",
    "severity below medium", "waived by platform team until 2026-12-31",
    "no public source knows it", "refused the connection",
    "expired on 2026-01-31: CVE-2025-1111", "unused, holds until 2026-12-31: CVE-2025-2222",
    "3 days old", "asked live", "host-1:/usr/bin/python3",
)  # fmt: skip


@pytest.mark.parametrize("part", PARTS)
def test_both_pages_tell_all_that_the_report_holds(part: str) -> None:
    assert part in to_markdown(ORDINARY)
    assert part in to_html(ORDINARY)


@pytest.mark.parametrize(("source", "word"), [(ORDINARY, "vulnerable"), (SOUND, "clean"), (INCOMPLETE, "incomplete")])
def test_the_verdict_is_on_top_and_only_that_one(source: AuditReport, word: str) -> None:
    markdown, document = to_markdown(source), to_html(source)

    assert markdown.startswith(f"**{word}: ")
    assert f'<h1 class="{word}">{word}: ' in document
    if word != "clean":
        assert "clean" not in markdown
        assert "clean" not in document.partition("</style>")[2]


def test_no_finding_is_told_of_too() -> None:
    assert "## Findings\n\nNone." in to_markdown(SOUND)
    assert "<h2>Findings</h2>\n<p>None.</p>" in to_html(SOUND)


def test_an_advisory_leads_to_its_page() -> None:
    assert "[PYSEC-2026-1](https://advisories.example/PYSEC-2026-1)" in to_markdown(ORDINARY)
    assert 'href="https://advisories.example/PYSEC-2026-1"' in to_html(ORDINARY)


def test_brackets_and_entities_of_an_address_do_not_end_it() -> None:
    first = ORDINARY.findings[0].model_copy(update={"link": "https://x.example/a(b)?c=d&lt=e"})
    source = ORDINARY.model_copy(update={"findings": (first,)})

    assert "(https://x.example/a%28b%29?c=d&amp;lt=e)" in to_markdown(source)
    assert 'href="https://x.example/a(b)?c=d&amp;lt=e"' in to_html(source)


@pytest.mark.parametrize("limit", [10_000, SIZE_LIMIT])
def test_markdown_keeps_to_its_size_and_counts_what_it_leaves_out(limit: int) -> None:
    markdown = to_markdown(many(10_000), limit_bytes=limit)

    assert limit * 0.4 < len(markdown.encode()) <= limit
    findings, gaps = (int(number) for number in re.findall(r"(\d+) more rows left out", markdown))
    assert findings + markdown.count("| critical 9.8 |") == 10_000
    assert gaps + markdown.count("| odd-") == 10_000
    assert markdown.count("| odd-") > 0, "many findings do not hide what was not audited"
    assert markdown.endswith("s\n")


def test_markdown_without_room_still_tells_the_verdict_and_the_numbers() -> None:
    markdown = to_markdown(many(100), limit_bytes=4_096)

    assert len(markdown.encode()) <= 4_096
    assert markdown.startswith("**vulnerable: 100 findings that count")
    assert "100 more rows left out" in markdown


def test_html_tells_of_ten_thousand_findings() -> None:
    document = to_html(many(10_000))

    assert document.count("<td>critical 9.8</td>") == 10_000


def test_html_needs_nothing_from_elsewhere_and_follows_the_readers_colours() -> None:
    document = to_html(ORDINARY)

    assert "default-src 'none'" in document
    assert "color-scheme: light dark" in document
    assert not re.search(r"<(script|link|img|iframe)|url\(|@import|\ssrc=", document)
    assert set(re.findall(r'href="([a-z]+):', document)) == {"https"}
