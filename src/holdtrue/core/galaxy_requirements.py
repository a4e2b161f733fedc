"""What a `requirements.yml` of Ansible asks for, and whether an installed version is what it asks for.

Formats: Galaxy user guide, "Installing roles and collections from the same requirements.yml file".
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion

from holdtrue.core.plain_yaml import PlainYaml, parse_plain_yaml
from holdtrue.errors import RejectedError

_COLLECTION: Final = re.compile(r"[a-z_][a-z0-9_]*\.[a-z_][a-z0-9_]*", re.IGNORECASE)
_ARCHIVE: Final = re.compile(r"(?:\.git|\.tar\.gz|\.tgz)$")


class RequirementKind(StrEnum):
    """What Galaxy installs."""

    ROLE = "role"
    COLLECTION = "collection"


@dataclass(frozen=True, slots=True)
class Requirement:
    """One entry. `name` is what it is installed as; empty when only its source knows."""

    kind: RequirementKind
    name: str
    version: str = ""


def parse_requirements(text: str, label: str) -> tuple[Requirement, ...]:
    """The entries of one file, in order.

    Raises:
        RejectedError: it is not YAML, or not what Galaxy reads.
    """
    match parse_plain_yaml(text, label):
        case list(roles):
            return tuple(_roles(roles, label))
        case dict(sections) if sections.keys() & {"roles", "collections"}:
            listed, named = sections.get("roles") or [], sections.get("collections") or []
            if isinstance(listed, list) and isinstance(named, list):
                return (*_roles(listed, label), *_collections(named, label))
    raise _unreadable(label, "it has neither a list of roles nor the sections `roles` and `collections`")


def fits(requirement: Requirement, installed: str) -> bool:
    """Whether this version is one that is asked for. What cannot be compared fits: a branch, a commit."""
    wanted = requirement.version
    if wanted in {"", "*"} or not installed:
        return True
    if requirement.kind is RequirementKind.ROLE:
        return wanted.removeprefix("v") == installed.removeprefix("v")
    parts = (part.strip() for part in wanted.split(","))
    exact = (f"=={part.removeprefix('=')}" if part[:1] not in "<>!~" and part[:2] != "==" else part for part in parts)
    try:
        return SpecifierSet(",".join(exact)).contains(installed, prereleases=True)
    except (InvalidSpecifier, InvalidVersion):
        return True


def _roles(entries: list[PlainYaml], label: str) -> Iterator[Requirement]:
    for entry in entries:
        match entry:
            case str():
                source, *rest = entry.split(",")
                name = rest[1] if len(rest) > 1 else _role_of(source)
                yield Requirement(RequirementKind.ROLE, name.strip(), rest[0].strip() if rest else "")
            case dict() if isinstance(entry.get("include"), str):
                yield Requirement(RequirementKind.ROLE, "")
            case dict():
                name = _text(entry, "name") or _role_of(_text(entry, "src") or _text(entry, "role"))
                yield Requirement(RequirementKind.ROLE, name, _text(entry, "version"))
            case _:
                raise _unreadable(label, "a role is neither a name nor a mapping")


def _role_of(source: str) -> str:
    """As Galaxy names a role after its source: the last part of an address."""
    if "://" not in source and "@" not in source and not _ARCHIVE.search(source):
        return source.strip()
    return _ARCHIVE.sub("", source.strip().rstrip("/").rsplit("/", 1)[-1])


def _collections(entries: list[PlainYaml], label: str) -> Iterator[Requirement]:
    for entry in entries:
        match entry:
            case str():
                name, _, version = entry.partition(":")
            case dict():
                name, version = _text(entry, "name"), _text(entry, "version")
            case _:
                raise _unreadable(label, "a collection is neither a name nor a mapping")
        known = _COLLECTION.fullmatch(name.strip())
        yield Requirement(RequirementKind.COLLECTION, name.strip() if known else "", version.strip() if known else "")


def _text(entry: dict[str, PlainYaml], field: str) -> str:
    value = entry.get(field, "")
    return value if isinstance(value, str) else ""


def _unreadable(label: str, reason: str) -> RejectedError:
    return RejectedError(
        f"it cannot be read as requirements of Ansible Galaxy: {reason}",
        where=label,
        next_step="`ansible-galaxy install -r` of that file says what is wrong",
    )
