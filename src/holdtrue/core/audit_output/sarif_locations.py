"""Where a code scanner shows a finding: always a file of the repository, or what stands for one.

GitHub refuses a whole log for one result without a physical location, and takes addresses relative to the root of the
repository. What is no file of it, such as an environment, gets the path that it has on its machine, without the slash
before it, and its name as a logical location beside that.
"""

import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from holdtrue.core.neutral import for_sarif, one_line

_PATH_LIMIT: Final = 4_096
_LINE: Final = re.compile(r"(?:(?P<file>.+) )?line (?P<line>[1-9][0-9]{0,8})", re.DOTALL)
_INSTALLED: Final = "installed"
_METADATA: Final = ".dist-info"
_NO_FILES: Final = {_INSTALLED: "environment", "host": "environment", "project": "folder"}
"""The kinds of inventories that are no files, and what each is."""

_UNNAMED: Final = "unknown"
"""Of a result without any place."""

_Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class SourceTree:
    """Where the paths of a report begin; both are absolute, with slashes.

    Attributes:
        root: The root of the repository, to which addresses are relative.
        folder: The folder in which the audit ran, to which its labels are relative.
    """

    root: str = "/"
    folder: str = "/"


def location(inventory: str, place: str, kinds: Mapping[str, str], tree: SourceTree) -> _Json:
    """A place of an inventory."""
    kind = kinds.get(inventory, "")
    label = inventory[:_PATH_LIMIT]
    found = None if kind in _NO_FILES else _LINE.fullmatch(place)
    if found and found["file"]:
        path = posixpath.join(posixpath.dirname(label), found["file"][:_PATH_LIMIT])
    elif kind == _INSTALLED and place.endswith((_METADATA, ".egg-info", ".egg", ".egg-link")) and "/" not in place:
        path = posixpath.join(label, place, *(["METADATA"] if place.endswith(_METADATA) else []))
    else:
        path = label
    uri, is_inside = _relative(path, tree)
    described = {"message": {"text": for_sarif(place)}} if place and not found else {}
    return {
        "physicalLocation": {
            "artifactLocation": {"uri": quote(uri.encode(errors="replace")), "uriBaseId": "%SRCROOT%"},
            "region": {"startLine": int(found["line"]) if found else 1},
        },
        **({} if kind not in _NO_FILES and is_inside else {"logicalLocations": [_named(inventory, place, kind)]}),
        **described,
    }


def _relative(path: str, tree: SourceTree) -> tuple[str, bool]:
    """The path from the root, and whether it lies below it; the whole path, without its first slash, where not."""
    whole = posixpath.normpath(posixpath.join(tree.folder, path)).lstrip("/")
    root = posixpath.normpath(tree.root).lstrip("/")
    if root and whole.startswith(f"{root}/"):
        return whole.removeprefix(f"{root}/"), True
    is_below = bool(whole) and not posixpath.normpath(path).startswith(("/", "../"))
    return whole or _UNNAMED, not root and is_below


def _named(inventory: str, place: str, kind: str) -> _Json:
    label = one_line(inventory) or _UNNAMED
    name = f"{label}: {one_line(place)}" if place else label
    return {"name": label, "fullyQualifiedName": name, "kind": _NO_FILES.get(kind, "file")}
