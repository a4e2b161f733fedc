"""What people call their secrets, in whatever spelling: `DB_PASSWORD`, `dbPassword`, `PGPASSWORD`, `db-passwords`."""

import re
from typing import Final

_WORD: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")

_SECRET: Final = re.compile(
    r"(?:password|passwd|passphrase|pwd|secret|secret_?id|token|credential|auth_?string|(?:^|_)cred"
    r"|(?<!by)(?<!com)(?<!sur)(?<!tres)pass"
    r"|(?:api|access|account|auth|encryption|hmac|master|private|secret|shared|signing|storage)_?key)s?$"
)
"""The end of a name: what follows it (`_file`, `_path`, `_ref`) makes it the name of something else."""

_NO_SECRET: Final = re.compile(
    r"(?:^|_)(?:max|min|total|next|page|continuation|pagination|starting)"
    r"(?:_(?:page|continuation|new|input|output|prompt|completion))?_tokens?$"
)
"""Marks of a page in a long answer, and counts."""

_ABOUT: Final = frozenset(
    {
        *("file", "path", "folder", "variable", "name", "field", "key", "mount", "role", "arn", "url", "uri", "ref"),
        *(
            "block",
            "slug",
            "id",
            "source",
            "from",
            "provider",
            "engine",
            "kind",
            "type",
            "version",
            "format",
            "encoding",
        ),
        *(
            "title",
            "description",
            "pattern",
            "enum",
            "required",
            "examples",
            "algorithm",
            "audience",
            "issuer",
            "scope",
        ),
        *("user", "username", "host", "port", "address", "region", "policy", "at", "expires", "expiry", "ttl"),
        *("second", "minute", "hour", "day", "timeout", "count", "uses", "length", "size", "limit", "max", "min"),
    }
)
"""Last words of names of what is told about a secret beside it: where it is, what kind it is, how long it lives."""


def is_secret_name(name: str) -> bool:
    """Whether what is called so is a secret itself, not where one is."""
    joined = "_".join(_words(name))
    return _SECRET.search(joined) is not None and _NO_SECRET.search(joined) is None


def is_credentials_name(name: str) -> bool:
    """Whether it is a secret's name under which a block is named, too."""
    return _words(name)[-1:] in (["credential"], ["credentials"])


def is_about_secret(name: str) -> bool:
    """Whether an entry called so, below a secret's name, tells something about the secret and is none."""
    last = "".join(_words(name)[-1:])
    return not last or last in _ABOUT or last.removesuffix("s") in _ABOUT


def _words(name: str) -> list[str]:
    return [word.lower() for word in _WORD.findall(name)]
