"""Private folders are private and vanish."""

import stat
from pathlib import Path

import pytest

from holdtrue.runtime.folder import private_folder


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
