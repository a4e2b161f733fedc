"""The same inputs given to every tool that is there: what each says, and how it ends."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from benchmarks.peers import audits
from benchmarks.peers.audits import Said
from tests.integration.audit_projects import Pinned, ReferenceServer, write_advisories
from tests.integration.osv_fault_server import Fault, advisory

PINS: Final[list[Pinned]] = [("demo-a", "1.0"), ("demo-b", "2.0"), ("demo-c", "3.0")]
RECORDS: Final = [
    advisory("demo-a", "PYSEC-2099-1", aliases=["CVE-2099-1"]),
    advisory("demo-a", "GHSA-demo-0001-0001", aliases=["CVE-2099-1"]),
    advisory("demo-b", "PYSEC-2099-2", fixed="2.5"),
]
UNREADABLE: Final = advisory("demo-c", "PYSEC-2099-3", fixed="3.1-n653")
"""A `fixed` that is no version of PEP 440; the real database has two such."""
_LINES: Final = 12
_COLUMNS: Final = 150

Start = Callable[[str], Said]
"""A tool with everything but the address of its source."""


def compare(folder: Path) -> int:
    """Print it all; exit code 1 when a tool's findings differ where all of them answer."""
    scanner = audits.find_osv_scanner()
    if scanner is None:
        print("osv-scanner is not on PATH, and left out.")
    project = folder / "project"
    project.mkdir()
    file = project / "requirements.txt"
    file.write_text("".join(f"{name}=={version}\n" for name, version in PINS))
    audits.write_uv_project(project, PINS)
    tools: dict[str, Start] = {
        "holdtrue audit": lambda url: audits.holdtrue([file], "--osv-url", url, cache=folder / "cache", form="table"),
        "pip-audit": lambda url: audits.pip_audit(file, url, form="columns"),
    }
    uv = audits.find_uv()
    if uv is None:
        print("There is no uv that audits; it is left out.")
    else:
        tools["uv audit"] = lambda url: audits.uv_audit(uv, project, url, cache=folder / "uv", form="text")
    differing = _findings(folder, file, scanner, uv)
    with _serve(RECORDS) as server:
        _title("Three packages, two of them vulnerable; one flaw has two advisories")
        _tell(folder, {name: start(server.url) for name, start in tools.items()})
        if scanner:
            environment = audits.write_osv_scanner_database(folder / "database", RECORDS)
            _tell(folder, {"osv-scanner": audits.osv_scanner(scanner, [file], environment, form="table")})
    for title, fault in _faults():
        with _serve(RECORDS) as server:
            server.faults = [fault]
            _title(title)
            _tell(folder, {name: start(server.url) for name, start in tools.items()})
    with _serve(RECORDS) as server:
        _put_on_second_page(server)
        _title("The source answers with an empty first page and a token for the second, which has the findings")
        _tell(folder, {name: start(server.url) for name, start in tools.items()})
    _title("The source is not there at all (connection refused; for osv-scanner, no database)")
    _tell(folder, {name: start("http://127.0.0.1:1") for name, start in tools.items()})
    if scanner:
        nowhere = {"OSV_SCANNER_LOCAL_DB_CACHE_DIRECTORY": str(folder / "nowhere")}
        _tell(folder, {"osv-scanner": audits.osv_scanner(scanner, [file], nowhere, form="table")})
    with _serve([*RECORDS, UNREADABLE]) as server:
        _title("An advisory more, about demo-c, whose fix is '3.1-n653', no version of PEP 440")
        _tell(folder, {name: start(server.url) for name, start in tools.items()})
        if scanner:
            environment = audits.write_osv_scanner_database(folder / "other", [*RECORDS, UNREADABLE])
            _tell(folder, {"osv-scanner": audits.osv_scanner(scanner, [file], environment, form="table")})
    file.write_text("demo-b==2.6\ndemo-c>=3\n")
    with _serve(RECORDS) as server:
        _title("A requirements file with `demo-b==2.6` and `demo-c>=3` (uv audit reads none)")
        _tell(folder, {name: tools[name](server.url) for name in ("holdtrue audit", "pip-audit")})
        if scanner:
            environment = {"OSV_SCANNER_LOCAL_DB_CACHE_DIRECTORY": str(folder / "database")}
            _tell(folder, {"osv-scanner": audits.osv_scanner(scanner, [file], environment, form="table")})
    return 1 if differing else 0


def _findings(folder: Path, file: Path, scanner: str | None, uv: str | None) -> bool:
    """Whether their findings differ, read from what they print for programs."""
    dump = write_advisories(folder / "dump.jsonl", RECORDS)
    by_dump = audits.holdtrue([file], "--osv-db", dump, cache=folder / "cache")
    with _serve(RECORDS) as server:
        found = {
            "holdtrue audit": audits.read_holdtrue(by_dump.out)[str(file)],
            "pip-audit": audits.read_pip_audit(audits.pip_audit(file, server.url).out),
        }
        if uv:
            said = audits.uv_audit(uv, file.parent, server.url, cache=folder / "uv")
            found["uv audit"] = audits.read_uv_audit(said.out)
    if scanner:
        environment = audits.write_osv_scanner_database(folder / "json", RECORDS)
        found["osv-scanner"] = audits.read_osv_scanner(audits.osv_scanner(scanner, [file], environment).out)[str(file)]
    differing = len(set(found.values())) > 1
    print(f"findings of {', '.join(found)}: {'DIFFERENT' if differing else 'the same'}")
    for items in sorted(set(found.values()), key=len):
        for package, version, names in sorted(items):
            print(f"  {package} {version}: {', '.join(sorted(names))}")
    return differing


def _faults() -> Iterator[tuple[str, Fault]]:
    yield "The source answers 404 to everything, as a mirror without the API does", Fault(".*", status=404)
    yield "The source answers 200 with a login page", Fault(".*", body=b"<html>log in</html>")
    yield "The source answers an empty object", Fault(".*", body=b"{}")


def _put_on_second_page(server: ReferenceServer) -> None:
    """Every finding stands on the second page, whichever question is asked."""

    def page(package: str) -> Callable[[str], Any]:
        short = [
            {"id": item["id"], "modified": item["modified"]}
            for item in RECORDS
            if item["affected"][0]["package"]["name"] == package
        ]
        return lambda token: {"vulns": short} if token else {"next_page_token": "more"}

    server.entries = {name: page(name) for name in ("demo-a", "demo-b")}
    server.faults = [Fault("/v1/query", body=json.dumps({"vulns": [], "next_page_token": "more"}).encode())]


def _serve(records: list[dict[str, Any]]) -> ReferenceServer:
    return ReferenceServer(records={record["id"]: record for record in records})


def _title(text: str) -> None:
    print(f"\n{text}\n{'=' * len(text)}")


def _tell(folder: Path, said: dict[str, Said]) -> None:
    for tool, item in said.items():
        print(f"\n--- {tool}: exit code {item.code}")
        lines = [line.rstrip() for text in (item.out, item.err) for line in text.splitlines() if line.strip()]
        # The verdict stands first in ours, and last in a traceback.
        shown = (
            lines
            if len(lines) <= _LINES
            else [*lines[:4], f"... {len(lines) - _LINES + 1} lines ...", *lines[5 - _LINES :]]
        )
        for line in shown:
            plain = re.sub(r"\x1b\[[0-9;]*m", "", line).replace(f"{folder}/", "")
            print(f"    {plain[:_COLUMNS]}")
