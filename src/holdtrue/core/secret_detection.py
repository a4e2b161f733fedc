"""Values that look like secrets, found where references belong. Says where and why, never the value.

Formats: the providers' own documentation of their tokens' shapes.
"""

import re
from base64 import b64decode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, Final

from pydantic import BaseModel, Secret, SecretBytes, SecretStr

from holdtrue.core.secret_commands import arguments, gives_password
from holdtrue.core.secret_names import is_about_secret, is_secret_name
from holdtrue.core.secret_references import FILLED_IN, is_reference
from holdtrue.core.secret_texts import gives_secret

SecretValue = SecretStr | SecretBytes | Secret[Any]


@dataclass(frozen=True, slots=True)
class SuspectedSecret:
    """One place that holds what looks like a secret."""

    at: str
    """Path of keys and indexes: `env.DB_PASSWORD`, `steps[2].url`; empty for the value itself."""
    why: str


@dataclass(frozen=True, slots=True)
class Leaf:
    """One text in nested data, or a number that is called like a secret."""

    at: str
    """As in SuspectedSecret."""
    name: str
    """What the text is called: its key, what `value` and `default` are the value of, or the secret it stands below."""
    value: str | SecretValue | None
    """None for what is nested too deeply to be looked at, or in itself."""


_MIXED: Final = r"(?=[a-z0-9_-]*[A-Z])"
"""Random letters, of which some are capital: names of hosts and services have none."""

