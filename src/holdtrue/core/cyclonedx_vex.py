"""CycloneDX VEX (JSON): the analyses of a BOM's vulnerabilities, read as statements.

Source: https://cyclonedx.org/docs/1.6/json/ (vulnerabilities, impact analysis, BOM-Link).
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Final, Literal
from urllib.parse import unquote

from pydantic import BaseModel, Field, JsonValue, ValidationError

from holdtrue.core.audit_finding import aware
from holdtrue.core.refused_input import refusal
from holdtrue.core.vex import ANY, VexProduct, VexStatement, VexStatus, read_product
from holdtrue.errors import RejectedError

_NEXT_STEP: Final = "give a CycloneDX BOM in JSON whose vulnerabilities have an analysis"
_BEGINNING: Final = datetime.min.replace(tzinfo=UTC)
"""When a statement without any date was made, so that every other one is later."""


class _State(StrEnum):
    RESOLVED = "resolved"
    RESOLVED_WITH_PEDIGREE = "resolved_with_pedigree"
    EXPLOITABLE = "exploitable"
    IN_TRIAGE = "in_triage"
    FALSE_POSITIVE = "false_positive"
    NOT_AFFECTED = "not_affected"


_STATUSES: Final = MappingProxyType(
    {
        _State.RESOLVED: VexStatus.FIXED,
        _State.RESOLVED_WITH_PEDIGREE: VexStatus.FIXED,
        _State.EXPLOITABLE: VexStatus.AFFECTED,
        _State.IN_TRIAGE: VexStatus.UNDER_INVESTIGATION,
        _State.FALSE_POSITIVE: VexStatus.NOT_AFFECTED,
        _State.NOT_AFFECTED: VexStatus.NOT_AFFECTED,
    }
)


class _Component(BaseModel):
    reference: str = Field(default="", alias="bom-ref")
    purl: str = ""
    components: tuple["_Component", ...] = ()


class _Party(BaseModel):
    name: str = ""


class _Metadata(BaseModel):
    timestamp: datetime | None = None
    authors: tuple[_Party, ...] = ()
    supplier: _Party = _Party()
    manufacturer: _Party = _Party()
    component: _Component | None = None


class _Analysis(BaseModel):
    state: _State | None = None
    justification: str = ""
    detail: str = ""
    first_issued: datetime | None = Field(default=None, alias="firstIssued")
    last_updated: datetime | None = Field(default=None, alias="lastUpdated")


class _Version(BaseModel):
    version: str = ""
    status: str = "affected"


class _Affects(BaseModel):
    ref: str
    versions: tuple[_Version, ...] = ()


class _Reference(BaseModel):
    id: str = ""


class _Vulnerability(BaseModel):
    id: str = ""
    references: tuple[_Reference, ...] = ()
    analysis: _Analysis = _Analysis()
    affects: tuple[_Affects, ...] = ()


class _Bom(BaseModel):
    format: Literal["CycloneDX"] = Field(alias="bomFormat")
    metadata: _Metadata = _Metadata()
    components: tuple[_Component, ...] = ()
    vulnerabilities: tuple[_Vulnerability, ...] = ()


def parse_cyclonedx_vex(document: JsonValue, *, where: str) -> tuple[VexStatement, ...]:
    """A statement for each analysed vulnerability and package of PyPI that it affects; `where` names the document.

    `affects` means a component of the BOM with a purl, or is a purl or a BOM-Link that ends in one; others are passed
    over. Where it lists versions, an analysis that hides speaks only of those marked `unaffected`; ranges hide nothing.

    Raises:
        RejectedError: it is no CycloneDX BOM, or an analysis is `not_affected` without justification and detail: what
            hides a finding has a reason.
    """
    try:
        bom = _Bom.model_validate(document)
    except ValidationError as error:
        raise refusal(error, where=where, next_step=_NEXT_STEP) from error
    purls = dict(_purls((*bom.components, *([bom.metadata.component] if bom.metadata.component else ()))))
    statements: list[VexStatement] = []
    for index, item in enumerate(bom.vulnerabilities):
        analysis = item.analysis
        ids = (name.strip() for name in (item.id, *(other.id for other in item.references)))
        names = tuple(dict.fromkeys(filter(None, ids)))
        if analysis.state is None or not names:
            continue
        reasons = [text for text in (analysis.justification, analysis.detail) if text.strip()]
        if analysis.state is _State.NOT_AFFECTED and not reasons:
            what = f"vulnerabilities[{index}].analysis: not_affected needs a justification or a detail"
            raise RejectedError(what, where=where, next_step=_NEXT_STEP)
        if analysis.state is _State.FALSE_POSITIVE:
            reasons.insert(0, "false positive")
        status = _STATUSES[analysis.state]
        statements += (
            VexStatement(
                names=names,
                product=product,
                status=status,
                reason="; ".join(reasons),
                author=_author(bom.metadata),
                made_at=aware(analysis.last_updated or analysis.first_issued or bom.metadata.timestamp or _BEGINNING),
            )
            for product in _products(item.affects, purls, status)
        )
    return tuple(statements)


def _purls(components: Iterable[_Component]) -> Iterator[tuple[str, str]]:
    for component in components:
        if component.reference and component.purl:
            yield component.reference, component.purl
        yield from _purls(component.components)


def _products(affects: Iterable[_Affects], purls: Mapping[str, str], status: VexStatus) -> Iterator[VexProduct]:
    hides = status in {VexStatus.NOT_AFFECTED, VexStatus.FIXED}
    for item in affects:
        reference = unquote(item.ref.partition("#")[2]) if item.ref.startswith("urn:cdx:") else item.ref
        product = read_product(purls.get(reference, reference if reference.startswith("pkg:") else ""))
        if product is None:
            continue
        if not item.versions or not hides:
            # What takes a statement back does so for every version that may be meant.
            yield product if hides else VexProduct(product.package, ANY)
            continue
        for version in item.versions:
            named = read_product(f"{product.package}@{version.version}") if version.version else None
            if named and version.status == "unaffected":
                yield named


def _author(metadata: _Metadata) -> str:
    parties = (*metadata.authors, metadata.supplier, metadata.manufacturer)
    return next((party.name for party in parties if party.name.strip()), "the unnamed author of a CycloneDX VEX")
