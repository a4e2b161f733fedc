"""`kill -9` on a provision's process, its engine and everything below, and the run that comes next."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from flows.drift import drift
from flows.provision import provision
from holdtrue.adapters.ledger import open_ledger
from holdtrue.credentials.sweep import sweep
from holdtrue.models.sweep import FolderOutcome
from holdtrue.runtime.process import find_marked
from tests.integration.flow_stage import STACK_FILES, TINY_PROGRAM, Stage
from tests.integration.tiny_stack import wait_until

PROGRAM = "pulumi/tiny/__main__.py"
SLOW_PROGRAM = """
import time
import pulumi

if not pulumi.runtime.is_dry_run():
    open("started", "w")
    time.sleep(60)
"""
SLOW_CREATE = """    def create(self, props):
        if props["text"] == "slow":
            import time
            open("started", "w")
            time.sleep(60)
"""
WORKER = "from flows.provision import provision\nprovision('tiny')\n"


@pytest.fixture
def state(stage: Stage) -> Iterator[Path]:
    """The stack's state file, which is afterwards as it was."""
    path = stage.sandbox.state_directory / ".pulumi/stacks" / STACK_FILES["tiny"]
    kept = path.with_suffix(".kept")
    shutil.copy2(path, kept)
    yield path
    shutil.move(kept, path)


def locks(stage: Stage) -> list[Path]:
    return list((stage.sandbox.state_directory / ".pulumi/locks").rglob("*.json"))


def kill_provision(stage: Stage) -> None:
    """Start a provision in a process of its own, and kill all of it in the middle of its apply."""
    started = stage.fleet.root / "pulumi/tiny/started"
    environment = {
        **os.environ,
        "PREFECT_API_URL": stage.sandbox.prefect.api_url,
        "PREFECT_HOME": str(stage.sandbox.prefect.home),
    }
    worker = subprocess.Popen([sys.executable, "-c", WORKER], env=environment, stdout=subprocess.DEVNULL)
    wait_until(started.exists, seconds=120)
    os.kill(worker.pid, signal.SIGSTOP)
    backend = stage.sandbox.state_directory.as_uri()
    for pid in [worker.pid, *find_marked("PULUMI_BACKEND_URL", backend)]:
        os.kill(pid, signal.SIGKILL)
    worker.wait()
    wait_until(lambda: not find_marked("PULUMI_BACKEND_URL", backend))
    started.unlink()
    assert len(locks(stage)) == 1, "positive control: the engine left its lock"


@pytest.mark.usefixtures("state")
def test_a_sweep_removes_the_folders_and_the_next_run_the_lock(stage: Stage) -> None:
    stage.fleet.write(PROGRAM, SLOW_PROGRAM + TINY_PROGRAM)
    kill_provision(stage)
    left = {str(folder) for folder in Path(os.environ["HOLDTRUE_PRIVATE_FOLDERS"]).iterdir() if folder.is_dir()}
    assert left, "positive control: the run left its private folders"
    report = sweep(open_ledger(os.environ["HOLDTRUE_LEDGER_URL"]), [])
    assert {folder.path for folder in report.folders_of(FolderOutcome.REMOVED)} == left
    stage.fleet.write(PROGRAM, TINY_PROGRAM)
    run = stage.run(provision, "tiny")
    assert run.name in {"Unchanged", "Provisioned"}, "a run that was killed before may have left traffic on the standby"
    assert run.result is not None
    assert run.result.applied is not None
    assert run.result.applied.changes == ()
    assert locks(stage) == []
    assert any("removed the lock" in text for text in stage.texts(run).values())


@pytest.mark.usefixtures("state")
def test_a_resource_of_unknown_fate_stops_the_next_run_and_is_not_in_sync(stage: Stage) -> None:
    stage.fleet.write(PROGRAM, TINY_PROGRAM.replace("    def create(self, props):\n", SLOW_CREATE))
    stage.fleet.write("pulumi/tiny/notes.json", '["kept", "spare", "slow"]')
    kill_provision(stage)
    stage.require(stage.run(drift, ["tiny"]), "Incomplete", "killed")
    run = stage.run(provision, "tiny")
    stage.require(run, "ProgramFailed", "Note slow", "pulumi stack import")
    assert locks(stage) == []
