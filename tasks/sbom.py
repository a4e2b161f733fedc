"""The SBOM of an audit, kept where it outlives the worker: in a Prefect artifact, and beside it in the report folder.

Prefect sets no limit to an artifact, but databases, proxies and the pages that show it do. An SBOM is repetitive, so it
is compressed: a thousand projects of sixty packages each are 9 to 15 MB of JSON and about 1 MB of artifact.
"""

import json
from importlib.metadata import version
from pathlib import Path
from typing import Final
from uuid import uuid4

from prefect.artifacts import create_markdown_artifact

from holdtrue.core.audit_output.cyclonedx import to_cyclonedx
from holdtrue.core.render import cell, count
from holdtrue.models.audit import AuditReport
from holdtrue.models.dependency import Inventory
from holdtrue.runtime.redaction import redact_text
from tasks.reports import LIMIT_BYTES, packed, save_report

_FENCE: Final = "```"


def keep_sbom(key: str | None, report: AuditReport, inventories: tuple[Inventory, ...]) -> None:
    """Write `sbom.cdx.json` into the run's report folder, and an artifact that holds it too.

    Args:
        key: Of the artifact; None for one without history.
        report: The audit whose findings are the SBOM's vulnerabilities.
        inventories: What was audited.
    """
    document = to_cyclonedx(
        report, inventories, serial_number=uuid4(), timestamp=report.started_at, tool_version=version("holdtrue")
    )
    # What Prefect is told is searched for secrets on the way; in a compressed text they would not be found.
    document = redact_text(document)
    path = save_report("sbom.cdx.json", document) or Path("(it could not be written)")
    parts = json.loads(document)
    counts = f"{count(len(parts['components']), 'component')}, vulnerabilities: {len(parts['vulnerabilities'])}"
    create_markdown_artifact(
        key=key,
        markdown=f"CycloneDX 1.6: {counts}.\n\n{_kept(document, path)}",
        description=cell(f"SBOM: {counts}"),
    )


def _kept(document: str, path: Path) -> str:
    content = packed(document)
    if len(content) > LIMIT_BYTES:
        return f"It is too large for an artifact, and only in this file of the worker: {cell(path)}\n"
    return f"The document, by gzip and in base64; on the worker it is {cell(path)}\n\n{_FENCE}\n{content}{_FENCE}\n"
