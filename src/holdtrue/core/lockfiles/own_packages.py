"""Decides which packages are internal: the organisation's own, whose names stay private.

No advisory source is asked about

- a package whose name matches one of the internal patterns, however it is installed,
- a project of the lock file itself, and any other that is built from a path or installed in place: a package of that
  name on PyPI is a different one,
- a package that is locked from a folder that serves as an index, unless the folder is named as a mirror,
- a package locked from another index in a file that also names PyPI or a mirror of it. A file that names neither is
  assumed to use a mirror, unless the user named one; then only the patterns say which packages are internal,
- a package that another inventory of the audit has from such an index, unless its own records that it is from PyPI. The
  names of projects and of packages built from a path are not shared in this way: pip would take them from PyPI there.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from fnmatch import translate
from typing import Final

from holdtrue.core.lockfiles.inventories import OWN_PROJECT
from holdtrue.models.dependency import Dependency, Inventory, Origin

INTERNAL_NAME: Final = "declared internal: not sent to any advisory source"
"""Reason of packages that match the patterns."""

PRIVATE_INDEX: Final = "from an additional index that is not known to be public: not sent to any advisory source"
"""Reason of packages that are locked from such an index."""

PRIVATE_ELSEWHERE: Final = "from a private index in another inventory of this audit: not sent to any advisory source"
"""Reason of packages in inventories that do not record the index."""

CONDA: Final = "conda"
"""The kind of inventory whose addresses of archives may be those of an index, which its lock does not name."""

PYPI: Final = "pypi.org/simple"
"""PyPI, as `index_name` returns it."""

_OWN_REASONS: Final = frozenset({INTERNAL_NAME, OWN_PROJECT, PRIVATE_ELSEWHERE})
_NOT_NAMED: Final = frozenset({PRIVATE_INDEX, PRIVATE_ELSEWHERE})
_FROM_ANYWHERE: Final = frozenset({Origin.INDEX, Origin.VCS, Origin.URL})
_FOLDER_STARTS: Final = ("/", ".")
_FILE_SCHEME: Final = re.compile(r"file:(?://(?:localhost(?=/))?)?", re.IGNORECASE)
_NOT_ASKED: Final = frozenset({Origin.INTERNAL, Origin.LOCAL, Origin.EDITABLE})
_PYPI_HOSTS: Final = frozenset({"pypi.org", "pypi.python.org", "files.pythonhosted.org"})
_MIRROR_HOSTS: Final = frozenset(
    {"mirrors.aliyun.com", "pypi.tuna.tsinghua.edu.cn", "mirrors.ustc.edu.cn", "mirror.baidu.com"}
)
"""Public mirrors that serve all of PyPI."""
_PUBLIC_HOSTS: Final = frozenset({
    "test.pypi.org", "test-files.pythonhosted.org", "download.pytorch.org", "download-r2.pytorch.org",
    "pypi.nvidia.com", "data.pyg.org", "pypi.anaconda.org", "piwheels.org", "www.piwheels.org", "wheels.vllm.ai",
}) | _PYPI_HOSTS | _MIRROR_HOSTS  # fmt: skip
"""Indexes whose packages are PyPI's projects or otherwise public."""


def is_asked(item: Dependency) -> bool:
    """Whether its name may be sent to an advisory source."""
    return item.origin not in _NOT_ASKED and item.reason not in _OWN_REASONS


def is_named_internal(origin: Origin | None, reason: str) -> bool:
    """Whether the user declared it internal; a private index alone does not make it so."""
    return reason == INTERNAL_NAME or (origin is Origin.INTERNAL and reason not in _NOT_NAMED)


def mark_all_internal(
    inventories: Iterable[Inventory], patterns: Sequence[str], mirrors: Sequence[str] = ()
) -> tuple[Inventory, ...]:
    """Mark what is the organisation's own in the inventories of one audit, which know it from each other too."""
    marked = tuple(mark_internal(inventory, patterns, mirrors) for inventory in inventories)
    own = frozenset(
        item.name for inventory in marked for item in inventory.dependencies if item.origin is Origin.INTERNAL
    )
    if len(marked) == 1 or not own:
        return marked
    mirrored = _mirror_names(mirrors)
    return tuple(_mark_known(inventory, own, mirrored) for inventory in marked)


