"""File changes as a unified diff that `patch -p1` and `git apply` take, line ends and all."""

import re
from collections.abc import Iterable
from difflib import unified_diff
from typing import Final

from holdtrue.core.fix_resolution import FileChange

_NO_END: Final = "\n\\ No newline at end of file\n"
_ASCII_END: Final = 0x7F
_UNQUOTED: Final = re.compile(r'[^"\\]*')


def make_patch(changes: Iterable[FileChange]) -> str:
    """Empty when nothing changes."""
    return "".join(_diff(change) for change in changes if change.before != change.after)


def _diff(change: FileChange) -> str:
    lines = unified_diff(
        _lines(change.before),
        _lines(change.after),
        fromfile=_in_header(f"a/{change.name}"),
        tofile=_in_header(f"b/{change.name}"),
    )
    return "".join(line if line.endswith("\n") else line + _NO_END for line in lines)


def _in_header(name: str) -> str:
    """The name as these tools read it: `patch` ends it at a blank unless a tab follows, and both know C's escapes."""
    if name.isprintable() and _UNQUOTED.fullmatch(name):
        return f"{name}\t" if " " in name else name
    quoted = (
        chr(byte) if chr(byte).isprintable() and byte < _ASCII_END and byte not in b'"\\' else f"\\{byte:03o}"
        for byte in name.encode("utf-8", "surrogateescape")
    )
    return f'"{"".join(quoted)}"'


def _lines(text: str) -> list[str]:
    """Cut at line feeds only, as these tools do; a carriage return belongs to its line."""
    return re.findall(r"[^\n]*\n|[^\n]+", text)
