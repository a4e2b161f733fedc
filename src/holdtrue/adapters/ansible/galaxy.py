"""Roles and collections that a fleet's `requirements.yml` names, and whether Ansible finds them on this machine."""

import json
import sysconfig
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import yaml

from holdtrue.core.galaxy_requirements import Requirement, RequirementKind, fits, parse_requirements
from holdtrue.errors import ResourceMissing

_NAMES: Final = tuple(
    f"{folder}requirements.{ending}" for folder in ("", "roles/", "collections/") for ending in ("yml", "yaml")
)


@dataclass(frozen=True, slots=True)
class SearchPaths:
    """Where Ansible looks; the first hit counts."""

    roles: tuple[Path, ...]
    collections: tuple[Path, ...]


def find_requirement_files(playbook: Path, root: Path) -> tuple[Path, ...]:
    """The files in the playbook's folder and in those above it, up to `root`: where users of Ansible put them."""
    folders = [playbook.parent]
    while folders[-1] != root and root in folders[-1].parents:
        folders.append(folders[-1].parent)
    return tuple(path for folder in folders for name in _NAMES if (path := folder / name).is_file())


def search_paths(config_dump: str, playbook: Path) -> SearchPaths:
    """From `ansible-config dump --format json`, with the folders beside the playbook, which come first."""
    entries = {entry["name"]: entry["value"] for entry in json.loads(config_dump) if "name" in entry}
    installed = [Path(sysconfig.get_path("purelib"))] if entries.get("COLLECTIONS_SCAN_SYS_PATH") else []
    return SearchPaths(
        roles=(playbook.parent / "roles", *map(Path, entries["DEFAULT_ROLES_PATH"]), playbook.parent),
        collections=(playbook.parent / "collections", *map(Path, entries["COLLECTIONS_PATHS"]), *installed),
    )


def ask_requirements(files: Sequence[Path], paths: SearchPaths) -> str:
    """Return a sentence for people that says how many are installed.

    Raises:
        ResourceMissing: a role or collection is missing or has another version; names each, and the command.
        RejectedError: a file cannot be read.
    """
    wrong: list[str] = []
    commands: list[str] = []
    known = unknown = 0
    for file in files:
        wanted = parse_requirements(file.read_text(encoding="utf-8", errors="replace"), str(file))
        problems = [problem for requirement in wanted if (problem := _problem(requirement, paths))]
        wrong += [problem.text for problem in problems]
        if problems:
            forced = any(problem.is_another_version for problem in problems)
            commands.append(_command(file, wanted, forced=forced))
        unknown += sum(not requirement.name for requirement in wanted)
        known += sum(bool(requirement.name) for requirement in wanted)
    if wrong:
        raise ResourceMissing(
            f"roles or collections that the playbook requires are missing: {'; '.join(dict.fromkeys(wrong))}",
            where=", ".join(str(file) for file in files),
            next_step=f"as the worker's user, run: {' && '.join(commands)}",
        )
    untold = f"; {unknown} could not be checked, because the file gives no name for them" if unknown else ""
    return f"{known} roles and collections of {', '.join(file.name for file in files)} are installed{untold}"


@dataclass(frozen=True, slots=True)
class _Problem:
    text: str
    is_another_version: bool = False


def _problem(requirement: Requirement, paths: SearchPaths) -> _Problem | None:
    """What is wrong with it; None when nothing is, or when the file gives no name for it."""
    if not requirement.name:
        return None
    wanted = f"{requirement.kind} {requirement.name}" + (f" {requirement.version}" if requirement.version else "")
    found = next(_installed(requirement, paths), None)
    if found is None:
        return _Problem(f"{wanted} is not installed")
    if fits(requirement, found):
        return None
    return _Problem(f"{wanted} is required, {found or 'an unknown version'} is installed", is_another_version=True)


def _installed(requirement: Requirement, paths: SearchPaths) -> Iterator[str]:
    """Its version in each place where it is installed; an empty string where no version is recorded."""
    if requirement.kind is RequirementKind.ROLE:
        for folder in paths.roles:
            role = folder / requirement.name
            if any((role / part).is_dir() for part in ("tasks", "handlers", "defaults", "vars", "meta")):
                yield _noted_version(role / "meta/.galaxy_install_info", ())
        return
    for folder in paths.collections:
        parent = folder.parent if folder.name == "ansible_collections" else folder
        place = parent.joinpath("ansible_collections", *requirement.name.split("."))
        if (place / "MANIFEST.json").is_file():
            yield _noted_version(place / "MANIFEST.json", ("collection_info",))
        elif place.is_dir():
            yield _noted_version(place / "galaxy.yml", ())


def _noted_version(path: Path, sections: Iterable[str]) -> str:
    try:
        content: object = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return ""
    for section in sections:
        content = content.get(section) if isinstance(content, Mapping) else None
    version = content.get("version") if isinstance(content, Mapping) else None
    return str(version or "")


def _command(file: Path, wanted: Sequence[Requirement], *, forced: bool) -> str:
    kinds = {requirement.kind for requirement in wanted}
    kind = f" {next(iter(kinds))}" if len(kinds) == 1 else ""
    return f"ansible-galaxy{kind} install -r {file}{' --force' if forced else ''}"
