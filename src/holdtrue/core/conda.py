"""Read what conda knows of an environment: its lists, exports, explicit URLs, environment.yml and conda-lock.yml.

Formats as conda 24 to 26 and micromamba 2 write them, and conda-lock's version 1. Only packages of the channel `pypi`
are PyPI's; every other is conda's own build, which no advisory about PyPI is sure to describe. They keep their
version, so that they can be matched as possible.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final, assert_never

from holdtrue.core.dependency_chains import find_chains
from holdtrue.core.installed_origin import CONDA_REASON
from holdtrue.core.lockfiles.addresses import origin_of, pin_of_file
from holdtrue.core.lockfiles.document import load_json
from holdtrue.core.lockfiles.inventories import merge_duplicates
from holdtrue.core.lockfiles.naming import canonical_name, read_version
from holdtrue.core.lockfiles.own_packages import CONDA, PYPI, index_name
from holdtrue.core.plain_yaml import parse_plain_yaml
from holdtrue.core.requirements import Include, RequirementLine, parse_requirements
from holdtrue.errors import RejectedError
from holdtrue.models.dependency import Dependency, Gap, Inventory, Origin

Found = Dependency | Gap | Include

_PIP_PLACE: Final = "pip "
_PYPI_CHANNELS: Final = frozenset({"pypi", "pip"})
_DEVELOP: Final = "<develop>"
_BY_ADDRESS: Final = "from an address or repository: its version number does not identify the code"
_SPEC: Final = re.compile(r"(?:[^\s:=<>!~]+::)?(?P<name>[A-Za-z0-9._-]+)\s*(?P<rest>.*)", re.DOTALL)
_PINNED: Final = re.compile(r"={1,2}\s*(?P<version>[A-Za-z0-9][A-Za-z0-9._+!-]*)(?:[=\s]\s*\S+)?")
_BRACKETED: Final = re.compile(
    r"\[.*?\bversion\s*=\s*['\"]?={0,2}(?P<version>[A-Za-z0-9][A-Za-z0-9._+!-]*)['\"]?\s*[,\]]"
)
_ARCHIVE: Final = re.compile(r"(?P<name>[^/]+)-(?P<version>[^-/]+)-[^-/]+\.(?:conda|tar\.bz2)")
_TABLE_HEAD: Final = re.compile(r"\s*#?\s*Name\s+Version(?:\s+Build)?(?:\s+Channel)?\s*", re.IGNORECASE)
_DECORATION: Final = re.compile(r"[\s\u2500-\u257f=_-]*|List of packages in environment:.*", re.DOTALL)
_PIP_COMMENT: Final = re.compile(r"#\s*pip\s+(?P<name>[A-Za-z0-9._-]+)\s*@\s*(?P<url>\S+).*")
_PUBLIC_FILES: Final = "https://files.pythonhosted.org/"


ReadPip = Callable[[Sequence[RequirementLine]], Inventory]
"""What pip makes of the lines of its section, which may include files beside the one that is read."""


def parse_conda(text: str, label: str, read_pip: ReadPip | None = None) -> Inventory:
    """The packages of the environment that `text` lists; a line or entry that cannot be read is a gap.

    Files that a section for pip includes are read by `read_pip`; without it each is a gap.

    Raises:
        RejectedError: it is none of the formats, or not well-formed.
    """
    content = text.lstrip("\ufeff \t\r\n")
    if content.startswith(("{", "[")):
        found = [*_read_json(content, label)]
    elif re.search(r"^@EXPLICIT\s*$", content, re.MULTILINE):
        found = [*_read_explicit(content)]
    elif re.search(r"^(?:dependencies|package)\s*:", content, re.MULTILINE):
        found = [*_read_document(parse_plain_yaml(content, label), label)]
    else:
        found = [*_read_lines(content)]
        if found and all(isinstance(item, Gap) for item in found):
            raise _unknown(label)
    includes = [item for item in found if isinstance(item, Include)]
    if includes and read_pip:
        # Constraints among them are about all that stands in the section.
        included = read_pip([item for item in found if _is_for_pip(item)])
        found = [*(item for item in found if not _is_for_pip(item)), *included.dependencies, *included.gaps]
    else:
        found += [
            Gap(item.path, "a file that the section for pip includes, and that was not read") for item in includes
        ]
    return Inventory(
        label=label,
        kind=CONDA,
        dependencies=merge_duplicates(item for item in found if isinstance(item, Dependency)),
        gaps=tuple(dict.fromkeys(item for item in found if isinstance(item, Gap))),
    )


def _is_for_pip(item: Found) -> bool:
    return isinstance(item, Include) or (isinstance(item, Dependency) and item.place.startswith(_PIP_PLACE))


def _unknown(label: str) -> RejectedError:
    return RejectedError(
        "nothing of conda's can be read from it",
        where=label,
        next_step="give the output of `conda list --json`, an explicit list, environment.yml or conda-lock.yml",
    )


def _read_json(text: str, label: str) -> Iterator[Found]:
    """`conda list --json`, and `conda env export --json`, which is environment.yml as JSON."""
    gaps: list[Gap] = []
    try:
        document = load_json(text, label, gaps)
    except (ValueError, RecursionError):
        raise _unknown(label) from None
    yield from gaps
    if not isinstance(document, list):
        yield from _read_document(document, label)
        return
    for number, entry in enumerate(document, start=1):
        match entry:
            case {"name": str(name), "version": str(version)}:
                yield _package(name, version, str(entry.get("channel", "")), f"package {number}")
            case _:
                yield Gap(f"package {number}", "has no name or no version")


def _read_lines(text: str) -> Iterator[Found]:
    """`conda list`, and `conda list --export`; both have comments, and a line may be of either."""
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if _TABLE_HEAD.fullmatch(line) or _DECORATION.fullmatch(line):
            continue
        words = line.split()
        match words:
            case [single] if single.count("=") in {1, 2} and "==" not in single:
                name, version, *build = single.split("=")
                channel = "pypi" if build and build[0].startswith("pypi_") else ""
                yield _package(name, version, channel, f"line {number}")
            case [name, version, _]:
                yield _package(name, version, "", f"line {number}")
            case [name, version, _, channel]:
                yield _package(name, version, channel, f"line {number}")
            case _:
                yield Gap(f"line {number}", "no line of `conda list` or `conda list --export`")


def _read_explicit(text: str) -> Iterator[Found]:
    """One URL a line; conda-lock adds pip's as comments. They may hold tokens (`/t/TOKEN/`) and are not repeated."""
    for number, physical in enumerate(text.splitlines(), start=1):
        line, place = physical.strip(), f"line {number}"
        if pip := _PIP_COMMENT.fullmatch(line):
            yield _pip_archive(pip["name"], pip["url"], place)
        elif line and not line.startswith(("#", "@")):
            archive = _ARCHIVE.fullmatch(line.partition("#")[0].rpartition("/")[2])
            if archive is None:
                yield Gap(place, "no address of a conda package")
            else:
                yield _package(archive["name"], archive["version"], "", place)


