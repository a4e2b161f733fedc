"""SIGHUP to the process of a provision: the run ends as on SIGTERM, whatever it is doing."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from holdtrue.adapters.ledger import open_ledger
from tests.integration.flow_evidence import nothing_left
from tests.integration.flow_stage import IDLE_PLAYBOOK, TINY_PLAYBOOK, TINY_PROGRAM, Stage
from tests.integration.tiny_stack import wait_until

RUN = "from flows.provision import provision\nprovision('tiny')\n"
START_SECONDS = 180
END_SECONDS = 90
SLOW_PROGRAM = """
import time
import pulumi

if not pulumi.runtime.is_dry_run():
    open({started!r}, "w")
    time.sleep(120)
"""
SLOW_TASK = """\
    - name: Take very long
      ansible.builtin.shell: 'touch {started}; until [ -e {over} ]; do sleep 0.2; done'
"""


@dataclass(frozen=True, slots=True)
class Scene:
    """A fleet whose provision stays at one place for long."""

    stage: Stage
    started: Path
    """Appears when the run has come to that place."""
    over: Path
    """Lets what was started on the hosts end."""

    def stay_in_the_apply(self) -> Callable[[], bool]:
        program = SLOW_PROGRAM.format(started=str(self.started)) + TINY_PROGRAM
        self.stage.fleet.write("pulumi/tiny/__main__.py", program)
        return self.started.exists

    def stay_in_the_playbook(self) -> Callable[[], bool]:
        task = SLOW_TASK.format(started=self.started, over=self.over)
        self.stage.fleet.write("ansible/tiny.yml", f"{TINY_PLAYBOOK}{task}")
        return self.started.exists

    def stay_in_the_traffic(self) -> Callable[[], bool]:
        self.stage.sandbox.load_balancer.reset()
        self.stage.fleet.edit_manifest("tiny", traffic={"bake_seconds": 120})
        self.stage.fleet.write("ansible/tiny.yml", IDLE_PLAYBOOK)
        return lambda: self.stage.sandbox.load_balancer.weights()["web-1"] > 0

    def start(self) -> "subprocess.Popen[bytes]":
        """A provision in a process of its own. Tests in the background may hand down ignored signals."""
        prefect = self.stage.sandbox.prefect
        environment = {**os.environ, "PREFECT_API_URL": prefect.api_url, "PREFECT_HOME": str(prefect.home)}
        return subprocess.Popen(
            ["env", "--default-signal=HUP,INT,TERM", sys.executable, "-c", RUN],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )


@pytest.fixture
def scene(stage: Stage, tmp_path: Path) -> Scene:
    return Scene(stage, tmp_path / "started", tmp_path / "over")


def private_folders() -> list[str]:
    return sorted(path.name for path in Path(os.environ["HOLDTRUE_PRIVATE_FOLDERS"]).iterdir() if path.is_dir())


@pytest.mark.parametrize("place", ["apply", "playbook", "traffic"])
def test_a_hangup_ends_a_provision_and_leaves_nothing(scene: Scene, place: str) -> None:
    has_come = {
        "apply": scene.stay_in_the_apply,
        "playbook": scene.stay_in_the_playbook,
        "traffic": scene.stay_in_the_traffic,
    }[place]()
    folders = private_folders()
    with nothing_left(scene.stage.sandbox, state_may_change=True):
        with scene.start() as run:
            try:
                wait_until(has_come, seconds=START_SECONDS)
                assert place == "traffic" or private_folders() != folders, "positive control: it would be seen"
                run.send_signal(signal.SIGHUP)
                assert run.wait(END_SECONDS) == -signal.SIGTERM
            finally:
                run.kill()
        scene.over.touch()
    assert private_folders() == folders
    lock = open_ledger(os.environ["HOLDTRUE_LEDGER_URL"]).locks.find("tiny")
    assert lock is not None
    assert lock.holder is None
