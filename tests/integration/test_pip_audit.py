"""Audits against the sandbox's advisory source, and pip-audit held against our own reading."""

import json
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from holdtrue.adapters.pip_audit import PipAudit
from holdtrue.adapters.pip_audit.inventory import list_installed
from holdtrue.cli import ExitCode, main
from holdtrue.models.advisory import AuditReport, AuditTarget, AuditVerdict, InventoryKind
from sandbox import Sandbox

ROOT = Path(__file__).parents[2]
APP = ROOT / "fleet" / "app" / "requirements.txt"
INSTALLED = Path(sysconfig.get_path("purelib"))


def test_the_example_application_has_one_known_flaw(sandbox: Sandbox) -> None:
    target = AuditTarget(label="app", kind=InventoryKind.REQUIREMENTS, path=APP)

    result = PipAudit(osv_url=sandbox.osv.url, timeout_seconds=60).audit(target)

    (found,) = result.advisories
    assert (found.package, found.version, found.fixed_in) == ("demo-yamlish", "1.0.0", ("1.0.1",))
    assert {found.id, *found.aliases} == {"PYSEC-2099-0001", "GHSA-test-yaml-0001", "CVE-2099-0001"}
    assert (result.audited, result.not_audited) == (4, ())


def test_the_fixed_version_is_clean(sandbox: Sandbox, tmp_path: Path) -> None:
    file = tmp_path / "requirements.txt"
    file.write_text(APP.read_text().replace("demo-yamlish==1.0.0", "demo-yamlish==1.0.1"))

    result = PipAudit(osv_url=sandbox.osv.url, timeout_seconds=60).audit(
        AuditTarget(label="app", kind=InventoryKind.REQUIREMENTS, path=file)
    )

    assert (result.audited, result.advisories, result.not_audited) == (4, (), ())


def test_a_withdrawn_advisory_and_one_without_a_fix(sandbox: Sandbox, tmp_path: Path) -> None:
    file = tmp_path / "requirements.txt"
    file.write_text("demo-templish==1.0\ndemo-cryptish==3.2\n")

    result = PipAudit(osv_url=sandbox.osv.url, timeout_seconds=60).audit(
        AuditTarget(label="app", kind=InventoryKind.REQUIREMENTS, path=file)
    )

    assert [(item.package, item.fixed_in) for item in result.advisories] == [("demo-cryptish", ())]
    assert (result.audited, result.not_audited) == (2, ())


def test_this_environment_is_audited_whole(sandbox: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    sandbox.osv.clear()

    code = main(["audit", "--environment", sys.executable, "--osv-url", sandbox.osv.url, "--json"])

    report = AuditReport.model_validate_json(capsys.readouterr().out)
    pins = list_installed(INSTALLED).pins
    assert (code, report.verdict) == (ExitCode.GOOD, AuditVerdict.CLEAN)
    assert report.audited == len(pins)
    assert dict(sandbox.osv.request_counts()) == {"query": len(pins), "querybatch": 1}
    assert {gap.name for gap in report.not_audited} <= {"holdtrue"}


def test_our_list_of_installed_packages_is_pip_audits_own(sandbox: Sandbox, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    subprocess.run(
        [
            *(sys.executable, "-m", "pip_audit", "--path", str(INSTALLED), "--format=json", "--output", str(report)),
            *("--vulnerability-service=osv", "--osv-url", f"{sandbox.osv.url}/v1/query", "--progress-spinner=off"),
            *("--cache-dir", str(tmp_path / "cache")),
        ],
        check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    theirs = {item["name"]: item["version"] for item in json.loads(report.read_text())["dependencies"]}
    inventory = list_installed(INSTALLED)

    ours = {pin.name: pin.version for pin in inventory.pins}
    assert theirs.keys() - ours.keys() == {item.name for item in inventory.unjudged}
    assert ours.items() <= theirs.items()


@pytest.mark.parametrize(
    ("pins", "code"), [("demo-yamlish==1.0.0", 1), ("demo-yamlish==1.0.1", 0), ("demo-yamlish==1.0.1\n-e .", 3)]
)
def test_exit_codes(sandbox: Sandbox, tmp_path: Path, pins: str, code: int) -> None:
    file = tmp_path / "requirements.txt"
    file.write_text(pins)

    assert main(["audit", "-r", str(file), "--osv-url", sandbox.osv.url]) == code