_FORMATS: Final[tuple[tuple[str, re.Pattern[str]], ...]] = (
    ("a private key", re.compile(r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----|AGE-SECRET-KEY-1")),
    (
        "a Vault token",
        re.compile(
            rf"(?<![\w.-])(?:hv[sbr]\.{_MIXED}[\w-]{{24,}}|[sr]\.{_MIXED}[A-Za-z0-9]{{24}}(?![\w-])|b\.AAAA[\w-]{{40,}})"
        ),
    ),
    ("an AWS access key", re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b")),
    ("a GitHub token", re.compile(r"\b(?:gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{22,})")),
    (
        "a GitLab token",
        re.compile(rf"(?<![\w-])gl(?:pat|oas|dt|rtr?|cbt|ptt|ft|imt|agent|wt|soat|ffct)-{_MIXED}[\w-]{{20,}}"),
    ),
    ("a Slack token", re.compile(r"\bxox[a-z]-[A-Za-z0-9-]{10,}|hooks\.slack\.com/services/T[A-Z0-9]+/B")),
    ("a Stripe key", re.compile(r"\b[rs]k_(?:live|test)_[A-Za-z0-9]{16,}")),
    ("a PyPI token", re.compile(r"\bpypi-AgE[A-Za-z0-9_-]{40,}")),
    ("an npm token", re.compile(r"\bnpm_[A-Za-z0-9]{36}")),
    ("a Google API key", re.compile(r"\bAIza[A-Za-z0-9_-]{35}")),
    ("a Pulumi token", re.compile(r"\bpul-[0-9a-f]{40}\b")),
    ("a Prefect API key", re.compile(r"\bpn[ub]_[A-Za-z0-9]{30,}")),
    ("a JSON Web Token", re.compile(r"\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}")),
    (
        "a URL with a password",
        re.compile(rf"\b[A-Za-z][A-Za-z0-9+.-]{{0,30}}://[^\s/@:]*:(?!{FILLED_IN}@|[A-Z_]*PASS(?:WORD)?@)[^\s/@]+@"),
    ),
)
_AUTHORIZATION: Final = re.compile(
    r"(?i)\b(?:bearer\s+(?P<bearer>[\w.~+/=-]{16,})|basic\s+(?P<basic>[\w+/]{8,}={0,2}))"
)
_WORDS: Final = re.compile(r"(?:[A-Za-z]+|\d+)(?:[._~+/=-]+(?:[A-Za-z]+|\d+))*")

_DEPTH: Final = 50


def find_secrets(value: Any, at: str = "") -> tuple[SuspectedSecret, ...]:
    """Every place in nested data that holds a secret type, a known format, or a text or number under a secret's name.

    What is nested too deeply to be looked at is a place, too.
    """
    return tuple(SuspectedSecret(leaf.at, why) for leaf in leaves(value, at) if (why := why_secret(leaf)) is not None)


def leaves(value: Any, at: str = "") -> Iterator[Leaf]:
    """Every text in nested data, keys included, and each number under a secret's name.

    A key that holds a secret is no part of any path.
    """
    return _walk(value, at, "", ())


def why_secret(leaf: Leaf) -> str | None:
    """Why a text is taken for a secret; None when it is not."""
    if leaf.value is None:
        return "it is nested too deeply to be looked at"
    if not isinstance(leaf.value, str):
        return f"it is a {type(leaf.value).__name__}"
    found = format_of(leaf.value)
    if found is not None:
        return f"it looks like {found}"
    if leaf.value.strip() and is_secret_name(leaf.name) and not is_reference(leaf.name, leaf.value):
        return f"it is a plain text called {leaf.name}"
    if gives_secret(leaf.value) or gives_password(leaf.value):
        return "it gives a password, token or key in its text"
    return None


def path_to(at: str, key: str) -> str:
    """The path of a mapping's entry, without a key that is a secret itself."""
    shown = key if format_of(key) is None else "(a key)"
    return f"{at}.{shown}" if at else shown


def format_of(text: str) -> str | None:
    """Which kind of secret the text holds; None when it is none that is known."""
    found = next((name for name, pattern in _FORMATS if pattern.search(text)), None)
    if found is None and any(map(_authorizes, _AUTHORIZATION.finditer(text))):
        return "an Authorization header"
    return found


def _authorizes(header: re.Match[str]) -> bool:
    """Whether it is one, not a sentence about basic things."""
    if header["bearer"] is not None:
        return any(map(str.isdigit, header["bearer"])) and _WORDS.fullmatch(header["bearer"]) is None
    encoded = header["basic"].rstrip("=")
    try:
        login = b64decode(encoded + "=" * (-len(encoded) % 4), validate=True).decode()
    except ValueError:
        return False
    return ":" in login and login.isprintable()


def _walk(value: Any, at: str, name: str, above: tuple[int, ...]) -> Iterator[Leaf]:  # noqa: C901 - one case a type
    if len(above) > _DEPTH or id(value) in above:
        yield Leaf(at, name, None)
        return
    above = (*above, id(value))
    match value:
        case str() | SecretStr() | SecretBytes() | Secret():
            yield Leaf(at, name, value)
        case bytes():
            yield Leaf(at, name, value.decode(errors="replace"))
        case bool():
            return
        case int() | float():
            if is_secret_name(name):
                yield Leaf(at, name, str(value))
        case BaseModel():
            entries = {field: getattr(value, field) for field in type(value).model_fields}
            yield from _walk_mapping(entries | (value.model_extra or {}), at, name, above)
        case Mapping():
            yield from _walk_mapping(value, at, name, above)
        case Sequence() | set() | frozenset():
            items = list(value)
            for index, (item, given) in enumerate(zip(items, arguments(items), strict=True)):
                called, part = given or (name, item)
                yield from _walk(part, f"{at}[{index}]", called, above)
        case _ if is_dataclass(value) and not isinstance(value, type):
            yield from _walk_mapping({item.name: getattr(value, item.name) for item in fields(value)}, at, name, above)


def _walk_mapping(value: Mapping[Any, Any], at: str, name: str, above: tuple[int, ...]) -> Iterator[Leaf]:
    # A list of variables as `{name: DB_PASSWORD, value: ...}`, a schema's property as `db_password: {default: ...}`.
    sibling = value.get("name")
    called = sibling if isinstance(sibling, str) and (is_secret_name(sibling) or not is_secret_name(name)) else name
    for key, item in value.items():
        text = str(key)
        if format_of(text) is not None:
            yield Leaf(path_to(at, text), "", text)
            text = "(a key)"
        inherits = is_secret_name(name) and not is_secret_name(text) and not is_about_secret(text)
        own = called if text in ("value", "default") else name if inherits else text
        yield from _walk(item, path_to(at, text), own, above)
