"""One run of the pip-audit command: pins in, its report out, and its many deaths told apart.

pip-audit 2.10.1 ends with 1 for findings and for every failure, mostly with a traceback; a report file exists only
when it came to the end. The pins go in as a file of ours (`--no-deps --disable-pip`: no resolver, no index, nothing
installed), so that the order of its questions is known and the package on which it died can be named.
"""

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from packaging.utils import canonicalize_name
from pydantic import BaseModel, Field, ValidationError

from holdtrue.errors import HoldtrueError, ServiceNotReady, ServiceUnreachable, ToolMissing, UnavailableError
from holdtrue.models.dependency import Pin
from holdtrue.runtime.folder import private_folder
from holdtrue.runtime.process import ToolRun, run_tool, tool_environment

_LONGEST_REQUEST_SECONDS: Final = 15
_AUDITED: Final = re.compile(r"^DEBUG:pip_audit\._cli:Auditing (\S+) \(\S+\)$", re.MULTILINE)
"""What `--verbose` says after each answered question; guarded by an integration test."""

_EXCEPTION: Final = re.compile(r"^([A-Za-z_]\w*(?:\.\w+)*)(?::.*)?$")
_HTTP_STATUS: Final = re.compile(r"^requests\.exceptions\.HTTPError: (\d{3}) ", re.MULTILINE)
_NOT_JSON: Final = re.compile(r"^requests\.exceptions\.(JSONDecodeError|ContentDecodingError)\b", re.MULTILINE)
_NO_ANSWER: Final = re.compile(
    r"^(requests\.exceptions|urllib3\.exceptions)\.(\w+)|Could not connect to OSV", re.MULTILINE
)


class Vulnerability(BaseModel):
    """One finding of its report."""

    id: str = Field(pattern=r"\S")
    fix_versions: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    description: str = ""


class Dependency(BaseModel):
    """One package of its report: judged, or skipped with a reason."""

    name: str
    version: str | None = None
    vulns: tuple[Vulnerability, ...] = ()
    skip_reason: str | None = None


class _Report(BaseModel):
    dependencies: tuple[Dependency, ...]


@dataclass(frozen=True, slots=True)
class Choked:
    """It died on the answer about this package and lost everything it had found before."""

    pin: Pin
    exception: str


def run_pip_audit(pins: Sequence[Pin], *, osv_url: str, timeout_seconds: float) -> tuple[Dependency, ...] | Choked:
    """Have it ask `osv_url` about pins of distinct packages, one request each.

    Raises:
        ServiceUnreachable: a question got no answer, or the run took longer than `timeout_seconds`.
        ServiceNotReady: a question got an answer that is none.
        ToolMissing: pip-audit is not installed beside this Python.
        UnavailableError: it ended in a way that is not known here.
    """
    query_url = f"{osv_url}/v1/query"
    with private_folder("holdtrue-audit") as folder:
        pinned, report = folder / "pins.txt", folder / "report.json"
        pinned.write_text("".join(f"{pin.name}=={pin.version}\n" for pin in pins), encoding="utf-8")
        request_seconds = max(1, min(_LONGEST_REQUEST_SECONDS, int(timeout_seconds)))
        # -P keeps the working folder off the import path; the cache and the report stay in the private folder.
        run = run_tool(
            [
                *(sys.executable, "-P", "-m", "pip_audit", "--verbose", "--progress-spinner=off"),
                *("--vulnerability-service=osv", "--osv-url", query_url, f"--timeout={request_seconds}"),
                *("--requirement", str(pinned), "--no-deps", "--disable-pip"),
                *("--format=json", "--desc=on", "--aliases=on"),
                *("--output", str(report), "--cache-dir", str(folder / "cache")),
            ],
            environment=tool_environment({}),
            folder=folder,
            on_line=lambda _: None,
            timeout_seconds=timeout_seconds,
        )
        if report.is_file():
            return _read_report(report, run)
    return explain_death(run, pins, query_url)


def _read_report(path: Path, run: ToolRun) -> tuple[Dependency, ...]:
    try:
        return _Report.model_validate_json(path.read_bytes()).dependencies
    except ValidationError as error:
        raise UnavailableError(
            f"pip-audit ended with {run.exit_code} and wrote a report of an unknown form",
            next_step="install the pip-audit release that Holdtrue names",
        ) from error


def explain_death(run: ToolRun, pins: Sequence[Pin], query_url: str) -> Choked:
    """Which package it choked on, or the error that says why it could not ask; never a line of its traceback.

    Raises:
        HoldtrueError: as `run_pip_audit` says.
    """
    tail = run.error_tail
    if "No module named pip_audit" in tail:
        raise ToolMissing("pip-audit is not installed", where=sys.executable, next_step="install pip-audit there")
    culprit = _first_unanswered(tail, pins)
    where = f"{query_url}, asked about {culprit.name} {culprit.version}" if culprit else query_url
    failure = _service_failure(tail, where)
    if failure is not None:
        raise failure
    exception = _last_exception(tail)
    if culprit is None or not exception:
        raise UnavailableError(
            f"pip-audit ended with {run.exit_code} and without a report",
            where=query_url,
            next_step=f"run {Path(sys.executable).name} -m pip_audit by hand to see why",
        )
    return Choked(culprit, exception)


def _service_failure(tail: str, where: str) -> HoldtrueError | None:
    status = _HTTP_STATUS.search(tail)
    if status:
        return ServiceNotReady(
            f"the advisory source answered HTTP {status.group(1)}", where=where, next_step="ask again later"
        )
    if _NOT_JSON.search(tail):
        return ServiceNotReady(
            "the advisory source answered something that is not JSON",
            where=where,
            next_step="look for a proxy or login page in between",
        )
    silence = _NO_ANSWER.search(tail)
    if silence:
        return ServiceUnreachable(
            f"the advisory source did not answer: {silence.group(2) or 'no connection'}",
            where=where,
            next_step="check address, network, proxy and REQUESTS_CA_BUNDLE",
        )
    return None


def _first_unanswered(tail: str, pins: Sequence[Pin]) -> Pin | None:
    """The pin after the last one that it says it has audited."""
    audited = _AUDITED.findall(tail)
    if not audited:
        return pins[0] if "Traceback (most recent call last)" in tail else None
    names = [pin.name for pin in pins]
    position = names.index(canonicalize_name(audited[-1])) + 1 if canonicalize_name(audited[-1]) in names else len(pins)
    return pins[position] if position < len(pins) else None


def _last_exception(tail: str) -> str:
    """Class name of the exception it died of, empty without one."""
    if "Traceback (most recent call last)" not in tail:
        return ""
    matches = (_EXCEPTION.match(line) for line in reversed(tail.splitlines()))
    return next((match.group(1).rsplit(".", 1)[-1] for match in matches if match), "")
