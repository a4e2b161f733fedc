"""Read what lies in a package folder (site-packages, dist-packages) as an inventory; nothing in it is passed over.

Sources: PyPA specifications "Recording installed projects" (dist-info, INSTALLER, REQUESTED) and "Core metadata",
setuptools' "The Internal Structure of Python Eggs", and Python's site module (.pth).
"""

import posixpath
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from holdtrue.core.dependency_chains import find_chains
from holdtrue.core.installed_origin import classify, editable_path, tells_requested
from holdtrue.core.lockfiles.inventories import merge_duplicates
from holdtrue.core.lockfiles.naming import canonical_name, read_version, required_name
from holdtrue.models.dependency import Dependency, Gap, Inventory, Origin

KIND: Final = "installed"

_METADATA_NAME: Final = re.compile(r"(?P<name>[^-]+)-(?P<version>[^-]+)(?:-py\d.*)?\.(?i:dist-info|egg-info|egg)")
_VENDORED: Final = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^\]]*\])?\s*===?\s*([^\s;#]+)")


@dataclass(frozen=True, slots=True)
class InstalledEntry:
    """One entry of a package folder as it lies there.

    Attributes:
        name: Of the file or folder: `demo-1.0.dist-info`, `demo.egg-info`, `demo.egg`, `demo.egg-link`, `demo.pth`;
            `vendor.txt` and `vendored.txt` of a package that carries copies of others.
        text: Of a distribution its METADATA or PKG-INFO, down to the first blank line at least as far as it was read;
            of the other files all of it. None when it cannot be read.
        direct_url: Text of direct_url.json (PEP 610); None when there is none.
        installer: Text of INSTALLER.
        is_requested: Whether there is a file REQUESTED.
        vendored_in: The package that carries it as its own copy; empty for an ordinary one.
        problem: Why its text is None.
    """

    name: str
    text: str | None
    direct_url: str | None = None
    installer: str = ""
    is_requested: bool = False
    vendored_in: str = ""
    problem: str = ""


@dataclass(frozen=True, slots=True)
class _Distribution:
    dependency: Dependency
    requires: tuple[str, ...]
    is_requested: bool
    tells_requested: bool


def read_package_folder(
    entries: Sequence[InstalledEntry], *, folder: str, label: str, listed_folders: Collection[str] = ()
) -> Inventory:
    """The folder's inventory.

    `folder` is its path as its own machine sees it: that of the system's Python holds what the distribution patched.
    `listed_folders` are others that are inventories too, so that a .pth file that leads there hides nothing.

    A direct dependency is one that pip was asked for; a transitive one that pip was not, and that something installed
    requires. Where pip did not install it, `is_direct` is None, and the chain is one possible reason for it. Only
    requirements without an extra make chains; markers are not evaluated.
    """
    distributions: list[_Distribution] = []
    others: list[Dependency] = []
    gaps: list[Gap] = []
    for entry in entries:
        if entry.name.endswith(".pth"):
            continue
        for item in _read_entry(entry, folder):
            match item:
                case _Distribution():
                    distributions.append(item)
                case Dependency():
                    others.append(item)
                case Gap():
                    gaps.append(item)
    gaps += _hidden_folders(entries, folder, listed_folders)
    # A copy of what is installed as well is the same package at the same version: it is listed once, as installed.
    listed = merge_duplicates(_with_chains(distributions))
    known = {(item.name, item.version, item.origin) for item in listed}
    copies = merge_duplicates(item for item in others if (item.name, item.version, item.origin) not in known)
    return Inventory(label=label, kind=KIND, dependencies=(*listed, *copies), gaps=tuple(gaps))


def _read_entry(entry: InstalledEntry, folder: str) -> Iterator[_Distribution | Dependency | Gap]:
    if entry.name.startswith("~"):
        yield Gap(entry.name, "left over by an interrupted installation")
    elif entry.name.endswith(".txt"):
        yield from _read_vendor_list(entry, folder)
    elif entry.name.endswith(".egg-link"):
        name = canonical_name(entry.name.removesuffix(".egg-link"))
        reason = "an editable project: its version does not stand in this folder"
        yield Dependency(name, "", Origin.EDITABLE, entry.name, reason=reason) if name else Gap(entry.name, reason)
    else:
        yield _read_distribution(entry, folder)


def _read_distribution(entry: InstalledEntry, folder: str) -> _Distribution | Dependency | Gap:
    name, version, requires = _read_headers(entry.text or "")
    doubt = ""
    if not name or not version:
        named = _METADATA_NAME.fullmatch(entry.name)
        if named is None:
            return Gap(entry.name, entry.problem or "its metadata hold no name or no version")
        doubt = f"{entry.problem or 'its metadata hold no name or no version'}: read from the name of its metadata"
        name, version = named["name"], named["version"].replace("_", "-")
    canonical = canonical_name(name)
    if canonical is None:
        return Gap(entry.name, "its name is not one of PEP 508")
    origin, reason = classify(folder=folder, installer=entry.installer, direct_url=entry.direct_url)
    version, unclear = read_version(version)
    dependency = Dependency(canonical, version, origin, entry.name, reason=reason or doubt or unclear)
    if entry.vendored_in:
        return _vendored(dependency, entry.vendored_in)
    return _Distribution(
        dependency=dependency,
        requires=requires,
        is_requested=entry.is_requested,
        tells_requested=tells_requested(entry.installer),
    )


def _read_headers(text: str) -> tuple[str, str, tuple[str, ...]]:
    """Name, version (empty when missing) and the names of required packages, as far as the first blank line."""
    name = version = ""
    requires: list[str] = []
    for line in text.replace("\r\n", "\n").split("\n"):
        if not line:
            break
        key, _, value = line.partition(":")
        match key.lower():
            case "name":
                name = name or value.strip()
            case "version":
                version = version or value.strip()
            case "requires-dist":
                required = required_name(value)
                if required and "extra" not in value.partition(";")[2]:
                    requires.append(required)
            case _:
                pass
    return name, version, tuple(requires)


def _with_chains(distributions: Sequence[_Distribution]) -> Iterator[Dependency]:
    installed = {item.dependency.name for item in distributions}
    children: dict[str, list[str]] = {}
    required: set[str] = set()
    for item in distributions:
        names = [name for name in item.requires if name in installed and name != item.dependency.name]
        children.setdefault(item.dependency.name, []).extend(names)
        required.update(names)
    requested = {item.dependency.name for item in distributions if item.is_requested and item.tells_requested}
    chains = find_chains(children, sorted(requested | (installed - required)))
    for item in distributions:
        chain = chains.get(item.dependency.name, ())
        is_direct: bool | None = None
        if item.tells_requested and (item.is_requested or chain):
            is_direct = item.is_requested
        yield replace(item.dependency, chain=chain, is_direct=is_direct)


def _read_vendor_list(entry: InstalledEntry, folder: str) -> Iterator[Dependency | Gap]:
    """Pins, one a line, as pip's own `_vendor/vendor.txt` has them."""
    where = f"{entry.vendored_in}'s {entry.name}"
    if entry.text is None:
        yield Gap(where, entry.problem)
        return
    origin, reason = classify(folder=folder, installer=entry.installer, direct_url=entry.direct_url)
    for number, line in enumerate(entry.text.splitlines(), start=1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        pin = _VENDORED.match(text)
        if pin is None:
            yield Gap(f"{where}, line {number}", "names no exact version of a package")
            continue
        version, unclear = read_version(pin[2])
        name = canonical_name(pin[1])
        if name is None:
            yield Gap(f"{where}, line {number}", "its name is not one of PEP 508")
        else:
            yield _vendored(Dependency(name, version, origin, reason=reason or unclear), entry.vendored_in)


def _vendored(dependency: Dependency, owner: str) -> Dependency:
    return replace(dependency, place=f"vendored in {owner}", chain=(owner,), is_direct=False)


def _hidden_folders(entries: Sequence[InstalledEntry], folder: str, listed_folders: Collection[str]) -> Iterator[Gap]:
    """The .pth files that lead to packages which are no inventory: neither of this folder, nor an editable project."""
    known = [posixpath.normpath(folder), *map(posixpath.normpath, listed_folders), *_project_folders(entries)]
    for entry in entries:
        if not entry.name.endswith(".pth"):
            continue
        if entry.text is None:
            yield Gap(entry.name, entry.problem)
            continue
        lines = (line.strip() for line in entry.text.splitlines())
        # site.addpackage: lines that begin with `import` and a blank are run, all others are folders.
        added = [line for line in lines if line and not line.startswith(("#", "import ", "import\t"))]
        paths = [posixpath.normpath(posixpath.join(folder, line)) for line in added]
        if hidden := sum(not any(_is_within(path, top) for top in known) for path in paths):
            yield Gap(entry.name, f"leads to {hidden} more folders of packages, which are not listed")


def _project_folders(entries: Sequence[InstalledEntry]) -> Iterator[str]:
    for entry in entries:
        if entry.name.endswith(".egg-link") and entry.text:
            yield posixpath.normpath(entry.text.splitlines()[0].strip())
        elif entry.direct_url is not None and (path := editable_path(entry.direct_url)):
            yield posixpath.normpath(path)


def _is_within(path: str, top: str) -> bool:
    return path == top or path.startswith(f"{top}/")