def _pip_archive(name: str, url: str, place: str) -> Found:
    """A package of pip's by its archive; only PyPI's own address says that it is PyPI's."""
    canonical, pin = canonical_name(name), pin_of_file(url)
    if canonical is None:
        return Gap(place, "no name of PEP 508")
    version = pin.version if pin and pin.name == canonical else ""
    if version and url.startswith(_PUBLIC_FILES):
        return Dependency(canonical, version, place=place)
    return Dependency(canonical, version, origin_of(url), place, reason=_BY_ADDRESS)


def _read_document(document: object, label: str) -> Iterator[Found]:
    readers = {"package": _read_lock, "dependencies": _read_environment}
    held = {key: document[key] for key in readers if key in document} if isinstance(document, dict) else {}
    if not any(isinstance(entries, list) for entries in held.values()):
        raise _unknown(label)
    for key, entries in held.items():
        if isinstance(entries, list):
            yield from readers[key](entries)
        else:
            yield Gap(key, "is no list")


def _read_environment(entries: list[object]) -> Iterator[Found]:
    for number, entry in enumerate(entries, start=1):
        match entry:
            case str(spec):
                yield _read_spec(spec.strip(), f"dependency {number}")
            case {"pip": None | "" | list() as lines, **others}:
                for inner, line in enumerate(lines or (), start=1):
                    yield from _read_pip_line(line, f"{_PIP_PLACE}{inner}")
                if others:
                    yield Gap(f"dependency {number}", "more than a list for pip")
            case _:
                yield Gap(f"dependency {number}", "no package and no list for pip")


