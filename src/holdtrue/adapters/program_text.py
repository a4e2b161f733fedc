"""The words in an infrastructure program's own files."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_NOT_ITS_OWN: Final = frozenset({"__pycache__", "node_modules", "site-packages", "venv"})
_LARGEST_BYTES: Final = 1 << 20
_MOST_FILES: Final = 2_000


def has_word(project: Path, word: str) -> bool:
    """Whether one of the project's files has the word: hidden folders, virtual environments and large files aside."""
    whole = re.compile(rf"(?<![A-Za-z0-9_]){re.escape(word)}(?![A-Za-z0-9_])".encode())
    return any(whole.search(text) for text in _texts(project))


def _texts(project: Path) -> Iterator[bytes]:
    read = 0
    for folder, below, names in os.walk(project):
        below[:] = sorted(name for name in below if name not in _NOT_ITS_OWN and not name.startswith("."))
        for name in sorted(names):
            path = Path(folder, name)
            if read == _MOST_FILES:
                return
            if path.is_file() and path.stat().st_size <= _LARGEST_BYTES:
                read += 1
                yield path.read_bytes()
