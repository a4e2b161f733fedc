"""What a project asks for by itself, from the pyproject.toml beside its lock file."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from holdtrue.core.lockfiles.addresses import egg_name
from holdtrue.core.lockfiles.document import Table, open_toml
from holdtrue.core.lockfiles.naming import canonical_name
from holdtrue.errors import RejectedError

NOT_HELD: Final = "the project asks for it, but the file does not hold it: it is older than the project's, or cut"

_DEFAULT: Final = "default"
_DYNAMIC: Final = frozenset({"dependencies", "optional-dependencies"})
_REQUIREMENT: Final = re.compile(r"\s*([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)\s*(?:$|[\[(<>=!~;,@])")
_CONDITIONS: Final = frozenset({"markers", "optional", "platform", "python"})
"""Keys of a dependency of poetry's that may leave it out of the lock."""


@dataclass(frozen=True, slots=True)
class Needs:
    """What a project asks for.

    Attributes:
        names: Canonical names, in whatever extra or group.
        certain: Those without a condition, by extra or group; `default` is the project's own. A lock file may lack what
            has a marker that never holds for the Python versions that the project is for.
        excluded: What pdm leaves out of its locks, whoever needs it: the project itself, which a tool that it uses may
            need, and what it is told to.
    """

    names: frozenset[str]
    certain: Mapping[str, frozenset[str]] = field(default_factory=dict)
    excluded: frozenset[str] = frozenset()

    def held_by(self, groups: Iterable[str]) -> frozenset[str]:
        """What every lock file of these groups holds."""
        empty: frozenset[str] = frozenset()
        return empty.union(*(self.certain.get(_group_name(group), empty) for group in groups))


@dataclass(frozen=True, slots=True)
class _Need:
    group: str
    name: str
    is_certain: bool


def read_needs(pyproject: str) -> Needs | None:
    """What the project asks for in all extras and groups; None when the file does not tell all of it.

    Read are the project table (PEP 621), dependency groups (PEP 735), and the tables of poetry and pdm.
    """
    try:
        root = open_toml(pyproject, "pyproject.toml", "pyproject.toml")
    except RejectedError:
        return None
    project, tool = root.table("project"), root.table("tool")
    poetry, pdm = tool.table("poetry"), tool.table("pdm")
    is_of_poetry = "dependencies" in poetry.values
    is_told = bool(project.values) and _DYNAMIC.isdisjoint(project.texts("dynamic"))
    if not is_told and not is_of_poetry:
        return None
    own_names = {canonical_name(project.text("name")), canonical_name(poetry.text("name"))}
    found = [
        need
        for need in (
            *_of_texts(_DEFAULT, project.texts("dependencies"), project),
            *_of_groups(project.table("optional-dependencies")),
            *_of_groups(root.table("dependency-groups")),
            *_of_groups(pdm.table("dev-dependencies")),
            # Beside the project table they only say where its packages come from (poetry's documentation).
            *_of_poetry(_DEFAULT, poetry.table("dependencies"), may_be_held="dependencies" not in project.values),
            *_of_poetry("dev", poetry.table("dev-dependencies")),
            *_of_poetry_groups(poetry.table("group")),
        )
        # An extra may ask for other extras of the same project.
        if need.name not in own_names
    ]
    excluded = map(canonical_name, pdm.table("resolution").texts("excludes"))
    if root.gaps:
        return None
    certain: dict[str, set[str]] = {}
    for need in found:
        if need.is_certain:
            certain.setdefault(need.group, set()).add(need.name)
    return Needs(
        frozenset(need.name for need in found),
        {group: frozenset(names) for group, names in certain.items()},
        frozenset(filter(None, (*excluded, *own_names))),
    )


def _group_name(text: str) -> str:
    return canonical_name(text) or text


def _of_groups(groups: Table) -> Iterator[_Need]:
    for group, items in groups.values.items():
        # An array of texts, and of tables that include another group.
        if not isinstance(items, list) or not all(isinstance(item, str | dict) for item in items):
            groups.report("a group of dependencies that is none")
        else:
            yield from _of_texts(_group_name(group), (item for item in items if isinstance(item, str)), groups)


def _of_texts(group: str, texts: Iterable[str], table: Table) -> Iterator[_Need]:
    for text in texts:
        found = _REQUIREMENT.match(text)
        name = canonical_name(found[1]) if found else egg_name(text)
        if name is None:
            table.report("a dependency of the project without a name")
        else:
            yield _Need(group, name, is_certain=";" not in text)


def _of_poetry(group: str, dependencies: Table, *, may_be_held: bool = True) -> Iterator[_Need]:
    for key, value in dependencies.values.items():
        name = canonical_name(key)
        # Its `python` is the interpreter.
        if name and name != "python":
            is_plain = isinstance(value, str) or (isinstance(value, dict) and _CONDITIONS.isdisjoint(value))
            yield _Need(group, name, is_certain=may_be_held and is_plain)


def _of_poetry_groups(groups: Table) -> Iterator[_Need]:
    for group in groups.values:
        yield from _of_poetry(_group_name(group), groups.table(group).table("dependencies"))