def _read_spec(spec: str, place: str) -> Found:
    """A conda MatchSpec: `name`, `name=1.0=build`, `channel::name ==1.0`, `name[version='1.0']`."""
    found = _SPEC.fullmatch(spec)
    name = _normal_name(found["name"]) if found else None
    if found is None or name is None:
        return Gap(place, "no package specification of conda")
    rest = found["rest"].strip()
    pinned = _PINNED.fullmatch(rest) or _BRACKETED.match(rest)
    if pinned is None:
        reason = f"{CONDA_REASON}; not pinned to one version"
        return Dependency(name, "", Origin.CONDA, place, is_direct=True, reason=reason)
    return _package(name, pinned["version"], "", place, is_direct=True)


def _read_pip_line(line: object, place: str) -> Iterator[Found]:
    """A line for pip, as one of a requirements file, which conda makes of the section."""
    found = parse_requirements(line) if isinstance(line, str) and "\n" not in line.strip() else ()
    for item in found:
        match item:
            case Dependency():
                yield replace(item, place=place)
            case Gap():
                yield Gap(place, item.reason)
            case Include():
                yield item
            case _:
                assert_never(item)
    if not found and not (isinstance(line, str) and line.lstrip().startswith("-")):
        yield Gap(place, "no requirement for pip")


def _read_lock(packages: list[object]) -> Iterator[Found]:
    """The packages of a conda-lock.yml, each once for each platform that it is locked for."""
    children: dict[str, list[str]] = {}
    entries: list[tuple[str, Mapping[str, object], str]] = []
    for number, entry in enumerate(packages, start=1):
        match entry:
            case {"name": str(text), "version": str()} if isinstance(entry, dict) and (name := _normal_name(text)):
                entries.append((name, entry, f"package {number}"))
                match entry.get("dependencies"):
                    case dict() as needed:
                        children.setdefault(name, []).extend(filter(None, map(_normal_name, map(str, needed))))
                    case _:
                        pass
            case _:
                yield Gap(f"package {number}", "has no name or no version")
    chains = _chains({name for name, _, _ in entries}, children)
    for name, entry, place in entries:
        yield _locked(name, entry, place, chains.get(name, ()))


def _chains(names: set[str], children: Mapping[str, Iterable[str]]) -> dict[str, tuple[str, ...]]:
    """The lock does not tell what is asked for; a chain begins at what no other package needs."""
    needed = {child for name, items in children.items() for child in items if child != name}
    locked = {name: [item for item in items if item in names] for name, items in children.items()}
    return find_chains(locked, sorted(names - needed))


def _locked(name: str, entry: Mapping[str, object], place: str, chain: tuple[str, ...]) -> Dependency:
    version, doubt = read_version(str(entry["version"]))
    if entry.get("manager") != "pip":
        return Dependency(name, version, Origin.CONDA, place, chain=chain, reason=CONDA_REASON)
    url = str(entry.get("url", ""))
    if not url.startswith(_PUBLIC_FILES):
        origin = origin_of(url)
        index = index_name(url) if origin is Origin.URL else ""
        return Dependency(name, version, origin, place, chain=chain, reason=_BY_ADDRESS, index=index)
    return Dependency(name, version, place=place, chain=chain, reason=doubt, index=PYPI)


def _package(name: str, version: str, channel: str, place: str, *, is_direct: bool | None = None) -> Found:
    canonical = _normal_name(name)
    if canonical is None or not any(character.isdigit() for character in version):
        return Gap(place, "no package and version")
    normal, doubt = read_version(version)
    if channel.lower() in _PYPI_CHANNELS:
        return Dependency(canonical, normal, place=place, is_direct=is_direct, reason=doubt)
    if channel == _DEVELOP:
        reason = "an editable project: no source knows its code"
        return Dependency(canonical, normal, Origin.EDITABLE, place, is_direct=is_direct, reason=reason)
    return Dependency(canonical, normal, Origin.CONDA, place, is_direct=is_direct, reason=CONDA_REASON)


def _normal_name(name: str) -> str | None:
    """As PEP 503 writes it; a name that only conda may have (`_libgcc_mutex`) stays as it is. None when it is none."""
    if name.startswith("_"):
        return name.lower() if canonical_name(name.strip("_")) else None
    return canonical_name(name)
