"""What `kill -9` leaves: locks of the engine, and resources of which nobody knows whether they exist."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Collection, Iterator
from pathlib import Path

import pytest

from holdtrue.errors import HoldtrueError, ProgramFailed, StackLocked
from holdtrue.models.base import Progress
from holdtrue.runtime.folder import private_folder
from holdtrue.runtime.process import find_marked
from tests.integration.test_pulumi import fingerprint
from tests.integration.tiny_stack import KILLED, PROGRAM, Tiny, wait_until

THING_A = "urn:pulumi:dev::tiny::pulumi-python:dynamic:Thing::a"


@pytest.fixture
def tiny(tmp_path: Path) -> Tiny:
    return Tiny(tmp_path)


@pytest.fixture(autouse=True)
def own_folders() -> Iterator[Path]:
    """Where the runs of one test make their private folders and notes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("HOLDTRUE_PRIVATE_FOLDERS")
        with private_folder("ht-test") as folder:
            patch.setenv("HOLDTRUE_PRIVATE_FOLDERS", str(folder))
            yield folder


def kill_in_the_middle(tiny: Tiny, folder: Path) -> None:
    """Kill an apply at its slow step: worker, child, provider and CLI, at once and without warning."""
    worker = subprocess.Popen([sys.executable, "-c", KILLED, str(folder)])
    wait_until((tiny.cloud / "started").exists)
    os.kill(worker.pid, signal.SIGSTOP)
    for pid in [worker.pid, *find_marked("THINGS", str(tiny.cloud))]:
        os.kill(pid, signal.SIGKILL)
    worker.wait()
    wait_until(lambda: not find_marked("THINGS", str(tiny.cloud)))
    (tiny.cloud / "started").unlink()
    assert len(tiny.locks()) == 1, "positive control: the engine left its lock"


def warned(lines: Collection[Progress], word: str) -> bool:
    return any(line.level == "warning" and word in line.message for line in lines)


def apply(tiny: Tiny) -> list[Progress]:
    lines: list[Progress] = []
    engine = tiny.engine()
    engine.apply(engine.preview(lines.append), lines.append)
    return lines


def test_a_killed_update_is_repeated_and_its_lock_is_removed(tiny: Tiny, tmp_path: Path, own_folders: Path) -> None:
    apply(tiny)
    tiny.write(PROGRAM.replace('"one"', '"slow"'))
    kill_in_the_middle(tiny, tmp_path)
    assert list(own_folders.glob("holdtrue-pulumi-*")), "positive control: the private folder stayed"
    lock = json.loads(tiny.locks()[0].read_text())

    lines = apply(tiny)
    assert warned(lines, str(lock["pid"])), "whose lock was removed is said"
    assert tiny.locks() == []
    assert tiny.things()["a"] == "slow"
    assert tiny.engine().detect().changes == ()
    assert list(own_folders.glob("h*")) == [], "nothing of the killed run stays"


def test_a_killed_create_is_of_unknown_fate_until_a_person_has_looked(tiny: Tiny, tmp_path: Path) -> None:
    tiny.write(PROGRAM.replace('"one"', '"slow"'))
    kill_in_the_middle(tiny, tmp_path)
    before = fingerprint(tiny.backend)

    found = tiny.engine().detect()
    assert found.unknown_fate == (THING_A,)
    assert fingerprint(tiny.backend) == before, "a drift check removes nothing, no lock either"

    lines: list[Progress] = []
    with pytest.raises(ProgramFailed, match="Thing a") as refusal:
        tiny.engine().preview(lines.append)
    assert warned(lines, "lock")
    assert tiny.locks() == [], "else nobody could clear the state"
    assert tiny.things() == {}

    tiny.run(refusal.value.next_step.split("`")[-2])
    apply(tiny)
    assert {name: text for name, text in tiny.things().items() if name != "started"} == {"a": "slow", "b": "two"}
    found = tiny.engine().detect()
    assert (found.unknown_fate, found.changes, len(found.checked)) == ((), (), 2)


def test_an_engine_alone_that_is_killed_does_not_lock_its_worker_out(tiny: Tiny, own_folders: Path) -> None:
    apply(tiny)
    tiny.write(PROGRAM.replace('"one"', '"slow"'))
    plan = tiny.engine().preview()

    def kill_engine() -> None:
        wait_until((tiny.cloud / "started").exists)
        os.kill(json.loads(tiny.locks()[0].read_text())["pid"], signal.SIGKILL)

    killer = threading.Thread(target=kill_engine)
    killer.start()
    with pytest.raises(HoldtrueError):
        tiny.engine().apply(plan)
    killer.join()
    assert len(tiny.locks()) == 1, "positive control"
    apply(tiny)
    assert (tiny.things()["a"], tiny.locks(), list(own_folders.glob("h*"))) == ("slow", [], [])


def plant_lock(tiny: Tiny, *, pid: int, host: str) -> Path:
    path = tiny.backend / f".pulumi/locks/organization/tiny/dev/planted-{pid}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"pid": pid, "username": "ann", "hostname": host, "timestamp": "2026-01-01T00:00:00Z"}))
    return path


def dead_pid() -> int:
    with subprocess.Popen(["/bin/true"]) as process:
        return process.pid


def test_a_lock_that_is_not_known_as_ours_stays_even_if_its_process_is_dead(tiny: Tiny) -> None:
    apply(tiny)
    lock = plant_lock(tiny, pid=dead_pid(), host=socket.gethostname())
    engine = tiny.engine()
    with pytest.raises(StackLocked, match=rf"ann@{socket.gethostname()} \(pid \d+\), since 2026-01-01") as locked:
        engine.apply(engine.preview())
    assert lock.exists()
    tiny.run(locked.value.next_step.split("`")[-2])
    assert tiny.locks() == []
    apply(tiny)


def test_a_foreign_lock_beside_our_own_keeps_both(tiny: Tiny, tmp_path: Path) -> None:
    apply(tiny)
    tiny.write(PROGRAM.replace('"one"', '"slow"'))
    kill_in_the_middle(tiny, tmp_path)
    foreign = plant_lock(tiny, pid=7, host="build7")
    with pytest.raises(StackLocked, match="build7"):
        apply(tiny)
    assert len(tiny.locks()) == 2
    foreign.unlink()
    apply(tiny)
    assert tiny.locks() == []


def test_the_lock_of_a_run_that_lives_is_never_removed(tiny: Tiny, tmp_path: Path) -> None:
    apply(tiny)
    tiny.write(PROGRAM.replace('"one"', '"slow"'))
    worker = subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path)])
    wait_until((tiny.cloud / "started").exists)
    os.kill(worker.pid, signal.SIGSTOP)
    (lock,) = tiny.locks()
    engine_pid = json.loads(lock.read_text())["pid"]
    os.kill(engine_pid, signal.SIGSTOP)
    try:
        plan = tiny.engine().preview()
        with pytest.raises(StackLocked, match=str(engine_pid)):
            tiny.engine().apply(plan)
        assert lock.exists()
    finally:
        for pid in (engine_pid, worker.pid):
            os.kill(pid, signal.SIGCONT)
    assert worker.wait(60) == 0
    assert tiny.locks() == []
