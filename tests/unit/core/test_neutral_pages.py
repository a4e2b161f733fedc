"""Every page of a run shows text from outside as text: the shape of the page does not depend on it."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final
from xml.etree import ElementTree as ET

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

from holdtrue.core.audit_output.changes import changes_markdown
from holdtrue.core.audit_output.markdown import to_markdown
from holdtrue.core.junit import render_junit
from holdtrue.core.neutral import several_lines
from holdtrue.core.render import (
    cell,
    changes_table,
    provision_sections,
    report_page,
    section,
    table,
    validation_sections,
)
from holdtrue.core.render_approval import PAGE_BYTES, plan_page, question
from holdtrue.core.render_drift import drift_sections, environment_page
from holdtrue.core.render_sweep import sweep_sections
from holdtrue.models.audit_changes import FleetAudit
from holdtrue.models.drift import DriftReport, EnvironmentDrift
from holdtrue.models.outcome import RunOutcome
from holdtrue.models.report import ProvisionReport, ValidationReport
from holdtrue.models.stack import Plan
from holdtrue.models.sweep import SweepReport
from holdtrue.models.validation import Verdict
from tests.hostile_texts import HOSTILE_TEXTS, READABLE_TEXTS, terminal_dangers
from tests.unit.core.every_field import filled

each_text = pytest.mark.parametrize("text", HOSTILE_TEXTS, ids=lambda text: ascii(text[:20]))

_MOMENT: Final = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
PAGES: Final[dict[str, Callable[[str], str]]] = {
    "provision": lambda text: provision_sections(filled(ProvisionReport, text)),
    "plan without an apply": lambda text: provision_sections(_planned(text)),
    "validate": lambda text: validation_sections(filled(ValidationReport, text)),
    "drift": lambda text: drift_sections(filled(DriftReport, text)),
    "drift of one environment": lambda text: environment_page(filled(EnvironmentDrift, text)),
    "sweep": lambda text: sweep_sections(filled(SweepReport, text)),
    "audit": lambda text: to_markdown(filled(FleetAudit, text)),
    "changes of an audit": lambda text: changes_markdown(filled(FleetAudit, text)),
    "frame": lambda text: report_page(text, _ended(text, line="word"), section(text, "body")),
    "changes": lambda text: changes_table(filled(Plan, text).changes),
    "question of an approval": lambda text: question(_plan_page(text), _MOMENT, (text,)),
    "table": lambda text: table(("a", "b"), [(text, text), ("x", text)]),
}
_PARSER: Final = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
_ADDRESS: Final = re.compile(r"(?<!\]\()(?:https?://|www\.)[\w.-]+", re.IGNORECASE)
"""What GitHub and Prefect's UI make a link of by themselves."""


def _planned(text: str) -> ProvisionReport:
    return filled(ProvisionReport, text).model_copy(update={"applied": None, "plan": _plan(text)})


def _plan(text: str) -> Plan:
    return filled(Plan, text).model_copy(update={"digest": "0" * 64})  # A digest is always ours.


def _plan_page(text: str) -> str:
    plan = _plan(text)
    return plan_page(text, plan, plan.changes[:1], limit_bytes=PAGE_BYTES, whole="elsewhere")


def _ended(text: str, line: str) -> RunOutcome:
    return filled(RunOutcome, text).model_copy(update={"line": line})


def shape(markdown: str) -> list[str]:
    """What a renderer makes of a page, without its words."""
    return _kinds(_PARSER.parse(markdown))


def _kinds(tokens: list[Token]) -> list[str]:
    found: list[str] = []
    for token in tokens:
        if token.type not in {"text", "softbreak"}:
            found.append(f"{token.type} {token.tag} {token.attrGet('href') or ''}")
        found += _kinds(token.children or [])
    return found


def page_dangers(markdown: str) -> list[str]:
    return [*terminal_dangers(markdown.split("\n")), *_ADDRESS.findall(markdown)]


@each_text
@pytest.mark.parametrize("page", PAGES)
def test_a_page_has_the_same_shape_whatever_is_written_in_it(page: str, text: str) -> None:
    markdown = PAGES[page](text)

    assert shape(markdown) == shape(PAGES[page]("word"))
    assert page_dangers(markdown) == []


@pytest.mark.parametrize("page", PAGES)
def test_the_shape_is_that_of_a_page_with_the_text_in_it(page: str) -> None:
    assert "word" in PAGES[page]("word")
    assert len(shape(PAGES[page]("word"))) > 5


@each_text
def test_a_line_of_outcome_is_at_most_a_list_of_its_lines(text: str) -> None:
    """A failed preflight lists the prerequisites so."""
    markdown = report_page("word", _ended("word", line=several_lines(text, 2_000)), "")
    others = {*shape(markdown)} - {*shape(PAGES["frame"]("word"))}

    assert {kind.split()[0] for kind in others} <= {
        "bullet_list_open", "list_item_open", "list_item_close", "bullet_list_close",
    }  # fmt: skip
    assert page_dangers(markdown) == []


def test_the_control_sees_what_raw_texts_do_to_a_page() -> None:
    def seen(text: str) -> bool:
        raw, ordinary = (f"| a | b |\n|---|---|\n| one | {shown} |\n\nfirst\n{shown}\n" for shown in (text, "word"))
        return bool(page_dangers(raw)) or shape(raw) != shape(ordinary)

    unseen = {text[:12] for text in HOSTILE_TEXTS if not seen(text)}
    assert unseen <= {"x" * 12, "--- | ---", ":-:"}


@each_text
def test_a_cell_is_cut_in_its_middle(text: str) -> None:
    assert "\n" not in cell(text)
    assert cell(text * 1_000 + " cause").endswith("cause")


@pytest.mark.parametrize("text", READABLE_TEXTS)
def test_what_is_readable_is_shown_as_it_is(text: str) -> None:
    assert text.replace("(", "\\(").replace(")", "\\)") in cell(text)


@each_text
def test_junit_can_be_parsed_and_printed(text: str) -> None:
    verdict = filled(Verdict, text)
    root = ET.fromstring(render_junit(text, verdict.checks))  # noqa: S314 - our own text

    assert [element.tag for element in root.iter()] == [
        element.tag
        for element in ET.fromstring(render_junit("word", filled(Verdict, "word").checks)).iter()  # noqa: S314 - same
    ]
    values = [value for element in root.iter() for value in (*element.attrib.values(), element.text or "")]
    assert terminal_dangers(line for value in values for line in value.split("\n")) == []
