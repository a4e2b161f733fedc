"""pylock.toml, lock-version 1 (PEP 751; packaging.python.org, "pylock.toml Specification").

The file does not tell what the project asks for by itself, and one file may serve many projects, so chains are unknown.
`packages.dependencies` is optional, and most tools leave it out; what it names has to be in the file.
"""

from collections.abc import Iterator
from typing import Final

from holdtrue.core.lockfiles.addresses import is_own_folder, origin_of, version_of_file
from holdtrue.core.lockfiles.document import Table, check_format_version, open_toml_lock
from holdtrue.core.lockfiles.inventories import OWN_PROJECT, Entry, Need, make_inventory, named_tables
from holdtrue.core.lockfiles.naming import read_version
from holdtrue.core.lockfiles.own_packages import index_name
from holdtrue.models.dependency import Dependency, Inventory, Origin

KIND: Final = "pylock.toml"


def parse_pylock(text: str, label: str) -> Inventory:
    """Everything that the file locks.

    Raises:
        RejectedError: the text is not TOML, or another tool's lock.
    """
    root = open_toml_lock(text, label, KIND)
    check_format_version(root, root.values.get("lock-version"), known=("1",))
    entries = [_read_package(name, package) for name, package in named_tables(root.listed_tables("packages", text))]
    return make_inventory(root, KIND, entries, is_complete=True)


def _read_package(name: str, package: Table) -> Entry:
    origin = _read_origin(package)
    in_files = (found for file in _files(package) if (found := version_of_file(file, name)))
    version, reason = read_version(package.text("version") or next(in_files, ""))
    is_own = is_own_folder(package.table("directory").text("path"))
    dependency = Dependency(
        name=name,
        version=version,
        origin=origin,
        place=package.place,
        marker=package.text("marker"),
        reason=OWN_PROJECT if is_own else reason,
        index=_read_index(package),
    )
    return Entry(dependency, tuple(_needs(package)))


def _read_origin(package: Table) -> Origin:
    if "vcs" in package.values:
        return Origin.VCS
    if "directory" in package.values:
        return Origin.EDITABLE if package.table("directory").flag("editable") else Origin.LOCAL
    if "archive" in package.values:
        return origin_of(package.table("archive").text("url"))
    return Origin.LOCAL if _is_from_files(package) else Origin.INDEX


def _is_from_files(package: Table) -> bool:
    """Whether no index is named, and each archive is a file of the machine that locked: another one may not know it."""
    addresses = [table.text("url") or table.text("path") for table in _archives(package)]
    return not package.text("index") and bool(addresses) and all(map(_is_file, addresses))


def _is_file(address: str) -> bool:
    return bool(address) and origin_of(address) is Origin.LOCAL


def _read_index(package: Table) -> str:
    """The field is optional; without it the host of the archives tells."""
    addresses = (package.text("index"), *(text for text in _files(package) if "://" in text))
    return next((index_name(address) for address in addresses if address), "")


def _files(package: Table) -> Iterator[str]:
    """Where its archives lie: the version of one that is built anew each time stands in no field."""
    for table in (package.table("archive"), *_archives(package)):
        yield from (table.text("name"), table.text("url"), table.text("path"))


def _archives(package: Table) -> Iterator[Table]:
    if "sdist" in package.values:
        yield package.table("sdist")
    yield from package.tables("wheels")


def _needs(package: Table) -> Iterator[Need]:
    for name, table in named_tables(package.tables("dependencies")):
        version, _ = read_version(table.text("version"))
        yield name, version
