"""What a project asks for by itself, from the pyproject.toml beside its lock file."""

from collections.abc import Iterator
from typing import Final

from holdtrue.core.lockfiles.document import Table, open_toml
from holdtrue.core.lockfiles.naming import canonical_name, required_name
from holdtrue.errors import RejectedError

_DYNAMIC: Final = frozenset({"dependencies", "optional-dependencies"})


def read_direct_names(pyproject: str) -> frozenset[str] | None:
    """The canonical names in all extras and groups of the project; None when the file does not tell them.

    Read are the project table (PEP 621), dependency groups (PEP 735), and the tables of poetry and pdm.
    """
    try:
        root = open_toml(pyproject, "pyproject.toml", "pyproject.toml")
    except RejectedError:
        return None
    project, tool = root.table("project"), root.table("tool")
    is_of_poetry = "dependencies" in tool.table("poetry").values
    is_told = bool(project.values) and _DYNAMIC.isdisjoint(project.texts("dynamic"))
    if not is_told and not is_of_poetry:
        return None
    texts = (
        *project.texts("dependencies"),
        *_texts_of_groups(project.table("optional-dependencies")),
        *_texts_of_groups(root.table("dependency-groups")),
        *_texts_of_groups(tool.table("pdm").table("dev-dependencies")),
    )
    keys = (canonical_name(key) for key in _poetry_keys(tool.table("poetry")))
    names = frozenset(name for name in (*map(required_name, texts), *keys) if name)
    return None if root.gaps else names


def _texts_of_groups(groups: Table) -> Iterator[str]:
    for group in groups.values.values():
        # A group may hold tables, which include another group.
        yield from (item for item in group if isinstance(item, str)) if isinstance(group, list) else ()


def _poetry_keys(poetry: Table) -> Iterator[str]:
    yield from poetry.table("dependencies").values
    yield from poetry.table("dev-dependencies").values
    groups = poetry.table("group")
    for group in groups.values:
        yield from groups.table(group).table("dependencies").values
