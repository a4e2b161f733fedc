"""`holdtrue audit` as a child process: exit codes, every format, every option, bad input, and how it ends."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from holdtrue.adapters.audit_inputs import read_vex, read_waivers
from holdtrue.core.audit_output.json_report import AuditDocument
from tests.integration.osv_fault_server import Fault, FaultServer, advisory

CLEAN, VULNERABLE, BAD_INPUT, INCOMPLETE = 0, 1, 2, 3
SECRET = "s3cr3t-in-an-address"
CRITICAL = [{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}]
LOW = [{"type": "CVSS_V3", "score": "CVSS:3.1/AV:L/AC:H/PR:H/UI:R/S:U/C:L/I:N/A:N"}]
WAIVER = {"id": "CVE-2099-1", "reason": "not reachable", "owner": "somebody", "expires": "2098-12-31"}


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

    def file(self, name: str, content: str | bytes) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def json(self, name: str, content: object) -> Path:
        return self.file(name, json.dumps(content))

    def dump(self, *records: Mapping[str, Any]) -> Path:
        return self.file("dump.jsonl", "".join(f"{json.dumps(record)}\n" for record in records))

    @property
    def environment(self) -> dict[str, str]:
        inherited = {name: text for name, text in os.environ.items() if not name.startswith(("HOLDTRUE_", "XDG_"))}
        own = {name: str(self.folder / name.lower()) for name in ("HOME", "HOLDTRUE_CACHE", "TMPDIR")}
        # Bytecode of all runs in one place, where a machine forbids it beside the sources: each start costs half.
        bytecode = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(self.folder.parent / "bytecode")}
        return inherited | own | bytecode | {"no_proxy": "*"} | self.settings

    def start(self, *arguments: object, **more: Any) -> subprocess.Popen[str]:
        (self.folder / "tmpdir").mkdir(exist_ok=True)
        return subprocess.Popen(
            [sys.executable, "-m", "holdtrue.cli", "audit", *map(str, arguments)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8", cwd=self.folder,
            env=self.environment, **more,
        )  # fmt: skip

    def run(self, *arguments: object) -> Ended:
        with self.start(*arguments) as child:
            out, err = child.communicate(timeout=60)
        assert "Traceback" not in err
        return Ended(child.returncode, out, err)

    def audit(self, *arguments: object) -> Ended:
        """Of requirements.txt, as JSON."""
        return self.run("-r", "requirements.txt", "--json", *arguments)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """With a requirements file of two packages, and a dump that knows one advisory on the first."""
    desk = Desk(tmp_path)
    desk.file("requirements.txt", "demo-a==1.0\ndemo-b==2.0\n")
    desk.dump(advisory("demo-a", aliases=["CVE-2099-1"]), advisory("demo-z", "PYSEC-2099-2"))
    return desk


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer() as running:
        running.add(advisory("demo-a", aliases=["CVE-2099-1"]))
        yield running


# What the exit code says.


def test_a_clean_audit_ends_with_zero(desk: Desk) -> None:
    desk.file("requirements.txt", "demo-b==2.0\n")

    ended = desk.audit("--osv-db", "dump.jsonl")

    assert (ended.code, ended.document.verdict, ended.err) == (CLEAN, "clean", "")
    assert (ended.document.counts.audited, ended.document.counts.not_audited) == (1, 0)


def test_a_finding_ends_with_one(desk: Desk) -> None:
    ended = desk.audit("--osv-db", "dump.jsonl")

    assert (ended.code, ended.document.verdict, ended.err) == (VULNERABLE, "vulnerable", "")
    (item,) = ended.document.findings
    assert (item.package, item.version, item.id, item.aliases) == ("demo-a", "1.0", "PYSEC-2099-1", ("CVE-2099-1",))
    assert (item.fixed_in, item.sources, item.severity) == (("9.0",), ("osv-dump",), "unknown")
    assert ended.document.counts.audited == 2


def test_a_source_that_is_down_makes_it_incomplete(desk: Desk, server: FaultServer) -> None:
    server.faults = [Fault(".*", status=404)]

    ended = desk.audit("--osv-url", server.url)

    assert (ended.code, ended.document.verdict) == (INCOMPLETE, "incomplete")
    assert (ended.document.counts.audited, ended.document.counts.not_audited) == (0, 2)
    assert ended.err.startswith("holdtrue: osv: ")
    assert ended.err.count("\n") == 1
    assert server.url in ended.err


def test_findings_win_over_gaps_and_both_are_told(desk: Desk, server: FaultServer) -> None:
    server.faults = [Fault(".*", body=b"<html>log in</html>")]
    desk.file("requirements.txt", "demo-a==1.0\ndemo-b>=2\n")

    ended = desk.audit("--osv-db", "dump.jsonl", "--osv-url", server.url)

    assert (ended.code, ended.found) == (VULNERABLE, [("demo-a", "PYSEC-2099-1")])
    assert {item.name for item in ended.document.not_audited} == {"osv", "demo-b"}
    assert [bool(source.failure) for source in ended.document.sources] == [False, True]


@pytest.mark.parametrize("text", ["", "# nothing\n\n", "--index-url https://index.example/simple\n"])
def test_nothing_checked_is_never_clean(desk: Desk, text: str) -> None:
    desk.file("requirements.txt", text)

    ended = desk.audit("--osv-db", "dump.jsonl")

    assert (ended.code, ended.document.verdict, ended.document.counts.audited) == (INCOMPLETE, "incomplete", 0)
    assert ended.document.not_audited


def test_an_environment_that_cannot_be_listed_hides_no_finding(desk: Desk) -> None:
    ended = desk.audit("--osv-db", "dump.jsonl", "--environment", "absent")

    assert (ended.code, ended.found) == (VULNERABLE, [("demo-a", "PYSEC-2099-1")])
    assert [(item.name, item.inventory) for item in ended.document.not_audited] == [("absent", "absent")]


def test_a_project_without_files_is_never_clean(desk: Desk) -> None:
    (desk.folder / "empty").mkdir()

    ended = desk.run("--project", "empty", "--osv-db", "dump.jsonl", "--json")

    assert ended.code == INCOMPLETE
    assert [item.name for item in ended.document.not_audited] == ["empty"]


def test_what_is_not_pinned_is_listed(desk: Desk) -> None:
    desk.file("requirements.txt", "demo-b==2.0\ndemo-a>=1\ngit+https://host.example/demo-c\n")

    ended = desk.audit("--osv-db", "dump.jsonl")

    assert ended.code == INCOMPLETE
    assert (ended.document.counts.audited, ended.document.counts.not_audited) == (1, 2)
    assert "demo-a" in {item.name for item in ended.document.not_audited}
    assert all(item.reason for item in ended.document.not_audited)


def test_what_cannot_be_resolved_now_hides_no_finding(desk: Desk) -> None:
    desk.file("requirements.txt", "--index-url http://127.0.0.1:1/simple\ndemo-a==1.0\ndemo-b>=2\n")
    desk.settings = {"UV_HTTP_RETRIES": "0", "UV_OFFLINE": "1"}

    ended = desk.audit("--osv-db", "dump.jsonl", "--resolve")

    assert (ended.code, ended.found) == (VULNERABLE, [("demo-a", "PYSEC-2099-1")])
    assert {item.name for item in ended.document.not_audited} == {"requirements.txt", "demo-b"}


# What is asked.


def test_the_sources_named_are_the_only_ones_asked(desk: Desk, server: FaultServer) -> None:
    with FaultServer() as other:
        desk.settings = {"HOLDTRUE_OSV_URL": other.url, "HOLDTRUE_PYPI_URL": other.url}
        by_dump = desk.audit("--osv-db", "dump.jsonl")
        assert server.asked == []
        by_api = desk.audit("--osv-url", server.url)
        assert server.counts() == {"querybatch": 1, "vulns": 1}
        assert other.asked == []
        by_settings = desk.audit()
        assert set(other.counts()) == {"querybatch", "pypi"}

    assert [[source.name for source in ended.document.sources] for ended in (by_dump, by_api, by_settings)] == [
        ["osv-dump"], ["osv"], ["osv", "pypi"],
    ]  # fmt: skip
    assert by_dump.found == by_api.found == [("demo-a", "PYSEC-2099-1")]


def test_every_source_at_once_makes_one_finding_that_names_them(desk: Desk, server: FaultServer) -> None:
    page = {
        "vulnerabilities": [{"id": "PYSEC-2099-1", "aliases": ["CVE-2099-1"], "fixed_in": ["9.0"], "withdrawn": None}]
    }
    server.projects = {"demo-a": {"1.0": page}, "demo-b": {"2.0": {"vulnerabilities": []}}}

    ended = desk.audit(
        "--osv-db", "dump.jsonl", "--osv-url", server.url, "--pypi-url", server.url, "--pip-audit-url", server.url
    )

    assert [source.failure for source in ended.document.sources] == [""] * 4
    assert [(item.id, item.sources) for item in ended.document.findings] == [
        ("PYSEC-2099-1", ("osv", "osv-dump", "pip-audit", "pypi"))
    ]


def test_internal_packages_are_nobody_elses_business(desk: Desk, server: FaultServer) -> None:
    ended = desk.audit("--osv-url", server.url, "--internal", "demo-[a]")

    assert [query["package"]["name"] for query in server.asked[0].body["queries"]] == ["demo-b"]
    assert ended.code == INCOMPLETE
    assert [(item.name, item.origin) for item in ended.document.not_audited] == [("demo-a", "internal")]


def test_a_second_run_asks_for_no_advisory_again(desk: Desk, server: FaultServer) -> None:
    first = desk.audit("--osv-url", server.url)
    second = desk.audit("--osv-url", server.url)

    assert first.found == second.found == [("demo-a", "PYSEC-2099-1")]
    assert server.counts() == {"querybatch": 2, "vulns": 1}


def test_data_that_are_too_old_are_not_enough(desk: Desk) -> None:
    old = advisory("demo-a") | {"modified": "2020-01-01T00:00:00Z"}
    desk.dump(old)

    alone = desk.audit("--osv-db", "dump.jsonl", "--max-age-days", 7)
    desk.file("requirements.txt", "demo-b==2.0\n")
    without_findings = desk.audit("--osv-db", "dump.jsonl", "--max-age-days", 7)

    assert (alone.code, alone.found) == (VULNERABLE, [("demo-a", "PYSEC-2099-1")])
    assert "days old" in alone.err
    assert (without_findings.code, without_findings.document.counts.audited) == (INCOMPLETE, 0)
    assert desk.audit("--osv-db", "dump.jsonl", "--max-age-days", 1e6).code == CLEAN


def test_it_works_without_prefect(desk: Desk) -> None:
    code = (
        "import sys; sys.modules['prefect'] = None; import holdtrue.cli as c; "
        "sys.exit(c.main(['audit', '-r', 'requirements.txt', '--osv-db', 'dump.jsonl']))"
    )
    child = subprocess.run(
        [sys.executable, "-c", code],
        check=False, capture_output=True, text=True, timeout=30, cwd=desk.folder, env=desk.environment,
    )  # fmt: skip

    assert (child.returncode, child.stderr) == (VULNERABLE, "")
    assert child.stdout.startswith("vulnerable: 1 finding that count")


# Every format of lock file, once each, with one vulnerable package in it.

_TOML_PACKAGES = '[[package]]\nname = "demo-a"\nversion = "1.0"\n[[package]]\nname = "demo-b"\nversion = "2.0"\n'
_REGISTRY = 'source = { registry = "https://index.example/simple" }\n'
_PURLS = ["pkg:pypi/demo-a@1.0", "pkg:pypi/demo-b@2.0"]
_COMPONENTS = [{"type": "library", "name": "demo", "purl": purl} for purl in _PURLS]
_SPDX_PACKAGES = [
    {
        "name": "demo",
        "SPDXID": f"SPDXRef-{number}",
        "externalRefs": [
            {"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": purl},
        ],
    }
    for number, purl in enumerate(_PURLS)
]
LOCKS = {
    "requirements.txt": "demo-a==1.0 --hash=sha256:00\ndemo-b==2.0 ; os_name == 'nt'\n",
    "requirements.in": "demo-a==1.0\ndemo-b==2.0\n",
    "uv.lock": f"version = 1\n{_TOML_PACKAGES}".replace('0"\n', f'0"\n{_REGISTRY}'),
    "tool.py.lock": f"version = 1\n{_TOML_PACKAGES}".replace('0"\n', f'0"\n{_REGISTRY}'),
    "poetry.lock": f'{_TOML_PACKAGES}[metadata]\nlock-version = "2.1"\n',
    "pdm.lock": f'[metadata]\ngroups = ["default"]\nlock_version = "4.5.0"\n{_TOML_PACKAGES}',
    "Pipfile.lock": json.dumps(
        {
            "_meta": {"pipfile-spec": 6},
            "default": {"demo-a": {"version": "==1.0"}},
            "develop": {"demo-b": {"version": "==2.0"}},
        }
    ),
    "pylock.toml": f'lock-version = "1.0"\ncreated-by = "tests"\n{_TOML_PACKAGES}'.replace("package", "packages"),
    "pylock.web.toml": f'lock-version = "1.0"\ncreated-by = "tests"\n{_TOML_PACKAGES}'.replace("package", "packages"),
    "conda-list.json": json.dumps(
        [
            {"name": "demo-a", "version": "1.0", "channel": "pypi"},
            {"name": "demo-b", "version": "2.0", "channel": "pypi"},
        ]
    ),
    "environment.yml": "dependencies:\n  - pip:\n      - demo-a==1.0\n      - demo-b==2.0\n",
    "app.cdx.json": json.dumps({"bomFormat": "CycloneDX", "specVersion": "1.6", "components": _COMPONENTS}),
    "app.spdx.json": json.dumps({"spdxVersion": "SPDX-2.3", "packages": _SPDX_PACKAGES}),
}


@pytest.mark.parametrize("name", LOCKS)
def test_each_format_is_read_to_its_end(desk: Desk, name: str) -> None:
    desk.file(name, LOCKS[name])

    ended = desk.run("-r", name, "--osv-db", "dump.jsonl", "--json")

    assert (ended.code, ended.found) == (VULNERABLE, [("demo-a", "PYSEC-2099-1")])
    assert (ended.document.counts.audited, ended.document.not_audited) == (2, ())
    assert {item.inventory for item in ended.document.findings[0].occurrences} == {name}


def test_many_files_projects_and_environments_are_one_batch(desk: Desk, server: FaultServer) -> None:
    desk.file("one/uv.lock", LOCKS["uv.lock"])
    desk.file("two/requirements/base.txt", "demo-a==1.0\n")
    desk.file("root/usr/lib/python3/site-packages/demo_a-1.0.dist-info/METADATA", "Name: demo-a\nVersion: 1.0\n")

    ended = desk.run(
        *("-r", "requirements.txt", "--project", "one", "--project", "two", "--root", "root"),
        *("--environment", sys.executable, "--osv-url", server.url, "--json"),
    )

    places = {item.inventory for item in ended.document.findings[0].occurrences}
    assert {"requirements.txt", "one/uv.lock", "two/requirements/base.txt"} < places
    assert len(places) == 4
    assert server.counts() == {"querybatch": 1, "vulns": 1}
    assert len({query["package"]["name"] for query in server.asked[0].body["queries"]}) > 20


# What counts.


@pytest.mark.parametrize(
    ("waiver", "code", "state"),
    [
        ({}, CLEAN, "used"),
        ({"id": "cve-2099-9"}, VULNERABLE, "unused"),
        ({"expires": "2020-01-01"}, VULNERABLE, "expired"),
        ({"inventory": "other/*"}, VULNERABLE, "unused"),
    ],
)
def test_waivers(desk: Desk, waiver: dict[str, str], code: int, state: str) -> None:
    file = desk.json("waivers.json", {"waivers": [WAIVER | waiver]})

    ended = desk.audit("--osv-db", "dump.jsonl", "--waivers", file)

    assert (ended.code, [use.state for use in ended.document.waivers]) == (code, [state])
    assert len(ended.document.findings) + len(ended.document.tolerated) == 1
    told = desk.run("-r", "requirements.txt", "--osv-db", "dump.jsonl", "--waivers", file).out
    assert (state in told) is (state != "used")


def test_vex_documents_waive_and_are_written_again(desk: Desk) -> None:
    statement = {
        "vulnerability": {"name": "CVE-2099-1"},
        "products": [{"@id": "pkg:pypi/demo-a@1.0"}],
        "status": "not_affected",
        "impact_statement": "never called",
    }
    head = {"@context": "https://openvex.dev/ns/v0.2.0", "author": "Demo", "timestamp": "2030-01-01T00:00:00Z"}
    file = desk.json("vex.json", {**head, "statements": [statement]})

    ended = desk.audit("--osv-db", "dump.jsonl", "--vex", file)
    again = desk.run(
        *("-r", "requirements.txt", "--osv-db", "dump.jsonl", "--vex", file, "--format", "openvex"),
        *("--output", "again.json"),
    )

    assert (ended.code, [item.id for item in ended.document.tolerated]) == (CLEAN, ["PYSEC-2099-1"])
    assert (again.code, again.out) == (CLEAN, "")
    (said,) = read_vex(desk.folder / "again.json")
    assert (said.status, said.reason, said.product.package) == ("not_affected", "never called", "demo-a")
    assert {"PYSEC-2099-1", "CVE-2099-1"} <= set(said.names)


def test_exploitation_data_are_told_and_outweigh_a_waiver(desk: Desk) -> None:
    waivers = desk.json("waivers.json", [WAIVER])
    epss = desk.file("epss.csv", "cve,epss,percentile\nCVE-2099-0001,0.5,0.5\n")
    kev = desk.json("kev.json", {"vulnerabilities": [{"cveID": "CVE-2099-0001"}]})
    desk.dump(advisory("demo-a", aliases=["CVE-2099-0001", "CVE-2099-1"]))

    waived = desk.audit("--osv-db", "dump.jsonl", "--waivers", waivers, "--epss", epss)
    exploited = desk.audit("--osv-db", "dump.jsonl", "--waivers", waivers, "--epss", epss, "--kev", kev)

    assert (waived.code, exploited.code) == (CLEAN, VULNERABLE)
    (item,) = exploited.document.findings
    assert item.exploitation is not None
    assert (item.exploitation.is_known_exploited, item.exploitation.epss) == (True, 0.5)


def test_a_severity_that_is_not_known_is_below_nothing(desk: Desk) -> None:
    desk.dump(
        advisory("demo-a", "PYSEC-2099-1"),
        advisory("demo-a", "PYSEC-2099-2", severity=LOW),
        advisory("demo-a", "PYSEC-2099-3", severity=CRITICAL),
    )

    high = desk.audit("--osv-db", "dump.jsonl", "--minimum-severity", "high")
    desk.dump(advisory("demo-a", severity=LOW))
    only_low = desk.audit("--osv-db", "dump.jsonl", "--minimum-severity", "high")

    assert {item.id: str(item.severity) for item in high.document.findings} == {
        "PYSEC-2099-1": "unknown", "PYSEC-2099-3": "critical",
    }  # fmt: skip
    assert [item.id for item in high.document.tolerated] == ["PYSEC-2099-2"]
    assert (only_low.code, only_low.document.tolerated[0].tolerated != "") == (CLEAN, True)


def test_only_fixable_and_only_direct(desk: Desk) -> None:
    unfixed = advisory("demo-a")
    unfixed["affected"][0]["ranges"][0]["events"] = [{"introduced": "0"}]
    desk.dump(unfixed)

    assert desk.audit("--osv-db", "dump.jsonl").code == VULNERABLE
    assert desk.audit("--osv-db", "dump.jsonl", "--only-fixable").code == CLEAN
    desk.file("requirements.txt", "demo-a==1.0\n    # via demo-b\ndemo-b==2.0\n    # via -r requirements.in\n")
    assert desk.audit("--osv-db", "dump.jsonl", "--only-direct").code == CLEAN


# Every output.

HOSTILE = (
    "\x1b[31mred\x1b[0m\n::error::x ##vso[task.complete]y | <script>alert(1)</script> ![a](http://evil.example) \u202e"
)


def _is_plain(text: str) -> bool:
    return all(character.isprintable() or character == "\n" for character in text)


def _names_it(form: str, out: str) -> bool:
    """Whether the output, read as what it claims to be, tells of the finding."""
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
            return out.lower().startswith("<!doctype html>") and out.rstrip().endswith("</html>")
        case _:
            return "PYSEC" in out


FORMATS = ("table", "json", "sarif", "cyclonedx", "markdown", "html", "openvex")


@pytest.mark.parametrize("form", FORMATS)
def test_each_output_can_be_read_and_obeys_no_stranger(desk: Desk, form: str) -> None:
    desk.dump(advisory("demo-a") | {"summary": HOSTILE})

    ended = desk.run("-r", "requirements.txt", "--osv-db", "dump.jsonl", "--format", form)
    written = desk.run(
        "-r", "requirements.txt", "--osv-db", "dump.jsonl", "--format", form, "--output", "report", "--internal", "x"
    )

    assert (ended.code, ended.err) == (VULNERABLE, "")
    assert _names_it(form, ended.out)
    assert _is_plain(ended.out)
    assert not re.search(r"^\s*::error|##(\w+)?\[", ended.out, re.MULTILINE)
    assert form in {"table", "json", "sarif", "cyclonedx"} or "<script" not in ended.out
    if form == "json":
        assert ended.document.findings[0].summary == " ".join(HOSTILE.split())
    assert (written.code, written.out) == (VULNERABLE, "")
    assert _names_it(form, (desk.folder / "report").read_text())


# Bad input.


def _refused(ended: Ended) -> str:
    assert ended.code == BAD_INPUT
    assert ended.out == ""
    assert ended.err.count("\n") == 1
    assert ended.err.startswith("holdtrue: ")
    assert SECRET not in ended.err
    return ended.err


BAD_FILES = {
    "absent.txt": None,
    "folder.txt": None,
    "loop.txt": None,
    "huge.lock": None,
    "notes.docx": "demo-a==1.0\n",
    "uv.lock": "version = [",
    "Pipfile.lock": "[]",
    "poetry.lock": b"\xff\xfe\xff",
    "pylock.toml": "packages = [" + "[" * 5000,
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_file_that_cannot_be_read_is_named(desk: Desk, name: str) -> None:
    content = BAD_FILES[name]
    if content is not None:
        desk.file(name, content)
    (desk.folder / "folder.txt").mkdir()
    (desk.folder / "loop.txt").symlink_to("loop.txt")
    with (desk.folder / "uv.huge").open("wb") as sparse:
        sparse.truncate(100 << 20)
    (desk.folder / "huge.lock").mkdir()
    (desk.folder / "huge.lock" / "uv.lock").symlink_to(desk.folder / "uv.huge")
    named = f"{name}/uv.lock" if name == "huge.lock" else name

    assert named in _refused(desk.run("-r", named, "--osv-db", "dump.jsonl"))


def test_marks_line_ends_and_duplicates_are_no_bad_input(desk: Desk) -> None:
    text = "\ufeffdemo-a==1.0 ; os_name == 'nt'\r\ndemo-a==1.0 ; os_name != 'nt'\r\nDemo_B==2.0\r\n"
    desk.file("requirements.txt", text)
    one = desk.audit("--osv-db", "dump.jsonl")
    desk.file("requirements.txt", text[1:].encode("utf-16"))
    other = desk.audit("--osv-db", "dump.jsonl")

    assert (one.code, one.found) == (other.code, other.found) == (VULNERABLE, [("demo-a", "PYSEC-2099-1")])
    assert one.document.counts == other.document.counts
    assert one.document.counts.audited == 2


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--format", "pdf"),
        ("--minimum-severity", "unknown"),
        ("--max-age-days", "soon"),
        ("--max-age-days", "nan"),
        ("--max-age-days", "-1"),
        ("--osv-db", "absent.jsonl"),
        ("--osv-db", "requirements.txt"),
        ("--osv-url", f"https://user:{SECRET}@osv.example"),
        ("--osv-url", f"https://osv.example/?token={SECRET}"),
        ("--osv-url", "ftp://osv.example"),
        ("--pip-audit-url", f"https://{SECRET}@osv.example"),
        ("--pypi-url", f"https://{SECRET}@osv.example"),
        ("-r", f"https://user:{SECRET}@host.example/requirements.txt"),
        ("--osv-db", f"https://user:{SECRET}@host.example/all.zip"),
        ("--project", "absent"),
        ("--output", "absent/report"),
    ],
    ids=lambda arguments: " ".join(arguments).replace(SECRET, "SECRET") or "nothing",
)
def test_a_wrong_command_line_is_one_line(desk: Desk, arguments: tuple[str, ...]) -> None:
    files = () if not arguments else ("-r", "requirements.txt")
    sources = () if any(name.endswith(("-url", "-db")) for name in arguments) else ("--osv-db", "dump.jsonl")

    _refused(desk.run(*files, *sources, *arguments))


@pytest.mark.parametrize(
    ("content", "field"),
    [
        ([WAIVER | {"expires": "tomorrow"}], "waivers[0].expires"),
        ([WAIVER, {key: text for key, text in WAIVER.items() if key != "owner"}], "waivers[1].owner"),
        ([WAIVER | {"severity": "low"}], "waivers[0].severity"),
        ([WAIVER | {"version": "<<2"}], "waivers[0].version"),
        ({"waiver": []}, "waiver"),
    ],
)
def test_a_wrong_waiver_is_named_by_its_field(desk: Desk, content: object, field: str) -> None:
    file = desk.json("waivers.json", content)

    assert field in _refused(desk.audit("--osv-db", "dump.jsonl", "--waivers", file))


@pytest.mark.parametrize("option", ["--waivers", "--vex", "--epss", "--kev"])
def test_a_wrong_judgement_file_is_named(desk: Desk, option: str) -> None:
    file = desk.json("judgement.json", {"something": "else"})

    assert "judgement.json" in _refused(desk.audit("--osv-db", "dump.jsonl", option, file))


def test_the_documentation_names_what_there_is(desk: Desk) -> None:
    page = (Path(__file__).parents[2] / "docs" / "audit.md").read_text()
    known = desk.run("--help").out
    options = re.findall(r"`(--[a-z-]+)", page.partition("## Beside pip-audit")[0])
    waivers = re.search(r"# audit-waivers\.yaml\n(.*?)```", page, re.DOTALL)
    assert waivers is not None
    (waiver,) = read_waivers(desk.file("audit-waivers.yaml", waivers.group(1)))

    assert len(options) > 15
    assert [option for option in options if option not in known] == []
    assert [form for form in FORMATS if f"`{form}`" not in page and f"--format {form}" not in page] == []
    assert waiver.owner == "platform team"


# How it ends when it is ended.


def _left_behind(desk: Desk) -> list[str]:
    """Temporary files, and processes that work in them."""
    folder = str(desk.folder)
    lines: list[str] = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().decode(errors="replace")
        except OSError:
            continue
        if folder in line:
            lines.append(line)
    files = [str(path) for path in (desk.folder / "tmpdir").iterdir()]
    return lines + files + [str(path) for path in (desk.folder / "holdtrue_cache").rglob("*.unfinished")]


@pytest.mark.parametrize("option", ["--osv-url", "--pip-audit-url"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_run_that_is_ended_leaves_nothing(
    desk: Desk, server: FaultServer, option: str, number: signal.Signals
) -> None:
    # A question that is under way is waited for, which ends with the client's patience (15 s) at the latest.
    path, silence_seconds = ("/v1/querybatch", 2) if option == "--osv-url" else ("/v1/query", 60)
    server.faults = [Fault(path, delay_seconds=silence_seconds)]
    with desk.start("-r", "requirements.txt", option, server.url, "--output", "report") as child:
        deadline = time.monotonic() + 30
        while not any(item.path == path for item in server.asked) and time.monotonic() < deadline:
            server.wait(0.02)
        child.send_signal(number)
        _, err = child.communicate(timeout=25)

    assert child.returncode == 128 + number
    assert "Traceback" not in err
    assert _left_behind(desk) == []
    assert not (desk.folder / "report").exists()


def test_a_reader_that_has_seen_enough_is_no_error(desk: Desk) -> None:
    desk.dump(*(advisory("demo-a", f"PYSEC-2099-{number}") for number in range(2000)))
    with desk.start("-r", "requirements.txt", "--osv-db", "dump.jsonl") as child:
        assert child.stdout is not None
        assert child.stderr is not None
        first = child.stdout.readline()
        child.stdout.close()
        err = child.stderr.read()

    assert first.startswith("vulnerable: 2000 findings")
    assert (child.returncode, err) == (VULNERABLE, "")


def test_two_runs_at_once_on_a_cold_cache(desk: Desk, server: FaultServer) -> None:
    arguments = ("-r", "requirements.txt", "--osv-db", "dump.jsonl", "--osv-url", server.url, "--json")
    with desk.start(*arguments) as one, desk.start(*arguments) as other:
        ended = [Ended(child.wait(60), *child.communicate()) for child in (one, other)]

    assert [item.code for item in ended] == [VULNERABLE, VULNERABLE]
    assert [item.err for item in ended] == ["", ""]
    assert ended[0].found == ended[1].found == [("demo-a", "PYSEC-2099-1")]
    assert ended[0].document.findings[0].sources == ("osv", "osv-dump")
    assert _left_behind(desk) == []
    assert len(list((desk.folder / "holdtrue_cache").rglob("osv-dump-*.sqlite"))) == 1
