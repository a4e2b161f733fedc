"""Private folders of dead processes are removed, and nothing else is."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from holdtrue.models.lease import ProcessIdentity
from holdtrue.models.sweep import FolderOutcome
from holdtrue.runtime import folder as folders
from holdtrue.runtime.folder import private_folder
from holdtrue.runtime.leftovers import remove_folder, remove_leftovers, sign
from holdtrue.runtime.liveness import OWNER_VARIABLE, current_process, identify, owner_mark

NOTE = ".holdtrue-holder"
LONG_AGO = time.time() - 3600
HOLD = """
import sys
from pathlib import Path
from holdtrue.runtime.leftovers import sign

for path in sys.argv[1:]:
    Path(path).mkdir(mode=0o700)
    sign(Path(path))
    Path(path, "engine.log").write_text("log")
print("ready", flush=True)
sys.stdin.read()
"""


@contextmanager
def holder(*paths: Path) -> Iterator["subprocess.Popen[str]"]:
    """A process that made these folders."""
    command = [sys.executable, "-c", HOLD, *map(str, paths)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        try:
            yield process
        finally:
            process.kill()


def abandon(*paths: Path) -> ProcessIdentity:
    """Folders of a process that was killed."""
    with holder(*paths) as process:
        identity = identify(process.pid)
        process.kill()
    return identity


def outcomes(parent: Path) -> dict[str, FolderOutcome]:
    return {Path(found.path).name: found.outcome for found in remove_leftovers(parent)}


def test_the_folder_of_a_killed_process_is_removed_and_told_once(tmp_path: Path) -> None:
    folder = tmp_path / "holdtrue-pulumi-x"
    with holder(folder) as process:
        assert remove_leftovers(tmp_path) == (), "its process lives"
        process.kill()
        process.wait()
        (found,) = remove_leftovers(tmp_path)
    assert (found.path, found.outcome) == (str(folder), FolderOutcome.REMOVED)
    assert f"process {process.pid} " in found.detail
    assert not folder.exists()
    assert remove_leftovers(tmp_path) == ()


def test_the_next_run_removes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders, "private_parent", lambda: tmp_path)
    left = tmp_path / "ht-ssh-x"
    abandon(left)
    with private_folder("holdtrue-test") as own:
        assert not left.exists()
        assert outcomes(tmp_path) == {}
        assert own.exists(), "this process lives"
    assert list(tmp_path.iterdir()) == []


def test_a_tool_that_outlives_its_process_keeps_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "holdtrue-pulumi-x"
    identity = abandon(folder)
    marked = {**os.environ, OWNER_VARIABLE: owner_mark(identity)}
    with subprocess.Popen(["/bin/sleep", "60"], env=marked) as tool:
        assert remove_leftovers(tmp_path) == ()
        tool.kill()
    assert outcomes(tmp_path) == {folder.name: FolderOutcome.REMOVED}


@pytest.mark.parametrize("where", ["arguments", "environment"])
def test_a_process_that_names_the_folder_keeps_it(tmp_path: Path, where: str) -> None:
    """An SSH agent's keeper, for one, has no mark of the run, and clears the folder by itself."""
    folder = tmp_path / "ht-ssh-x"
    abandon(folder)
    program, socket = "import sys; sys.stdin.read()", f"{folder}/agent"
    arguments = [socket] if where == "arguments" else []
    environment = {"SSH_AUTH_SOCK": socket} if where == "environment" else {}
    command = [sys.executable, "-c", program, *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, env={**os.environ, **environment}) as keeper:
        assert remove_leftovers(tmp_path) == ()
        keeper.kill()
    assert outcomes(tmp_path) == {folder.name: FolderOutcome.REMOVED}


def other_container(folder: Path) -> None:
    elsewhere = current_process().model_copy(update={"machine": "this-boot/pid:[1]"})
    (folder / NOTE).write_text(elsewhere.model_dump_json())


def later_process_with_the_same_id(folder: Path) -> None:
    own = current_process()
    earlier = own.model_copy(update={"started_ticks": own.started_ticks - 1})
    (folder / NOTE).write_text(earlier.model_dump_json())


def link_to_a_note(folder: Path) -> None:
    sign(folder)
    (folder / NOTE).rename(folder / "elsewhere")
    (folder / NOTE).symlink_to(folder / "elsewhere")


def fifo(folder: Path) -> None:
    os.mkfifo(folder / NOTE)


def garbage(folder: Path) -> None:
    (folder / NOTE).write_bytes(b'{"pid": "\xff')


@pytest.mark.parametrize("note", [other_container, link_to_a_note, fifo, garbage, lambda _: None])
def test_a_folder_whose_holder_is_not_certain_is_left_alone_and_told(
    tmp_path: Path, note: Callable[[Path], None]
) -> None:
    folder = tmp_path / "holdtrue-x"
    folder.mkdir()
    note(folder)
    os.utime(folder, (LONG_AGO, LONG_AGO))
    assert outcomes(tmp_path) == {folder.name: FolderOutcome.LEFT}
    assert folder.exists()


def test_the_positive_control_of_a_note(tmp_path: Path) -> None:
    folder = tmp_path / "holdtrue-x"
    folder.mkdir()
    later_process_with_the_same_id(folder)
    assert outcomes(tmp_path) == {folder.name: FolderOutcome.REMOVED}


