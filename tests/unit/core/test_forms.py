"""What two programs, one after the other, make of a secret is found by redaction and by `holdtrue leaks`.

The encoders are those of the libraries and tools themselves, except Go's.
"""

import codecs
import csv
import html
import io
import json
import quopri
import random
import re
import shlex
import string
from collections.abc import Callable, Iterator
from html.entities import codepoint2name
from itertools import product
from typing import Final
from urllib.parse import quote, quote_plus, urlencode
from xml.etree import ElementTree as ET
from xml.sax import saxutils

import httpx
import jinja2
import markupsafe
import pytest
import requests
import yaml
from pydantic import SecretStr
from sqlalchemy import Dialect, String, literal
from sqlalchemy.dialects import mysql, postgresql, sqlite

from holdtrue.core.forms import REPLACEMENT
from holdtrue.core.leaks import NeedleIndex, search_bytes
from holdtrue.core.redaction import Redactor
from holdtrue.models.leak import KnownValue
from tests.unit.core.encoders import go_json

Encoder = Callable[[str], str]

TEMPLATE: Final = jinja2.Environment(autoescape=False).from_string("{{ text | tojson }}")  # noqa: S701 - not a page

SPECIAL: Final = string.punctuation + " äé€ß🔑"


def made_up(seed: int, special: float) -> str:
    """A secret of 10 to 40 characters, of which about this part is special, with a word to recognise it by."""
    source = random.Random(seed)  # noqa: S311 - repeatable, not secret
    characters = [
        source.choice(SPECIAL) if source.random() < special else source.choice(string.ascii_letters + string.digits)
        for _ in range(source.randint(7, 37))
    ]
    at = source.randint(0, len(characters))
    return "".join([*characters[:at], "Kq7", *characters[at:]]).strip()


SECRETS: Final = (
    *("p@ss/Kq7w0rd+1!", "Kq7+/==it's&Kq7;\"", "Kq7*&=<b>\\n%zzé", "${Kq7}`x`;#'\"'\"\\\\"),
    *(made_up(seed, special) for seed, special in enumerate((0.1, 0.3, 0.6, 0.9))),
)


def yaml_of(style: str | None, *, allow_unicode: bool = False) -> Encoder:
    return lambda text: yaml.safe_dump({"p": text}, default_style=style, width=10_000, allow_unicode=allow_unicode)


def in_csv(text: str) -> str:
    row = io.StringIO()
    csv.writer(row).writerow(["user", text])
    return row.getvalue()


def in_xml(text: str) -> str:
    element = ET.Element("case", {"message": text})
    return ET.tostring(element, encoding="unicode")


def sql_of(dialect: Dialect) -> Encoder:
    return lambda text: str(literal(text, String()).compile(dialect=dialect, compile_kwargs={"literal_binds": True}))


def requests_url(text: str) -> str:
    return str(requests.Request("GET", "http://h.example/", params={"q": text}).prepare().url)


def on_one_line(text: str) -> str:
    """httpx refuses others; a secret here has no line breaks, only what encoders put around it."""
    return "".join(text.splitlines())


def with_names(text: str) -> str:
    return "".join(f"&{codepoint2name[ord(item)]};" if ord(item) in codepoint2name else item for item in text)


