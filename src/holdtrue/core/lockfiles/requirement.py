"""One requirement: PEP 508, a path or an address, as a dependency."""

import re
from functools import lru_cache
from typing import Final, TypeAlias

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet

from holdtrue.core.lockfiles.addresses import guess_name, is_own_folder, origin_of, pin_of_file, version_of_file
from holdtrue.core.lockfiles.naming import canonical_name, normalise_version, read_version
from holdtrue.models.dependency import Dependency, Gap, Origin

PROJECT_IN_PLACE: Final = "the project itself: what it needs does not follow from this line, and may stand nowhere else"
"""Reason of `-e .`, beside which a file need not hold what the project asks for."""

NOT_A_REQUIREMENT: Final = "not a requirement (PEP 508)"

NO_VERSION_IN_ADDRESS: Final = "a path, address or repository: the file does not say which version"

_SIMPLE: Final = re.compile(
    r"([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)=="
    r"([0-9]+(?:\.[0-9]+)*(?:(?:a|b|rc)[0-9]+)?(?:\.post[0-9]+)?(?:\.dev[0-9]+)?)"
)
"""What nearly every line of a pinned file is. PEP 508's own grammar costs many times as much to read."""

_LOOKS_LIKE_A_PLACE: Final = re.compile(r"://|^[./~]|^file:|\.(whl|zip|tar\.gz|tgz|tar\.bz2)\b|[/\\]")
_REPEATABLE_SPECIFIER: Final = re.compile(r"[A-Za-z0-9.+!*<>=~, _-]{1,200}")
_LONGEST: Final = 1 << 13
"""Characters. Reading many specifiers takes the square of their number; markers of uv and poetry have some thousand."""
_CACHED: Final = 1 << 16
_LONGEST_CACHED: Final = 256

_Read: TypeAlias = tuple[str, str, Origin, str, str]
"""Name, version, origin, marker, reason."""


def read_requirement(text: str, place: str) -> Dependency | Gap:
    """What a line without its options and comment asks for, as a direct dependency."""
    if len(text) > _LONGEST:
        return Gap(place, "longer than any requirement")
    read = _read if len(text) <= _LONGEST_CACHED else _read.__wrapped__
    found = read(text)
    if found is not None:
        name, version, origin, marker, reason = found
        return Dependency(name, version, origin, place, is_direct=True, marker=marker, reason=reason)
    if _LOOKS_LIKE_A_PLACE.search(text):
        return read_place(text, place, is_editable=False)
    return Gap(place, NOT_A_REQUIREMENT)


def read_place(address: str, place: str, *, is_editable: bool) -> Dependency | Gap:
    """What a path, address or repository without a name tells; its name is a guess where no file name gives it."""
    if is_own_folder(address):
        return Gap(place, PROJECT_IN_PLACE)
    origin = origin_of(address)
    if is_editable and origin is Origin.LOCAL:
        origin = Origin.EDITABLE
    pin = pin_of_file(address)
    if pin:
        return Dependency(pin.name, pin.version, origin, place, is_direct=True)
    name = guess_name(address)
    if name is None:
        return Gap(place, NO_VERSION_IN_ADDRESS)
    return Dependency(name, "", origin, place, is_direct=True, reason=NO_VERSION_IN_ADDRESS)


@lru_cache(maxsize=_CACHED)
def _read(text: str) -> _Read | None:
    """The files of one estate have most of their lines in common."""
    return _read_simple(text) or _read_any(text) or _read_any(_with_arbitrary_equality(text))


def _with_arbitrary_equality(text: str) -> str:
    """`==2004d` is no specifier of PEP 440, but `===2004d` is, which compares texts as they stand."""
    return text.replace("==", "===", 1)


def _read_simple(text: str) -> _Read | None:
    """Exactly what `_read_any` says, for the lines that are understood here; None for all others."""
    simple = _SIMPLE.fullmatch(text)
    if simple is None:
        return None
    name, version = canonical_name(simple[1]), normalise_version(simple[2])
    return (name, version, Origin.INDEX, "", "") if name and version else None


def _read_any(text: str) -> _Read | None:
    try:
        requirement = Requirement(text)
        name = canonical_name(requirement.name)
        version, reason = _read_specifier(requirement.specifier)
    except (InvalidRequirement, ValueError, RecursionError):
        # ValueError: a number with more digits than `int` converts. RecursionError: a marker of many parentheses.
        return None
    if name is None:
        return None
    marker = str(requirement.marker or "")
    if not requirement.url:
        return name, version, Origin.INDEX, marker, reason
    version = version_of_file(requirement.url, name)
    return name, version, origin_of(requirement.url), marker, "" if version else NO_VERSION_IN_ADDRESS


def _read_specifier(specifiers: SpecifierSet) -> tuple[str, str]:
    """The one exact version, or the reason why there is none."""
    exact = {item.version for item in specifiers if item.operator in {"==", "==="} and not item.version.endswith(".*")}
    if len(exact) == 1:
        return read_version(exact.pop())
    text = str(specifiers) or "any"
    return "", f"not pinned to one version ({text if _REPEATABLE_SPECIFIER.fullmatch(text) else 'not repeated here'})"
