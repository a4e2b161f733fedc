"""The audit flow on real parts: two advisory sources that must agree, the worker's packages, and real SSH hosts."""

import json
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest

from flows.audit import audit
from holdtrue.adapters.inventory.installed import list_folder
from holdtrue.models.audit import AuditReport
from holdtrue.models.dependency import Origin
from sandbox import Sandbox
from sandbox.deployment import read_report
from tests.integration.flow_evidence import texts_of
from tests.integration.flow_stage import EndedRun, Stage

INSTALLED = Path(sysconfig.get_path("purelib"))
APP = "app/requirements.txt"


@pytest.fixture(autouse=True)
def _nothing_left(untouched: None) -> None:
    del untouched


def report_of(run: EndedRun) -> AuditReport:
    assert isinstance(run.result, AuditReport), run.message
    return run.result


def test_both_sources_name_the_flaw_of_the_example_application(stage: Stage) -> None:
    run = stage.run(audit, ["tiny"])

    stage.require(run, "Vulnerable", "demo-yamlish 1.0.0", "0 not audited")
    report = report_of(run)
    (found,) = report.findings
    assert {found.id, *found.aliases} == {"PYSEC-2099-0001", "GHSA-test-yaml-0001", "CVE-2099-0001"}
    assert (found.fixed_in, found.sources, found.disagreement) == (("1.0.1",), ("osv", "osv-db"), "")
    assert [source.failure for source in report.sources] == ["", ""]
    assert report.counts.audited == 4
    kept = {path.name for path in (stage.sandbox.directory / "reports" / str(run.id)).iterdir()}
    assert kept == {"audit.json", "sbom.cdx.json", "audit.html"}
    assert read_report(run.id).startswith("# audit tiny: Vulnerable")


def test_the_fixed_version_is_clean_and_fixed_since(stage: Stage) -> None:
    stage.run(audit, ["tiny"])
    stage.fleet.replace(APP, "demo-yamlish==1.0.0", "demo-yamlish==1.0.1")

    run = stage.run(audit, ["tiny"])

    stage.require(run, "Clean", "0 new, 0 known, 1 fixed")


def test_a_withdrawn_advisory_and_one_without_a_fix(stage: Stage) -> None:
    stage.fleet.write(APP, "demo-templish==1.0\ndemo-cryptish==3.2\n")

    report = report_of(stage.run(audit, ["tiny"]))

    assert [(item.package, item.fixed_in) for item in report.findings] == [("demo-cryptish", ())]
    assert (report.counts.audited, report.not_audited) == (2, ())


def test_the_worker_is_audited_whole_by_one_batch(stage: Stage) -> None:
    stage.fleet.edit_manifest("tiny", audit={"requirements": [], "worker": True})
    stage.sandbox.osv.clear()

    run = stage.run(audit, ["tiny"])

    stage.require(run, "Clean")
    report = report_of(run)
    pins = [item for item in list_folder(INSTALLED, label="worker").dependencies if item.origin is Origin.INDEX]
    assert report.counts.audited == len(pins)
    assert {gap.name for gap in report.not_audited} <= {"holdtrue"}
    assert dict(stage.sandbox.osv.request_counts()) == {"querybatch": 1}


def test_our_list_of_installed_packages_is_pip_audits_own(sandbox: Sandbox, tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    subprocess.run(
        [
            *(sys.executable, "-m", "pip_audit", "--path", str(INSTALLED), "--format=json", "--output", str(file)),
            *("--vulnerability-service=osv", "--osv-url", f"{sandbox.osv.url}/v1/query", "--progress-spinner=off"),
            *("--cache-dir", str(tmp_path / "cache")),
        ],
        check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    theirs = {item["name"]: item["version"] for item in json.loads(file.read_text())["dependencies"]}
    listed = [*list_folder(INSTALLED, label="worker").dependencies]

    # Packages carry copies of others inside of them, which pip-audit does not see.
    listed = [item for item in listed if not item.place.startswith("vendored")]
    ours = {(item.name, item.version) for item in listed if item.origin is Origin.INDEX}
    assert ours <= theirs.items()
    assert {name for name, _ in theirs.items() - ours} == {
        item.name for item in listed if item.origin is not Origin.INDEX
    }


@pytest.fixture
def installed(stage: Stage) -> Iterator[Path]:
    """A package with a flaw, installed in a folder of the first host that the manifest names; no file has one."""
    host = stage.sandbox.hosts[0]
    place = host.world / "app/lib/python3.12/site-packages/demo_yamlish-1.0.0.dist-info"
    place.mkdir(parents=True)
    (place / "METADATA").write_text("Metadata-Version: 2.1\nName: demo_yamlish\nVersion: 1.0.0\n\n")
    (place / "INSTALLER").write_text("pip\n")
    stage.fleet.write(APP, "demo-clockish==2.1.0\n")
    stage.fleet.edit_manifest("tiny", audit={"hosts": True, "host_roots": [f"{host.root}/app"]})
    yield place
    shutil.rmtree(host.world / "app")


@pytest.mark.usefixtures("installed")
def test_what_is_installed_on_a_host_is_found(stage: Stage) -> None:
    report = report_of(stage.run(audit, ["tiny"]))

    (found,) = report.findings
    assert "tiny/hosts/web-1" in {place.inventory.split(":")[0] for place in found.occurrences}
    assert found.sources == ("osv", "osv-db")


@pytest.mark.usefixtures("installed")
def test_a_host_that_is_down_is_a_gap_and_the_others_are_audited(stage: Stage) -> None:
    stage.sandbox.hosts[1].stop()
    try:
        run = stage.run(audit, ["tiny"])
    finally:
        stage.sandbox.hosts[1].start()

    stage.require(run, "Vulnerable", "demo-yamlish 1.0.0", "tiny/hosts/web-2")
    assert "tiny/hosts/web-2" in texts_of(run.id, stage.sandbox.directory / "reports")["report audit.json"]
