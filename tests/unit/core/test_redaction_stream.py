"""A text in chunks is redacted as the whole would be."""

from collections.abc import Iterable

from hypothesis import example, given
from hypothesis import strategies as st

from holdtrue.core.redaction import REPLACEMENT, Redactor, StreamRedactor, encodings

SECRETS = st.lists(st.text("abcd\n", min_size=8, max_size=20), max_size=3)


def pass_through(redactor: Redactor, chunks: Iterable[str]) -> list[str]:
    stream = StreamRedactor(redactor)
    return [*(stream.feed(chunk) for chunk in chunks), stream.flush()]


@st.composite
def chunked(draw: st.DrawFn) -> tuple[list[str], list[str]]:
    """Secrets, and a text of them, their forms and pieces, and noise, cut anywhere."""
    secrets = draw(SECRETS)
    forms = sorted({form for secret in secrets for form in encodings(secret)})
    parts = st.one_of(st.text("abcde", max_size=6), *([st.sampled_from(forms)] if forms else []))
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
        assert len(stream._held) <= max(redactor.longest - 1, 0)


def test_one_character_at_a_time() -> None:
    secret = "s3cr3t-va/ue+1"
    redactor = Redactor([secret])
    for form in encodings(secret):
        shown = pass_through(redactor, f"before {form} after")
        assert "".join(shown) == f"before {REPLACEMENT} after"


def test_a_secret_that_becomes_known_in_the_middle_counts_from_then_on() -> None:
    redactor = Redactor()
    stream = StreamRedactor(redactor)
    assert stream.feed("nothing is known ") == "nothing is known "
    redactor.add(["s3cr3t-value"])

    assert stream.feed("s3cr3t-") + stream.feed("value.") + stream.flush() == f"{REPLACEMENT}."
