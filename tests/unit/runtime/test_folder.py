"""Private folders are private and vanish."""

import os
import stat
from pathlib import Path

import pytest

from holdtrue.errors import RejectedError
from holdtrue.runtime.folder import LONGEST_PARENT_BYTES, private_folder


def test_only_the_owner_sees_it_and_it_vanishes() -> None:
    with private_folder("holdtrue-test") as folder:
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        (folder / "below").mkdir()
        (folder / "below" / "file").write_text("content")
    assert not folder.exists()


def test_it_vanishes_when_the_run_is_terminated() -> None:
    seen: list[Path] = []

    def terminated() -> None:
        with private_folder("holdtrue-test") as folder:
            seen.append(folder)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        terminated()
    assert not seen[0].exists()


def test_two_runs_do_not_share_one() -> None:
    with private_folder("holdtrue-test") as one, private_folder("holdtrue-test") as other:
        assert one != other


def test_a_socket_path_fits_in_it() -> None:
    with private_folder("holdtrue-test") as folder:
        assert len(str(folder)) < 60


def test_it_lies_where_the_setting_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    parent = tmp_path / "own"
    parent.mkdir()
    short = Path("/proc/self/fd", str(os.open(parent, os.O_RDONLY)))
    monkeypatch.setenv("HOLDTRUE_PRIVATE_FOLDERS", str(short))
    with private_folder("holdtrue-test") as folder:
        assert folder.parent == short
        assert [path.name for path in parent.iterdir()] == [folder.name]
    os.close(int(short.name))


def test_an_empty_setting_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOLDTRUE_PRIVATE_FOLDERS", raising=False)
    with private_folder("holdtrue-test") as usual:
        monkeypatch.setenv("HOLDTRUE_PRIVATE_FOLDERS", "")
        with private_folder("holdtrue-test") as folder:
            assert folder.parent == usual.parent


@pytest.mark.parametrize(
    "parent",
    ["relative", "/nonexistent", "/proc", "/dev/null", "/" + LONGEST_PARENT_BYTES * "x"],
    ids=["relative", "missing", "read-only", "file", "too long"],
)
def test_a_parent_that_cannot_be_used_is_named(monkeypatch: pytest.MonkeyPatch, parent: str) -> None:
    monkeypatch.setenv("HOLDTRUE_PRIVATE_FOLDERS", parent)
    with pytest.raises(RejectedError) as failure, private_folder("holdtrue-test"):
        pass
    assert failure.value.where == f"HOLDTRUE_PRIVATE_FOLDERS={parent}"
    assert failure.value.next_step


def test_the_longest_socket_of_a_run_fits_below_the_longest_parent() -> None:
    ssh_opens = "/ht-ssh-XXXXXXXX/m/" + 40 * "c" + ".XXXXXXXXXXXXXXXX"
    assert LONGEST_PARENT_BYTES + len(ssh_opens) <= 107
