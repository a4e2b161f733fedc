"""What the inventories hold and what is wrong with it, for SBOM tools: CycloneDX 1.6 in JSON.

The library's own outputter compares every reference with every other and makes up the missing ones at random, so each
part is written by the library and the document is put together here: linear, and equal for equal input.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote
from uuid import UUID

from holdtrue.core.audit_output.phrases import by_severity, gap_lines, remarks, tolerance_text, utc
from holdtrue.core.neutral import json_text, one_line, web_link
from holdtrue.core.vex import cleared_by
from holdtrue.models.audit import AuditReport, Finding
from holdtrue.models.dependency import IDENTIFIED, Inventory, Origin
from holdtrue.models.osv import Certainty

if TYPE_CHECKING:
    from cyclonedx.model import Property
    from cyclonedx.model.vulnerability import VulnerabilityAnalysis, VulnerabilityRating

_SCHEMA: Final = "http://cyclonedx.org/schema/bom-1.6.schema.json"
_PROSE_LIMIT: Final = 1_000
_PLACES: Final = 100
_REFERENCE_LIMIT: Final = 400
_PUBLISHERS: Final = {"CVE-": "NVD", "GHSA-": "GitHub Advisory Database", "PYSEC-": "PyPA Advisory Database"}

_Key = tuple[str, str, Origin]


@dataclass(slots=True)
class _Held:
    """One package at one version and origin, wherever it is: places in order, without repeats."""

    places: dict[tuple[str, str], None] = field(default_factory=dict)
    reasons: dict[str, None] = field(default_factory=dict)


def to_cyclonedx(
    report: AuditReport,
    inventories: Sequence[Inventory],
    *,
    serial_number: UUID,
    timestamp: datetime,
    tool_version: str = "",
) -> str:
    """An SBOM of the inventories with the report's findings as vulnerabilities.

    A component has a package URL only when its version number identifies its code: other tools judge by that alone. A
    finding's package is a component even if no inventory holds it. What was not audited stands in the metadata.

    Properties of the metadata: `holdtrue:verdict`, `holdtrue:audited` and `holdtrue:not-audited`. Of components:
    `holdtrue:origin`, `holdtrue:not-audited` (a reason) and `holdtrue:places` (how many, when more than are listed). Of
    vulnerabilities: `holdtrue:certainty`, `holdtrue:remarks` and `holdtrue:sources`.
    """
    held = _components(report, inventories)
    vulnerabilities = dict.fromkeys(_vulnerability(finding) for finding in by_severity(report.findings))
    return json_text(
        {
            "$schema": _SCHEMA,
            "bomFormat": "CycloneDX",
            "specVersion": "1.6",
            "serialNumber": serial_number.urn,
            "version": 1,
            "metadata": json.loads(_metadata(report, timestamp, tool_version)),
            "components": [_component(key, held[key]) for key in sorted(held)],
            "vulnerabilities": [json.loads(item) for item in vulnerabilities],
        }
    )


def _components(report: AuditReport, inventories: Iterable[Inventory]) -> dict[_Key, _Held]:
    held: dict[_Key, _Held] = {}
    for inventory in inventories:
        for dependency in inventory.dependencies:
            item = held.setdefault((dependency.name, dependency.version, dependency.origin), _Held())
            item.places[inventory.label, dependency.place] = None
            if dependency.reason:
                item.reasons[dependency.reason] = None
    for finding in report.findings:
        for key in _keys(finding):
            held.setdefault(key, _Held())
        for occurrence in finding.occurrences:
            key = (finding.package, finding.version, occurrence.origin)
            held[key].places[occurrence.inventory, occurrence.place] = None
    return held


def _keys(finding: Finding) -> list[_Key]:
    origins = dict.fromkeys(occurrence.origin for occurrence in finding.occurrences) or {Origin.INDEX: None}
    return [(finding.package, finding.version, origin) for origin in origins]


def _reference(key: _Key) -> str:
    """Unique in the document, and the same in every one."""
    name, version, origin = (quote(part.encode(errors="surrogatepass"), safe="") for part in key)
    reference = f"{origin}:{name}@{version}"
    return reference if len(reference) <= _REFERENCE_LIMIT else hashlib.sha256(reference.encode()).hexdigest()


def _json(part: object) -> str:
    """One part of the document, as the library writes it for version 1.6."""
    from cyclonedx.schema.schema import SchemaVersion1Dot6  # noqa: PLC0415 - half a second that other outputs save

    writer: Any = part
    return str(writer.as_json(view_=SchemaVersion1Dot6))


def _component(key: _Key, held: _Held) -> dict[str, Any]:
    from cyclonedx.model.component import Component, ComponentType  # noqa: PLC0415 - as above
    from packageurl import PackageURL  # noqa: PLC0415

    name, version, origin = key
    safe_name, safe_version = one_line(name), one_line(version)
    named: dict[str, list[str]] = {"holdtrue:origin": [origin], "holdtrue:not-audited": list(held.reasons)}
    if len(held.places) > _PLACES:
        named["holdtrue:places"] = [str(len(held.places))]
    is_identified = origin in IDENTIFIED and safe_name
    component: dict[str, Any] = json.loads(
        _json(
            Component(
                type=ComponentType.LIBRARY,
                bom_ref=_reference(key),
                name=safe_name,
                version=safe_version or None,
                purl=PackageURL("pypi", None, safe_name, safe_version or None) if is_identified else None,
                properties=_properties(named),
            )
        )
    )
    if held.places:
        # The library would sort these by their references, of which they have none, and so in no order.
        component["evidence"] = {"occurrences": [_place(*place) for place in list(held.places)[:_PLACES]]}
    return component


def _place(label: str, place: str) -> dict[str, str]:
    context = {"additionalContext": one_line(place, _PROSE_LIMIT)} if place else {}
    return {"location": one_line(label, _PROSE_LIMIT), **context}


def _vulnerability(finding: Finding) -> str:
    from cyclonedx.model import XsUri  # noqa: PLC0415 - as above
    from cyclonedx.model.impact_analysis import ImpactAnalysisAffectedStatus  # noqa: PLC0415
    from cyclonedx.model.vulnerability import (  # noqa: PLC0415
        BomTarget,
        BomTargetVersionRange,
        Vulnerability,
        VulnerabilityAdvisory,
        VulnerabilityReference,
        VulnerabilitySource,
    )

    is_sure = finding.certainty is Certainty.AFFECTED
    status = ImpactAnalysisAffectedStatus.AFFECTED if is_sure else ImpactAnalysisAffectedStatus.UNKNOWN
    version = one_line(finding.version)
    link = web_link(finding.link)
    fixes = ", ".join(one_line(item) for item in finding.fixed_in)
    return _json(
        Vulnerability(
            id=one_line(finding.id),
            source=VulnerabilitySource(name=_publisher(finding.id, finding)),
            references=[
                VulnerabilityReference(id=one_line(alias), source=VulnerabilitySource(name=_publisher(alias, finding)))
                for alias in finding.aliases
            ],
            ratings=[_rating(finding)],
            description=one_line(finding.summary, _PROSE_LIMIT) or None,
            recommendation=f"Upgrade {one_line(finding.package)} to {fixes}" if fixes else None,
            advisories=[VulnerabilityAdvisory(url=XsUri(link))] if link else [],
            published=utc(finding.published) if finding.published else None,
            analysis=_analysis(finding) if finding.tolerated else None,
            affects=[
                BomTarget(
                    ref=_reference(key),
                    versions=[BomTargetVersionRange(version=version, status=status)] if version else [],
                )
                for key in _keys(finding)
            ],
            properties=_properties(
                {
                    "holdtrue:certainty": [finding.certainty],
                    "holdtrue:remarks": list(filter(None, ["; ".join(remarks(finding))])),
                    "holdtrue:sources": [", ".join(finding.sources)],
                }
            ),
        )
    )


def _publisher(advisory_id: str, finding: Finding) -> str:
    """Who publishes ids of that kind; otherwise the sources that told of it."""
    known = (name for prefix, name in _PUBLISHERS.items() if advisory_id.startswith(prefix))
    return next(known, one_line(", ".join(finding.sources)))


def _rating(finding: Finding) -> "VulnerabilityRating":
    from cyclonedx.model.vulnerability import (  # noqa: PLC0415 - as above
        VulnerabilityRating,
        VulnerabilityScoreSource,
        VulnerabilitySeverity,
    )

    # Vectors of version 2 have no prefix, by which the library tells the others.
    prefix = "CVSS:2.0/" if finding.vector.startswith("AV:") else ""
    method = VulnerabilityScoreSource.get_from_vector(f"{prefix}{finding.vector}")
    return VulnerabilityRating(
        score=None if finding.score is None else Decimal(str(finding.score)),
        severity=VulnerabilitySeverity(finding.severity),
        method=method if finding.vector else None,
        vector=one_line(finding.vector) or None,
    )


def _analysis(finding: Finding) -> "VulnerabilityAnalysis":
    """What a tolerated finding says in VEX: that the package is not affected only where a VEX statement said so.

    A waiver of a sure finding is somebody's word that it may stand: `exploitable` and `will_not_fix`, with who, why and
    until when. A possible one, and one that only a rule of the policy lets pass, was judged by nobody yet: `in_triage`.
    """
    from cyclonedx.model.impact_analysis import ImpactAnalysisResponse, ImpactAnalysisState  # noqa: PLC0415 - as above
    from cyclonedx.model.vulnerability import VulnerabilityAnalysis  # noqa: PLC0415

    detail = one_line(tolerance_text(finding), _PROSE_LIMIT)
    statement = cleared_by(finding)
    if statement:
        is_fixed = statement.vex == "fixed"
        return VulnerabilityAnalysis(
            state=ImpactAnalysisState.RESOLVED if is_fixed else ImpactAnalysisState.NOT_AFFECTED, detail=detail
        )
    is_accepted = finding.waiver is not None and finding.certainty is Certainty.AFFECTED
    return VulnerabilityAnalysis(
        state=ImpactAnalysisState.EXPLOITABLE if is_accepted else ImpactAnalysisState.IN_TRIAGE,
        responses=[ImpactAnalysisResponse.WILL_NOT_FIX] if finding.waiver is not None else [],
        detail=detail,
    )


def _metadata(report: AuditReport, timestamp: datetime, tool_version: str) -> str:
    from cyclonedx.model.bom import BomMetaData  # noqa: PLC0415 - as above
    from cyclonedx.model.component import Component, ComponentType  # noqa: PLC0415
    from cyclonedx.model.tool import ToolRepository  # noqa: PLC0415

    tool = Component(type=ComponentType.APPLICATION, name="holdtrue", version=tool_version or None)
    gaps = gap_lines(report.not_audited)
    return _json(
        BomMetaData(
            timestamp=utc(timestamp),
            tools=ToolRepository(components=[tool]),
            properties=_properties(
                {
                    "holdtrue:verdict": [report.verdict],
                    "holdtrue:audited": [str(report.counts.audited)],
                    "holdtrue:not-audited": [
                        ": ".join(filter(None, (gap.inventory, gap.what, gap.reason))) for gap in gaps
                    ],
                }
            ),
        )
    )


def _properties(named: dict[str, list[str]]) -> "list[Property]":
    from cyclonedx.model import Property  # noqa: PLC0415 - as above

    return [
        Property(name=name, value=one_line(value, _PROSE_LIMIT)) for name, values in named.items() for value in values
    ]
