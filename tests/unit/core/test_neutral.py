"""Making text from outside neutral for one place at a time."""

import json
import time
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdtrue.core.neutral import (
    CONTINUED,
    for_html,
    for_log,
    for_markdown,
    for_sarif,
    for_terminal,
    json_text,
    one_line,
    several_lines,
    web_link,
)
from tests.hostile_texts import FORGED, HOSTILE_TEXTS, READABLE_TEXTS, log_dangers, terminal_dangers

FILLERS = "\u115f\u1160\u3164\uffa0"
"""Letters of Hangul without a shape: who reads them sees nothing."""

any_text = st.text(st.characters(exclude_categories=()), max_size=400)


@given(any_text, st.integers(2, 60))
@settings(deadline=None, max_examples=200)
def test_a_line_is_printable_and_short_whatever_it_is_made_of(text: str, limit: int) -> None:
    line = one_line(text, limit)

    assert line.isprintable()
    assert len(line) <= limit


@given(st.text(st.characters(categories=("L", "N", "P", "S"), exclude_characters=FILLERS), max_size=60))
@settings(deadline=None, max_examples=200)
def test_an_ordinary_text_is_left_as_it_is(text: str) -> None:
    assert one_line(text, 60) == text


@pytest.mark.parametrize("text", READABLE_TEXTS)
@pytest.mark.parametrize("function", [one_line, several_lines, for_log, for_terminal, for_html])
def test_letters_of_every_language_are_shown_as_they_are(function: Callable[[str], str], text: str) -> None:
    assert function(text) == text


each_text = pytest.mark.parametrize("text", HOSTILE_TEXTS, ids=lambda text: ascii(text[:20]))


@each_text
def test_a_line_holds_nothing_that_a_terminal_obeys(text: str) -> None:
    assert terminal_dangers([for_terminal(text, 1_000)]) == []


@each_text
def test_a_log_record_is_told_from_the_next_one(text: str) -> None:
    assert log_dangers(for_log(text)) == []
    assert len(for_log(text)) < 250_000


def test_the_controls_see_the_danger_of_raw_texts() -> None:
    harmless = [text[:12] for text in HOSTILE_TEXTS if not log_dangers(text)]

    assert harmless == [text[:12] for text in HOSTILE_TEXTS if text.isprintable() and not text.startswith("::")]
    assert log_dangers(f"harmless\n{FORGED}") == [FORGED]
    assert log_dangers("web\u3164-1")


@given(any_text)
@settings(deadline=None, max_examples=200)
def test_a_log_record_that_is_handled_twice_is_marked_once(text: str) -> None:
    shown = for_log(text)

    assert log_dangers(shown) == []
    assert for_log(shown) == shown


def test_a_message_of_several_lines_stays_readable_in_a_log() -> None:
    engine = "error: update failed\n  aws:s3:Bucket (größe):\r\n\tAccessDenied"

    assert for_log(engine).split("\n") == [
        "error: update failed",
        f"{CONTINUED}  aws:s3:Bucket (größe):",
        f"{CONTINUED}    AccessDenied",
    ]
    assert several_lines(engine) == "error: update failed\n  aws:s3:Bucket (größe):\n    AccessDenied"


def test_an_unsafe_character_joins_nothing() -> None:
    assert one_line("hun\x1bter\u200b2") == "hun\ufffdter\ufffd2"


def test_a_long_message_keeps_its_beginning_and_its_end() -> None:
    shown = for_log("first " + "x" * 1_000_000 + " cause")

    assert shown.startswith("first ")
    assert shown.endswith(" cause")
    assert len(shown) <= 20_000


def test_line_breaks_become_blanks_and_what_is_cut_says_so() -> None:
    assert one_line("first\r\n\tsecond\u2028third") == "first second third"
    assert one_line("a" * 11, 10) == "a" * 9 + "…"
    assert one_line("\n" * 100 + "hidden", 10) == "…"


@pytest.mark.parametrize("function", [one_line, for_terminal, for_markdown, for_html, for_sarif])
@pytest.mark.parametrize("unit", ["x", " ", "\n", "#", "|", "\x00", "::"])
def test_an_enormous_text_costs_no_more_than_a_short_one(function: Callable[[str], str], unit: str) -> None:
    text = unit * 10_000_000
    started_at = time.process_time()

    result = function(text)

    assert time.process_time() - started_at < 0.1
    assert len(result) < 2_000


def test_a_build_agent_finds_no_command_in_a_line() -> None:
    assert "##" not in for_terminal("##[error]x ###vso[task] ##teamcity[")
    assert "##" in one_line("##[error]x"), "the control: without this escape it would"
    assert not for_log(" ::error::x\n::error::y").lstrip().startswith("::")


def test_markup_of_markdown_is_escaped_and_plain_text_is_not() -> None:
    assert for_markdown("requests 2.31.0, line 3") == "requests 2.31.0, line 3"
    assert for_markdown("a|b") == "a&#124;b"
    assert for_markdown("<b>&amp;") == "&lt;b&gt;&amp;amp;"
    assert for_markdown("[x](y)") == r"\[x\]\(y\)"
    assert for_markdown("http://x WWW.x") == r"http\://x WWW\.x"
    assert [for_markdown(text) for text in ("- a", "1. a", "=== ", "1.2", "a-b")] == [
        r"\- a", r"1\. a", r"\===", "1.2", "a-b",
    ]  # fmt: skip


def test_a_sarif_message_has_no_placeholder_and_no_embedded_link() -> None:
    assert for_sarif("{0} [x](y) a[0]") == "{{0}} [x] (y) a[0]"


@pytest.mark.parametrize(
    "address",
    [
        "https://advisories.example/PYSEC-2026-1",
        "HTTP://advisories.example:8080/a/b?c=d&e=%20#f",
        "https://advisories.example",
    ],
)
def test_a_plain_web_address_is_a_link(address: str) -> None:
    assert web_link(address) == address


@pytest.mark.parametrize(
    "address",
    [
        "",
        "javascript:alert(1)",
        "JaVaScRiPt:alert(1)//https://x.example",
        "data:text/html,x",
        "ftp://x.example/",
        "//x.example/",
        "https:///x",
        "https://user:secret@x.example/",
        "https://trusted.example@evil.example/",
        "https://x.example/a b",
        "https://x.example/\nb",
        "https://x.example/\n",
        'https://x.example/"onload="',
        "https://x.example/<b>",
        "https://x.example/|",
        "https://x.example/\u202e",
        "https://x.example/%zz",
        "https://x.example/#a#b",
        "https://x.example/" + "a" * 3_000,
    ],
)
def test_anything_else_is_no_link(address: str) -> None:
    assert not web_link(address)


@given(st.recursive(st.text() | st.integers(-(2**53), 2**53) | st.booleans() | st.none(), st.lists, max_leaves=10))
@settings(deadline=None, max_examples=200)
def test_json_is_printable_ascii_and_means_what_was_given(document: object) -> None:
    text = json_text({"key": document})

    assert text.isascii()
    assert text.replace("\n", "").isprintable()
    assert "##" not in text
    assert json.loads(text) == {"key": document}


def test_json_holds_neither_half_characters_nor_numbers_that_are_none() -> None:
    assert json.loads(json_text(["\ud800x", "\N{GRINNING FACE}", float("nan")])) == [
        "\ufffdx",
        "\N{GRINNING FACE}",
        None,
    ]
    assert json.loads(json_text({"\ud800x": 1})) == {"\ufffdx": 1}
