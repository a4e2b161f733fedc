"""No form of a secret survives redaction, wherever it stands."""

import base64
from collections.abc import Callable
from xml.etree import ElementTree as ET

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from holdtrue.core.forms import MINIMUM_LENGTH, REPLACEMENT, forms, lines, refusal
from holdtrue.core.redaction import Redactor, redact
from tests.unit.core.encoders import ENCODERS, NESTING

# The replacement's own letters could spell a secret again; brackets rule that out.
CHARACTERS = st.characters(exclude_characters="[]", exclude_categories=["Cs"])
SECRETS = st.text(CHARACTERS, min_size=MINIMUM_LENGTH, max_size=60).filter(lambda text: text not in REPLACEMENT)
PLAIN_SECRETS = st.text("abcd&'", min_size=MINIMUM_LENGTH, max_size=20)
TEXTS = st.text(CHARACTERS, max_size=40)

HOSTILE = "a\"b'c\\d\n<e>&f/g+h é\u2028\U0001f511%41"


def lower_percent(text: str) -> str:
    return "".join(c if c.isalnum() and c.isascii() else "".join(f"%{b:02x}" for b in c.encode()) for c in text)


@pytest.mark.parametrize("name", ENCODERS)
@settings(max_examples=40)
@given(secret=SECRETS, before=TEXTS, after=TEXTS)
@example(secret=HOSTILE, before="", after="")
@example(secret="trailing\n", before="x", after="y")
@example(secret="aaaaaaaa", before="aaa", after="aa")
def test_no_form_survives(name: str, secret: str, before: str, after: str) -> None:
    form = ENCODERS[name](secret)

    assert form not in redact(f"{before}{form}{after}", [secret])


@pytest.mark.parametrize("name", sorted(ENCODERS.keys() - {"base64"}))
@pytest.mark.parametrize("secret", ["a\"b'c\\d<e>&f/g+h é\u2028\U0001f511%41", 'it\'s a `$secret`, "quoted"; #~!'])
def test_a_form_is_covered_from_end_to_end(name: str, secret: str) -> None:
    assert redact(f"<{ENCODERS[name](secret)}>", [secret]) == f"<{REPLACEMENT}>"


@pytest.mark.parametrize("outer", NESTING)
@pytest.mark.parametrize("inner", NESTING)
@pytest.mark.parametrize("secret", [HOSTILE, "p@ss/w0rd+1!", 'it\'s a `$secret`, "quoted"; #~!'])
def test_a_form_within_a_form_is_covered_from_end_to_end(inner: str, outer: str, secret: str) -> None:
    form = NESTING[outer](NESTING[inner](secret))

    assert redact(f"<{form}>", [secret]) == f"<{REPLACEMENT}>"


