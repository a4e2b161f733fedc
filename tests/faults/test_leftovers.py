"""Private folders of several pid namespaces in one place, as those of containers that share /dev/shm."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from holdtrue.models.sweep import FolderOutcome
from holdtrue.runtime.leftovers import remove_leftovers

IN_A_CONTAINER = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--kill-child", "--mount-proc"]
HOLD = """
import sys
from pathlib import Path
from holdtrue.runtime.leftovers import sign

folder = Path(sys.argv[1])
folder.mkdir(mode=0o700)
sign(folder)
print("ready", flush=True)
sys.stdin.read()
"""
REMOVE = """
import sys
from pathlib import Path
from holdtrue.runtime.leftovers import remove_leftovers

for found in remove_leftovers(Path(sys.argv[1])):
    print(found.outcome, found.path)
"""


@contextmanager
def holder(folder: Path, *prefix: str) -> Iterator["subprocess.Popen[str]"]:
    command = [*prefix, sys.executable, "-c", HOLD, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        try:
            yield process
        finally:
            process.kill()


def removed_from(parent: Path, *prefix: str) -> list[str]:
    command = [*prefix, sys.executable, "-c", REMOVE, str(parent)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()


def test_a_run_of_another_container_is_never_mistaken_for_dead(tmp_path: Path) -> None:
    outside, inside = tmp_path / "holdtrue-outside", tmp_path / "holdtrue-inside"
    with holder(outside) as own, holder(inside, *IN_A_CONTAINER):
        # Each sees of the other one only that it is elsewhere.
        assert {(Path(item.path), item.outcome) for item in remove_leftovers(tmp_path)} == {(inside, "left alone")}
        told = removed_from(tmp_path, *IN_A_CONTAINER)
        assert told == [f"left alone {inside}", f"left alone {outside}"], "a third one sees neither"
        assert outside.exists()
        assert inside.exists()
        own.kill()
        own.wait()
        assert removed_from(tmp_path, *IN_A_CONTAINER) == told, "nor whether it is dead"
        found = {Path(item.path): item.outcome for item in remove_leftovers(tmp_path)}
    assert found == {outside: FolderOutcome.REMOVED, inside: FolderOutcome.LEFT}
    assert not outside.exists()


def test_a_container_removes_what_its_own_dead_run_left(tmp_path: Path) -> None:
    folder = tmp_path / "holdtrue-inside"
    # The shell's own arguments must not name the folder, which would then count as used.
    script = f"{sys.executable} -c '{HOLD}' \"$0/$1\" </dev/null; {sys.executable} -c '{REMOVE}' \"$0\""
    command = [*IN_A_CONTAINER, "sh", "-c", script, str(tmp_path), folder.name]
    ended = subprocess.run(command, check=True, capture_output=True, text=True)
    assert ended.stdout.splitlines() == ["ready", f"removed {folder}"]


REMOVE_MOUNTED = """
import subprocess
import sys
from pathlib import Path
from holdtrue.runtime.removal import remove_tree

folder, elsewhere = Path(sys.argv[1]), Path(sys.argv[2])
for kind in ("file", "folder"):
    subprocess.run(["mount", "--bind", str(elsewhere / kind), str(folder / "sub" / kind)], check=True)
print(remove_tree(folder))
for kind in ("file", "folder"):
    subprocess.run(["umount", str(folder / "sub" / kind)], check=True)
print(remove_tree(folder))
"""


def test_what_is_mounted_in_a_folder_keeps_its_content(tmp_path: Path) -> None:
    folder, elsewhere = tmp_path / "holdtrue-x", tmp_path / "elsewhere"
    for place in (folder / "sub", elsewhere):
        (place / "folder").mkdir(parents=True)
        (place / "file").touch()
    (elsewhere / "folder" / "precious").touch()
    with_own_mounts = ["unshare", "--user", "--map-root-user", "--mount"]
    command = [*with_own_mounts, sys.executable, "-c", REMOVE_MOUNTED, str(folder), str(elsewhere)]
    ended = subprocess.run(command, check=True, capture_output=True, text=True)
    assert ended.stdout.splitlines() == ["False", "True"], "the second time, nothing is mounted any more"
    assert (elsewhere / "folder" / "precious").exists()
    assert not folder.exists()
