"""No form of a secret survives redaction, wherever it stands."""

import base64
import json
from collections.abc import Callable
from html import escape
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from holdtrue.core.redaction import MINIMUM_LENGTH, REPLACEMENT, Redactor, encodings, redact

# The replacement's own letters could spell a secret again; brackets rule that out.
CHARACTERS = st.characters(exclude_characters="[]", exclude_categories=["Cs"])
SECRETS = st.text(CHARACTERS, min_size=MINIMUM_LENGTH, max_size=60).filter(lambda text: text not in REPLACEMENT)
TEXTS = st.text(CHARACTERS, max_size=40)

HOSTILE = "a\"b'c\\d\n<e>&f/g+h é\u2028\U0001f511%41"


def go_json(text: str) -> str:
    plain = json.dumps(text, ensure_ascii=False)[1:-1]
    for character in "<>&\u2028\u2029":
        plain = plain.replace(character, f"\\u{ord(character):04x}")
    return plain


def lower_percent(text: str) -> str:
    return "".join(c if c.isalnum() and c.isascii() else "".join(f"%{b:02x}" for b in c.encode()) for c in text)


ENCODERS: dict[str, Callable[[str], str]] = {
    "raw": str,
    "json": lambda text: json.dumps(text)[1:-1],
    "json with other alphabets": lambda text: json.dumps(text, ensure_ascii=False)[1:-1],
    "json of Go": go_json,
    "url": lambda text: quote(text, safe=""),
    "url path": quote,
    "url query": quote_plus,
    "url of JavaScript": lambda text: quote(text, safe="!'()*"),
    "html": escape,
    "repr": lambda text: repr(text)[1:-1],
    "repr in a longer text": lambda text: repr(f"'\"{text}")[4:-1],
    "repr of bytes": lambda text: repr(text.encode())[2:-1],
    "base64": lambda text: base64.b64encode(text.encode()).decode().rstrip("="),
}


@pytest.mark.parametrize("name", ENCODERS)
@settings(max_examples=40)
@given(secret=SECRETS, before=TEXTS, after=TEXTS)
@example(secret=HOSTILE, before="", after="")
@example(secret="trailing\n", before="x", after="y")
@example(secret="aaaaaaaa", before="aaa", after="aa")
def test_no_form_survives(name: str, secret: str, before: str, after: str) -> None:
    form = ENCODERS[name](secret)
    whole_groups = form[: len(form) - len(form) % 4] if name == "base64" else form

    assert whole_groups not in redact(f"{before}{form}{after}", [secret])


@given(secret=SECRETS, before=st.binary(max_size=7), after=st.binary(max_size=7), url_safe=st.booleans())
@example(secret="\u00ff\u00fe\u00ff\u00fe\u00ff\u00fe\u00ff\u00fe", before=b"", after=b"", url_safe=True)
def test_no_alignment_of_base64_survives(secret: str, before: bytes, after: bytes, *, url_safe: bool) -> None:
    raw = secret.encode()
    encode = base64.urlsafe_b64encode if url_safe else base64.b64encode
    # The characters that only the secret decides: those of the 3-byte groups that lie wholly in it.
    first, last = -(-len(before) // 3), (len(before) + len(raw)) // 3
    text = encode(before + raw + after).decode()

    assert text[first * 4 : last * 4] not in redact(text, [secret])


def test_lower_case_percent_encoding() -> None:
    form = lower_percent("pass/word/é")

    assert redact(f"https://h.example/{form}", ["pass/word/é"]) == f"https://h.example/{REPLACEMENT}"


@given(text=TEXTS, short=st.text(max_size=MINIMUM_LENGTH - 1))
def test_short_values_are_left_alone(text: str, short: str) -> None:
    assert redact(f"{text}{short}{text}", [short]) == f"{text}{short}{text}"
    assert encodings(short) == frozenset()


@given(text=st.text("0123456789", max_size=200), secret=st.text("abcdef", min_size=MINIMUM_LENGTH, max_size=20))
def test_other_text_is_left_alone(text: str, secret: str) -> None:
    assert redact(text, [secret]) == text


@given(secret=SECRETS, before=TEXTS, after=TEXTS)
def test_redacting_twice_changes_nothing_more(secret: str, before: str, after: str) -> None:
    redactor = Redactor([secret])
    once = redactor.redact(f"{before}{secret}{after}")

    assert redactor.redact(once) == once


def test_each_line_of_a_key_is_a_secret() -> None:
    key = "-----BEGIN KEY-----\nAAAAB3NzaC1yc2E\r\nqwertyuiopasdf\n-----END KEY-----\n"

    assert redact("line: qwertyuiopasdf; AAAAB3NzaC1yc2E.", [key]) == f"line: {REPLACEMENT}; {REPLACEMENT}."


def test_white_space_around_a_value_does_not_hide_it() -> None:
    secret = "s3cr3t-value\n"

    for form in ("s3cr3t-value", base64.b64encode(b"s3cr3t-value").decode()):
        assert redact(f"[{form}]", [secret]) == f"[{REPLACEMENT}]"


def test_secrets_that_overlap_leave_no_part() -> None:
    assert redact("x abcdefghijkl y", ["abcdefgh", "efghijkl"]) == f"x {REPLACEMENT} y"
    assert redact("x abcdefghijkl y", ["abcdefgh", "abcdefghijkl"]) == f"x {REPLACEMENT} y"


def test_a_secret_that_is_part_of_the_replacement_ends() -> None:
    assert redact("redacted", ["redacted"]) == REPLACEMENT


def test_bytes_that_are_no_text_do_not_break_it() -> None:
    secret = b"s3cr3t\xff\xfevalue".decode(errors="surrogateescape")

    assert redact(f"<{secret}>", [secret]) == f"<{REPLACEMENT}>"


def test_no_secrets_no_change() -> None:
    assert redact("plain text", []) == "plain text"
