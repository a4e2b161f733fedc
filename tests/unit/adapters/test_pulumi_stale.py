"""What a killed run left: whose a lock is, and what the next run clears."""

import os
import shlex
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from holdtrue.adapters.pulumi.claims import Abandoned, abandoned, claim
from holdtrue.adapters.pulumi.locks import StackLock, parse_locks
from holdtrue.adapters.pulumi.remedies import StackPlace, cancel_command, forget_command, unprotect_command
from holdtrue.adapters.pulumi.stale import Leftovers, engine_ended_by_itself
from holdtrue.models.base import Progress, ProgressLevel
from holdtrue.runtime.liveness import OWNER_VARIABLE, current_process, owner_mark

PLACE = StackPlace("file:///srv/state", "shop", "live")
HOST = socket.gethostname()
DEAD = 4242


def text_of(*locks: StackLock, count: int | None = None) -> str:
    lines = (f"  {lock.url}: created by {lock.user}@{lock.host} (pid {lock.pid}) at {lock.at}" for lock in locks)
    head = f"error: the stack is currently locked by {len(locks) if count is None else count} lock(s). Either wait"
    return "\n".join([head, *lines, ""])


def a_lock(url: str = "file:///l.json?no_tmp_dir=true", *, host: str = HOST, pid: int = DEAD) -> StackLock:
    return StackLock(url, "ann smith", host, pid, "2026-01-01T00:00:00Z")


def test_locks_are_read_as_the_engine_names_them() -> None:
    locks = (a_lock(), a_lock("s3://bucket/l.json", host="build7", pid=7))
    assert parse_locks(text_of(*locks)) == locks
    assert str(locks[1]) == "ann smith@build7 (pid 7), since 2026-01-01T00:00:00Z"
    assert parse_locks(text_of(*locks, count=3)) == (), "one that cannot be read may be anybody's"
    assert parse_locks("error: something else") == ()


class Clearing:
    """`Leftovers` of one dead engine, and what it does."""

    def __init__(self, folder: Path) -> None:
        self.lines: list[Progress] = []
        self.cancelled = 0
        self.left = Leftovers(
            [Abandoned(frozenset({DEAD}), folder / "note.running", folder / "private", locks=True)], self._cancel
        )

    def _cancel(self) -> None:
        self.cancelled += 1

    def release(self, *locks: StackLock) -> bool:
        return self.left.release_locks(text_of(*locks), self.lines.append)


def test_the_lock_of_a_dead_engine_is_removed_and_said(tmp_path: Path) -> None:
    file, other = tmp_path / "own lock.json", tmp_path / "other.json"
    file.touch()
    other.touch()
    clearing = Clearing(tmp_path)
    assert clearing.release(a_lock(f"{file.as_uri()}?no_tmp_dir=true"))
    assert not file.exists()
    assert other.exists()
    assert clearing.cancelled == 0
    (line,) = clearing.lines
    assert line.level is ProgressLevel.WARNING
    assert str(DEAD) in line.message


def test_a_lock_that_is_not_a_file_here_is_removed_by_the_cli(tmp_path: Path) -> None:
    clearing = Clearing(tmp_path)
    assert clearing.release(a_lock("s3://bucket/.pulumi/locks/l.json"))
    assert clearing.cancelled == 1


@pytest.mark.parametrize(
    "foreign", [a_lock(host="build7"), a_lock(pid=DEAD + 1), a_lock(f"file://{os.devnull}", pid=1)]
)
def test_a_foreign_lock_keeps_all_of_them(tmp_path: Path, foreign: StackLock) -> None:
    file = tmp_path / "own.json"
    file.touch()
    clearing = Clearing(tmp_path)
    assert not clearing.release(a_lock(file.as_uri()), foreign)
    assert not clearing.release(foreign)
    assert not clearing.release()
    assert (file.exists(), clearing.cancelled, clearing.lines) == (True, 0, [])


