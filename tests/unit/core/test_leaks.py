"""Known values are found in every form, wherever the bytes are cut; what is no value of ours is not."""

import base64
import json
import shlex
import string
import urllib.parse
from collections.abc import Callable

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import SecretStr

from holdtrue.adapters.ssh import generate_key_pair
from holdtrue.core.forms import refusal
from holdtrue.core.leak_report import conclude, describe
from holdtrue.core.leak_values import parse_values
from holdtrue.core.leaks import Found, NeedleIndex, StreamSearch, search_bytes
from holdtrue.errors import RejectedError
from holdtrue.models.leak import Form, KnownValue, Leak, LeakVerdict, NotSearched

SECRET = "p@ss w0rd/with \"quotes\" and 'ticks'"
TOKEN = "hvs.CAESIJ4mYvQ2rT7wXk0ZbN8eLq"
KEY = "-----BEGIN FAKE KEY-----\nMIIEvQIBADANBgkq\nhkiG9w0BAQEFAASC\n-----END FAKE KEY-----\n"

ENCODERS: dict[str, Callable[[bytes], bytes]] = {
    "plain": lambda raw: raw,
    "json": lambda raw: json.dumps(raw.decode()).encode(),
    "json in json": lambda raw: json.dumps(json.dumps([raw.decode()])).encode(),
    "url": lambda raw: urllib.parse.quote(raw).encode(),
    "form": lambda raw: urllib.parse.quote_plus(raw).encode(),
    "hex": lambda raw: raw.hex().encode(),
    "capital hex": lambda raw: raw.hex().upper().encode(),
    "shell": lambda raw: shlex.quote(raw.decode()).encode(),
    "repr": lambda raw: repr(raw.decode()).encode(),
    "utf-16": lambda raw: raw.decode().encode("utf-16"),
    "utf-16-be": lambda raw: raw.decode().encode("utf-16-be"),
    "powershell": lambda raw: base64.b64encode(raw.decode().encode("utf-16-le")),
    "base64": base64.b64encode,
    "base64 after 1": lambda raw: base64.b64encode(b"x" + raw),
    "base64 after 2": lambda raw: base64.b64encode(b"xy" + raw),
    "url-safe base64": lambda raw: base64.urlsafe_b64encode(b"\xfa" + raw),
    "wrapped base64": lambda raw: base64.encodebytes(b"user:" + raw),
    "wrapped base64, cut in the middle": lambda raw: base64.encodebytes(b"-" * (57 - len(raw) // 2) + raw + b"-" * 99),
    "wrapped base64 in JSON": lambda raw: json.dumps(base64.encodebytes(b"-" * 50 + raw + b"-" * 99).decode()).encode(),
}


def known(value: str, name: str = "it") -> KnownValue:
    return KnownValue(name=name, value=SecretStr(value))


def find(value: str, data: bytes) -> tuple[Found, ...]:
    return search_bytes(NeedleIndex([known(value)]), data)


@pytest.mark.parametrize("encode", ENCODERS.values(), ids=ENCODERS)
@pytest.mark.parametrize("value", [SECRET, TOKEN, KEY, "pässwörd-ü€"])
def test_every_form_is_found(value: str, encode: Callable[[bytes], bytes]) -> None:
    assert find(value, b"\x00before " + encode(value.strip().encode()) + b" after")


@pytest.mark.parametrize("encode", ENCODERS.values(), ids=ENCODERS)
def test_control_without_the_value_nothing_is_found(encode: Callable[[bytes], bytes]) -> None:
    assert find(SECRET, b"before " + encode(SECRET[::-1].encode()) + b" after") == ()


SECRETS = st.text(string.printable + "äß€🔑", min_size=9, max_size=60).filter(lambda text: refusal(text) is None)


@given(SECRETS, st.sampled_from(sorted(ENCODERS)), st.binary(max_size=40), st.binary(max_size=40))
def test_any_value_is_found_in_any_form_among_any_bytes(value: str, name: str, before: bytes, after: bytes) -> None:
    encoded = ENCODERS[name](value.encode())
    # Base64 keeps whole groups of three bytes only; a short value has too few of them to be told.
    assume("base64" not in name or len(value.encode()) > 11)
    assert find(value, before + encoded + after)


@given(SECRETS.filter(lambda text: len(text.encode()) > 11), st.integers(0, 120), st.integers(0, 120))
def test_wrapped_base64_hides_no_value_however_its_lines_cut_it(value: str, before: int, after: int) -> None:
    encoded = base64.encodebytes(b"." * before + value.encode() + b"." * after)
    assert find(value, encoded)
    assert find(value, json.dumps(encoded.decode()).encode())
    assert not find(value[::-1] + "x", encoded)


@given(st.lists(st.binary(max_size=9), max_size=30), st.integers(1, 30))
def test_any_cut_into_chunks_finds_the_same(noise: list[bytes], size: int) -> None:
    data = b"".join([*noise, TOKEN.encode(), *noise, base64.b64encode(TOKEN.encode()), *noise])
    index = NeedleIndex([known(TOKEN)])
    search = StreamSearch(index)
    for at in range(0, len(data), size):
        search.feed(data[at : at + size])

    whole = search_bytes(index, data)
    assert sorted(search.finish(), key=str) == sorted(whole, key=str)
    assert Found("it", Form.PLAIN, data.index(TOKEN.encode()), 1) in whole


@pytest.mark.parametrize(
    ("data", "form"),
    [
        (SECRET, Form.PLAIN),
        (json.dumps(SECRET), Form.JSON),
        (urllib.parse.quote(SECRET), Form.URL),
        (SECRET.encode().hex(), Form.HEX),
        (base64.b64encode(SECRET.encode()).decode(), Form.BASE64),
        (shlex.quote(SECRET), Form.SHELL),
        (f"cut: {SECRET[:15]}", Form.HEAD),
        (f"cut: {SECRET[-15:]}", Form.TAIL),
    ],
)
def test_the_form_is_told_and_a_value_found_once_is_one_leak(data: str, form: Form) -> None:
    (found,) = find(SECRET, f"....{data}....".encode())
    assert (found.form, found.count) == (form, 1)


def test_a_line_of_a_key_is_a_part_of_it_and_its_armour_is_not() -> None:
    (found,) = find(KEY, b"log: MIIEvQIBADANBgkq")
    assert found.form is Form.LINE
    assert found.form.is_partial
    assert find(KEY, b"-----BEGIN FAKE KEY-----") == ()


def test_what_all_tokens_of_a_kind_begin_with_is_none_of_them() -> None:
    token = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.NJVrYPzD1k0dW9mT3xq7sLhU2aG8eZtB"
    assert find(token, b"eyJhbGciOiJIUzI1NiJ9.somebody-else") == ()
    assert find(token, token[-12:].encode())


def test_two_keys_of_a_kind_are_told_apart() -> None:
    mine, other = (key.get_secret_value() for key, _ in (generate_key_pair(), generate_key_pair()))
    assert find(mine, other.encode()) == ()
    lines = mine.splitlines()
    for data in ("".join(lines), "\n".join(lines[2:]), json.dumps(mine), base64.encodebytes(mine.encode()).decode()):
        assert find(mine, data.encode())


def test_occurrences_are_counted_and_two_values_told_apart() -> None:
    index = NeedleIndex([known(TOKEN, "token"), known(f"{TOKEN}-and-more", "longer")])
    found = search_bytes(index, f"{TOKEN} {TOKEN}-and-more".encode())
    counts = {(item.name, item.form): item.count for item in found}
    assert counts["token", Form.PLAIN] == 2
    assert counts["longer", Form.PLAIN] == 1


def values(text: str) -> dict[str, str]:
    return {item.name: item.value.get_secret_value() for item in parse_values(text)}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("first-secret\n\nsecond-secret\r\n", {"value 1": "first-secret", "value 2": "second-secret"}),
        ("A=first-secret\nB=x=y=z-secret", {"A": "first-secret", "B": "x=y=z-secret"}),
        ("A=first-secret\nsecond-secret", {"value 1": "A=first-secret", "value 2": "second-secret"}),
        ("c2VjcmV0LXZhbHVl==", {"value 1": "c2VjcmV0LXZhbHVl=="}),
        (json.dumps({"key": KEY}), {"key": KEY}),
        (json.dumps(["first-secret"]), {"value 1": "first-secret"}),
        ("{a-password-with-brackets}", {"value 1": "{a-password-with-brackets}"}),
    ],
)
def test_values_are_read_from_lines_and_json(text: str, expected: dict[str, str]) -> None:
    assert values(text) == expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no value"),
        (" \n ", "no value"),
        ("{}", "no value"),
        ('{"a": 1}', "more than texts"),
        ("good-secret-1\nshort", "value 2: it has fewer than 8"),
        ("PW=aaaaaaaaaaaa", "PW: it has fewer than 4"),
        ("localhost.localdomain", "common word"),
        (json.dumps({"big": "x1y2z3" * 20_000}), "big: it has more than"),
    ],
)
def test_what_cannot_be_searched_for_is_refused_by_name(text: str, said: str) -> None:
    with pytest.raises(RejectedError, match=said) as caught:
        parse_values(text)
    for secret in ("short", "aaaaaaaa", "localdomain", "x1y2z3"):
        assert secret not in str(caught.value).replace("it is too short", "")


LEAK = Leak(name="it", place=f"/tmp/{TOKEN}/x", form=Form.PLAIN, offset=3, count=2)  # noqa: S108
GAP = NotSearched(place=f"db {TOKEN}", reason=f"said {TOKEN}")


@pytest.mark.parametrize(
    ("leaks", "gaps", "searched", "verdict"),
    [
        ([], [], 1, LeakVerdict.CLEAN),
        ([], [], 0, LeakVerdict.INCOMPLETE),
        ([], [GAP], 1, LeakVerdict.INCOMPLETE),
        ([LEAK], [GAP], 1, LeakVerdict.LEAKED),
        ([LEAK], [], 1, LeakVerdict.LEAKED),
    ],
)
def test_unknown_is_never_clean_and_no_report_holds_a_value(
    leaks: list[Leak], gaps: list[NotSearched], searched: int, verdict: LeakVerdict
) -> None:
    report = conclude([known(TOKEN)], leaks, gaps, gaps, searched=searched, searched_bytes=1)
    assert report.verdict is verdict
    assert TOKEN not in report.model_dump_json() + "".join(describe(report))
    assert len(describe(report)) == 1 + len(report.leaks) + len(report.not_searched) + len(report.left_out)
