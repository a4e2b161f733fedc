"""Waivers: reading them, and which findings one, or a VEX statement, speaks of."""

from datetime import date
from fnmatch import fnmatchcase
from typing import Final, Protocol

from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version
from pydantic import JsonValue, TypeAdapter, ValidationError

from holdtrue.core.refused_input import refusal
from holdtrue.errors import RejectedError
from holdtrue.models.audit import Finding, Occurrence, Waiver

_ANY: Final = "*"
_OPERATORS: Final = ("<", ">", "=", "!", "~")
_NEXT_STEP: Final = "a waiver has id, reason, owner and expires, and may have package, version and inventory"
_WAIVERS: Final = TypeAdapter(tuple[Waiver, ...])
_OF_VEX_ONLY: Final = ("aliases", "vex")


class Scope(Protocol):
    """What is spoken of: a vulnerability under any of its names, a package, its version and the inventories."""

    @property
    def names(self) -> tuple[str, ...]:
        """Ids of advisories."""
        ...

    @property
    def package(self) -> str:
        """Its name, or * for any."""
        ...

    @property
    def version(self) -> str:
        """One version, or a specifier; * for any."""
        ...

    @property
    def inventory(self) -> str:
        """Shell pattern for its label."""
        ...


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
        if foreign := next((name for name in _OF_VEX_ONLY if name in waiver.model_fields_set), ""):
            what = f"waivers[{index}].{foreign}: only a VEX document can say that"
            raise RejectedError(what, where=where, next_step=_NEXT_STEP)
        if waiver.version.startswith(_OPERATORS) and not _is_specifier(waiver.version):
            what = f"waivers[{index}].version: not a version specifier (PEP 440)"
            raise RejectedError(what, where=where, next_step=_NEXT_STEP)
    return waivers


def is_expired(waiver: Waiver, today: date) -> bool:
    """Whether its last day, in UTC as `today`, is over."""
    return waiver.expires < today


def speaks_of(scope: Scope, finding: Finding) -> bool:
    """Whether it names this vulnerability, package and version, wherever they occur. Ids compare without case."""
    names = {name.casefold() for name in finding.names}
    return (
        not names.isdisjoint(name.casefold() for name in scope.names)
        and (scope.package == _ANY or canonicalize_name(scope.package) == canonicalize_name(finding.package))
        and _names_version(scope.version, finding.version)
    )


def covers(scope: Scope, occurrence: Occurrence) -> bool:
    """Whether its pattern for inventories, or an equal label, takes in the place."""
    pattern, label = scope.inventory, occurrence.inventory
    return pattern in {_ANY, label} or fnmatchcase(label, pattern)


def _names_version(wanted: str, version: str) -> bool:
    """Versions that are none of PEP 440 are compared as text, and no specifier holds one."""
    if wanted in {_ANY, version}:
        return True
    try:
        if wanted.startswith(_OPERATORS):
            return SpecifierSet(wanted).contains(version, prereleases=True)
        return Version(wanted) == Version(version)
    except ValueError:  # InvalidVersion and InvalidSpecifier are, and so is a number of more digits than Python reads
        return False


def _is_specifier(text: str) -> bool:
    try:
        SpecifierSet(text)
    except ValueError:
        return False
    return True
