"""File changes as a unified diff that `patch -p1` and `git apply` take, line ends and all."""

import re
from collections.abc import Iterable
from difflib import unified_diff
from typing import Final

from holdtrue.core.fix_resolution import FileChange

_NO_END: Final = "\n\\ No newline at end of file\n"


def make_patch(changes: Iterable[FileChange]) -> str:
    """Empty when nothing changes."""
    return "".join(_diff(change) for change in changes if change.before != change.after)


def _diff(change: FileChange) -> str:
    lines = unified_diff(
        _lines(change.before), _lines(change.after), fromfile=f"a/{change.name}", tofile=f"b/{change.name}"
    )
    return "".join(line if line.endswith("\n") else line + _NO_END for line in lines)


def _lines(text: str) -> list[str]:
    """Cut at line feeds only, as these tools do; a carriage return belongs to its line."""
    return re.findall(r"[^\n]*\n|[^\n]+", text)
