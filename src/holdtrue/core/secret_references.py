"""Texts in place of a secret: they say where it is, or something else is filled in for them later."""

import re
from typing import Final

from holdtrue.core.secret_names import is_credentials_name, is_secret_name

_PLACEHOLDER: Final = (
    r"(?:\$\{\w+(?::?-|:?\?[^}]*)?\}|\$?\{\{[^{}]*\}\}|\{\w*\}|\$[A-Z_][A-Z0-9_]*|<[\w .-]+>"
    r"|%\(\w+\)s|%s|\*{3,}+|\.{3}|\[redacted\])"
)
"""What is filled in later, or was taken out. `${NAME:-value}` is not, because the value may be the secret."""

FILLED_IN: Final = rf"(?:\$[A-Za-z_]\w*|{_PLACEHOLDER})++"
"""The same in a command or an address, where a shell's variables may have any name."""

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
"""AWS's secret access keys, and base64 with padding: they may contain slashes, and begin with one."""

_BLOCK: Final = re.compile(r"(?!\w{8}(?:-\w{4}){3}-\w{12}$)[a-z0-9]{1,20}(?:-[a-z0-9]{1,20})*")
"""The name of a block; a UUID may be a secret id."""

_NOT_GIVEN: Final = re.compile(rf"{FILLED_IN}$|\$\(|`|%\w+%$|(?:env|file|fd|stdin):|\$\d")
"""In a command or a note: a variable, what a command prints, or where OpenSSL is to read a password from."""


def is_reference(name: str, text: str) -> bool:
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


def is_given(value: str) -> bool:
    """Whether a part of a command or note is a value, not something that is filled in where the command runs."""
    return _NOT_GIVEN.match(value) is None
