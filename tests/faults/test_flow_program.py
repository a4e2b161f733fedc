"""A program that is wrong, untested, absent tools, and plans that need a person."""

import re
import shutil
from pathlib import Path

import pytest

from flows.drift import drift
from flows.provision import provision
from flows.validate import validate
from tests.integration.flow_stage import IDLE_PLAYBOOK, TINY_PROGRAM, Stage, other_python
from tests.integration.program_wheels import wheels

__all__ = ["wheels"]

PROGRAM = "pulumi/tiny/__main__.py"
TESTS = "pulumi/tiny/tests/test_tiny.py"


@pytest.mark.usefixtures("untouched")
class TestNothingIsApplied:
    def test_program_that_raises_is_named_by_file_and_line(self, stage: Stage) -> None:
        stage.fleet.write(PROGRAM, TINY_PROGRAM + 'raise LookupError("no machine is registered")\n')
        place = f"{stage.fleet.root / PROGRAM}:{TINY_PROGRAM.count(chr(10)) + 1}"
        run = stage.run(provision, "tiny")
        stage.require(run, "ProgramFailed", "LookupError: no machine is registered", place)

    def test_tests_that_fail_stop_before_the_preview(self, stage: Stage) -> None:
        path = stage.fleet.write(TESTS, "def test_names() -> None:\n    assert 'demo' == 'prod'\n")
        run = stage.run(provision, "tiny")
        stage.require(run, "TestsFailed", f"{path.parent.name}/{path.name}:2", "test_names", "pulumi/tiny")
        stages = stage.texts(run)["artifact provision-report-tiny"]
        assert "test program" in stages
        assert "preview stack" not in stages

    @pytest.mark.parametrize(
        "text",
        ["", "import pytest\n\n\n@pytest.mark.skip(reason='later')\ndef test_one() -> None: ...\n"],
        ids=["none", "all-skipped"],
    )
    def test_no_test_at_all_is_a_failure(self, stage: Stage, text: str) -> None:
        stage.fleet.write(TESTS, text)
        stage.require(stage.run(provision, "tiny"), "TestsFailed", "No test", "pulumi/tiny")

    def test_absent_engine(self, stage: Stage, tmp_path: Path) -> None:
        with other_python(tmp_path, leave_out="pulumi"):
            provisioned = stage.run(provision, "tiny")
            validated = stage.run(validate, "tiny")
        stage.require(provisioned, "PreflightFailed", "tool pulumi", "install pulumi")
        stage.require(validated, "Incomplete", "Pulumi CLI is not installed")

    def test_other_python_serves_when_nothing_is_left_out(self, stage: Stage, tmp_path: Path) -> None:
        with other_python(tmp_path, leave_out="no-such-program"):
            stage.require(stage.run(validate, "tiny"), "Passed")

    def test_plan_larger_than_the_policy_admits(self, stage: Stage) -> None:
        stage.fleet.edit_manifest("tiny", policy={"max_changes": 0})
        stage.fleet.write("pulumi/tiny/notes.json", '["kept", "spare", "third"]')
        run = stage.run(provision, "tiny")
        stage.require(run, "Rejected", "policy admits 0", "stack tiny", "policy.max_changes")

    def test_stack_that_was_never_made_cannot_be_looked_at(self, stage: Stage) -> None:
        stage.fleet.edit_manifest("tiny", infrastructure={"stack": "never"})
        stage.require(
            stage.run(validate, "tiny"), "Incomplete", "stack never", "run `provision` for the environment first"
        )
        drifted = stage.run(drift, ["tiny"])
        stage.require(drifted, "Incomplete", "does not exist")


@pytest.mark.usefixtures("untouched_but_state")
def test_deletes_wait_for_the_approval_of_this_very_plan(stage: Stage) -> None:
    stage.fleet.write("ansible/tiny.yml", IDLE_PLAYBOOK)
    stage.fleet.write("pulumi/tiny/notes.json", '["kept"]')
    asked = stage.run(provision, "tiny")
    stage.require(asked, "ApprovalRequired", "delete spare", "environment tiny", "approved_plan")
    found = re.search(r"plan ([0-9a-f]{64})", asked.message)
    assert found
    other = stage.run(provision, "tiny", approved_plan="0" * 64)
    stage.require(other, "ApprovalRequired", f"plan {found[1]}")
    approved = stage.run(provision, "tiny", approved_plan=found[1])
    stage.require(approved, "Provisioned", "1 resource")


@pytest.mark.usefixtures("untouched_but_state", "wheels")
def test_a_program_of_its_own_packages_without_tests_and_update_plans(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOLDTRUE_CACHE", str(tmp_path / "cache"))
    stage.fleet.write("ansible/tiny.yml", IDLE_PLAYBOOK)
    stage.fleet.write(
        PROGRAM, TINY_PROGRAM + "import os, palette\npulumi.export('pid', [palette.COLOUR, os.getpid()])\n"
    )
    stage.fleet.write("pulumi/tiny/requirements.txt", "pulumi\npalette\n")
    stage.fleet.replace(
        "pulumi/tiny/Pulumi.yaml", "runtime: python", "runtime: {name: python, options: {virtualenv: venv}}"
    )
    shutil.rmtree(stage.fleet.root / "pulumi/tiny/tests")
    refused = stage.run(provision, "tiny")
    assert "infrastructure.without_tests" in refused.message
    stage.fleet.edit_manifest("tiny", infrastructure={"without_tests": "made by a tool", "update_plan": False})
    run = stage.run(provision, "tiny")
    assert run.type == "COMPLETED", run.message
    assert "made by a tool" in run.message
    page = stage.texts(run)["artifact provision-report-tiny"]
    assert "made by a tool" in page
    assert "differ from the preview: pid" in page
