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
    """Where Ansible looks, the first hit counts."""

    roles: tuple[Path, ...]
    collections: tuple[Path, ...]


def find_requirement_files(playbook: Path, root: Path) -> tuple[Path, ...]:
    """Those beside the playbook and in the folders above it, up to `root`, where Ansible's users put them."""
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
    """That all of them are installed, in words.

    Raises:
        ResourceMissing: naming each role and collection that is not, or has another version, and the command.
        RejectedError: a file cannot be read.
    """
    wrong: list[str] = []
    commands: list[str] = []
    known = unknown = 0
    for file in files:
        wanted = parse_requirements(file.read_text(encoding="utf-8", errors="replace"), str(file))
        problems = [problem for requirement in wanted if (problem := _problem(requirement, paths))]
        wrong += problems
        commands += (
            [_command(file, wanted, forced=any("installed" in problem for problem in problems))] if problems else []
        )
        unknown += sum(not requirement.name for requirement in wanted)
        known += sum(bool(requirement.name) for requirement in wanted)
    if wrong:
        raise ResourceMissing(
            f"what the playbook requires is missing: {'; '.join(dict.fromkeys(wrong))}",
            where=", ".join(str(file) for file in files),
            next_step=f"as the worker's user: {' && '.join(commands)}",
        )
    untold = f"; {unknown} not looked for, because only their source knows their name" if unknown else ""
    return f"{known} roles and collections of {', '.join(file.name for file in files)} are installed{untold}"


def _problem(requirement: Requirement, paths: SearchPaths) -> str:
    """What is wrong with it, or nothing."""
    if not requirement.name:
        return ""
    wanted = f"{requirement.kind} {requirement.name}" + (f" {requirement.version}" if requirement.version else "")
    found = next(_installed(requirement, paths), None)
    if found is None:
        return f"{wanted} is not there"
    return "" if fits(requirement, found) else f"{wanted} is wanted, {found} is installed"


def _installed(requirement: Requirement, paths: SearchPaths) -> Iterator[str]:
    """Its version in each place where it is; empty where the place does not say."""
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
