"""Making other people's text safe for one place at a time."""

import json
import time
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdtrue.core.neutral import (
    for_html,
    for_markdown,
    for_sarif,
    for_terminal,
    json_text,
    one_line,
    web_link,
)

any_text = st.text(st.characters(exclude_categories=()), max_size=400)


@given(any_text, st.integers(2, 60))
@settings(deadline=None, max_examples=200)
def test_a_line_is_printable_and_short_whatever_it_is_made_of(text: str, limit: int) -> None:
    line = one_line(text, limit)

    assert line.isprintable()
    assert len(line) <= limit


@given(st.text(st.characters(categories=("L", "N", "P", "S")), max_size=60))
@settings(deadline=None, max_examples=200)
def test_an_ordinary_text_is_left_as_it_is(text: str) -> None:
    assert one_line(text, 60) == text


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


def test_markup_of_markdown_is_escaped_and_plain_text_is_not() -> None:
    assert for_markdown("requests 2.31.0, line 3") == "requests 2.31.0, line 3"
    assert for_markdown("a|b") == "a&#124;b"
    assert for_markdown("<b>&amp;") == "&lt;b&gt;&amp;amp;"
    assert for_markdown("[x](y)") == r"\[x\]\(y\)"
    assert for_markdown("http://x WWW.x") == r"http\://x WWW\.x"


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
