"""A text in chunks is redacted as the whole would be."""

import base64
import json
from collections.abc import Iterable

from hypothesis import example, given
from hypothesis import strategies as st

from holdtrue.core.forms import REPLACEMENT
from holdtrue.core.redaction import Redactor, StreamRedactor
from tests.unit.core.encoders import ENCODERS

SECRETS = st.lists(st.text("abcd\n", min_size=8, max_size=20), max_size=3)


def pass_through(redactor: Redactor, chunks: Iterable[str]) -> list[str]:
    stream = StreamRedactor(redactor)
    return [*(stream.feed(chunk) for chunk in chunks), stream.flush()]


@st.composite
def folded(draw: st.DrawFn, secrets: list[str]) -> str:
    """Base64 of a text with a secret in it, wrapped, also within JSON."""
    around = st.integers(0, 90)
    raw = b"." * draw(around) + draw(st.sampled_from(secrets)).encode() + b"." * draw(around)
    text = base64.encodebytes(raw).decode()
    return draw(st.sampled_from([text, text.replace("\n", "\r\n"), json.dumps(text), text.replace("\n", "\n   ")]))


@st.composite
def chunked(draw: st.DrawFn) -> tuple[list[str], list[str]]:
    """Secrets, and a text of them, their forms and pieces, and noise, cut anywhere."""
    secrets = draw(SECRETS)
    forms = sorted({encode(secret) for secret in secrets for encode in ENCODERS.values()})
    parts = st.one_of(st.text("abcde", max_size=6), *([st.sampled_from(forms), folded(secrets)] if forms else []))
    text = "".join(draw(st.lists(parts, max_size=6)))
    cuts = sorted(draw(st.lists(st.integers(0, len(text)), max_size=8)))
    return secrets, [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]


@given(case=chunked())
@example(case=(["abcdabcd"], ["abcdabcdab", "cd"]))
@example(case=(["abcdabcd", "bcdabcdd"], ["abcdabc", "d", "d"]))
@example(case=(["aaaaaaaaa"], ["aaaaaa616161616161616161616161616161616161", ""]))
@example(case=(["aaaabaaa"], ["a" * 4, "b", "aaa", "aaaabaaa"]))
def test_the_pieces_together_are_the_whole_redacted(case: tuple[list[str], list[str]]) -> None:
    secrets, chunks = case
    redactor = Redactor(secrets)

    assert "".join(pass_through(redactor, chunks)) == redactor.redact("".join(chunks))


@given(case=chunked())
def test_no_more_is_held_back_than_could_be_a_form(case: tuple[list[str], list[str]]) -> None:
    secrets, chunks = case
    redactor = Redactor(secrets)
    stream = StreamRedactor(redactor)
    for chunk in chunks:
        stream.feed(chunk)
        assert stream.held_back <= 2 * redactor.longest


def test_one_character_at_a_time() -> None:
    secret = "s3cr3t-va/ue+1"
    redactor = Redactor([secret])
    for encode in ENCODERS.values():
        shown = pass_through(redactor, f"before {encode(secret)} after")
        assert "".join(shown) == f"before {REPLACEMENT} after"


def test_a_line_that_is_cut_where_it_was_given_out_is_still_one() -> None:
    secret = "s3cr3t-va/ue+1"
    redactor = Redactor([secret])
    whole = base64.b64encode(b"." * 300 + secret.encode() + b"." * 300).decode()
    for width in (60, 64, 76):
        text = "\n".join(whole[at : at + width] for at in range(0, len(whole), width)) + "\n"
        for size in (1, 7, 50, 100, 1000):
            chunks = [text[at : at + size] for at in range(0, len(text), size)]
            assert "".join(pass_through(redactor, chunks)).replace("\n", "") == redactor.redact(whole)


def test_small_chunks_cost_no_more_than_large_ones() -> None:
    class Counting(Redactor):
        examined = 0

        def find(self, text: str) -> list[tuple[int, int]]:
            self.examined += len(text)
            return super().find(text)

    redactor = Counting(["s3cr3t-value" * 50])
    text = "nothing to see here\n" * 5_000
    assert "".join(pass_through(redactor, text)) == text
    assert redactor.examined < 4 * len(text)


def test_a_secret_that_becomes_known_in_the_middle_counts_from_then_on() -> None:
    redactor = Redactor()
    stream = StreamRedactor(redactor)
    assert stream.feed("nothing is known ") == "nothing is known "
    redactor.add(["s3cr3t-value"])

    assert stream.feed("s3cr3t-") + stream.feed("value.") + stream.flush() == f"{REPLACEMENT}."
