"""A folder that strangers have filled is removed as a whole, and nothing outside it is."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from holdtrue.runtime.removal import remove_tree

NOTE = "note"
LEVELS = 3_000
"""Three times the limit of Python's recursion, and a path that is too long for the system."""
WITHOUT_RIGHTS_OF_ROOT = ["setpriv", "--bounding-set", "-all", "--inh-caps", "-all"] if os.geteuid() == 0 else []
REMOVE = """
import sys
from pathlib import Path
from holdtrue.runtime.removal import remove_tree

print(remove_tree(Path(sys.argv[1]), last="note"))
"""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Removed by `rm`: after a failed test, pytest's own clean-up would end with an exception on a deep tree."""
    made = tmp_path / "folder"
    made.mkdir()
    (made / NOTE).touch()
    yield made
    subprocess.run(["rm", "-rf", str(made)], check=True)


def nest(folder: Path, levels: int) -> None:
    current = os.open(folder, os.O_RDONLY)
    for _ in range(levels):
        os.mkdir("level", dir_fd=current)
        below = os.open("level", os.O_RDONLY, dir_fd=current)
        os.close(current)
        current = below
    os.close(os.open("file", os.O_CREAT, dir_fd=current))
    os.close(current)


def test_a_deep_tree_is_removed(folder: Path) -> None:
    nest(folder, LEVELS)
    descriptors = len(list(Path("/proc/self/fd").iterdir()))
    assert remove_tree(folder, last=NOTE)
    assert not folder.exists()
    assert len(list(Path("/proc/self/fd").iterdir())) == descriptors


def test_links_are_removed_and_not_what_they_lead_to(folder: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    (kept / "below").mkdir(parents=True)
    (folder / "link").symlink_to(kept)
    (folder / "sub").mkdir()
    (folder / "sub" / "link").symlink_to(kept / "below")
    assert remove_tree(folder, last=NOTE)
    assert (kept / "below").exists()


def test_a_link_in_the_place_of_the_folder_stays(folder: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(folder)
    assert not remove_tree(link, last=NOTE)
    assert (folder / NOTE).exists()


@pytest.mark.parametrize("mode", [0o500, 0o400, 0o100, 0o000], ids=oct)
def test_folders_without_the_owners_rights_are_removed(folder: Path, mode: int) -> None:
    below = folder / "sub" / "below"
    below.mkdir(parents=True)
    (below / "file").touch()
    for made in (below, below.parent, folder):
        made.chmod(mode)
    command = [*WITHOUT_RIGHTS_OF_ROOT, sys.executable, "-c", REMOVE, str(folder)]
    ended = subprocess.run(command, check=True, capture_output=True, text=True)
    assert ended.stdout == "True\n"
    assert not folder.exists()


def test_what_cannot_be_removed_keeps_the_note_and_nothing_else(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a", "immutable", "z"):
        (folder / "sub" / name).mkdir(parents=True)
        (folder / "sub" / name / name).touch()
    unlink = os.unlink

    def refuse(name: str, *, dir_fd: int | None = None) -> None:
        if name == "immutable":
            raise PermissionError(1, "Operation not permitted")
        unlink(name, dir_fd=dir_fd)

    with monkeypatch.context() as patch:
        patch.setattr(os, "unlink", refuse)
        assert not remove_tree(folder, last=NOTE)
    left = sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))
    assert left == [NOTE, "sub", "sub/immutable", "sub/immutable/immutable"]
    assert remove_tree(folder, last=NOTE), "positive control"


def test_a_folder_that_is_gone_is_no_failure(tmp_path: Path) -> None:
    assert remove_tree(tmp_path / "gone", last=NOTE)