def test_a_run_that_is_just_starting_is_not_told(tmp_path: Path) -> None:
    (tmp_path / "holdtrue-x").mkdir()
    assert outcomes(tmp_path) == {}


def test_links_and_other_users_folders_are_left_alone_and_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = tmp_path / "elsewhere"
    abandon(elsewhere)
    (tmp_path / "holdtrue-link").symlink_to(elsewhere)
    own = tmp_path / "holdtrue-own"
    abandon(own)
    uid = os.geteuid()
    with monkeypatch.context() as patch:
        patch.setattr(os, "geteuid", lambda: uid + 1)
        assert outcomes(tmp_path) == {"holdtrue-link": FolderOutcome.LEFT, own.name: FolderOutcome.LEFT}
    assert outcomes(tmp_path) == {"holdtrue-link": FolderOutcome.LEFT, own.name: FolderOutcome.REMOVED}
    assert elsewhere.exists()


def test_what_is_not_named_like_a_private_folder_is_not_looked_at(tmp_path: Path) -> None:
    abandon(tmp_path / "of-somebody-else")
    (tmp_path / "holdtrue-engine-0-1.running").touch()
    assert outcomes(tmp_path) == {}


def test_names_with_strange_characters_are_told_in_text_that_can_be_stored(tmp_path: Path) -> None:
    named = Path(os.fsdecode(os.fsencode(tmp_path) + b"/holdtrue-\xff\x1b[31m\nx"))
    abandon(tmp_path / "holdtrue-\x1b]0;x\x07\n")
    named.mkdir()
    os.utime(named, (LONG_AGO, LONG_AGO))
    found = remove_leftovers(tmp_path)
    assert sorted(item.outcome for item in found) == [FolderOutcome.LEFT, FolderOutcome.REMOVED]
    for item in found:
        assert item.model_dump_json().encode()


def test_what_a_link_in_it_points_to_stays(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    (kept / "below").mkdir(parents=True)
    folder = tmp_path / "holdtrue-x"
    abandon(folder)
    (folder / "link").symlink_to(kept)
    (folder / "sub").mkdir()
    (folder / "sub" / "link").symlink_to(kept / "below")
    assert outcomes(tmp_path) == {folder.name: FolderOutcome.REMOVED}
    assert (kept / "below").exists()


def test_a_link_in_the_place_of_a_folder_removes_nothing(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    (kept / "below").mkdir(parents=True)
    (kept / "file").touch()
    link = tmp_path / "holdtrue-x"
    link.symlink_to(kept)
    remove_folder(link)
    assert sorted(path.name for path in kept.iterdir()) == ["below", "file"]


def test_runs_that_remove_at_once_tell_of_each_folder_once(tmp_path: Path) -> None:
    left = [tmp_path / f"holdtrue-x{number}" for number in range(40)]
    abandon(*left)
    with ThreadPoolExecutor(4) as pool:
        sweeps = list(pool.map(lambda _: remove_leftovers(tmp_path), range(4)))
    told = [found.path for sweep in sweeps for found in sweep]
    assert sorted(told) == sorted(map(str, left))
    assert list(tmp_path.iterdir()) == []


def test_a_removal_that_was_interrupted_is_finished_by_the_next_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "holdtrue-x"
    abandon(folder)
    (folder / "sub").mkdir()

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("holdtrue.runtime.removal.os.rmdir", interrupt)
        with pytest.raises(KeyboardInterrupt):
            remove_leftovers(tmp_path)
    assert folder.exists(), "positive control"
    assert outcomes(tmp_path) == {folder.name: FolderOutcome.REMOVED}


def test_a_run_that_starts_while_another_one_removes_keeps_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folders, "private_parent", lambda: tmp_path)

    def start(number: int) -> bool:
        with private_folder(f"holdtrue-t{number}") as folder:
            (folder / "file").touch()
            return folder.exists()

    with ThreadPoolExecutor(4) as pool:
        removing = [pool.submit(remove_leftovers, tmp_path) for _ in range(50)]
        assert all(pool.map(start, range(50)))
    assert [found for one in removing for found in one.result()] == []


@pytest.fixture
def deep_parent(tmp_path: Path) -> Iterator[Path]:
    """Removed by `rm`: after a failed test, pytest's own clean-up would end with an exception on a deep tree."""
    parent = tmp_path / "deep"
    parent.mkdir()
    yield parent
    subprocess.run(["rm", "-rf", str(parent)], check=True)


def test_a_deep_folder_of_a_dead_run_does_not_stop_the_next_run(
    deep_parent: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Anything that a program unpacks in its private folder may be deeper than Python's limit of recursion."""
    monkeypatch.setattr(folders, "private_parent", lambda: deep_parent)
    left = deep_parent / "holdtrue-x"
    abandon(left)
    current = os.open(left, os.O_RDONLY)
    for _ in range(sys.getrecursionlimit() + 100):
        os.mkdir("level", dir_fd=current)
        below = os.open("level", os.O_RDONLY, dir_fd=current)
        os.close(current)
        current = below
    os.close(current)
    with private_folder("holdtrue-test"):
        assert not left.exists()
