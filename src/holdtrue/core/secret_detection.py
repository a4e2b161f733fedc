"""Values that look like secrets, found where references belong. Says where and why, never the value.

Formats: the providers' own documentation of their tokens' prefixes; names: what people call their secrets.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, Final

from pydantic import BaseModel, Secret, SecretBytes, SecretStr

SecretValue = SecretStr | SecretBytes | Secret[Any]


@dataclass(frozen=True, slots=True)
class SuspectedSecret:
    """One place that holds what looks like a secret."""

    at: str
    """Path of keys and indexes: `env.DB_PASSWORD`, `steps[2].url`; empty for the value itself."""
    why: str


@dataclass(frozen=True, slots=True)
class Leaf:
    """One text in nested data."""

    at: str
    """As in SuspectedSecret."""
    name: str
    """What the text is called: its key, or for `value` and `default` what they are the value of."""
    value: str | SecretValue


_FORMATS: Final[tuple[tuple[str, re.Pattern[str]], ...]] = (
    ("a private key", re.compile(r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----|AGE-SECRET-KEY-1")),
    ("a Vault token", re.compile(r"\b(?:hv[sbr]|[sbr])\.[A-Za-z0-9_-]{20,}")),
    ("an AWS access key", re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b")),
    ("a GitHub token", re.compile(r"\b(?:gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{22,})")),
    ("a GitLab token", re.compile(r"\bgl[a-z]{2,5}-[A-Za-z0-9_-]{20,}")),
    ("a Slack token", re.compile(r"\bxox[a-z]-[A-Za-z0-9-]{10,}|hooks\.slack\.com/services/T[A-Z0-9]+/B")),
    ("a Stripe key", re.compile(r"\b[rs]k_(?:live|test)_[A-Za-z0-9]{16,}")),
    ("a PyPI token", re.compile(r"\bpypi-AgE[A-Za-z0-9_-]{40,}")),
    ("an npm token", re.compile(r"\bnpm_[A-Za-z0-9]{36}")),
    ("a Google API key", re.compile(r"\bAIza[A-Za-z0-9_-]{35}")),
    ("a Pulumi token", re.compile(r"\bpul-[0-9a-f]{40}\b")),
    ("a Prefect API key", re.compile(r"\bpn[ub]_[A-Za-z0-9]{30,}")),
    ("a JSON Web Token", re.compile(r"\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}")),
    ("an Authorization header", re.compile(r"(?i)\b(?:bearer|basic)\s+[A-Za-z0-9._~+/=-]{16,}")),
    ("a URL with a password", re.compile(r"\b[a-z][a-z0-9+.-]*://[^\s/@:]+:(?!\*+@|\$\{|\{\{)[^\s/@]+@")),
)

_SECRET_NAME: Final = re.compile(
    r"(?i)(?:^|[_.-])(?:pass(?:word|wd|phrase)?|pwd|secret|secret_?id|token|api_?key|access_?key|private_?key"
    r"|credentials?|auth_?string)$"
)
_REFERENCE_NAME: Final = re.compile(r"(?i)(?:_|-)(?:file|path|variable|name|field|mount|role|arn|url|ref)$")
_REFERENCE: Final = re.compile(r"\$\{[^}]*\}|\{\{.*\}\}|\*+|[A-Za-z]:?[\\/].*|[/~.].*", re.DOTALL)
"""A variable, a template, a mask, a path of a file."""

_DEPTH: Final = 50


def find_secrets(value: Any, at: str = "") -> tuple[SuspectedSecret, ...]:
    """Every place in nested data that holds a SecretStr, a known format of secret, or a text under a secret's name."""
    return tuple(SuspectedSecret(leaf.at, why) for leaf in leaves(value, at) if (why := why_secret(leaf)) is not None)


def leaves(value: Any, at: str = "") -> Iterator[Leaf]:
    """Every text in nested data, the keys included; a key that holds a secret is no part of any path."""
    return _walk(value, at, "", 0)


def why_secret(leaf: Leaf) -> str | None:
    """Why a text is taken for a secret; None when it is not."""
    if not isinstance(leaf.value, str):
        return f"it is a {type(leaf.value).__name__}"
    found = format_of(leaf.value)
    if found is not None:
        return f"it looks like {found}"
    if leaf.value.strip() and is_secret_name(leaf.name) and not _REFERENCE.fullmatch(leaf.value):
        return f"it is a plain text called {leaf.name}"
    return None


def is_secret_name(name: str) -> bool:
    """Whether what is called so is a secret itself, not where one is."""
    return _SECRET_NAME.search(name) is not None and _REFERENCE_NAME.search(name) is None


def path_to(at: str, key: str) -> str:
    """The path of a mapping's entry, without a key that is a secret itself."""
    shown = key if format_of(key) is None else "(a key)"
    return f"{at}.{shown}" if at else shown


def format_of(text: str) -> str | None:
    """Which kind of secret the text holds; None when it is none that is known."""
    return next((name for name, pattern in _FORMATS if pattern.search(text)), None)


def _walk(value: Any, at: str, name: str, depth: int) -> Iterator[Leaf]:  # noqa: C901 - one case a type
    if depth > _DEPTH:
        return
    match value:
        case str() | SecretStr() | SecretBytes() | Secret():
            yield Leaf(at, name, value)
        case bytes():
            yield Leaf(at, name, value.decode(errors="replace"))
        case BaseModel():
            for field in type(value).model_fields:
                yield from _walk(getattr(value, field), path_to(at, field), field, depth + 1)
        case Mapping():
            yield from _walk_mapping(value, at, name, depth)
        case Sequence() | set() | frozenset():
            for index, item in enumerate(value):
                yield from _walk(item, f"{at}[{index}]", name, depth + 1)
        case _ if is_dataclass(value) and not isinstance(value, type):
            for member in fields(value):
                yield from _walk(getattr(value, member.name), path_to(at, member.name), member.name, depth + 1)


def _walk_mapping(value: Mapping[Any, Any], at: str, name: str, depth: int) -> Iterator[Leaf]:
    # A list of variables as `{name: DB_PASSWORD, value: ...}`, a schema's property as `db_password: {default: ...}`.
    sibling = value.get("name")
    called = sibling if isinstance(sibling, str) else name
    for key, item in value.items():
        text = str(key)
        if format_of(text) is not None:
            yield Leaf(path_to(at, text), "", text)
            text = "(a key)"
        yield from _walk(item, path_to(at, text), called if text in ("value", "default") else text, depth + 1)
