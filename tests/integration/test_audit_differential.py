"""The same findings as pip-audit 2.10 on 50 generated projects, from the dump and from the API.

pip-audit's own service object asks a server whose matcher is neither pip-audit's nor ours. With HOLDTRUE_TEST_OSV_DATA
naming a folder of real OSV records (`*.jsonl`), they are compared over those as well. `benchmarks/audit.py --compare`
sets the command lines of all peers side by side.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from packaging.version import InvalidVersion, Version
from pip_audit._service import OsvService, ResolvedDependency  # type: ignore[import-untyped]

from holdtrue.adapters.inventory.files import read_file
from holdtrue.adapters.osv_api import OsvApi
from holdtrue.adapters.osv_dump import OsvDump
from holdtrue.adapters.pip_audit_source import PipAuditSource
from holdtrue.auditing import Judgement, audit
from holdtrue.models.audit import AuditReport, AuditVerdict
from holdtrue.models.osv import AdvisorySource
from tests.integration.audit_projects import (
    Findings,
    Pinned,
    ReferenceServer,
    make_projects,
    merged,
    read_advisories,
    synthetic_advisories,
    write_advisories,
    write_requirements,
)
from tests.integration.osv_fault_server import advisory

PROJECTS = 50
DATA = os.environ.get("HOLDTRUE_TEST_OSV_DATA", "")
DATA_SETS = ["synthetic", *([str(path) for path in sorted(Path(DATA).glob("*.jsonl"))] if DATA else [])]


@dataclass(frozen=True)
class Oracle:
    """What pip-audit says of each project; `unreadable` are the pins on whose advisories it dies."""

    projects: dict[Path, list[Pinned]]
    findings: dict[Path, Findings]
    unreadable: frozenset[Pinned]
    dump: Path
    server: ReferenceServer
    sources: dict[str, Callable[[], AdvisorySource]]


@pytest.fixture(scope="module", params=DATA_SETS, ids=lambda name: Path(name).stem)
def oracle(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Oracle]:
    folder = tmp_path_factory.mktemp("projects")
    records = synthetic_advisories() if request.param == "synthetic" else read_advisories(Path(request.param))
    projects = make_projects(records, count=PROJECTS)
    dump = write_advisories(folder / "dump.jsonl", records)
    with ReferenceServer(records={item["id"]: item for item in records}) as server:
        answers = _ask_pip_audit(server, {pin for pins in projects for pin in pins})
        files = dict(zip(write_requirements(folder, projects), projects, strict=True))
        yield Oracle(
            projects=files,
            findings={
                file: merged((*pin, ids) for pin in pins for ids in answers[pin] or ()) for file, pins in files.items()
            },
            unreadable=frozenset(pin for pin, answer in answers.items() if answer is None),
            dump=dump,
            server=server,
            sources={
                "dump": lambda: OsvDump(
                    dump, cache_folder=folder, maximum_age_days=None, now=lambda: datetime.now(UTC)
                ),
                "api": lambda: OsvApi(server.url, cache_folder=None),
            },
        )


def _ask_pip_audit(server: ReferenceServer, pins: set[Pinned]) -> dict[Pinned, list[set[str]] | None]:
    """The names of each finding on each pin; None where it dies."""
    service = OsvService(None, 10, f"{server.url}/v1/query")
    answers: dict[Pinned, list[set[str]] | None] = {}
    for name, version in sorted(pins):
        try:
            _, found = service.query(ResolvedDependency(name, Version(version)))
        except InvalidVersion:
            answers[name, version] = None
        else:
            answers[name, version] = [{item.id, *item.aliases} for item in found]
    service.session.close()
    return answers


def _by_file(report: AuditReport) -> dict[str, Findings]:
    """Findings of each inventory, by its label."""
    found: dict[str, list[tuple[str, str, set[str]]]] = {item.label: [] for item in report.inventories}
    for item in report.findings:
        for label in {place.inventory for place in item.occurrences}:
            found[label].append((item.package, item.version, {item.id, *item.aliases}))
    return {label: merged(items) for label, items in found.items()}


@pytest.mark.parametrize("source", ["dump", "api"])
def test_one_batch_finds_in_each_project_what_pip_audit_finds_there(oracle: Oracle, source: str) -> None:
    report = audit([read_file(file) for file in oracle.projects], [oracle.sources[source]()], Judgement())

    ours = _by_file(report)
    assert len(ours) == PROJECTS
    differing = {
        file: {item for item in ours[str(file)] if item[:2] not in oracle.unreadable} ^ oracle.findings[file]
        for file in oracle.projects
    }
    assert {file: items for file, items in differing.items() if items} == {}
    found = {item[:2] for items in ours.values() for item in items}
    assert oracle.unreadable <= found, "what kills pip-audit is a finding"
    assert report.verdict is AuditVerdict.VULNERABLE
    assert report.not_audited == ()
    # It proves something only where there is a lot to find, and where not everything is one.
    assert sum(map(len, oracle.findings.values())) > 20 * PROJECTS
    assert len(found) < len({pin for pins in oracle.projects.values() for pin in pins})


def test_the_command_line_of_pip_audit_says_the_same_of_a_project(oracle: Oracle) -> None:
    file = next(file for file, pins in oracle.projects.items() if oracle.unreadable.isdisjoint(pins))
    child = subprocess.run(
        [
            *(sys.executable, "-P", "-m", "pip_audit", "-r", str(file), "--disable-pip", "--no-deps", "--format=json"),
            *("--progress-spinner=off", "-s", "osv", "--osv-url", f"{oracle.server.url}/v1/query"),
        ],
        check=False, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    listed: list[dict[str, Any]] = json.loads(child.stdout)["dependencies"]

    found = merged(
        (item["name"], item["version"], {flaw["id"], *flaw["aliases"]}) for item in listed for flaw in item["vulns"]
    )
    assert found == oracle.findings[file]


def test_pip_audit_as_a_back_end_agrees_with_the_dump(oracle: Oracle) -> None:
    file = next(file for file, pins in oracle.projects.items() if oracle.unreadable.isdisjoint(pins))
    sources = [oracle.sources["dump"](), PipAuditSource(oracle.server.url)]

    report = audit([read_file(file)], sources, Judgement())

    assert not [source.failure for source in report.sources if source.failure]
    assert report.not_audited == ()
    assert {item.sources for item in report.findings} == {("osv-db", "pip-audit")}


def test_a_server_that_keeps_an_advisory_back_is_noticed(oracle: Oracle) -> None:
    """The positive control of the comparison."""
    file, pins = next(iter(oracle.projects.items()))
    withheld = next(record for pin in pins for record in oracle.server._affecting(*pin) if "withdrawn" not in record)
    records = {key: item for key, item in oracle.server.records.items() if key != withheld["id"]}
    with ReferenceServer(records=records) as server:
        report = audit([read_file(file)], [OsvApi(server.url, cache_folder=None)], Judgement())

    assert _by_file(report)[str(file)] != oracle.findings[file]


def test_an_advisory_that_kills_pip_audit_is_a_finding_of_ours(tmp_path: Path) -> None:
    record = advisory("demo-a", fixed="2.0-n653")
    (tmp_path / "requirements.txt").write_text("demo-a==1.0\n")
    with ReferenceServer(records={record["id"]: record}) as server:
        assert _ask_pip_audit(server, {("demo-a", "1.0")}) == {("demo-a", "1.0"): None}
        source = OsvApi(server.url, cache_folder=None)
        report = audit([read_file(tmp_path / "requirements.txt")], [source], Judgement())

    assert [(item.id, item.certainty, item.fixed_in) for item in report.findings] == [
        ("PYSEC-2099-1", "possible", ("2.0-n653",))
    ]
