"""Hostile advisories in every output: nothing that a terminal, a build agent, a page or a parser obeys gets there."""

import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser

import pytest
from markdown_it import MarkdownIt

from holdtrue.core.audit_output.html import to_html
from holdtrue.core.audit_output.markdown import SIZE_LIMIT, to_markdown
from holdtrue.core.audit_output.table import describe
from holdtrue.models.audit import AuditReport
from tests.hostile_texts import HOSTILE_TEXTS, terminal_dangers
from tests.unit.core.audit_output_samples import (
    ORDINARY,
    SINKS,
    cyclonedx_of,
    hostile,
    hostile_inventories,
)

each_text = pytest.mark.parametrize("text", HOSTILE_TEXTS, ids=lambda text: ascii(text[:20]))
_VOID = frozenset({"meta", "img", "br", "hr", "!doctype"})


class _Page(HTMLParser):
    """What a browser would make of a page: its elements, addresses and handlers, and whether the elements close."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: dict[str, int] = {}
        self.dangers: list[str] = []
        self.open: list[str] = []
        self.feed(page)
        self.close()
        self.dangers += [f"{name} is not closed" for name in self.open]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements[tag] = self.elements.get(tag, 0) + 1
        if tag not in _VOID:
            self.open.append(tag)
        if tag in {"script", "img", "iframe", "object", "link", "form", "svg", "base"}:
            self.dangers.append(tag)
        for name, value in attrs:
            is_address = name in {"href", "src", "action"}
            if name.startswith("on") or (is_address and not re.match(r"https?://", value or "")):
                self.dangers.append(f"{name}={value}")
            if is_address and "evil.example" in (value or ""):
                self.dangers.append(f"{name}={value}")

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.dangers.append(f"{tag} closes what is not open")


def rendered(markdown: str) -> _Page:
    """The page of a renderer that lets HTML through, with the addresses that GitHub makes links of by itself."""
    page = _Page(MarkdownIt("commonmark", {"html": True}).enable("table").render(markdown))
    page.dangers += re.findall(r"(?<!\]\()(?:https?://|www\.)\S+", markdown)
    return page


@each_text
def test_a_terminal_shows_hostile_text_and_does_not_obey_it(text: str) -> None:
    lines = describe(hostile(text), width=100)

    assert terminal_dangers(lines) == []
    assert lines[0].startswith("vulnerable: ")
    assert lines[-1].startswith("audited 7 ")
    assert max(map(len, lines)) < 1_000


@pytest.mark.parametrize("text", [HOSTILE_TEXTS[0], HOSTILE_TEXTS[1], HOSTILE_TEXTS[5], HOSTILE_TEXTS[6]])
def test_the_control_for_terminals_sees_the_danger_of_a_raw_text(text: str) -> None:
    assert terminal_dangers(f"critical {text}".split("\n"))


@pytest.mark.parametrize("sink", ["json", "sarif", "cyclonedx"])
@each_text
def test_output_for_programs_is_printable_and_can_be_parsed(sink: str, text: str) -> None:
    output = SINKS[sink](hostile(text))

    assert output.isascii()
    assert terminal_dangers(output.split("\n")) == []
    assert "\ud800" not in _all_strings(json.loads(output))


@pytest.mark.parametrize("text", [HOSTILE_TEXTS[1], HOSTILE_TEXTS[5]])
def test_the_control_for_programs_sees_the_danger_of_ordinary_json(text: str) -> None:
    assert terminal_dangers(json.dumps([text], ensure_ascii=False, indent=2).split("\n"))


@each_text
def test_an_sbom_of_hostile_inventories_can_be_parsed(text: str) -> None:
    output = cyclonedx_of(hostile(text), hostile_inventories(text))

    references = [component["bom-ref"] for component in json.loads(output)["components"]]
    assert len(set(references)) == len(references) == 8
    assert terminal_dangers(output.split("\n")) == []


@each_text
def test_markdown_is_rendered_without_anything_of_the_text_being_obeyed(text: str) -> None:
    markdown = to_markdown(hostile(text))
    page, ordinary = rendered(markdown), rendered(to_markdown(ORDINARY))

    assert page.dangers == []
    assert terminal_dangers(markdown.split("\n")) == []
    assert page.elements["h2"] == ordinary.elements["h2"]
    assert set(page.elements) <= set(ordinary.elements)
    assert _cells_in_each_table_row(markdown) == {1, 3, 5, 9, 10}
    assert len(markdown.encode()) < 100_000


@pytest.mark.parametrize("text", [HOSTILE_TEXTS[2], HOSTILE_TEXTS[3], HOSTILE_TEXTS[4], HOSTILE_TEXTS[7]])
def test_the_control_for_markdown_sees_the_danger_of_a_raw_text(text: str) -> None:
    raw = f"| a | b |\n|---|---|\n| one | {text} |"

    page = rendered(raw)
    assert page.dangers or "h1" in page.elements or _cells_in_each_table_row(raw) != {2}


@each_text
def test_html_holds_the_text_as_text(text: str) -> None:
    document = to_html(hostile(text))
    page, ordinary = _Page(document), _Page(to_html(ORDINARY))

    assert page.dangers == []
    assert set(page.elements) <= set(ordinary.elements)
    assert page.elements["h2"] == ordinary.elements["h2"]
    assert terminal_dangers(document.split("\n")) == []
    assert len(document.encode()) < 100_000


@pytest.mark.parametrize("text", [HOSTILE_TEXTS[2], '"><b onclick=x>', '<a href="javascript:x">'])
def test_the_control_for_html_sees_the_danger_of_a_raw_text(text: str) -> None:
    assert _Page(f"<p>{text}</p>").dangers


def test_only_json_keeps_a_text_whole() -> None:
    long = "a hundred thousand times " * 100_000

    sizes = {name: len(sink(_with_summary(long))) for name, sink in SINKS.items()}

    assert sizes.pop("json") > len(long)
    assert all(size < 50_000 < SIZE_LIMIT for size in sizes.values())


def _with_summary(text: str) -> AuditReport:
    first, *others = ORDINARY.findings
    return ORDINARY.model_copy(update={"findings": (first.model_copy(update={"summary": text}), *others)})


def _cells_in_each_table_row(markdown: str) -> set[int]:
    return {line.count("|") - 1 for line in markdown.split("\n") if line.startswith("|")}


def _all_strings(document: object) -> str:
    return "".join(_strings(document))


def _strings(document: object) -> Iterator[str]:
    match document:
        case str():
            yield document
        case dict():
            for key, value in document.items():
                yield from _strings(key)
                yield from _strings(value)
        case list():
            for value in document:
                yield from _strings(value)
        case _:
            return
