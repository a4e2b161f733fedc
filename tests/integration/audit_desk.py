"""A desk at which the tests run `holdtrue audit` as the child process that it is for its users.

A test module takes the fixtures from here: `__all__ = ["desk", "server"]` says that importing them is meant.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest

from holdtrue.core.audit_output.json_report import AuditDocument
from holdtrue.runtime.process import find_marked
from tests.integration.osv_fault_server import FaultServer, advisory

CLEAN, VULNERABLE, BAD_INPUT, INCOMPLETE = 0, 1, 2, 3
SECRET: Final = "s3cr3t-in-an-address"
WAIVER: Final = {"id": "CVE-2099-1", "reason": "not reachable", "owner": "somebody", "expires": "2098-12-31"}
THE_FINDING: Final = [("demo-a", "PYSEC-2099-1")]
"""What both the dump and the server of a new desk know."""

FORMATS: Final = ("table", "json", "sarif", "cyclonedx", "markdown", "html", "openvex")

_COMMAND: Final = ("-m", "holdtrue")
_HURRIED: Final = """
import functools, sys
from holdtrue import cli
from holdtrue.adapters import osv_api
from holdtrue.runtime.http_retry import RetryPolicy
osv_api.OsvApi = functools.partial(
    osv_api.OsvApi, timeout_seconds={silence_seconds}, retries=RetryPolicy(first_pause_seconds=0.01)
)
sys.exit(cli.main())
"""

_CRAMPED: Final = """
import resource, sys
from holdtrue import cli
resource.setrlimit(resource.RLIMIT_FSIZE, ({limit_bytes}, {limit_bytes}))
sys.exit(cli.main())
"""


@dataclass(frozen=True)
class Ended:
    """A run that is over."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> AuditDocument:
        return AuditDocument.model_validate_json(self.out)

    @property
    def found(self) -> list[tuple[str, str]]:
        """Package and id of each finding that counts."""
        return [(item.package, item.id) for item in self.document.findings]


@dataclass
class Desk:
    """A folder to work in, with a home, a cache and temporary files of its own."""

    folder: Path
    settings: dict[str, str] = field(default_factory=dict)
    command: tuple[str, ...] = _COMMAND

    def file(self, name: str, content: str | bytes) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def json(self, name: str, content: object) -> Path:
        return self.file(name, json.dumps(content))

    def dump(self, *records: Mapping[str, Any], name: str = "dump.jsonl") -> Path:
        return self.file(name, "".join(f"{json.dumps(record)}\n" for record in records))

    def hurry(self, *, silence_seconds: float = 15.0) -> None:
        """The same command, as often insisting on OSV's answer, but with pauses that a test can wait for."""
        self.command = ("-c", _HURRIED.format(silence_seconds=silence_seconds))

    def limit_files(self, limit_bytes: int) -> None:
        """The same command where no file can be larger, as on a disk that is nearly full."""
        self.command = ("-c", _CRAMPED.format(limit_bytes=limit_bytes))

    @property
    def environment(self) -> dict[str, str]:
        inherited = {name: text for name, text in os.environ.items() if not name.startswith(("HOLDTRUE_", "XDG_"))}
        own = {name: str(self.folder / name.lower()) for name in ("HOME", "HOLDTRUE_CACHE", "TMPDIR")}
        return inherited | own | self._bytecode() | {"no_proxy": "*"} | self.settings

    def _bytecode(self) -> dict[str, str]:
        """Kept for all runs, in one place where a machine forbids it beside the sources: each start costs half."""
        if not sys.dont_write_bytecode:
            return {}
        return {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(self.folder.parent / "bytecode")}

    def start(self, *arguments: object) -> subprocess.Popen[str]:
        (self.folder / "tmpdir").mkdir(exist_ok=True)
        return subprocess.Popen(
            # Tests that run in the background hand down an ignored SIGINT or SIGHUP, which then stays ignored.
            ["env", "--default-signal=INT,HUP", sys.executable, *self.command, "audit", *map(str, arguments)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8", cwd=self.folder,
            env=self.environment,
        )  # fmt: skip

    def run(self, *arguments: object) -> Ended:
        with self.start(*arguments) as child:
            out, err = child.communicate(timeout=60)
        assert "Traceback" not in err, f"{arguments}: {err}"
        return Ended(child.returncode, out, err)

    def audit(self, *arguments: object) -> Ended:
        """Of requirements.txt, as JSON."""
        return self.run("-r", "requirements.txt", "--json", *arguments)

    def run_together(self, *commands: tuple[object, ...]) -> list[Ended]:
        """In their order, as many side by side as there are processors, and two at least."""
        with ThreadPoolExecutor(max(2, os.cpu_count() or 1)) as pool:
            return list(pool.map(lambda arguments: self.run(*arguments), commands))

    def audit_together(self, *commands: tuple[object, ...]) -> list[Ended]:
        """Of requirements.txt, as JSON, side by side."""
        return self.run_together(*(("-r", "requirements.txt", "--json", *arguments) for arguments in commands))

    def left_behind(self) -> list[str]:
        """Processes of its runs, temporary files, and reports and caches that were begun and not ended."""
        processes = [f"process {number}" for number in find_marked("TMPDIR", str(self.folder / "tmpdir"))]
        temporary = [*(self.folder / "tmpdir").iterdir(), *self.folder.rglob("*.unfinished")]
        return processes + [str(path) for path in temporary]


def names_the_finding(form: str, out: str) -> bool:
    """Whether an output, read as what it claims to be, tells of THE_FINDING."""
    match form:
        case "sarif":
            (run,) = json.loads(out)["runs"]
            return any(item["ruleId"] == "PYSEC-2099-1" for item in run["results"])
        case "cyclonedx":
            document = json.loads(out)
            names = {item["name"] for item in document["components"]}
            return {"demo-a", "demo-b"} <= names and document["vulnerabilities"][0]["id"] == "PYSEC-2099-1"
        case "openvex":
            (statement,) = json.loads(out)["statements"]
            return bool(statement["vulnerability"]["name"] == "PYSEC-2099-1")
        case "json":
            return AuditDocument.model_validate_json(out).findings[0].id == "PYSEC-2099-1"
        case "html":
            is_whole = out.lower().startswith("<!doctype html>") and out.rstrip().endswith("</html>")
            return is_whole and "PYSEC-2099-1" in out
        case _:
            return "PYSEC-2099-1" in out


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """With a requirements file of two packages, and a dump that knows one advisory on the first."""
    return _furnished(tmp_path)


@pytest.fixture(scope="module")
def shared_desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """The same, for the tests of a module whose runs go side by side and change nothing on it."""
    return _furnished(tmp_path_factory.mktemp("desk"))


def _furnished(folder: Path) -> Desk:
    desk = Desk(folder)
    desk.file("requirements.txt", "demo-a==1.0\ndemo-b==2.0\n")
    desk.dump(advisory("demo-a", aliases=["CVE-2099-1"]), advisory("demo-z", "PYSEC-2099-2"))
    return desk


@pytest.fixture
def server() -> Iterator[FaultServer]:
    """That knows the same advisory."""
    with FaultServer() as running:
        running.add(advisory("demo-a", aliases=["CVE-2099-1"]))
        yield running
