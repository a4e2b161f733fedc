"""Values that look like secrets, found where references belong. Says where and why, never the value.

Formats: the providers' own documentation of their tokens' shapes.
"""

import re
from base64 import b64decode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, Final

from pydantic import BaseModel, Secret, SecretBytes, SecretStr

from holdtrue.core.secret_names import is_about_secret, is_credentials_name, is_secret_name

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


_PLACEHOLDER: Final = (
    r"(?:\$\{\w+(?::?-|:?\?[^}]*)?\}|\$?\{\{[^{}]*\}\}|\{\w*\}|\$[A-Z_][A-Z0-9_]*|<[\w .-]+>"
    r"|%\(\w+\)s|%s|\*{3,}+|\.{3}|\[redacted\])"
)
"""What is filled in elsewhere, or was taken out; `${NAME:-value}` is not, for the value may be the secret."""

_FILLED_IN: Final = rf"(?:\$[A-Za-z_]\w*|{_PLACEHOLDER})++"
"""In a command or an address, where a shell's variables may be called anything."""

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
        re.compile(rf"\b[a-z][a-z0-9+.-]{{0,30}}://[^\s/@:]*:(?!{_FILLED_IN}@|[A-Z_]*PASS(?:WORD)?@)[^\s/@]+@"),
    ),
)
_AUTHORIZATION: Final = re.compile(
    r"(?i)\b(?:bearer\s+(?P<bearer>[\w.~+/=-]{16,})|basic\s+(?P<basic>[\w+/]{8,}={0,2}))"
)
_WORDS: Final = re.compile(r"(?:[A-Za-z]+|\d+)(?:[._~+/=-]+(?:[A-Za-z]+|\d+))*")

_REFERENCE: Final = re.compile(
    rf"{_PLACEHOLDER}++|(?i:true|false|yes|no|none|null)|-?\d{{1,3}}(?:\.\d+)?|arn:[\w-]+:.+|alias/.+|file:///.+|op://.+"
)
"""What stands for a secret, and what is too short or too plain to be one."""

_SEGMENT: Final = r"[\w.@+ ${}-]"
_PATH: Final = re.compile(
    rf"(?:(?:~|\.{{1,2}}|{_PLACEHOLDER})?/|[A-Za-z]:[\\/])(?P<folders>(?:{_SEGMENT}+[\\/]+)*)(?P<last>{_SEGMENT}*)"
)
_FILE: Final = re.compile(
    r"\.[\w-]+|[\w.-]+\.(?:txt|pem|key|crt|cer|json|ya?ml|toml|ini|conf|cfg|env|token|p12|pfx|jks|asc|gpg)"
)
_RANDOM: Final = re.compile(r"(?=.*[A-Z])(?=.*[a-z])[A-Za-z0-9+/]{40}|[A-Za-z0-9+/]{20,}={1,2}")
"""AWS's secret access keys, and base64 that tells its end: they may hold slashes, and begin with one."""

_BLOCK: Final = re.compile(r"(?!\w{8}(?:-\w{4}){3}-\w{12}$)[a-z0-9]{1,20}(?:-[a-z0-9]{1,20})*")
"""The name of a block; a UUID may be a secret id."""

_NAME: Final = r"[A-Za-z_][\w.-]{0,60}"
_ASSIGNED: Final = re.compile(
    rf"(?<![\w.-])(?:(?:--?)?(?P<set>{_NAME})=|--?(?P<option>{_NAME})\s+|[\"'](?P<quoted>{_NAME})[\"']\s*:\s*(?=[\"']))"
    # Looked at and not taken: an assignment may stand within the value of another. So the looks are not long.
    r"(?=\"(?P<double>[^\"\n]{4,200})\"|'(?P<single>[^'\n]{4,200})'|(?P<bare>[^\s'\"&;|,]{4,200}))"
)
"""In a command, a script, a URL, a connection string or JSON."""

_NOT_GIVEN: Final = re.compile(rf"{_FILLED_IN}$|\$\(|`")
"""A variable, or what a command prints."""

_DOCKER_SECRET: Final = re.compile(r"(?:id|env|src|type)=")
"""What `docker build --secret` takes."""

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
    if leaf.value.strip() and is_secret_name(leaf.name) and not _is_reference(leaf.name, leaf.value):
        return f"it is a plain text called {leaf.name}"
    if any(map(_gives_secret, _ASSIGNED.finditer(leaf.value))):
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


def _gives_secret(assignment: re.Match[str]) -> bool:
    name = assignment["set"] or assignment["option"] or assignment["quoted"]
    value = assignment["double"] or assignment["single"] or assignment["bare"]
    if not is_secret_name(name) or _is_reference(name, value) or _NOT_GIVEN.match(value):
        return False
    return assignment["option"] is None or _DOCKER_SECRET.match(value) is None


def _is_reference(name: str, text: str) -> bool:
    """Whether a text under a secret's name says where the secret is, and is not the secret."""
    value = text.strip()
    if _REFERENCE.fullmatch(value):
        return True
    if is_credentials_name(name) and _BLOCK.fullmatch(value):
        return True
    path = _PATH.fullmatch(value)
    if path is None or _RANDOM.fullmatch(value):
        return False
    return bool(path["folders"] or _FILE.fullmatch(path["last"]) or is_secret_name(path["last"]))


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
            for index, item in enumerate(value):
                yield from _walk(item, f"{at}[{index}]", name, above)
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
