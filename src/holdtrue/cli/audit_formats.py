"""The forms in which `holdtrue audit` prints its report; each is imported when it is asked for."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from holdtrue.models.audit import AuditReport
    from holdtrue.models.dependency import Inventory


def render(wanted: str, report: "AuditReport", inventories: "Sequence[Inventory]", *, width: int | None = None) -> str:
    """The report in one of FORMATS; `width` is that of the terminal where it is read on one."""
    if wanted == "table":
        from holdtrue.core.audit_output.table import describe  # noqa: PLC0415

        return "\n".join(describe(report, width=width))
    return _DOCUMENTS[wanted](report, inventories)


def is_document(wanted: str) -> bool:
    """Whether a program reads it, or a browser, and not a person at the terminal."""
    return wanted in _DOCUMENTS


def _json(report: "AuditReport", _: "Sequence[Inventory]") -> str:
    from holdtrue.core.audit_output.json_report import to_json  # noqa: PLC0415

    return to_json(report)


def _sarif(report: "AuditReport", _: "Sequence[Inventory]") -> str:
    from pathlib import Path  # noqa: PLC0415

    from holdtrue.core.audit_output.sarif import to_sarif  # noqa: PLC0415
    from holdtrue.core.audit_output.sarif_locations import SourceTree  # noqa: PLC0415

    folder = Path.cwd()
    root = next((path for path in (folder, *folder.parents) if (path / ".git").exists()), folder)
    return to_sarif(report, tool_version=_version(), tree=SourceTree(root.as_posix(), folder.as_posix()))


def _cyclonedx(report: "AuditReport", inventories: "Sequence[Inventory]") -> str:
    from uuid import uuid4  # noqa: PLC0415

    from holdtrue.core.audit_output.cyclonedx import to_cyclonedx  # noqa: PLC0415

    return to_cyclonedx(
        report, inventories, serial_number=uuid4(), timestamp=report.started_at, tool_version=_version()
    )


def _markdown(report: "AuditReport", _: "Sequence[Inventory]") -> str:
    from holdtrue.core.audit_output.markdown import to_markdown  # noqa: PLC0415

    return to_markdown(report)


def _html(report: "AuditReport", _: "Sequence[Inventory]") -> str:
    from holdtrue.core.audit_output.html import to_html  # noqa: PLC0415

    return to_html(report)


def _openvex(report: "AuditReport", _: "Sequence[Inventory]") -> str:
    from uuid import uuid4  # noqa: PLC0415

    from holdtrue.core.neutral import json_text  # noqa: PLC0415
    from holdtrue.core.openvex import to_openvex  # noqa: PLC0415

    document = to_openvex(
        report, author="holdtrue audit", document_id=f"urn:uuid:{uuid4()}", timestamp=datetime.now(UTC)
    )
    return json_text(document)


_DOCUMENTS: "Final[dict[str, Callable[[AuditReport, Sequence[Inventory]], str]]]" = {
    "json": _json,
    "sarif": _sarif,
    "cyclonedx": _cyclonedx,
    "markdown": _markdown,
    "html": _html,
    "openvex": _openvex,
}
FORMATS: Final = ("table", *_DOCUMENTS)


def _version() -> str:
    from importlib.metadata import version  # noqa: PLC0415

    return version("holdtrue")
