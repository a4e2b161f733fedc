"""Waivers: reading them, and which findings one speaks of."""

from datetime import date
from fnmatch import fnmatchcase
from typing import Final

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version
from pydantic import JsonValue, TypeAdapter, ValidationError

from holdtrue.core.refused_input import refusal
from holdtrue.errors import RejectedError
from holdtrue.models.audit import Finding, Occurrence, Waiver

_ANY: Final = "*"
_OPERATORS: Final = ("<", ">", "=", "!", "~")
_NEXT_STEP: Final = "a waiver has id, reason, owner and expires, and may have package, version and inventory"
_WAIVERS: Final = TypeAdapter(tuple[Waiver, ...])


def parse_waivers(document: JsonValue, *, where: str) -> tuple[Waiver, ...]:
    """Read a list of waivers, or a mapping with such a list as `waivers`; `where` names the document in errors.

    Raises:
        RejectedError: it is neither, or a waiver is wrong: index and field of the first five problems.
    """
    if isinstance(document, dict):
        unknown = ", ".join(sorted(str(key) for key in document if key != "waivers"))
        if unknown:
            raise RejectedError(f"there is more than waivers in it: {unknown}", where=where, next_step=_NEXT_STEP)
        document = document.get("waivers")
    if not isinstance(document, list):
        raise RejectedError("neither a list of waivers nor a mapping with one", where=where, next_step=_NEXT_STEP)
    try:
        waivers = _WAIVERS.validate_python(document)
    except ValidationError as error:
        raise refusal(error, where=where, next_step=_NEXT_STEP, root="waivers") from error
    for index, waiver in enumerate(waivers):
        if waiver.version.startswith(_OPERATORS) and not _is_specifier(waiver.version):
            what = f"waivers[{index}].version: not a version specifier (PEP 440)"
            raise RejectedError(what, where=where, next_step=_NEXT_STEP)
    return waivers


def is_expired(waiver: Waiver, today: date) -> bool:
    """Whether its last day, in UTC as `today`, is over."""
    return waiver.expires < today


def speaks_of(waiver: Waiver, finding: Finding) -> bool:
    """Whether it names this vulnerability, package and version, wherever they occur. Ids compare without case."""
    return (
        waiver.id.casefold() in {name.casefold() for name in (finding.id, *finding.aliases)}
        and (waiver.package == _ANY or canonicalize_name(waiver.package) == canonicalize_name(finding.package))
        and _names_version(waiver.version, finding.version)
    )


def covers(waiver: Waiver, occurrence: Occurrence) -> bool:
    """Whether its pattern for inventories, or an equal label, takes in the place."""
    return waiver.inventory == occurrence.inventory or fnmatchcase(occurrence.inventory, waiver.inventory)


def _names_version(wanted: str, version: str) -> bool:
    """Versions that are none of PEP 440 are compared as text, and no specifier holds one."""
    if wanted in {_ANY, version}:
        return True
    try:
        if wanted.startswith(_OPERATORS):
            return SpecifierSet(wanted).contains(version, prereleases=True)
        return Version(wanted) == Version(version)
    except (InvalidSpecifier, InvalidVersion):
        return False


def _is_specifier(text: str) -> bool:
    try:
        SpecifierSet(text)
    except InvalidSpecifier:
        return False
    return True