def _mark_known(inventory: Inventory, own: frozenset[str], mirrored: frozenset[str]) -> Inventory:
    if own.isdisjoint(item.name for item in inventory.dependencies):
        return inventory

    def marked(item: Dependency) -> Dependency:
        is_public = _host(item.index) in _PUBLIC_HOSTS or _is_in(item.index, mirrored)
        if item.name not in own or item.origin not in _FROM_ANYWHERE or is_public or not is_asked(item):
            return item
        is_of_index = item.origin is Origin.INDEX
        return replace(item, origin=Origin.INTERNAL if is_of_index else item.origin, reason=PRIVATE_ELSEWHERE)

    return replace(inventory, dependencies=tuple(map(marked, inventory.dependencies)))


def mark_internal(inventory: Inventory, patterns: Sequence[str], mirrors: Sequence[str] = ()) -> Inventory:
    """Mark the dependencies that are the organisation's own.

    Args:
        inventory: What was read.
        patterns: Shell patterns for the names of internal packages.
        mirrors: URLs of indexes that serve PyPI's packages.
    """
    matchers = [re.compile(translate(re.sub(r"[-_.]+", "-", pattern).lower())) for pattern in patterns]
    named = {item.index for item in inventory.dependencies if item.index}
    mirrored = _mirror_names(mirrors)
    folders = frozenset(index for index in named if index.startswith(_FOLDER_STARTS) and not _is_in(index, mirrored))
    private = _private_indexes(named - folders, mirrored)
    if not matchers and not private and not folders:
        return inventory

    may_be_of_index = inventory.kind == CONDA

    def marked(item: Dependency) -> Dependency:
        if any(matcher.match(item.name) for matcher in matchers):
            if item.origin is Origin.INDEX:
                return replace(item, origin=Origin.INTERNAL, reason=item.reason or INTERNAL_NAME)
            return replace(item, reason=item.reason if item.reason == OWN_PROJECT else INTERNAL_NAME)
        if item.index in private and (item.origin is Origin.INDEX or (may_be_of_index and item.origin is Origin.URL)):
            return replace(item, origin=Origin.INTERNAL, reason=PRIVATE_INDEX)
        if item.origin is Origin.INDEX and item.index in folders:
            return replace(item, origin=Origin.LOCAL)
        return item

    return replace(inventory, dependencies=tuple(map(marked, inventory.dependencies)))


def index_name(address: str) -> str:
    """Host and path of an index, or its folder: what identifies it, without user, password and query."""
    if address.lower().startswith("file:"):
        return folder_name(address)
    rest = re.split(r"[?#]", address.partition("://")[2] or address, maxsplit=1)[0].rstrip("/")
    authority, slash, path = rest.partition("/")
    return f"{authority.rpartition('@')[2].lower()}{slash}{path}"


def folder_name(address: str) -> str:
    """A folder that serves as an index, by its path or `file:` address, so that it does not look like a host."""
    path = _FILE_SCHEME.sub("", address).rstrip("/")
    return path if path.startswith(_FOLDER_STARTS) else f"./{path}"


def _mirror_names(mirrors: Iterable[str]) -> frozenset[str]:
    return frozenset(name for mirror in mirrors for name in (index_name(mirror), folder_name(mirror)) if name)


def _private_indexes(named: set[str], mirrored: frozenset[str]) -> frozenset[str]:
    """Those of the named ones that are neither public nor mirrors, where it is known what serves PyPI's packages."""
    if not mirrored and not any(_host(index) in _PYPI_HOSTS | _MIRROR_HOSTS for index in named):
        return frozenset()
    return frozenset(index for index in named if _host(index) not in _PUBLIC_HOSTS and not _is_in(index, mirrored))


def _is_in(index: str, mirrored: frozenset[str]) -> bool:
    """Whether it is one of these, or below one."""
    return any(index == mirror or index.startswith(f"{mirror}/") for mirror in mirrored)


def _host(index: str) -> str:
    return index.partition("/")[0]
