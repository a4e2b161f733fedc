"""uv.lock, version 1, also that of a script.

Source of the format: uv's crates/uv-resolver/src/lock and locks that uv 0.13 wrote. Every package that another one
needs is in the file. Projects that it is made for: the folder of the file itself, and the workspace's members.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from holdtrue.core.lockfiles.addresses import is_own_folder
from holdtrue.core.lockfiles.document import Table, check_format_version, open_toml_lock
from holdtrue.core.lockfiles.inventories import (
    OWN_PROJECT,
    Entry,
    Need,
    any_marker,
    make_inventory,
    named_tables,
    report_absent,
)
from holdtrue.core.lockfiles.naming import canonical_name, read_version
from holdtrue.core.lockfiles.own_packages import folder_name, index_name
from holdtrue.models.dependency import Dependency, Inventory, Origin

KIND: Final = "uv.lock"

NO_PROJECT: Final = "it holds no project that it is made for: the file may be cut, lock again with `uv lock`"

_ORIGINS: Final = {
    "git": Origin.VCS,
    "url": Origin.URL,
    "path": Origin.LOCAL,
    "directory": Origin.LOCAL,
    "editable": Origin.EDITABLE,
    "virtual": Origin.LOCAL,
    "registry": Origin.INDEX,
}
_FOLDERS: Final = ("editable", "virtual", "directory")


def parse_uv_lock(text: str, label: str) -> Inventory:
    """Everything that the file locks, with chains from what the projects ask for, in all extras and groups.

    A virtual project is not listed: nothing of it is installed. The other projects are, with a reason.

    Raises:
        RejectedError: the text is not TOML, or another tool's lock.
    """
    root = open_toml_lock(text, label, KIND)
    check_format_version(root, root.values.get("version"), known=("1",))
    manifest = root.table("manifest")
    members = {name for text in manifest.texts("members") if (name := canonical_name(text))}
    entries = [
        _read_package(name, package, is_member=name in members)
        for name, package in named_tables(root.listed_tables("package", text))
    ]
    report_absent(root, entries, members, "a member of the workspace that the file does not hold: the file may be cut")
    direct = (*_needs(manifest.tables("requirements")), *_needs(manifest.grouped_tables("dependency-groups")))
    if entries and not (members or direct or any(entry.is_root for entry in entries)):
        root.report(NO_PROJECT)
    return make_inventory(root, KIND, entries, direct=direct or None, is_complete=True)


def _read_package(name: str, package: Table, *, is_member: bool) -> Entry:
    source = package.table("source")
    kind = next((key for key in _ORIGINS if key in source.values), "")
    if not kind:
        package.report("its source is not known")
    is_root = is_member or (kind in _FOLDERS and is_own_folder(source.text(kind)))
    version, reason = read_version(package.text("version"))
    dependency = Dependency(
        name=name,
        version=version,
        # Of unknown source, a finding is possible and none is no comfort: what an archive from anywhere is.
        origin=_ORIGINS.get(kind, Origin.URL),
        place=package.place,
        marker=any_marker(package.texts("resolution-markers")),
        reason=OWN_PROJECT if is_root else reason,
        index=_read_index(source.text("registry")),
    )
    needs = (
        *_needs(package.tables("dependencies")),
        *_needs(package.grouped_tables("optional-dependencies")),
        *_needs(package.grouped_tables("dev-dependencies")),
    )
    return Entry(dependency, needs, is_root=is_root, is_listed=kind != "virtual")


def _read_index(registry: str) -> str:
    """What has no scheme is the path of a folder."""
    return folder_name(registry) if registry and "://" not in registry else index_name(registry)


def _needs(tables: Iterable[Table]) -> Iterator[Need]:
    for name, table in named_tables(tables):
        version, _ = read_version(table.text("version"))
        yield name, version