@pytest.mark.parametrize("inner", sorted(ENCODERS.keys() - {"base64", "hex", "hex in capitals"}))
@pytest.mark.parametrize("secret", [HOSTILE, "p@ss/w0rd+1!?"])
def test_base64_of_a_form_is_covered_but_for_its_seams(inner: str, secret: str) -> None:
    form = ENCODERS[inner](secret)
    for before in (b"", b"x", b"xy"):
        first, last = -(-len(before) // 3), (len(before) + len(form.encode())) // 3
        text = base64.b64encode(before + form.encode() + b"after").decode()
        assert redact(text, [secret]) == f"{text[: first * 4]}{REPLACEMENT}{text[last * 4 :]}", before


@pytest.mark.parametrize("escape", NESTING.values(), ids=NESTING)
def test_base64_within_a_form(escape: Callable[[str], str]) -> None:
    secret = "\u00ff\u00fe?>" * 6
    text = base64.b64encode(secret.encode()).decode()
    assert "+" in text
    assert "/" in text

    assert redact(escape(text), [secret]) == REPLACEMENT


def test_a_value_has_few_forms() -> None:
    for secret, most in (("hvs." + "Ab1" * 30, 10), ("p@ss/w0rd+1!", 150), (HOSTILE, 700)):
        assert len(forms(secret) | lines(secret)) <= most


BREAKS = ["\n", "\r\n", r"\n", r"\r\n", r"\\n", "\n    "]
"""As they are, in JSON, in JSON in JSON, and indented."""


@pytest.mark.parametrize("line_break", BREAKS)
@settings(max_examples=25)
@given(
    secret=SECRETS,
    before=st.binary(max_size=200),
    after=st.binary(min_size=60, max_size=200),
    width=st.sampled_from([60, 64, 76]),
)
def test_base64_of_a_longer_text_is_found_wherever_its_lines_cut_it(
    line_break: str, secret: str, before: bytes, after: bytes, width: int
) -> None:
    whole = base64.b64encode(before + secret.encode() + after).decode()
    folded = line_break.join(whole[at : at + width] for at in range(0, len(whole), width))

    clean = redact(folded, [secret])

    assert clean.replace(line_break, "") == redact(whole, [secret])
    assert (clean == folded) == (redact(whole, [secret]) == whole)


@settings(max_examples=40)
@given(secret=SECRETS, before=st.binary(max_size=200))
def test_mime_lines(secret: str, before: bytes) -> None:
    raw = before + secret.encode() + b"." * 60
    first, last = -(-len(before) // 3), (len(before) + len(secret.encode())) // 3
    clean = redact(base64.encodebytes(raw).decode(), [secret]).replace("\n", "")

    assert base64.b64encode(raw).decode()[first * 4 : last * 4] not in clean


def test_lines_of_words_are_no_wrapped_text() -> None:
    text = "a line that ends with abcdefgh\nijklmnop begins another"

    assert redact(text, ["abcdefghijklmnop"]) == text


@settings(max_examples=40)
@given(secret=SECRETS, before=st.binary(max_size=7), after=st.binary(max_size=7), url_safe=st.booleans())
@example(secret="\u00ff\u00fe\u00ff\u00fe\u00ff\u00fe\u00ff\u00fe", before=b"", after=b"", url_safe=True)
def test_no_alignment_of_base64_survives(secret: str, before: bytes, after: bytes, *, url_safe: bool) -> None:
    raw = secret.encode()
    encode = base64.urlsafe_b64encode if url_safe else base64.b64encode
    # The characters that only the secret decides: those of the 3-byte groups that lie wholly in it.
    first, last = -(-len(before) // 3), (len(before) + len(raw)) // 3
    text = encode(before + raw + after).decode()

    assert text[first * 4 : last * 4] not in redact(text, [secret])


@given(secret=st.text(st.characters(codec="ascii", exclude_categories=["Cc"], exclude_characters="[]"), min_size=9))
def test_no_attribute_of_xml_shows_it(secret: str) -> None:
    text = ET.tostring(ET.Element("case", {"message": secret}), encoding="unicode")
    value = text.removeprefix('<case message="').removesuffix('" />')

    assert value not in redact(text, [secret]) or secret in REPLACEMENT


def test_lines_of_base64_are_secrets() -> None:
    secret = "".join(f"line {number} of a long secret\n" for number in range(20))
    for width in (64, 76):
        whole = base64.b64encode(secret.encode()).decode()
        lines = [whole[at : at + width] for at in range(0, len(whole), width)]
        assert all(redact(f"> {line} <", [secret]) == f"> {REPLACEMENT} <" for line in lines if len(line) >= 8)


def test_lower_case_percent_encoding() -> None:
    form = lower_percent("pass/word/é")

    assert redact(f"https://h.example/{form}", ["pass/word/é"]) == f"https://h.example/{REPLACEMENT}"


@settings(max_examples=40)
@given(text=TEXTS, short=st.text(max_size=MINIMUM_LENGTH - 1))
def test_short_values_are_left_alone(text: str, short: str) -> None:
    assert redact(f"{text}{short}{text}", [short]) == f"{text}{short}{text}"
    assert forms(short) | lines(short) == frozenset()


@given(text=st.text("0123456789", max_size=200), secret=st.text("abcdef", min_size=MINIMUM_LENGTH, max_size=20))
def test_other_text_is_left_alone(text: str, secret: str) -> None:
    assert redact(text, [secret]) == text


@settings(max_examples=40)
@given(secret=SECRETS, before=TEXTS, after=TEXTS)
def test_redacting_twice_changes_nothing_more(secret: str, before: str, after: str) -> None:
    redactor = Redactor([secret])
    once = redactor.redact(f"{before}{secret}{after}")

    assert redactor.redact(once) == once


def test_each_line_of_a_key_is_a_secret() -> None:
    key = "-----BEGIN KEY-----\nAAAAB3NzaC1yc2E\r\nqwertyuiopasdf\n-----END KEY-----\n"

    assert redact("line: qwertyuiopasdf; AAAAB3NzaC1yc2E.", [key]) == f"line: {REPLACEMENT}; {REPLACEMENT}."


def test_what_every_key_begins_and_ends_with_is_no_secret() -> None:
    armour = "-----BEGIN OPENSSH PRIVATE KEY-----"
    key = f"{armour}\nb3BlbnNzaC1rZXktdjEAAAAA\n  qwertyuiopasdf\nshort\n-----END OPENSSH PRIVATE KEY-----\n"

    assert redact(f"{armour} ...", [key]) == f"{armour} ..."
    for joint in ("", " ", "\n", "\r\n"):
        assert redact(f"<{joint.join(key.splitlines())}>", [key]) == f"<{REPLACEMENT}>"
    assert redact("short password qwertyuiopasdf", [key]) == f"short password {REPLACEMENT}"


def test_a_line_that_could_be_anybodys_is_no_secret_of_its_own() -> None:
    document = "password\n========\nlocalhost\nreally-secret-line\n"

    assert redact("localhost ======== password really-secret-line", [document]) == (
        f"localhost ======== password {REPLACEMENT}"
    )


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


@given(text=st.text("abcde", max_size=80), secrets=st.lists(st.text("abcd", min_size=8, max_size=12), max_size=12))
def test_every_occurrence_is_found_wherever_it_stands(text: str, secrets: list[str]) -> None:
    redactor = Redactor(secrets)
    known = {form for secret in secrets for form in forms(secret) | lines(secret)}
    expected = {
        (start, start + len(form)) for form in known for start in range(len(text)) if text.startswith(form, start)
    }

    found = redactor.find(text)

    assert set(found) == expected
    assert len(found) == len(expected)


@settings(max_examples=25)
@given(kept=st.lists(PLAIN_SECRETS, max_size=4), gone=st.lists(PLAIN_SECRETS, max_size=4), text=TEXTS)
def test_what_is_discarded_is_forgotten_and_nothing_else(kept: list[str], gone: list[str], text: str) -> None:
    redactor = Redactor(kept)
    redactor.add(gone)
    redactor.discard(gone)

    assert redactor.longest == Redactor(kept).longest
    assert bool(redactor) is bool(kept)
    for secret in [*kept, *gone]:
        shown = f"{text}{secret}{text}"
        assert redactor.redact(shown) == redact(shown, kept)
    redactor.discard(kept)
    assert not redactor._index._windows.entries


@pytest.mark.parametrize(
    ("value", "refused"),
    [
        ("", True),
        ("short12", True),
        ("  short12 \n", True),
        ("00000000000000000000", True),
        ("=-=-=-=-=-=-=-=-=-=-", True),
        ("password", True),
        ("Password\n", True),
        ("LOCALHOST", True),
        ("eu-central-1", True),
        ("us-gov-west-1a", True),
        ("administrator", True),
        ("[redacted]", True),
        ("2026-11-30", True),
        ("2026-11-30T12:46:31.25Z", True),
        ("2026-11-30 12:46:31+01:00\n", True),
        ("12:46:31", True),
        ("2026-11-30x", False),
        ("20261130", False),
        ("s3cr3t-value", False),
        ("hvs.CAESIJ", False),
        ("passwords-are-long", False),
    ],
)
def test_values_that_occur_by_chance_are_refused(value: str, *, refused: bool) -> None:
    reason = refusal(value)

    assert (reason is not None) is refused
    assert reason is None or not value.strip() or value.strip() not in reason


def test_no_secrets_no_change() -> None:
    assert redact("plain text", []) == "plain text"
