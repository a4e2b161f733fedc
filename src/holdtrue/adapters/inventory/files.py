"""Inventories from files: the format by the file's name or content, requirements with everything they include."""

import os
import sys
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path, PurePath
from types import MappingProxyType
from typing import Final, TypeAlias

from holdtrue.adapters.inventory.projects import unlocked
from holdtrue.adapters.inventory.text_file import decode, read_bytes, read_stream, read_text
from holdtrue.core.file_format import KNOWN_NAMES, FileFormat, by_content, by_name, holds_nothing
from holdtrue.core.lockfiles import (
    Needs,
    parse_pdm_lock,
    parse_pipfile_lock,
    parse_poetry_lock,
    parse_pylock,
    parse_uv_lock,
    read_needs,
)
from holdtrue.core.requirements import Include, RequirementLine, join_requirements, parse_requirements
from holdtrue.errors import RejectedError
from holdtrue.models.dependency import Gap, Inventory

STANDARD_INPUT: Final = "standard input"
"""Label of what is read from it."""

_Parser: TypeAlias = Callable[[str, str], Inventory]
"""From text and label."""

_ProjectParser: TypeAlias = Callable[[str, str, Needs | None], Inventory]
"""From text, label, and what the pyproject.toml beside the file asks for (None when it does not tell)."""


def _parse_sbom(text: str, label: str) -> Inventory:
    """See `holdtrue.core.sbom`, which most audits have no use for."""
    from holdtrue.core import sbom  # noqa: PLC0415

    return sbom.parse_sbom(text, label)


_PARSERS: Final[Mapping[FileFormat, _Parser]] = MappingProxyType(
    {
        FileFormat.UV: parse_uv_lock,
        FileFormat.PIPFILE: parse_pipfile_lock,
        FileFormat.PYLOCK: parse_pylock,
        FileFormat.SBOM: _parse_sbom,
    }
)
_PROJECT_PARSERS: Final[Mapping[FileFormat, _ProjectParser]] = MappingProxyType(
    {FileFormat.POETRY: parse_poetry_lock, FileFormat.PDM: parse_pdm_lock}
)


def read_file(path: Path, *, label: str | None = None, boundary: Path | None = None) -> Inventory:
    """The inventory of one file, with everything that it includes.

    Args:
        path: The file. Its name tells the format, or else what stands in it.
        label: What people call it; the path when not given.
        boundary: A folder that this file and those that it includes have to be in; None for any.

    Raises:
        RejectedError: it is not a regular file, is outside the boundary, is too big, cannot be read, is of no known
            format, or is not what its name promises. A file that it includes and that cannot be read is a gap.
    """
    data, state = read_bytes(path, boundary=boundary)
    return _read(path, data, state, str(path) if label is None else label, by_name(path.name), boundary)


def read_standard_input() -> Inventory:
    """The inventory of what comes on standard input; files that it includes are looked for in the current folder.

    Raises:
        RejectedError: it cannot be read, is too big, or is of no known format.
    """
    if sys.stdin is None:
        raise RejectedError("there is no standard input", where="-", next_step="name a file")
    data = read_stream(sys.stdin.buffer, STANDARD_INPUT)
    return _read(Path(STANDARD_INPUT), data, None, STANDARD_INPUT, None)


def _read(
    path: Path,
    data: bytes,
    state: os.stat_result | None,
    label: str,
    wanted: FileFormat | None,
    boundary: Path | None = None,
) -> Inventory:
    is_sure = wanted is not None and wanted is not FileFormat.REQUIREMENTS
    text = decode(data, str(path), may_say_coding=not is_sure)
    wanted = wanted or by_content(text)
    if wanted is None and ("." not in path.name if state else holds_nothing(text)):
        wanted = FileFormat.REQUIREMENTS
    match wanted:
        case None:
            raise RejectedError(
                "neither its name nor what stands in it tells a format that is known",
                where=label,
                next_step=f"name one of {', '.join(KNOWN_NAMES)}",
            )
        case FileFormat.PROJECT:
            raise unlocked(path, text)
        case FileFormat.REQUIREMENTS:
            requirements, constraints = _follow(path.parent, parse_requirements(text), state, boundary)
            return join_requirements(requirements, constraints, label=label)
        case FileFormat.CONDA:
            return _read_conda(path, text, label, boundary)
        case FileFormat.POETRY | FileFormat.PDM:
            return _PROJECT_PARSERS[wanted](text, label, _read_needs(path, boundary) if state else None)
        case _:
            return _PARSERS[wanted](text, label)


def _read_needs(lock: Path, boundary: Path | None) -> Needs | None:
    try:
        return read_needs(read_text(lock.parent / "pyproject.toml", boundary=boundary))
    except RejectedError:
        return None


def _read_conda(path: Path, text: str, label: str, boundary: Path | None) -> Inventory:
    """See `holdtrue.core.conda`, which brings a YAML reader that most audits have no use for."""
    from holdtrue.core.conda import parse_conda  # noqa: PLC0415

    def read_pip(lines: Iterable[RequirementLine]) -> Inventory:
        requirements, constraints = _follow(path.parent, lines, None, boundary)
        return join_requirements(requirements, constraints, label=label)

    return parse_conda(text, label, read_pip)


def _follow(
    folder: Path, lines: Iterable[RequirementLine], state: os.stat_result | None, boundary: Path | None
) -> tuple[list[RequirementLine], list[RequirementLine]]:
    """These lines and all that they include, as requirements and as constraints; what cannot be read is a gap."""
    requirements: list[RequirementLine] = []
    constraints: list[RequirementLine] = []
    waiting: deque[tuple[Path, str, bool]] = deque()
    # By what it is, not by its name: a cycle of includes may lead through symbolic links.
    seen = {(state.st_dev, state.st_ino, False)} if state else set()

    def take(found: Iterable[RequirementLine], folder: Path, shown: PurePath, *, is_constraint: bool) -> None:
        for line in found:
            if isinstance(line, Include):
                waiting.append((folder / line.path, str(shown / line.path), is_constraint or line.is_constraint))
            else:
                (constraints if is_constraint else requirements).append(line)

    take(lines, folder, PurePath(), is_constraint=False)
    while waiting:
        file, shown, is_constraint = waiting.popleft()
        try:
            data, found = read_bytes(file, boundary=boundary)
            text = decode(data, str(file), may_say_coding=True)
        except RejectedError as error:
            requirements.append(Gap(shown, f"included, but {error.what}"))
            continue
        identity = (found.st_dev, found.st_ino, is_constraint)
        if identity not in seen:
            seen.add(identity)
            inner = PurePath(shown).parent
            take(parse_requirements(text, file=shown), file.parent, inner, is_constraint=is_constraint)
    return requirements, constraints