@pytest.mark.parametrize(
    ("failure", "ended"),
    [
        (None, False),
        ("\n code: 1\n stdout: code: -9\n", True),
        ("\n code: -9\n stdout: \n", False),
        ("urn:a: 2000000 characters, more than 1000000", True),
    ],
)
def test_an_engine_that_was_killed_has_not_removed_its_lock(failure: str | None, *, ended: bool) -> None:
    assert engine_ended_by_itself(failure) is ended


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A private folder."""
    path = tmp_path / "holdtrue-pulumi-x"
    path.mkdir()
    return path


def test_an_operation_that_ended_leaves_no_note(folder: Path) -> None:
    with claim(PLACE, folder, locks=True) as made:
        assert made.processes_file.stat().st_mode & 0o077 == 0
        assert abandoned(PLACE, folder.parent) == (), "it runs"
        made.is_settled = True
    assert list(folder.parent.iterdir()) == [folder]


def record_process(path: Path, process: "subprocess.Popen[bytes]") -> None:
    ticks = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[19]
    path.write_text(f"{process.pid} {ticks}\n")


def test_one_that_was_killed_is_abandoned_when_its_processes_are_gone(folder: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    with claim(PLACE, folder, locks=True) as made:
        record_process(made.processes_file, process)
    assert abandoned(PLACE, folder.parent) == (), "its engine lives"
    process.kill()
    process.communicate()
    assert abandoned(StackPlace(PLACE.backend_url, "shop", "other"), folder.parent) == ()
    (found,) = abandoned(PLACE, folder.parent)
    assert found.engines == {process.pid}
    found.tidy()
    assert not folder.exists()
    assert abandoned(PLACE, folder.parent) == (found,), "its lock may be found later"
    found.forget()
    assert list(folder.parent.iterdir()) == []


KILLED = """
import os, sys
from pathlib import Path
from holdtrue.adapters.pulumi.claims import claim
from holdtrue.adapters.pulumi.remedies import StackPlace
with claim(StackPlace("file:///srv/state", "shop", "live"), Path(sys.argv[1]), locks=True) as made:
    print(os.getpid(), flush=True)
    input()
"""


@pytest.fixture
def owner(folder: Path) -> "Iterator[subprocess.Popen[bytes]]":
    """A worker in the middle of an operation."""
    command = [sys.executable, "-c", KILLED, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        yield process
        process.kill()


def test_a_worker_that_lives_has_abandoned_nothing(owner: "subprocess.Popen[bytes]", folder: Path) -> None:
    assert list(folder.parent.glob("holdtrue-engine-*")), "positive control"
    assert abandoned(PLACE, folder.parent) == ()
    owner.kill()
    owner.wait()
    assert len(abandoned(PLACE, folder.parent)) == 1


def test_nor_has_a_dead_one_whose_tools_live(owner: "subprocess.Popen[bytes]", folder: Path) -> None:
    identity = current_process().model_copy(
        update={"pid": owner.pid, "started_ticks": int(Path(f"/proc/{owner.pid}/stat").read_text().split()[21])}
    )
    marked = {**os.environ, OWNER_VARIABLE: owner_mark(identity)}
    with subprocess.Popen(["/bin/sleep", "60"], env=marked) as tool:
        owner.kill()
        owner.wait()
        try:
            assert abandoned(PLACE, folder.parent) == ()
        finally:
            tool.kill()
    assert len(abandoned(PLACE, folder.parent)) == 1


def test_one_that_takes_no_lock_leaves_nothing_to_remember(folder: Path) -> None:
    with claim(PLACE, folder, locks=False):
        pass
    (found,) = abandoned(PLACE, folder.parent)
    found.tidy()
    assert list(folder.parent.iterdir()) == []


def test_a_note_that_cannot_be_read_proves_nothing(folder: Path) -> None:
    with claim(PLACE, folder, locks=True):
        pass
    (note,) = folder.parent.glob("*.ended")
    note.write_text("{")
    assert abandoned(PLACE, folder.parent) == ()


def test_commands_name_the_stack_in_full_where_the_backend_holds_the_state_itself() -> None:
    place = StackPlace("s3://states/it's", "shop", "live")
    for command in (cancel_command(place), forget_command(place), unprotect_command(place, "urn:a::b")):
        words = shlex.split(command)
        assert words[0] == "PULUMI_BACKEND_URL=s3://states/it's"
        assert words[words.index("--stack") + 1] == "organization/shop/live"
    assert cancel_command(StackPlace("https://api.pulumi.com", "shop", "acme/live")).endswith("--stack acme/live")
    assert cancel_command(StackPlace("https://api.pulumi.com", "shop", "live")).endswith("--stack live")


def test_commands_hold_no_password() -> None:
    command = cancel_command(StackPlace("postgres://pulumi:hunter2@db:5432/state", "shop", "live"))
    assert "hunter2" not in command
    assert "db:5432/state" in command
