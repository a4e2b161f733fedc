"""Who brought a requirement in, from the `# via` comments that pip-compile and `uv pip compile` write.

Forms: `# via name`, `# via name, name` behind the requirement or below it, and `# via` with a name on each further
comment line. `-r file`, `name (pyproject.toml)` and the name of the project itself mean that it is asked for directly;
`-c file` says nothing. `# from https://...` names the index (uv's `--emit-index-annotation`).
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from holdtrue.core.lockfiles.inventories import Entry, Need, link
from holdtrue.core.lockfiles.naming import canonical_name
from holdtrue.core.lockfiles.own_packages import index_name
from holdtrue.models.dependency import Dependency

_LIMITS: Final = ("-c", "--constraint", "--override")
_INDENTED: Final = "   "


class Annotations:
    """Collects the comments of a file line by line, and applies them to its dependencies."""

    def __init__(self) -> None:
        self._sources: dict[int, list[str]] = {}
        self._indexes: dict[int, str] = {}
        self._subject: int | None = None
        self._is_open = False

    def follow(self, subject: int | None) -> None:
        """Let the next comments speak of this dependency, by its index; of none with None."""
        self._subject = subject
        self._is_open = False

    def note(self, comment: str) -> None:
        """Take in a comment, without its `#`."""
        text = comment.strip()
        if self._subject is None or not text:
            return
        if text.startswith("from ") and "://" in text:
            self._indexes[self._subject] = index_name(text.removeprefix("from ").strip())
            self._is_open = False
            return
        if text == "via" or text.startswith("via "):
            self._is_open = True
            text = text[3:]
        elif not (self._is_open and comment.startswith(_INDENTED)):
            self._is_open = False
            return
        sources = self._sources.setdefault(self._subject, [])
        sources.extend(stripped for part in text.split(",") if (stripped := part.strip()))

    def apply(self, dependencies: Sequence[Dependency]) -> Sequence[Dependency]:
        """The dependencies with their indexes and chains; those without a comment stay direct."""
        if self._indexes:
            dependencies = [
                replace(item, index=self._indexes[number]) if number in self._indexes else item
                for number, item in enumerate(dependencies)
            ]
        if not self._sources:
            return dependencies
        names = {item.name for item in dependencies}
        needs: dict[str, dict[Need, None]] = {}
        direct: list[Need] = []
        for index, item in enumerate(dependencies):
            parents = _read_parents(self._sources.get(index, ()), names)
            if not parents:
                direct.append((item.name, ""))
            for parent in parents:
                needs.setdefault(parent, {})[item.name, ""] = None
        # Comments name no versions, so that whoever reaches one line of a name reaches all: the first speaks for them.
        return link([Entry(item, tuple(needs.pop(item.name, ()))) for item in dependencies], direct)


def _read_parents(sources: Sequence[str], names: set[str]) -> list[str]:
    """The names that brought it in; none when at least one source means that it is direct, or nothing is said."""
    parents = []
    for source in sources:
        if source.startswith(_LIMITS):
            continue
        name = canonical_name(source.partition("[")[0])
        # A name that is no line of the file is the project itself.
        if name not in names:
            return []
        parents.append(name)
    return parents
