"""Requirements files through `uv pip compile`: what they would install, and with other versions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from holdtrue.adapters.uv_resolver.command import UvResolver
from holdtrue.adapters.uv_resolver.files import RequirementFile, read_requirement_files, refuse_builds_in_place
from holdtrue.core.fix_lines import Line, index_options, is_complete, local_place
from holdtrue.core.fix_requirements import (
    Release,
    assign_releases,
    is_remote,
    pins_after,
    preference_lines,
    read_releases,
    rewrite_lines,
    source_lines,
    unused_pins,
)
from holdtrue.core.fix_resolution import FileChange, NoSolution, Resolution, Wish
from holdtrue.core.requirements import join_requirements, parse_requirements
from holdtrue.errors import HoldtrueError, RejectedError, ToolMissing
from holdtrue.models.dependency import Dependency, Inventory, Origin, Pin

KIND: Final = "requirements, resolved"

_COMPILE: Final = ("pip", "compile", "--no-header", "--annotate", "--annotation-style", "split")


def resolve_requirements(path: Path, *, python_version: str | None = None, timeout_seconds: float = 300.0) -> str:
    """The pins, with `# via` comments, that the file would install. URLs in it may hold credentials.

    It is resolved for the platform of this machine. Indexes come from the file, uv's configuration beside it and of the
    user, and the user's environment.

    Raises:
        RejectedError: the file cannot be read, has no solution, or a folder that it names would be built in place.
        HoldtrueError: as `UvResolver.run` says.
    """
    folder = path.absolute().parent
    refuse_builds_in_place(read_requirement_files(path), folder)
    resolver = UvResolver(python_version, timeout_seconds=timeout_seconds)
    answer = resolver.run([*_COMPILE, *resolver.python_arguments(), str(folder / path.name)], folder)
    if isinstance(answer, NoSolution):
        raise RejectedError(
            f"no versions fulfil it: {answer.reason}", where=str(path), next_step="correct the requirements"
        )
    return answer


def read_resolved(
    path: Path,
    *,
    label: str | None = None,
    python_version: str | None = None,
    timeout_seconds: float = 300.0,
) -> Inventory:
    """The inventory of what the file would install, under the file's own label.

    Raises:
        HoldtrueError: as `resolve_requirements` says.
    """
    text = resolve_requirements(path, python_version=python_version, timeout_seconds=timeout_seconds)
    # Lines of uv's answer are lines of no file.
    lines = (
        replace(line, place="resolved by uv") if isinstance(line, Dependency) else line
        for line in parse_requirements(text)
    )
    inventory = join_requirements(lines, (), label=str(path) if label is None else label)
    return replace(inventory, kind=KIND)


@dataclass(slots=True)
class RequirementsProject:
    """A requirements file with what it includes, resolved in a private folder (`FixableProject`)."""

    files: tuple[RequirementFile, ...]
    resolver: UvResolver
    folder: Path
    pins: frozenset[Pin] = field(init=False)
    notes: tuple[str, ...] = field(init=False)
    _is_complete: bool = field(init=False)
    _absent: frozenset[str] = field(init=False, default=frozenset())
    """What uv adds to a complete file as it stands, for another platform or Python than it was written for."""
    _unused: frozenset[Pin] = field(init=False, default=frozenset())
    _has_remote: bool = field(init=False, default=True)
    """Whether uv is asked with what comes from repositories and addresses."""

    def __post_init__(self) -> None:
        self.pins = pins_after(self._lines(), {})
        self._is_complete = any(map(is_complete, self._lines()))
        self.notes = tuple(self._notes())

    def resolve(self, wishes: Mapping[str, Wish], *, is_near: bool) -> Resolution | NoSolution:
        """As `FixableProject` says.

        Raises:
            HoldtrueError: as `UvResolver.run` says.
        """
        answer = self._run(wishes, is_near=is_near)
        if isinstance(answer, NoSolution):
            return answer
        releases = read_releases(answer)
        if not wishes:
            self._absent = frozenset(releases.keys() - {pin.name for pin in self.pins})
            self._unused = unused_pins(self.pins, releases)
        assigned = assign_releases(self._lines(), releases, self._unused)
        if isinstance(assigned, NoSolution):
            return assigned
        added = (Pin(name, item.version) for name, listed in self._added(releases).items() for item in listed)
        return Resolution(pins_after(self._lines(), assigned) | frozenset(added), answer, self._unused)

    def _run(self, wishes: Mapping[str, Wish], *, is_near: bool) -> str | NoSolution:
        """Without its repositories and addresses where one of them makes uv fail: the pins do not depend on them."""
        try:
            return self.resolver.run(self._write(wishes, is_near=is_near), self.folder)
        except ToolMissing:
            raise
        except HoldtrueError as error:
            remote = sum(is_remote(line) for lines in self._lines() for line in lines)
            if not remote or not self._has_remote:
                raise
            self._has_remote = False
            answer = self.resolver.run(self._write(wishes, is_near=is_near), self.folder)
            note = f"{remote} of its lines name repositories or addresses, without which it was resolved ({error.what})"
            self.notes = (*self.notes, f"{note}; what they need was not considered")
            return answer

    def rewrite(self, resolution: Resolution) -> tuple[FileChange, ...] | NoSolution:
        """As `FixableProject` says."""
        releases = read_releases(resolution.text)
        assigned = assign_releases(self._lines(), releases, self._unused)
        if isinstance(assigned, NoSolution):
            return assigned
        added = self._added(releases)
        changes: dict[str, FileChange] = {}
        for file in self.files:
            if file.is_constraint and file.name in changes:  # included both ways, it changes once
                continue
            is_home = bool(added) and not file.is_constraint and is_complete(file.lines)
            after = rewrite_lines(file.lines, assigned, added if is_home else {})
            if isinstance(after, NoSolution):
                return after
            added = {} if is_home else added
            changes[file.name] = FileChange(file.name, file.text, after)
        return tuple(changes.values())

    def _added(self, releases: Mapping[str, Sequence[Release]]) -> dict[str, Sequence[Release]]:
        """What a file with everything in it newly needs."""
        if not self._is_complete:
            return {}
        known = {pin.name for pin in self.pins} | self._absent
        listed = {line.dependency.name for lines in self._lines() for line in lines if line.dependency}
        return {name: items for name, items in releases.items() if name not in known | listed}

    def _lines(self) -> list[tuple[Line, ...]]:
        return [file.lines for file in self.files]

    def _write(self, wishes: Mapping[str, Wish], *, is_near: bool) -> list[str]:
        """The question to uv, in files of ours, and its arguments."""
        options, has_pre = [], False
        for file in self.files:
            found, is_pre = index_options(file.lines, str(file.folder.absolute()))
            options += found
            has_pre = has_pre or is_pre
        asked = [
            (file.is_constraint, line)
            for file in self.files
            for line in source_lines(file.lines, wishes, is_near=is_near, has_remote=self._has_remote)
        ]
        source, limits, output = self.folder / "wanted.in", self.folder / "limits.in", self.folder / "pins.txt"
        _write_lines(source, [*options, *(line for is_constraint, line in asked if not is_constraint)])
        _write_lines(limits, [line for is_constraint, line in asked if is_constraint])
        _write_lines(output, [line for lines in self._lines() for line in preference_lines(lines, wishes)])
        lines = [line for lines in self._lines() for line in lines]
        # Lowest for what has lower bounds only: an open requirement would go down to the oldest release.
        has_open = any(
            line.dependency and line.dependency.origin is Origin.INDEX and not line.dependency.version for line in lines
        )
        return [
            *_COMPILE,
            *self.resolver.python_arguments(),
            *("--output-file", str(output), "--constraints", str(limits)),
            *(["--resolution", "lowest-direct"] if is_near and not has_open else []),
            *(["--generate-hashes"] if any(line.hashes for line in lines) else []),
            *(["--universal"] if any(line.pin and line.pin.marker for line in lines) else []),
            *(["--prerelease", "allow"] if has_pre else []),
            str(source),
        ]

    def _notes(self) -> list[str]:
        lines = [line for lines in self._lines() for line in lines]
        left_out = sum(local_place(line) is not None for line in lines)
        notes = []
        if left_out:
            notes.append(f"{left_out} of its lines name folders of this machine; what they need was not considered")
        if not self._is_complete:
            notes.append("what the file does not pin is left to the installer, and no part of the second audit")
        return notes


def _write_lines(path: Path, lines: Sequence[str]) -> None:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
