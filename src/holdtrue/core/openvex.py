"""OpenVEX documents (v0.2.0, JSON): read as statements, and written from a report.

Source: https://github.com/openvex/spec (OPENVEX-SPEC.md and openvex_json_schema.json).
"""

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Final
from urllib.parse import quote

from pydantic import BaseModel, BeforeValidator, Field, JsonValue, StringConstraints, ValidationError

from holdtrue.core.audit_finding import aware
from holdtrue.core.refused_input import refusal
from holdtrue.core.vex import VexProduct, VexStatement, VexStatus, cleared_by, read_product, stated_reason
from holdtrue.errors import RejectedError
from holdtrue.models.audit import AuditReport, Finding
from holdtrue.models.osv import Certainty

CONTEXT: Final = "https://openvex.dev/ns/v0.2.0"

_NEXT_STEP: Final = "give an OpenVEX document as https://github.com/openvex/spec describes it"
_JUSTIFICATIONS: Final = frozenset({
    "component_not_present", "vulnerable_code_not_present", "vulnerable_code_not_in_execute_path",
    "vulnerable_code_cannot_be_controlled_by_adversary", "inline_mitigations_already_exist",
})  # fmt: skip
_PATTERN: Final = re.compile(r"[*?\[]")


_Text = Annotated[str, StringConstraints(strip_whitespace=True)]


def _named(value: object) -> object:
    """Documents before v0.2.0 give a vulnerability as its name, and a product as its id."""
    return {"name": value, "@id": value} if isinstance(value, str) else value


class _Vulnerability(BaseModel):
    name: _Text = Field(min_length=1)
    aliases: tuple[_Text, ...] = ()


class _Identifiers(BaseModel):
    purl: str = ""


class _Component(BaseModel):
    id: str = Field(default="", alias="@id")
    identifiers: _Identifiers = _Identifiers()

    @property
    def ids(self) -> tuple[str, ...]:
        return tuple(text for text in (self.identifiers.purl, self.id) if text)


class _Product(_Component):
    subcomponents: tuple[Annotated[_Component, BeforeValidator(_named)], ...] = ()


class _Statement(BaseModel):
    vulnerability: Annotated[_Vulnerability, BeforeValidator(_named)]
    products: tuple[Annotated[_Product, BeforeValidator(_named)], ...] = Field(min_length=1)
    status: VexStatus
    justification: str = ""
    impact_statement: str = ""
    status_notes: str = ""
    timestamp: datetime | None = None
    last_updated: datetime | None = None


class _Document(BaseModel):
    author: _Text = Field(min_length=1)
    timestamp: datetime
    statements: tuple[_Statement, ...]


def parse_openvex(document: JsonValue, *, where: str) -> tuple[VexStatement, ...]:
    """Every statement about packages of PyPI, once for each; `where` names the document in errors.

    A statement about subcomponents of a product speaks of them in the inventory labelled with the product's id, and of
    no other. Products that are no packages of PyPI, and have no subcomponents that are, are passed over.

    Raises:
        RejectedError: it is no OpenVEX document, or a statement lacks what the specification asks for: product, status,
            and the reason of a `not_affected`.
    """
    try:
        read = _Document.model_validate(document)
    except ValidationError as error:
        raise refusal(error, where=where, next_step=_NEXT_STEP) from error
    statements: list[VexStatement] = []
    for index, item in enumerate(read.statements):
        reasons = [text for text in (item.justification, item.impact_statement) if text.strip()]
        if item.status is VexStatus.NOT_AFFECTED and not reasons:
            what = f"statements[{index}]: not_affected needs a justification or an impact_statement"
            raise RejectedError(what, where=where, next_step=_NEXT_STEP)
        names = dict.fromkeys(name for name in (item.vulnerability.name, *item.vulnerability.aliases) if name)
        statements += (
            VexStatement(
                names=tuple(names),
                product=product,
                status=item.status,
                reason="; ".join(reasons) or item.status_notes,
                author=read.author,
                made_at=aware(item.last_updated or item.timestamp or read.timestamp),
            )
            for product in _packages(item.products)
        )
    return tuple(statements)


def to_openvex(report: AuditReport, *, author: str, document_id: str, timestamp: datetime) -> dict[str, JsonValue]:
    """The document that says of every finding what is known, for `author` to publish under the IRI `document_id`.

    `not_affected` and `fixed` only repeat a VEX statement that waives the finding everywhere. A possible finding is
    under investigation. Everything else is `affected`: a waiver of one's own accepts a risk and a policy's rule sets it
    aside, but neither makes it go away; `status_notes` tell of them.

    Raises:
        RejectedError: the report has no findings. A document without a statement is not valid (`minItems: 1` in the
            schema of v0.2.0), and a statement needs a vulnerability.
    """
    if not report.findings:
        raise RejectedError(
            f"the audit is {report.verdict} and has no findings, and an OpenVEX document must speak of one",
            next_step="ask for another format, such as json; nothing is wrong with the audit's input",
        )
    return {
        "@context": CONTEXT,
        "@id": document_id,
        "author": author,
        "timestamp": aware(timestamp).isoformat(),
        "version": 1,
        "tooling": "holdtrue",
        "statements": [_statement(finding) for finding in report.findings],
    }


def _packages(products: tuple[_Product, ...]) -> Iterator[VexProduct]:
    for product in products:
        if not product.subcomponents:
            package = _first_package(product)
            if package:
                yield package
            continue
        for package in filter(None, map(_first_package, product.subcomponents)):
            for name in product.ids:
                yield VexProduct(package.package, package.version, _PATTERN.sub(r"[\g<0>]", name))


def _first_package(component: _Component) -> VexProduct | None:
    return next(filter(None, map(read_product, component.ids)), None)


def _statement(finding: Finding) -> dict[str, JsonValue]:
    purl = f"pkg:pypi/{finding.package}@{quote(finding.version, safe='')}"
    return {
        "vulnerability": {"name": finding.id, "aliases": list(finding.aliases)},
        "products": [{"@id": purl, "identifiers": {"purl": purl}}],
        **_status(finding),
    }


def _status(finding: Finding) -> dict[str, JsonValue]:
    statement = cleared_by(finding)
    if statement:
        return _repeated(VexStatus(statement.vex), stated_reason(statement))
    notes = [finding.doubt] if finding.doubt else []
    if finding.tolerated:
        notes.append(f"tolerated: {finding.tolerated}" + (f": {finding.waiver.reason}" if finding.waiver else ""))
    noted: dict[str, JsonValue] = {"status_notes": "; ".join(notes)} if notes else {}
    if finding.certainty is Certainty.POSSIBLE:
        return {"status": VexStatus.UNDER_INVESTIGATION.value, **noted}
    action = (
        f"Update {finding.package} to one of: {', '.join(finding.fixed_in)}."
        if finding.fixed_in
        else f"No version of {finding.package} is known to mend it: replace it, or keep it out of reach."
    )
    return {"status": VexStatus.AFFECTED.value, "action_statement": action, **noted}


def _repeated(status: VexStatus, reason: str) -> dict[str, JsonValue]:
    """The statement as it came in. The schema wants either a justification or an impact statement, never both."""
    if status is VexStatus.FIXED:
        return {"status": status.value, **({"status_notes": reason} if reason else {})}
    label, _, rest = reason.partition("; ")
    if label not in _JUSTIFICATIONS:
        return {"status": status.value, "impact_statement": reason}
    return {"status": status.value, "justification": label, **({"status_notes": rest} if rest else {})}
