"""Pipfile.lock, pipfile-spec 6: `default`, `develop` and any category of the user's own.

Source of the format: pipenv's documentation (locking, package categories) and locks that pipenv 2026 wrote. The file
holds no graph, and does not tell what the Pipfile asks for by itself.
"""

from collections.abc import Mapping
from typing import Final

from holdtrue.core.lockfiles.addresses import is_own_folder, origin_of, version_of_file
from holdtrue.core.lockfiles.document import Table, check_format_version, open_json
from holdtrue.core.lockfiles.inventories import OWN_PROJECT, Entry, make_inventory
from holdtrue.core.lockfiles.naming import canonical_name, read_version
from holdtrue.core.lockfiles.own_packages import index_name
from holdtrue.models.dependency import Dependency, Inventory, Origin

KIND: Final = "Pipfile.lock"

_META: Final = "_meta"
_REPOSITORIES: Final = ("git", "hg", "svn", "bzr")


def parse_pipfile_lock(text: str, label: str) -> Inventory:
    """Everything that the file locks, in all its categories.

    Raises:
        RejectedError: the text is not a JSON object.
    """
    root = open_json(text, label, KIND)
    meta = root.table(_META)
    check_format_version(root, meta.values.get("pipfile-spec"), known=("6",))
    indexes = {source.text("name"): index_name(source.text("url")) for source in meta.tables("sources")}
    entries = [
        entry for category in root.values if category != _META for entry in _read_category(root, category, indexes)
    ]
    return make_inventory(root, KIND, entries)


def _read_category(root: Table, category: str, indexes: Mapping[str, str]) -> list[Entry]:
    place = canonical_name(category) or "a category"
    packages = root.table(category).at(place)
    entries = []
    for key in packages.values:
        name = canonical_name(key)
        if name is None:
            packages.report("the name of one of its packages is not one of PEP 508")
        else:
            entries.append(Entry(_read_package(name, packages.table(key), indexes)))
    return entries


def _read_package(name: str, package: Table, indexes: Mapping[str, str]) -> Dependency:
    origin, address = _read_origin(package)
    version, reason = _read_version(package.text("version") or f"=={version_of_file(address, name)}")
    return Dependency(
        name=name,
        version=version,
        origin=origin,
        place=package.place,
        marker=package.text("markers"),
        reason=OWN_PROJECT if is_own_folder(address) else reason,
        # Without a name it is from the first one.
        index=indexes.get(package.text("index"), next(iter(indexes.values()), "")),
    )


def _read_version(specifier: str) -> tuple[str, str]:
    """The one exact version; other specifiers stand there only by hand."""
    if not specifier.startswith("==") or specifier.endswith(".*"):
        return "", "not pinned to one version"
    return read_version(specifier.lstrip("=").strip())


def _read_origin(package: Table) -> tuple[Origin, str]:
    """With the address that may name the version."""
    if any(key in package.values for key in _REPOSITORIES):
        return Origin.VCS, ""
    path, file = package.text("path"), package.text("file")
    if path:
        return Origin.EDITABLE if package.flag("editable") else Origin.LOCAL, path
    return (origin_of(file), file) if file else (Origin.INDEX, "")
