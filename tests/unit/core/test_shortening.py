"""Where a library cut a secret short, what is left of it is found; other text with an ellipsis stays."""

import reprlib
import textwrap
import unittest
from collections.abc import Callable
from typing import Any, Final

import pytest
from _pytest._io.saferepr import saferepr
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from rich.pretty import pretty_repr
from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError

from holdtrue.core.excerpt import excerpt
from holdtrue.core.forms import REPLACEMENT
from holdtrue.core.redaction import Redactor, StreamRedactor, redact

TOKEN: Final = "hvs.CAESIJ4mYvQ2rT7wXk0ZbN8eLqGh4KHGh2cy5kUjFsTm9QcXpVd1RyN3BMa0"
HOSTILE: Final = "it's \"Qz7\" <Kq8>&Vw9/Jx4+ äYb5% \\Ht6 'Rf2' é€Gd3 {Mn1} $Pl0 #Zc8 =Wb4 !Xs5 ~Dg6?Tk9"

INTEGERS: Final = TypeAdapter(dict[str, int])
LIST: Final = TypeAdapter(list[int])

PADDING: Final = "·" * 130

LONG_MARK: Final = f"[{'.' * 28} truncated {'.' * 28}]"

Shorten = Callable[[str], str]


def as_pydantic_says(adapter: TypeAdapter[Any], value: object) -> str:
    with pytest.raises(ValidationError) as refused:
        adapter.validate_python(value)
    return str(refused.value)


def as_unittest_says(secret: str) -> str:
    try:
        unittest.TestCase().assertEqual(secret * 3, secret * 3 + "x")  # noqa: PT009 - its message is wanted
    except AssertionError as error:
        return str(error).splitlines()[0]
    raise AssertionError


def as_sqlalchemy_says(secret: str) -> str:
    with pytest.raises(OperationalError) as failed, create_engine("sqlite://").connect() as connection:
        connection.execute(
            text("SELECT * FROM nothing WHERE a = :a"), {"a": f"{PADDING}{secret}{PADDING * 3}{secret}{PADDING}"}
        )
    return str(failed.value)


SHORTENED: Final[dict[str, Shorten]] = {
    "pydantic": lambda secret: as_pydantic_says(INTEGERS, {"token": secret}),
    "pydantic, in a mapping": lambda secret: as_pydantic_says(LIST, {"user": "app", "token": secret}),
    "pydantic, in a list": lambda secret: as_pydantic_says(INTEGERS, [1, secret]),
    "reprlib": reprlib.repr,
    "reprlib, in a mapping": lambda secret: reprlib.repr({"token": secret}),
    "rich": lambda secret: pretty_repr({"token": secret}, max_string=20),
    "pytest": lambda secret: saferepr(secret, maxsize=40),
    "unittest": as_unittest_says,
    "SQLAlchemy": as_sqlalchemy_says,
    "this project": lambda secret: excerpt(secret, 40),
    "JavaScript": lambda secret: f"'{secret[:20]}'... {len(secret) - 20} more characters",
    "words": lambda secret: f"{secret[:20]} [truncated] {secret[-20:]}",
    "a count": lambda secret: f"token={secret[:20]}<44 bytes omitted>{secret[-20:]}",
    "an ellipsis": lambda secret: f"token={secret[:20]}…",
    "nothing but the end": lambda secret: f"token=...{secret[-20:]}",
}


def left_of(secret: str, shown: str) -> list[str]:
    return [secret[at : at + 4] for at in range(len(secret) - 3) if secret[at : at + 4] in shown]


@pytest.mark.parametrize("name", SHORTENED)
@pytest.mark.parametrize("secret", [TOKEN, HOSTILE], ids=["token", "hostile"])
def test_nothing_readable_is_left_of_a_secret_that_was_cut(name: str, secret: str) -> None:
    shown = SHORTENED[name](secret)
    assert secret not in shown
    assert left_of(secret, shown) != []

    clean = redact(f"before {shown} after", [secret])

    assert REPLACEMENT in clean
    assert left_of(secret, clean) == []
    assert clean.startswith("before ")
    assert clean.endswith(" after")


@pytest.mark.parametrize("name", SHORTENED)
def test_control_another_secret_that_was_cut_is_left_alone(name: str) -> None:
    shown = SHORTENED[name](HOSTILE)

    assert redact(shown, [TOKEN]) == shown
    assert left_of(HOSTILE, shown) != []


@pytest.mark.parametrize(
    "shown",
    [
        "waiting for hvs ... done, 3 more",
        "[1/2] updating... (12s) …",
        "..................... [100 chars]",
        "-----BEGIN FAKE KEY-----...",
        "'a'+20 (truncated) {...} [...] <...>",
        "",
        "...",
    ],
)
def test_text_with_an_ellipsis_stays(shown: str) -> None:
    key = f"-----BEGIN FAKE KEY-----\n{TOKEN}\n-----END FAKE KEY-----\n"

    assert redact(shown, [TOKEN, HOSTILE, key]) == shown


@settings(max_examples=60)
@given(
    head=st.integers(0, len(HOSTILE)),
    tail=st.integers(0, len(HOSTILE)),
    mark=st.sampled_from(["...", "…", " ... ", "[12 chars]", " (99 characters truncated) ... ", LONG_MARK]),
    write=st.sampled_from([str, repr, ascii, lambda value: value.replace("'", "''")]),
    size=st.integers(1, 60),
)
def test_in_pieces_it_is_cut_as_it_is_whole(head: int, tail: int, mark: str, write: Shorten, size: int) -> None:
    whole = f"x {write(HOSTILE[:head])}{mark}{write(HOSTILE[len(HOSTILE) - tail :])} y" + " and more" * 40
    redactor = Redactor([HOSTILE])
    stream = StreamRedactor(redactor)
    pieces = [stream.feed(whole[at : at + size]) for at in range(0, len(whole), size)]

    assert "".join([*pieces, stream.flush()]) == redactor.redact(whole)
    assert head < 4 or left_of(HOSTILE[:head], redactor.redact(whole).partition(mark)[0]) == []


def test_words_that_were_left_out_of_a_passphrase() -> None:
    passphrase = "Correct Horse Battery Staple Wagon Harbour Tulip"

    shown = redact(textwrap.shorten(passphrase, 30), [passphrase])

    assert shown == f"{REPLACEMENT} [...]"


def test_an_escape_may_be_cut_in_the_middle() -> None:
    for end in range(12, len(repr(HOSTILE.encode()))):
        shown = f"<{repr(HOSTILE.encode())[2:end]}...>"
        assert left_of(HOSTILE, redact(shown, [HOSTILE])) == []
