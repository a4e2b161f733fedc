"""What a run leaves behind: documents in its report folder and in Prefect, and the report that others load from there.

A worker's folder may end with the worker, so Prefect keeps each document too. It is compressed there: a validation of
1,000 hosts with 100 checks each is 20 MB of JSON and 0.6 MB of artifact.
"""

import base64
import gzip
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from prefect import runtime
from prefect.artifacts import Artifact
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId, ArtifactFilterType
from pydantic import ValidationError

from holdtrue.core.neutral import json_text
from holdtrue.errors import HoldtrueError, RejectedError, ResourceMissing
from holdtrue.models.audit_changes import FleetAudit
from holdtrue.models.drift import DriftReport
from holdtrue.models.outcome import FlowReport
from holdtrue.models.report import ProvisionReport, ValidationReport
from holdtrue.models.sweep import SweepReport
from holdtrue.runtime.redaction import redact_data, redact_text
from holdtrue.settings import in_home, load_settings

LIMIT_BYTES: Final = 4 << 20
"""Of compressed text in one artifact: some 50 MB of JSON. Prefect sets no limit, but databases and proxies do."""

_LOGGER: Final = logging.getLogger(__name__)

_REPORT_TYPE: Final = "holdtrue-report"
_GZIP: Final = "gzip+base64"
_MODELS: Final[Mapping[str, type[FlowReport]]] = {
    "provision": ProvisionReport,
    "validate": ValidationReport,
    "drift": DriftReport,
    "audit": FleetAudit,
    "sweep": SweepReport,
}


def save_report(name: str, text: str) -> Path | None:
    """Write a text into a file of this run's report folder, without registered secrets, and return its path.

    None where it cannot be written, which is a warning: Prefect keeps what matters, and a full disk of the worker says
    nothing about what the run has found.
    """
    try:
        folder = in_home(load_settings().reports, setting="HOLDTRUE_REPORTS") / str(runtime.flow_run.id)
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / name
        path.write_text(redact_text(text), encoding="utf-8")
    except (OSError, HoldtrueError) as error:
        _LOGGER.warning("%s could not be written into the report folder of this worker: %s", name, error)
        return None
    return path


def packed(text: str) -> str:
    """A document as an artifact holds it: gzip in lines of base64."""
    return base64.encodebytes(gzip.compress(text.encode(), mtime=0)).decode()


def unpacked(content: str) -> str:
    """The document that `packed` was given."""
    return gzip.decompress(base64.b64decode(content)).decode()


def keep_document(kind: str, text: str, *, key: str | None, path: Path | None, description: str) -> None:
    """Keep a document in an artifact of this run.

    Args:
        kind: Type of the artifact.
        text: The document. Registered secrets are taken out before it is compressed: after that nobody finds them.
        key: Of the artifact; None for one without history.
        path: The file on this worker, or None. Of a document that is too large, only this path is kept.
        description: What it is, for a person.
    """
    content = packed(redact_text(text))
    data = {"format": _GZIP, "content": content}
    if len(content) > LIMIT_BYTES:
        data = {"format": "file", "content": str(path or "")}
    Artifact(type=kind, key=key, description=description, data=data).create()


def keep_report(flow: str, report: FlowReport, *, key: str | None, path: Path | None) -> None:
    """Keep a run's report for `load_report`."""
    kept = {"flow": flow, "report": redact_data(report.model_dump(mode="json"))}
    keep_document(_REPORT_TYPE, json_text(kept), key=key, path=path, description=f"The report of this {flow}, as data")


def load_report(flow_run_id: UUID | str) -> FlowReport:
    """The report of a run that has ended, from Prefect, on any machine that reaches its API.

    Its class is the flow's: ProvisionReport, ValidationReport, DriftReport, FleetAudit or SweepReport.

    Raises:
        ResourceMissing: Prefect keeps none: the run is of another flow, has not ended, or was killed; or the report
            was too large for an artifact.
        RejectedError: it was written by another version of Holdtrue, which this one cannot read; or the id is not a
            UUID.
    """
    where = f"flow run {flow_run_id}"
    try:
        run_id = UUID(str(flow_run_id))
    except ValueError:
        raise RejectedError("this is not the id of a flow run", where=where, next_step="give the run's UUID") from None
    wanted = ArtifactFilter(
        flow_run_id=ArtifactFilterFlowRunId(any_=[run_id]),
        type=ArtifactFilterType(any_=[_REPORT_TYPE]),
    )
    with get_client(sync_client=True) as client:
        found = client.read_artifacts(artifact_filter=wanted)
    if not found:
        raise ResourceMissing(
            "Prefect keeps no report of this run",
            where=where,
            next_step="wait for the run to end; a run that was killed leaves no report, so read its log",
        )
    document = json.loads(str(found[-1].data))
    if document["format"] != _GZIP:
        raise ResourceMissing(
            "the report was too large for an artifact",
            where=where,
            next_step=f"read {document['content'] or 'the log of the run'} on its worker",
        )
    kept: dict[str, Any] = json.loads(unpacked(document["content"]))
    try:
        return _MODELS[kept["flow"]].model_validate_json(json.dumps(kept["report"]))
    except (KeyError, ValidationError) as error:
        raise RejectedError(
            "the report cannot be read by this version of Holdtrue",
            where=where,
            next_step="load it with the version that the worker runs",
        ) from error
