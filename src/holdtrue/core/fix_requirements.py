"""What uv is asked about a requirements file, and the file with what it answers.

The pins of the file become lower bounds, and the file's versions preferences, which uv keeps wherever it can
(`uv pip compile` reads them from the file that it is to write). With `--resolution lowest-direct`, what must move goes
up as little as possible.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from packaging.version import Version

from holdtrue.core.fix_lines import (
    Line,
    change_line,
    is_annotated,
    local_place,
    requirement_text,
    split_lines,
    without_editable,
)
from holdtrue.core.fix_resolution import NoSolution, Wish
from holdtrue.core.version_match import read_version
from holdtrue.models.dependency import Dependency, Origin, Pin

_NO_WISH: Final = Wish()
_REMOTE: Final = frozenset({Origin.VCS, Origin.URL})


@dataclass(frozen=True, slots=True)
class Release:
    """One line of what uv wrote: its version, hashes and the comments below it, as text."""

    version: str
    hashes: tuple[str, ...]
    block: str


def source_lines(
    lines: Sequence[Line], wishes: Mapping[str, Wish], *, is_near: bool, has_remote: bool = True
) -> list[str]:
    """What the file asks for, with its pins loosened. What lies on this machine is left out.

    Without `has_remote` so is what comes from repositories and addresses.
    """
    return [
        _loosen(line, wishes, is_near=is_near) if line.pin else without_editable(requirement_text(line))
        for line in lines
        if line.dependency and local_place(line) is None and (has_remote or not is_remote(line))
    ]


def is_remote(line: Line) -> bool:
    """Whether it names a repository or an address."""
    return line.dependency is not None and line.dependency.origin in _REMOTE


def preference_lines(lines: Sequence[Line], wishes: Mapping[str, Wish]) -> list[str]:
    """The pins of the file, with the version that is wished for where there is one."""
    preferences = []
    for line in lines:
        if line.pin:
            wish = wishes.get(line.pin.name, _NO_WISH)
            version = wish.exact or max(filter(None, (line.pin.version, wish.minimum)), key=Version)
            marker = f" ; {line.pin.marker}" if line.pin.marker else ""
            preferences.append(f"{line.pin.name}=={version}{marker}")
    return preferences


def _loosen(line: Line, wishes: Mapping[str, Wish], *, is_near: bool) -> str:
    pin = line.pin
    if pin is None:
        raise ValueError("this line pins nothing")
    wish = wishes.get(pin.name, _NO_WISH)
    own, minimum = Version(pin.version), read_version(wish.minimum)
    # A specifier with a pre-release is what lets uv take one.
    floor = max(filter(None, (own if is_near or own.is_prerelease else None, minimum)), default=None)
    limits = [*line.limits, *(f"!={version}" for version in sorted(wish.excluded))]
    if wish.exact:
        limits.append(f"=={wish.exact}")
    elif floor:
        limits.append(f">={floor.public}")
    return f"{line.name}{','.join(limits)}" + (f" ; {pin.marker}" if pin.marker else "")


def read_releases(text: str) -> dict[str, list[Release]]:
    """What uv wrote, by package, each package's releases in ascending order."""
    releases: dict[str, list[Release]] = {}
    current: list[Release] = []
    for line in split_lines(text):
        pin = line.pin
        if pin and pin.origin is Origin.INDEX:
            current = releases.setdefault(pin.name, [])
            current.append(Release(pin.version, line.hashes, line.raw))
        elif line.dependency is None and current and line.raw.lstrip().startswith("#"):
            last = current[-1]
            current[-1] = Release(last.version, last.hashes, last.block + line.raw)
        else:
            current = []
    for listed in releases.values():
        listed.sort(key=lambda release: Version(release.version))
    return releases


def unused_pins(pins: Iterable[Pin], releases: Mapping[str, Sequence[Release]]) -> frozenset[Pin]:
    """What uv left out of a file as it stands: the pins whose markers do not hold."""
    pinned: dict[str, set[Pin]] = {}
    for pin in pins:
        pinned.setdefault(pin.name, set()).add(pin)
    unused: set[Pin] = set()
    for name, named in pinned.items():
        # One version may be written in several ways, such as 1.0 and 1.0.0.
        used = {Version(release.version) for release in releases.get(name, ())}
        if used < {Version(pin.version) for pin in named}:
            unused.update(pin for pin in named if Version(pin.version) not in used)
    return frozenset(unused)


