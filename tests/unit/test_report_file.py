"""Where `--output` writes: the whole report or what was there before, and in place only where it must."""

import errno
import os
import threading
from pathlib import Path

import pytest

from holdtrue.cli.report_file import replacing
from holdtrue.errors import RejectedError


def test_a_report_replaces_its_file_and_keeps_the_mode(tmp_path: Path) -> None:
    path = tmp_path / "report"
    path.write_text("former")
    path.chmod(0o640)
    before = path.stat()

    with replacing(path) as write:
        assert path.read_text() == "former"
        write("new")

    assert (path.read_text(), path.stat().st_mode) == ("new", before.st_mode)
    assert path.stat().st_ino != before.st_ino
    assert [item.name for item in tmp_path.iterdir()] == ["report"]


@pytest.mark.parametrize("number", [errno.EBUSY, errno.EPERM, errno.EXDEV])
def test_a_file_that_cannot_be_replaced_is_written_in_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """As one that is mounted into a container by itself, or another user's in a shared folder."""

    def refuse(_self: Path, _target: Path) -> None:
        raise OSError(number, os.strerror(number))

    path = tmp_path / "report"
    path.write_text("a former and longer report")
    monkeypatch.setattr(Path, "replace", refuse)

    with replacing(path) as write:
        write("new")

    assert path.read_text() == "new"
    assert [item.name for item in tmp_path.iterdir()] == ["report"]


def test_a_file_in_a_folder_that_takes_no_other_is_written_in_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_self: Path, **_options: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    path = tmp_path / "report"
    monkeypatch.setattr(Path, "touch", refuse)
    with pytest.raises(RejectedError), replacing(path):
        pass

    path.write_text("former")
    with replacing(path) as write:
        write("new")

    assert path.read_text() == "new"


def test_a_report_goes_through_a_pipe_without_a_name() -> None:
    """As a shell makes one of `>(program)`."""
    reading, writing = os.pipe()
    received: list[bytes] = []
    reader = threading.Thread(target=lambda: received.append(os.read(reading, 100)))
    reader.start()

    with replacing(Path(f"/dev/fd/{writing}")) as write:
        write("new")

    reader.join(10)
    os.close(reading)
    os.close(writing)
    assert received == [b"new"]


def test_a_log_is_added_to(tmp_path: Path) -> None:
    log = (tmp_path / "log").open("w+")
    log.write("before\n")
    log.flush()

    with log, replacing(Path(f"/proc/self/fd/{log.fileno()}")) as write:
        write("new")

    assert (tmp_path / "log").read_text() == "before\nnew"
