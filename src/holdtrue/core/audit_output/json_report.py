"""The report for programs: a versioned contract, described in docs/audit-json.md."""

import json

from pydantic import Field

from holdtrue.core.neutral import json_text
from holdtrue.models.audit import AuditReport, Finding


class AuditDocument(AuditReport):
    """What `to_json` writes: the report, with the tolerated findings apart, so that `findings` holds what counts."""

    findings: tuple[Finding, ...] = Field(description="The findings that count; any of them makes it vulnerable.")
    tolerated: tuple[Finding, ...] = Field(description="Findings that a rule of the policy or a waiver lets pass.")


def to_json(report: AuditReport) -> str:
    """The whole report; every key stands there always. Texts are as the sources gave them, and hostile as such.

    `AuditDocument.model_validate_json` reads it back.
    """
    document = AuditDocument.model_validate(
        {
            **{name: getattr(report, name) for name in AuditReport.model_fields},
            "findings": report.counting,
            "tolerated": tuple(finding for finding in report.findings if finding.tolerated),
        }
    )
    return json_text(document.model_dump(mode="json"))


def json_schema() -> str:
    """The JSON Schema (2020-12) of what `to_json` writes."""
    return json.dumps(AuditDocument.model_json_schema(mode="serialization"), indent=2)
