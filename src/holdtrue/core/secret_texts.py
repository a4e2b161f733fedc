"""Secrets that a text assigns to a name: `TOKEN=...`, `--token ...`, `"token": "..."`, or a note: `password: ...`."""

import re
from typing import Final

from holdtrue.core.secret_names import is_password_name, is_secret_name
from holdtrue.core.secret_references import is_given, is_reference

_NAME: Final = r"[^\W\d][\w.-]{0,60}"
_VALUE: Final = r"\"(?P<double>[^\"\n]{4,200})\"|'(?P<single>[^'\n]{4,200})'"
# The value is in a look-ahead, because it may itself contain an assignment. Its length is limited to keep that fast.
_ASSIGNED: Final = re.compile(
    rf"(?<![\w.-])(?:(?:--?)?(?P<set>{_NAME})=|--?(?P<option>{_NAME})\s+|[\"'](?P<quoted>{_NAME})[\"']\s*:\s*(?=[\"']))"
    rf"(?={_VALUE}|(?P<bare>[^\s'\"&;|,]{{4,200}}))"
)
"""In a command, a script, a URL, a connection string or JSON."""

_DOCKER_SECRET: Final = re.compile(r"(?:id|env|src|type)=")
"""What `docker build --secret` takes."""

_NOTED: Final = re.compile(
    rf"[:=][*_]{{0,3}}(?P<blanks>[ \t]{{0,8}})(?={_VALUE}|`(?P<code>[^`\n]{{4,200}})`"
    r"|(?P<bare>[^\s'\"`,;|<>()]{4,200})(?P<rest>[^\n]{0,4}))"
)
"""In a note, a configuration file, or YAML within a text."""

_NAME_LIMIT: Final = 60
_NAME_BEFORE: Final = re.compile(r"(?<!/)\b[^\W\d][\w .'-]*$")
_MARKUP: Final = " \t*_`\"']"
"""What may stand between a name and its colon: `"password":`, `**Password** (production):`."""

_SENTENCE_END: Final = re.compile(r"\s*$|\s*[.!,;)\]}|]")

_MIXED: Final = re.compile(r"(?=.*[^\W\d])(?:(?=.*\d)|(?=.*[!#$%^&*+?]))\S{6,}")
"""Letters together with digits or signs, unlike an ordinary word."""

_ORDINARY: Final = re.compile(
    r"\d+[a-z]{1,8}|v?\d+(?:\.\w+)+"  # A length, a time, a version.
    r"|[\w.+-]+@[\w-]+\.[\w.]+|[A-Za-z][\w+.-]*://\S*|[\w.{}$-]+(?:/[\w.{}$*-]+)+"  # An address, a path.
    r"|(?i:sha|md|hs|rs|es|ps|aes|rsa|ed|ecdsa|argon|scrypt|bcrypt|pbkdf|oauth|saml|base|kv)-?\d[\w-]*"  # A method.
    r"|[^\W\d]\w*(?:\.[^\W\d]\w*)+|[^\W\d][\w.]*[(\[].*|[=>~].*|//.*|[\w.]+[*?]|(?:[A-Z][a-z]+){2,}"  # Code.
    r"|[A-Z_]+"  # A word to be replaced.
)
"""Values in notes that describe a secret and are not one."""

_IDENTIFIER: Final = re.compile(r"[A-Za-z]+(?:[_-][A-Za-z]+)+")
"""`your_password`, `shop-db-password`: an identifier. If it is the name of a secret, it stands for the secret."""

_WORDS: Final = (
    "required optional mandatory forbidden allowed enabled disabled unset missing absent present empty none null"
    " unknown string text secretstr secret password token bytes number boolean hidden masked redacted encrypted"
    " hashed plain valid invalid wrong correct incorrect failed okay never always expired rotated changed"
    " unchanged generated random managed stored shared unused external internal reset prompt prompted manual"
    " manually automatic automatically vault keyring keychain onepassword bitwarden keepass default example"
    " placeholder here below above same daily weekly monthly yearly please"
)
_SAYING: Final = frozenset(_WORDS.split())
"""Words after a password's name that describe the password."""


def gives_secret(text: str) -> bool:
    """Whether the text assigns a value to a secret's name."""
    return any(map(_assigns, _ASSIGNED.finditer(text))) or any(_notes(text, found) for found in _NOTED.finditer(text))


def _assigns(found: re.Match[str]) -> bool:
    name = found["set"] or found["option"] or found["quoted"]
    value = found["double"] or found["single"] or found["bare"]
    if not is_secret_name(name) or is_reference(name, value) or not is_given(value):
        return False
    return found["option"] is None or _DOCKER_SECRET.match(value) is None


def _notes(text: str, found: re.Match[str]) -> bool:
    line = text[max(0, found.start() - _NAME_LIMIT) : found.start()].rpartition("\n")[2]
    line = line.rstrip(_MARKUP)
    if line.endswith(")"):
        line = line.rpartition("(")[0].rstrip(_MARKUP)
    before = _NAME_BEFORE.search(line)
    if before is None or not is_secret_name(before[0]):
        return False
    quoted = found["double"] or found["single"] or found["code"]
    value = quoted or found["bare"].rstrip(".!")
    if is_reference(before[0], value) or not is_given(value) or _ORDINARY.fullmatch(value):
        return False
    if _IDENTIFIER.fullmatch(value) and is_secret_name(value):
        return False
    if _MIXED.fullmatch(value):
        return True
    # A plain word may be a password, but is rarely a token or a key. Without a space before it, it is a scope:
    # `token:read`.
    is_one_word = " " not in value and value.lower() not in _SAYING
    is_whole = quoted is not None or _SENTENCE_END.match(found["rest"]) is not None
    return is_password_name(before[0]) and is_one_word and is_whole and bool(found["blanks"])