def assign_releases(
    files: Sequence[Sequence[Line]], releases: Mapping[str, Sequence[Release]], unused: frozenset[Pin]
) -> dict[int, Release] | NoSolution:
    """Which release each pin takes, by the identity of its line; unused ones, and what uv left out, are not in it.

    A package that stands there several times, under different markers, needs as many releases, lowest to lowest.
    """
    pinned: dict[str, list[Line]] = {}
    for line in (line for lines in files for line in lines):
        if line.pin and line.pin.name in releases and Pin(line.pin.name, line.pin.version) not in unused:
            pinned.setdefault(line.pin.name, []).append(line)
    assigned: dict[int, Release] = {}
    for name, lines in pinned.items():
        # Equal pins (one in the file and one in its constraints) are one, however their version is written.
        distinct = sorted({Version(line.pin.version) for line in lines if line.pin})
        found = list({Version(release.version): release for release in releases[name]}.values())
        if len(found) == 1:
            assigned |= {id(line): found[0] for line in lines}
        elif len(found) == len(distinct):
            by_version = dict(zip(distinct, found, strict=True))
            assigned |= {id(line): by_version[Version(line.pin.version)] for line in lines if line.pin}
        else:
            kept = {Version(release.version): release for release in found}
            if not all(version in kept for version in distinct):
                return NoSolution(f"{name} would need {len(found)} versions where the file pins {len(distinct)}")
            assigned |= {id(line): kept[Version(line.pin.version)] for line in lines if line.pin}
    return assigned


def pins_after(files: Sequence[Sequence[Line]], assigned: Mapping[int, Release]) -> frozenset[Pin]:
    """What the files pin then."""
    return frozenset(
        Pin(line.pin.name, _version_after(line.pin, assigned.get(id(line))))
        for lines in files
        for line in lines
        if line.pin
    )


def _version_after(pin: Dependency, release: Release | None) -> str:
    """As the file writes it, where it stays."""
    return pin.version if release is None or Version(release.version) == Version(pin.version) else release.version


def rewrite_lines(
    lines: Sequence[Line], assigned: Mapping[int, Release], added: Mapping[str, Sequence[Release]]
) -> str | NoSolution:
    """The file with these versions and hashes, and with `added` packages where the alphabet has them."""
    parts: list[str] = []
    for line in lines:
        release = assigned.get(id(line))
        if line.pin is None or release is None or Version(release.version) == Version(line.pin.version):
            parts.append(line.raw)
            continue
        if line.hashes and not release.hashes:
            return NoSolution(f"the index gives no hashes of {line.pin.name} {release.version}")
        parts.append(change_line(line, release.version, release.hashes))
    end = _line_end(lines)
    for name in sorted(added, reverse=True):
        at = _insert_at(lines, name)
        blocks = "".join(_added_block(release, lines, end) for release in added[name])
        if at and not parts[at - 1].endswith(("\n", "\r")):
            parts[at - 1] += end
        parts[at:at] = [blocks]
        lines = [*lines[:at], Line(blocks), *lines[at:]]
    return "".join(parts)


def _line_end(lines: Sequence[Line]) -> str:
    return "\r\n" if any(line.raw.endswith("\r\n") for line in lines) else "\n"


def _insert_at(lines: Sequence[Line], name: str) -> int:
    """Behind the last pin that comes before it in the alphabet, and the comments below that."""
    before = [(line.pin.name, index) for index, line in enumerate(lines) if line.pin and line.pin.name < name]
    if not before:
        return next((index for index, line in enumerate(lines) if line.pin), len(lines))
    at = max(before)[1] + 1
    while at < len(lines) and lines[at].raw[:1].isspace() and lines[at].raw.lstrip().startswith("#"):
        at += 1
    return at


def _added_block(release: Release, lines: Sequence[Line], end: str) -> str:
    """As uv wrote it, with comments where the file has such, and with its line ends."""
    is_kept = is_annotated(lines)
    return "".join(
        f"{line}{end}" for line in release.block.splitlines() if is_kept or not line.lstrip().startswith("#")
    )
