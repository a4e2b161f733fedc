"""Exploitability statements (VEX), whatever format they stood in, and the waivers that they amount to.

A statement hides a finding only when it says `not_affected` or `fixed`; `affected` and `under_investigation` hide none
and take back what was said earlier, or at the same time, of the same vulnerability and package.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Final
from urllib.parse import unquote

from packaging.utils import canonicalize_name

from holdtrue.models.audit import Waiver

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


def to_waivers(statements: Iterable[VexStatement], *, expires: date = date.max) -> tuple[Waiver, ...]:
    """The waivers that statements, of one document or several, amount to.

    A statement has no expiry of its own, so `expires` is the caller's word. It becomes one waiver for each name of the
    vulnerability, for which of them a finding bears is not known here; the reason begins with `VEX` and the status.
    One that says `fixed` without telling the version hides nothing: it would hide the versions that are not.
    """
    ordered = list(statements)
    retracting: dict[str, list[VexStatement]] = {}
    for item in ordered:
        if item.status in {VexStatus.AFFECTED, VexStatus.UNDER_INVESTIGATION}:
            for name in item.names:
                retracting.setdefault(name.casefold(), []).append(item)
    waivers: dict[Waiver, None] = {}
    for item in ordered:
        if not _hides(item):
            continue
        later = (other for name in item.names for other in retracting.get(name.casefold(), ()))
        if any(other.made_at >= item.made_at and _overlap(item.product, other.product) for other in later):
            continue
        for name in item.names:
            waiver = Waiver(
                id=name,
                package=item.product.package,
                version=item.product.version,
                inventory=item.product.inventory,
                reason=f"VEX {item.status}: {item.reason}" if item.reason else f"VEX {item.status}",
                owner=item.author,
                expires=expires,
            )
            waivers[waiver] = None
    return tuple(waivers)


def _hides(statement: VexStatement) -> bool:
    return statement.status is VexStatus.NOT_AFFECTED or (
        statement.status is VexStatus.FIXED and statement.product.version != ANY
    )


def _overlap(first: VexProduct, second: VexProduct) -> bool:
    return first.package == second.package and all(
        ANY in pair or pair[0] == pair[1]
        for pair in ((first.version, second.version), (first.inventory, second.inventory))
    )