ENCODERS: Final[dict[str, Encoder]] = {
    "nothing": str,
    "json.dumps": json.dumps,
    "json.dumps with other alphabets": lambda text: json.dumps(text, ensure_ascii=False),
    "Go's JSON": lambda text: f'"{go_json(text)}"',
    "Jinja's tojson": lambda text: TEMPLATE.render(text=text),
    "repr": repr,
    "repr in a longer text": lambda text: repr(f"'\"{text}"),
    "ascii": ascii,
    "repr of bytes": lambda text: repr(text.encode()),
    "a dict": lambda text: str({"password": text}),
    "yaml": yaml_of(None),
    "yaml with other alphabets": yaml_of(None, allow_unicode=True),
    "yaml in single quotes": yaml_of("'"),
    "yaml in double quotes": yaml_of('"'),
    "yaml, literal": yaml_of("|"),
    "csv": in_csv,
    "SQL of PostgreSQL": sql_of(postgresql.dialect()),  # type: ignore[no-untyped-call]
    "SQL of MySQL": sql_of(mysql.dialect()),
    "SQL of SQLite": sql_of(sqlite.dialect()),
    "shlex.quote": shlex.quote,
    "shlex.join": lambda text: shlex.join(["curl", "-u", text]),
    "html.escape": html.escape,
    "html.escape without quotes": lambda text: html.escape(text, quote=False),
    "markupsafe": lambda text: str(markupsafe.escape(text)),
    "names of HTML": with_names,
    "xml.etree": in_xml,
    "xml.sax.saxutils.escape": saxutils.escape,
    "xml.sax.saxutils.escape with quotes": lambda text: saxutils.escape(text, {"'": "&apos;", '"': "&quot;"}),
    "xml.sax.saxutils.quoteattr": saxutils.quoteattr,
    "xmlcharrefreplace": lambda text: text.encode("ascii", "xmlcharrefreplace").decode(),
    "hexadecimal references": lambda text: re.sub(r"[^\w .-]", lambda found: f"&#x{ord(found[0]):X};", text),
    "quote": lambda text: quote(text, safe=""),
    "quote a path": quote,
    "quote_plus": quote_plus,
    "urlencode": lambda text: urlencode({"password": text}),
    "httpx, password": lambda text: str(httpx.URL("https://h.example", username="app", password=on_one_line(text))),
    "httpx, path": lambda text: str(httpx.URL(f"https://h.example/{on_one_line(text)}")),
    "httpx, query": lambda text: str(httpx.URL(f"https://h.example/?q={on_one_line(text)}")),
    "requests.utils.requote_uri": requests.utils.requote_uri,
    "requests, URL": requests_url,
}


def missed(secret: str, *encoders: Encoder) -> Iterator[str]:
    """Who does not find it in what each of these makes of it."""
    redactor = Redactor([secret])
    index = NeedleIndex([KnownValue(name="it", value=SecretStr(secret))])
    for number, encode in enumerate(encoders):
        text = f"before {encode(secret)} after"
        shown = redactor.redact(text)
        if REPLACEMENT not in shown or any(word in shown for word in re.findall(r"[A-Za-z0-9]{3,}", secret)):
            yield f"redaction {number}"
        if not search_bytes(index, text.encode()):
            yield f"leaks {number}"


def then(first: Encoder, second: Encoder) -> Encoder:
    return lambda text: second(first(text))


@pytest.mark.parametrize("secret", SECRETS, ids=range(len(SECRETS)))
def test_no_two_programs_hide_a_secret(secret: str) -> None:
    pairs = list(product(ENCODERS, repeat=2))
    found = missed(secret, *(then(ENCODERS[first], ENCODERS[second]) for first, second in pairs))

    assert [(*pairs[int(item.split()[1])], item) for item in found] == []


@pytest.mark.parametrize("style", [None, "'", '"'])
@pytest.mark.parametrize("depth", range(4))
def test_no_line_break_of_yaml_hides_a_passphrase(style: str | None, depth: int) -> None:
    passphrase = "Correct Horse: 'Battery' Staple Wagon é Harbour"

    def nested(before: int) -> Encoder:
        def dump(text: str) -> str:
            data: object = {"password": f"{'x' * before} {text} and so on"}
            for level in range(depth):
                data = {f"level{level}": data}
            return yaml.safe_dump(data, default_style=style)

        return dump

    texts = [nested(before)(passphrase) for before in range(0, 80, 3)]
    assert any(passphrase not in text and "\n" in text.strip() for text in texts)
    assert [*missed(passphrase, *map(nested, range(0, 80, 3)))] == []


@pytest.mark.parametrize(
    "encode",
    [
        lambda text: codecs.encode(text, "rot13"),
        lambda text: text[::-1],
        lambda text: quopri.encodestring(text.encode()).decode(),
    ],
    ids=["rot13", "backwards", "quoted-printable"],
)
def test_control_a_program_that_is_not_in_the_list_is_noticed(encode: Encoder) -> None:
    assert [*missed("p@ss/Kq7=w0rd+1!", encode)] != []


def test_as_requests_decodes_what_was_escaped_for_nothing() -> None:
    assert [*missed("100%41%2fKq7&x", requests.utils.requote_uri)] == []
