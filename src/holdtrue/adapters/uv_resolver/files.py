"""The files of a project as they are: text with every character, and what they include."""

import os
import tomllib
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from holdtrue.core.fix_lines import Line, local_place, split_lines
from holdtrue.core.requirements import Include, parse_requirements
from holdtrue.errors import RejectedError

_SIZE_LIMIT_BYTES: Final = 64 << 20
_DYNAMIC: Final = frozenset({"version", "dependencies", "optional-dependencies"})


@dataclass(frozen=True, slots=True)
class RequirementFile:
    """One file of a set that include each other.

    Attributes:
        name: As `name_in` gives it.
        folder: Where it lies.
        text: Its text, with a byte order mark where it has one.
        lines: That text, cut.
        is_constraint: Whether it is included by `-c`.
    """

    name: str
    folder: Path
    text: str
    lines: tuple[Line, ...]
    is_constraint: bool


def read_text(path: Path) -> str:
    """The text with its byte order mark and line ends.

    Raises:
        RejectedError: it cannot be read, is too big, or is no UTF-8.
    """
    try:
        if path.exists() and not path.is_file():  # a pipe or a device may never end
            raise RejectedError("it is not a regular file", where=str(path), next_step="name a file")
        with path.open("rb") as file:
            data = file.read(_SIZE_LIMIT_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = error.strerror if isinstance(error, OSError) else "its path is none"
        raise RejectedError(
            f"the file cannot be read: {reason}", where=str(path), next_step="correct the path, or the rights to it"
        ) from error
    if len(data) > _SIZE_LIMIT_BYTES:
        raise RejectedError(f"it holds more than {_SIZE_LIMIT_BYTES >> 20} MiB", where=str(path))
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise RejectedError("it is no text in UTF-8", where=str(path), next_step="save it as UTF-8") from None


def name_in(folder: Path, path: Path) -> str:
    """What a patch that is applied in the folder calls the file: its path from there, through no link.

    `git apply` follows no links, and refuses what is outside: that begins with `../`.
    """
    return os.path.relpath(os.path.realpath(path), os.path.realpath(folder))


def read_requirement_files(path: Path, *, base: Path | None = None) -> tuple[RequirementFile, ...]:
    """The file and all that it includes, each once; what it includes over the network is left to the resolver.

    Their names start at `base`, or else at the folder of the file.

    Raises:
        RejectedError: one of them cannot be read.
    """
    files: list[RequirementFile] = []
    seen: set[tuple[Path, bool]] = set()
    waiting = deque([(path, False)])
    while waiting:
        file, is_constraint = waiting.popleft()
        text = read_text(file)
        identity = (file.resolve(), is_constraint)
        if identity in seen:
            continue
        seen.add(identity)
        name = name_in(base or path.parent, file)
        files.append(RequirementFile(name, file.parent, text, split_lines(text), is_constraint))
        for line in parse_requirements(text.removeprefix("\ufeff")):
            if isinstance(line, Include):
                waiting.append((file.parent / line.path, is_constraint or line.is_constraint))
    return tuple(files)


def refuse_builds_in_place(files: Sequence[RequirementFile], folder: Path) -> None:
    """No folder that a file names may have to be built: setuptools writes into it when it is asked what it needs.

    Where pyproject.toml tells everything statically, uv reads it instead (measured, uv 0.13).

    Raises:
        RejectedError: a folder would be built in place.
    """
    for file in files:
        for place in filter(None, map(local_place, file.lines)):
            found = [base / place for base in {folder, file.folder} if (base / place).exists()]
            if not found or any(path.is_dir() and not _is_static(path) for path in found):
                raise RejectedError(
                    "it names a folder whose dependencies only its build tells, which would write into it",
                    where=file.name,
                    next_step="list name, version and dependencies in its pyproject.toml, or leave out that line",
                )


def _is_static(folder: Path) -> bool:
    try:
        project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8")).get("project")
    except (OSError, ValueError, RecursionError):
        return False
    if not isinstance(project, dict) or not {"name", "version"} <= project.keys():
        return False
    dynamic = project.get("dynamic", [])
    return isinstance(dynamic, list) and not _DYNAMIC & {item for item in dynamic if isinstance(item, str)}
