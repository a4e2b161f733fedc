"""Decides which packages are internal: the organisation's own, whose names stay private.

No advisory source is asked about

- a package whose name matches one of the internal patterns, however it is installed,
- a project of the lock file itself, and any other that is built from a path or installed in place: a package of that
  name on PyPI is a different one,
- a package locked from an index other than PyPI in a file that also names PyPI, unless that index is listed here as
  public or by the user as a mirror. A file that does not name PyPI is assumed to use a mirror of it; only the patterns
  say which of its packages are internal.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from fnmatch import translate
from typing import Final

from holdtrue.core.lockfiles.inventories import OWN_PROJECT
from holdtrue.models.dependency import Dependency, Inventory, Origin

INTERNAL_NAME: Final = "declared internal: not sent to any advisory source"
"""Reason of packages that match the patterns."""

PRIVATE_INDEX: Final = "from an additional index that is not known to be public: not sent to any advisory source"
"""Reason of packages that are locked from such an index."""

PYPI: Final = "pypi.org/simple"
"""PyPI, as `index_name` returns it."""

_OWN_REASONS: Final = frozenset({INTERNAL_NAME, OWN_PROJECT})
_NOT_ASKED: Final = frozenset({Origin.INTERNAL, Origin.LOCAL, Origin.EDITABLE})
_PYPI_HOSTS: Final = frozenset({"pypi.org", "pypi.python.org", "files.pythonhosted.org"})
_PUBLIC_HOSTS: Final = frozenset({
    "test.pypi.org", "test-files.pythonhosted.org", "download.pytorch.org", "download-r2.pytorch.org",
    "pypi.nvidia.com", "data.pyg.org", "pypi.anaconda.org", "piwheels.org", "www.piwheels.org", "wheels.vllm.ai",
    "mirrors.aliyun.com", "pypi.tuna.tsinghua.edu.cn", "mirrors.ustc.edu.cn", "mirror.baidu.com",
}) | _PYPI_HOSTS  # fmt: skip
"""Indexes whose packages are PyPI's projects or otherwise public."""


def is_asked(item: Dependency) -> bool:
    """Whether its name may be sent to an advisory source."""
    return item.origin not in _NOT_ASKED and item.reason not in _OWN_REASONS


def is_named_internal(origin: Origin | None, reason: str) -> bool:
    """Whether the user declared it internal; a private index alone does not make it so."""
    return reason == INTERNAL_NAME or (origin is Origin.INTERNAL and reason != PRIVATE_INDEX)


def mark_internal(inventory: Inventory, patterns: Sequence[str], mirrors: Sequence[str] = ()) -> Inventory:
    """Mark the dependencies that are the organisation's own.

    Args:
        inventory: What was read.
        patterns: Shell patterns for the names of internal packages.
        mirrors: URLs of indexes that serve PyPI's packages.
    """
    matchers = [re.compile(translate(re.sub(r"[-_.]+", "-", pattern).lower())) for pattern in patterns]
    private = _private_indexes({item.index for item in inventory.dependencies if item.index}, mirrors)
    if not matchers and not private:
        return inventory

    def marked(item: Dependency) -> Dependency:
        if any(matcher.match(item.name) for matcher in matchers):
            if item.origin is Origin.INDEX:
                return replace(item, origin=Origin.INTERNAL, reason=item.reason or INTERNAL_NAME)
            return replace(item, reason=item.reason if item.reason == OWN_PROJECT else INTERNAL_NAME)
        if item.origin is Origin.INDEX and item.index in private:
            return replace(item, origin=Origin.INTERNAL, reason=PRIVATE_INDEX)
        return item

    return replace(inventory, dependencies=tuple(map(marked, inventory.dependencies)))


def index_name(address: str) -> str:
    """Host and path of an index, or its folder: what identifies it, without user, password and query."""
    rest = re.split(r"[?#]", address.partition("://")[2] or address, maxsplit=1)[0].rstrip("/")
    authority, slash, path = rest.partition("/")
    return f"{authority.rpartition('@')[2].lower()}{slash}{path}"


def _private_indexes(named: set[str], mirrors: Sequence[str]) -> frozenset[str]:
    """The named indexes that are neither PyPI nor public; empty when PyPI is not among the named ones."""
    if not any(_host(index) in _PYPI_HOSTS for index in named):
        return frozenset()
    known = [index_name(mirror) for mirror in mirrors]
    return frozenset(
        index
        for index in named
        if _host(index) not in _PUBLIC_HOSTS
        and not any(index == mirror or index.startswith(f"{mirror}/") for mirror in known)
    )


def _host(index: str) -> str:
    return index.partition("/")[0]
