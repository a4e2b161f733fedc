"""pdm.lock, version 4.

Source of the format: pdm's src/pdm/project/lockfile/pdmlock.py and models/candidates.py. A package with an extra is an
entry of its own beside the plain one. The file does not tell what the project asks for by itself; pyproject.toml does.
Its metadata stand at the beginning, so that what tells a cut file is a package that is asked for and not there.
"""

from collections.abc import Iterator
from typing import Final

from holdtrue.core.lockfiles.addresses import is_own_folder
from holdtrue.core.lockfiles.document import Table, check_format_version, open_toml_lock
from holdtrue.core.lockfiles.inventories import OWN_PROJECT, Entry, make_inventory, named_tables, report_absent
from holdtrue.core.lockfiles.naming import read_version, required_name
from holdtrue.core.lockfiles.own_packages import index_name
from holdtrue.core.lockfiles.project import NOT_HELD, Needs
from holdtrue.models.dependency import Dependency, Inventory, Origin

KIND: Final = "pdm.lock"

_REPOSITORIES: Final = ("git", "hg", "svn", "bzr")


def parse_pdm_lock(text: str, label: str, needs: Needs | None = None) -> Inventory:
    """Everything that the file locks; chains and what is direct only with the `needs` of the project (`read_needs`).

    Raises:
        RejectedError: the text is not TOML, or another tool's lock.
    """
    root = open_toml_lock(text, label, KIND)
    metadata = root.table("metadata")
    check_format_version(root, metadata.values.get("lock_version"), known=("4",))
    packages = [*named_tables(root.listed_tables("package", text))]
    entries = [_read_package(name, package) for name, package in packages]
    excluded = needs.excluded if needs else frozenset()
    required = {name for _, package in packages for name in _required(package)} - excluded
    report_absent(root, entries, required, "another package needs it, but the file does not hold it: it may be cut")
    if needs is None:
        return make_inventory(root, KIND, entries)
    report_absent(root, entries, needs.held_by(metadata.texts("groups") or ("default",)) - excluded, NOT_HELD)
    return make_inventory(root, KIND, entries, direct=[(name, "") for name in needs.names])


def _required(package: Table) -> Iterator[str]:
    """What it needs wherever it is installed: a marker may leave the rest out of the file."""
    names = (required_name(text) for text in package.texts("dependencies") if ";" not in text)
    return filter(None, names)


def _read_package(name: str, package: Table) -> Entry:
    origin = _read_origin(package)
    version, reason = read_version(package.text("version"))
    is_own = origin in {Origin.LOCAL, Origin.EDITABLE} and is_own_folder(package.text("path"))
    dependency = Dependency(
        name=name,
        version=version,
        origin=origin,
        place=package.place,
        marker=package.text("marker"),
        reason=OWN_PROJECT if is_own else reason,
        index=_read_index(package),
    )
    needed = (required_name(item) for item in package.texts("dependencies"))
    # Its plain entry brings in what the one with the extra does not name again.
    return Entry(dependency, tuple((key, "") for key in needed if key and key != name))


def _read_index(package: Table) -> str:
    """Only a file with static addresses tells the host of its archives."""
    addresses = (table.text("url") for table in package.tables("files"))
    return next((index_name(address) for address in addresses if "://" in address), "")


def _read_origin(package: Table) -> Origin:
    if any(key in package.values for key in _REPOSITORIES):
        return Origin.VCS
    if "path" in package.values:
        return Origin.EDITABLE if package.flag("editable") else Origin.LOCAL
    return Origin.URL if "url" in package.values else Origin.INDEX
