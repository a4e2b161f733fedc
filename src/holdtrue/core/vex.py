"""Exploitability statements (VEX), whatever format they stood in, and the waivers that they amount to.

A statement hides a finding only when it says `not_affected` or `fixed`; `affected` and `under_investigation` hide none
and take back what was said earlier, or at the same time. Which statements are about one vulnerability is only known
with the finding, whose aliases tie their names together.
"""

import re
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Final, Literal
from urllib.parse import unquote

from packaging.utils import canonicalize_name

from holdtrue.core.audit_aliases import separate_ids
from holdtrue.core.waivers import covers
from holdtrue.models.audit import Finding, Waiver

ANY: Final = "*"

_PURL: Final = re.compile(r"pkg:/{0,2}pypi/(?P<name>[^@?#/]+)(?:@(?P<version>[^?#]*))?(?:[?#].*)?", re.IGNORECASE)
_NAME: Final = re.compile(r"(?P<name>[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)(?:@(?P<version>.*))?")
_VERSION: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9.!+_-]*")


class VexStatus(StrEnum):
    """What is said; the labels of OpenVEX."""

    NOT_AFFECTED = "not_affected"
    AFFECTED = "affected"
    FIXED = "fixed"
    UNDER_INVESTIGATION = "under_investigation"


_RETRACTING: Final = frozenset({VexStatus.AFFECTED, VexStatus.UNDER_INVESTIGATION})


@dataclass(frozen=True, slots=True)
class VexProduct:
    """One package of PyPI.

    Attributes:
        package: Its name as PEP 503 writes it.
        version: Its version; * when the statement names none.
        inventory: Shell pattern for the inventory that is spoken of; * for every one.
    """

    package: str
    version: str = ANY
    inventory: str = ANY


@dataclass(frozen=True, slots=True)
class VexStatement:
    """One vulnerability under all its names, what is said of it for one product, why, by whom and when."""

    names: tuple[str, ...]
    product: VexProduct
    status: VexStatus
    reason: str
    author: str
    made_at: datetime

    @property
    def is_retraction(self) -> bool:
        """Whether it takes back what was said earlier, or at the same time, of the same finding and place."""
        return self.status in _RETRACTING

    @property
    def package(self) -> str:
        """That of the product; so are version and inventory."""
        return self.product.package

    @property
    def version(self) -> str:
        """* for any."""
        return self.product.version

    @property
    def inventory(self) -> str:
        """Shell pattern."""
        return self.product.inventory


def read_product(text: str) -> VexProduct | None:
    """The package that a purl (`pkg:pypi/demo@1.0`) or a plain name (`demo`, `demo@1.0`) means.

    None when it means none of PyPI, or its version is not one exact version.
    """
    found = _PURL.fullmatch(text) or _NAME.fullmatch(text)
    if found is None:
        return None
    name, version = unquote(found["name"]), unquote(found["version"] or "")
    if not _NAME.fullmatch(name) or "@" in name or (version and not _VERSION.fullmatch(version)):
        return None
    return VexProduct(canonicalize_name(name), version or ANY)


def to_waiver(statement: VexStatement) -> Waiver | None:
    """The waiver that it amounts to, for ever, as a statement has no expiry; None when it hides nothing.

    The reason begins with `VEX` and the status. One that says `fixed` without telling the version hides nothing: it
    would hide the versions that are not.
    """
    status: Literal["not_affected", "fixed"]
    if statement.status is VexStatus.NOT_AFFECTED:
        status = "not_affected"
    elif statement.status is VexStatus.FIXED and statement.version != ANY:
        status = "fixed"
    else:
        return None
    return Waiver(
        id=statement.names[0],
        package=statement.package,
        version=statement.version,
        inventory=statement.inventory,
        reason=f"VEX {status}: {statement.reason}" if statement.reason else f"VEX {status}",
        owner=statement.author,
        expires=date.max,
        aliases=statement.names[1:],
        vex=status,
    )


def cleared_by(finding: Finding) -> Waiver | None:
    """The waiver of a finding when it is a VEX statement about the whole of it: every place and every flaw."""
    waiver = finding.waiver
    if waiver is None or not waiver.vex or not all(covers(waiver, place) for place in finding.occurrences):
        return None
    flaws = separate_ids(finding.names)
    return waiver if flaws <= {name.casefold() for name in waiver.names} else None


def stated_reason(waiver: Waiver) -> str:
    """The reason of the statement that `to_waiver` made it of; empty when that gave none."""
    return waiver.reason.removeprefix(f"VEX {waiver.vex}").removeprefix(": ")
