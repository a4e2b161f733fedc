"""poetry.lock, versions 1 and 2.

Source of the format: poetry's src/poetry/packages/locker.py and locks that poetry 2.5 wrote. The file does not tell
what the project asks for by itself; its pyproject.toml does. What no installation needs (an extra of a dependency
that nobody asked for) is named and not held.
"""

from typing import Final

from holdtrue.core.lockfiles.document import Table, check_format_version, open_toml_lock
from holdtrue.core.lockfiles.inventories import Entry, any_marker, make_inventory, named_tables, report_absent
from holdtrue.core.lockfiles.naming import canonical_name, read_version
from holdtrue.core.lockfiles.own_packages import PYPI, index_name
from holdtrue.core.lockfiles.project import NOT_HELD, Needs
from holdtrue.models.dependency import Dependency, Inventory, Origin

KIND: Final = "poetry.lock"

_ORIGINS: Final = {
    "": Origin.INDEX,
    "legacy": Origin.INDEX,  # any index that is given by its address
    "git": Origin.VCS,
    "url": Origin.URL,
    "file": Origin.LOCAL,
    "directory": Origin.LOCAL,
}


def parse_poetry_lock(text: str, label: str, needs: Needs | None = None) -> Inventory:
    """Everything that the file locks; chains and what is direct only with the `needs` of the project (`read_needs`).

    Raises:
        RejectedError: the text is not TOML, or another tool's lock.
    """
    root = open_toml_lock(text, label, KIND)
    # It stands at the end of the file, so a cut one lacks it.
    check_format_version(root, root.table("metadata").values.get("lock-version"), known=("1", "2"))
    packages = [*named_tables(root.listed_tables("package", text))]
    entries = [_read_package(name, package) for name, package in packages]
    if needs is None:
        return make_inventory(root, KIND, entries)
    groups = {group for _, package in packages for group in package.texts("groups")}
    report_absent(root, entries, needs.held_by({"default", *groups, *root.table("extras").values}), NOT_HELD)
    return make_inventory(root, KIND, entries, direct=[(name, "") for name in needs.names])


def _read_package(name: str, package: Table) -> Entry:
    source = package.table("source")
    origin = _ORIGINS.get(source.text("type"))
    if origin is None:
        package.report("its source is not known")
    is_editable = origin is Origin.LOCAL and package.flag("develop")
    version, reason = read_version(package.text("version"))
    dependency = Dependency(
        name=name,
        version=version,
        origin=Origin.EDITABLE if is_editable else origin or Origin.URL,
        place=package.place,
        marker=_read_marker(package),
        reason=reason,
        index=_read_index(source),
    )
    needed = (canonical_name(key) for key in package.table("dependencies").values)
    return Entry(dependency, tuple((key, "") for key in needed if key))


def _read_index(source: Table) -> str:
    """PyPI needs no source."""
    if source.text("type") == "legacy":
        return index_name(source.text("url"))
    return "" if source.values else PYPI


def _read_marker(package: Table) -> str:
    """One for all groups, or a table of those groups that have one; a group without needs none."""
    if not isinstance(package.values.get("markers"), dict):
        return package.text("markers")
    markers = package.table("markers")
    groups = (*markers.values, *package.texts("groups"))
    return any_marker(markers.text(group) if group in markers.values else "" for group in groups)
