"""Planted values are found in files, archives, databases and processes; what cannot be read is never clean."""

import bz2
import gzip
import io
import lzma
import os
import pickle
import secrets
import sqlite3
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from pydantic import SecretStr

from holdtrue.adapters.leaks import archives, search
from holdtrue.core.leaks import WordIndex
from holdtrue.errors import RejectedError, UnavailableError
from holdtrue.models.leak import Database, Files, Form, KnownValue, Leak, LeakReport, LeakVerdict, Place, Processes

SECRET = "plAnted-s3cret/value+2"
RAW = SECRET.encode()


def look(*places: Place, value: str = SECRET) -> LeakReport:
    return search([KnownValue(name="planted", value=SecretStr(value))], places)


def places_of(report: LeakReport, value: str = SECRET) -> list[str]:
    assert value not in report.model_dump_json()
    return sorted(leak.place for leak in report.leaks)


def test_files_of_any_kind_are_searched(tmp_path: Path) -> None:
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "deep" / "er" / "log").write_bytes(b"x" * 100 + RAW)
    (tmp_path / "binary").write_bytes(b"\x00\xff\xfe" + RAW + b"\x00")
    (tmp_path / "result.pickle").write_bytes(pickle.dumps({"password": SECRET}))
    (tmp_path / "nothing").write_bytes(b"nothing")
    report = look(Files(path=tmp_path))

    assert report.verdict is LeakVerdict.LEAKED
    assert places_of(report) == [str(tmp_path / name) for name in ("binary", "deep/er/log", "result.pickle")]
    (log,) = [leak for leak in report.leaks if leak.place.endswith("log")]
    assert log == Leak(name="planted", place=str(tmp_path / "deep/er/log"), form=Form.PLAIN, offset=100, count=1)


def test_without_it_the_same_is_clean(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(RAW[::-1])
    report = look(Files(path=tmp_path))
    assert (report.verdict, report.leaks, report.searched) == (LeakVerdict.CLEAN, (), 1)


def tar_of(name: str, content: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        member = tarfile.TarInfo(name)
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def zip_of(name: str, content: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
    return buffer.getvalue()


# Packed texts hide the value: only who unpacks them finds it.
TEXT = b"ab" * 300 + RAW + b"cd" * 300


@pytest.mark.parametrize(
    ("content", "inside"),
    [
        (gzip.compress(TEXT), "!"),
        (gzip.compress(b"first") + gzip.compress(TEXT), "!"),
        (bz2.compress(TEXT), "!"),
        (lzma.compress(TEXT), "!"),
        (zip_of("in/side", TEXT), "!in/side"),
        (gzip.compress(tar_of("member", TEXT)), "!!member"),
        (zip_of("inner.gz", gzip.compress(TEXT)), "!inner.gz!"),
        (gzip.compress(zip_of("x", TEXT)), "!!x"),
        (gzip.compress(tar_of("a.zip", zip_of("x", gzip.compress(TEXT)))), "!!a.zip!x!"),
    ],
    ids=["gzip", "gzip in parts", "bzip2", "xz", "zip", "tar.gz", "gzip in zip", "zip in gzip", "all of them"],
)
def test_archives_are_unpacked_also_within_each_other(tmp_path: Path, content: bytes, inside: str) -> None:
    (tmp_path / "packed").write_bytes(content)
    assert RAW not in content
    report = look(Files(path=tmp_path / "packed"))
    assert (report.not_searched, places_of(report)) == ((), [f"{tmp_path / 'packed'}{inside}"])


def test_a_tar_is_searched_as_a_file_too(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(tar_of("member", TEXT))
    assert places_of(look(Files(path=tmp_path))) == [f"{tmp_path}/a.tar", f"{tmp_path}/a.tar!member"]


@pytest.mark.parametrize("cut", [40, 3])
def test_a_damaged_archive_is_a_gap_and_what_comes_before_is_searched(tmp_path: Path, cut: int) -> None:
    content = gzip.compress(RAW + os.urandom(20_000))
    (tmp_path / "cut.gz").write_bytes(content[:-cut])
    report = look(Files(path=tmp_path))
    assert [gap.place for gap in report.not_searched] == [f"{tmp_path}/cut.gz!"]
    assert f"{tmp_path}/cut.gz!" in places_of(report)


@pytest.mark.parametrize(
    "content",
    [
        b"\x1f\x8b\x08\x00garbage that is no gzip",
        zip_of("x", TEXT)[:60],
        gzip.compress(tar_of("member", b"x" * 5000)[:600]),
        lzma.compress(TEXT)[:50],
        b"BZh91AY&SYgarbage",
    ],
    ids=["gzip", "zip", "tar.gz", "xz", "bzip2"],
)
def test_an_unreadable_archive_alone_is_incomplete(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "broken").write_bytes(content)
    assert look(Files(path=tmp_path)).verdict is LeakVerdict.INCOMPLETE


def test_an_encrypted_member_is_a_gap(tmp_path: Path) -> None:
    content = bytearray(zip_of("x", TEXT))
    for header, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(header) + flags] |= 1
    (tmp_path / "encrypted.zip").write_bytes(content)
    (gap,) = look(Files(path=tmp_path)).not_searched
    assert "encrypted" in gap.reason


def test_a_bomb_ends_in_a_gap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "_MOST_UNPACKED_BYTES", 1 << 20)
    (tmp_path / "bomb.gz").write_bytes(gzip.compress(b"\x00" * (2 << 20)))
    nested = TEXT
    for _ in range(12):
        nested = gzip.compress(nested)
    (tmp_path / "nested.gz").write_bytes(nested)
    reasons = {
        gap.place.removeprefix(f"{tmp_path}/").rstrip("!"): gap.reason
        for gap in look(Files(path=tmp_path)).not_searched
    }
    assert reasons["bomb.gz"].endswith("GiB")
    assert "within 8 archives" in reasons["nested.gz"]


def test_a_value_across_chunks_of_a_large_file_is_found_where_it_is(tmp_path: Path) -> None:
    # Sparse, so that it is large and costs little: the value lies across every boundary of a MiB.
    offsets = [count * (1 << 20) - 5 for count in (1, 2, 40)]
    with (tmp_path / "large").open("wb") as file:
        for offset in offsets:
            file.seek(offset)
            file.write(RAW)
    (leak,) = look(Files(path=tmp_path)).leaks
    assert (leak.offset, leak.count) == (offsets[0], len(offsets))


def test_names_and_targets_of_links_are_searched_and_circles_end(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "up").symlink_to("..")
    (tmp_path / "gone").symlink_to("planted-" + "x" * 8)
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file").write_bytes(b"nothing")
    (tmp_path / "same").hardlink_to(tmp_path / "file")
    report = look(Files(path=tmp_path), value="planted-" + "x" * 8)
    assert [(leak.place, leak.form) for leak in report.leaks] == [(f"{tmp_path}/gone (its name)", Form.PLAIN)]
    assert (report.not_searched, report.searched) == ((), 1)


def test_a_file_called_like_the_value_is_found_and_not_named(tmp_path: Path) -> None:
    (tmp_path / "plAnted-s3cret-name").write_bytes(b"x")
    report = look(Files(path=tmp_path), value="plAnted-s3cret-name")
    assert report.verdict is LeakVerdict.LEAKED
    assert "plAnted-s3cret-name" not in report.model_dump_json()


def missing(path: Path) -> Path:
    return path / "no" / "such"


def empty(path: Path) -> Path:
    return path


def circle(path: Path) -> Path:
    (path / "loop").symlink_to("loop")
    return path / "loop"


def pipe(path: Path) -> Path:
    os.mkfifo(path / "pipe")
    return path / "pipe"


@pytest.mark.parametrize("make", [missing, empty, circle, pipe])
def test_a_place_that_shows_nothing_is_incomplete(tmp_path: Path, make: object) -> None:
    assert callable(make)
    report = look(Files(path=make(tmp_path)))
    assert (report.verdict, len(report.not_searched)) == (LeakVerdict.INCOMPLETE, 1)


@contextmanager
def as_nobody() -> Iterator[None]:
    """Root may read everything, so that it has to be somebody else for a while."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_what_may_not_be_read_is_listed_and_hides_nothing_else(tmp_path: Path) -> None:
    # Below the folder that pytest keeps from other users.
    with TemporaryDirectory() as name:
        place = Path(name)
        for folder in ("closed", "open"):
            (place / folder).mkdir()
            (place / folder / "file").write_bytes(RAW)
        (place / "secret").write_bytes(RAW)
        place.chmod(0o755)
        (place / "secret").chmod(0)
        (place / "closed").chmod(0)
        with as_nobody():
            report = look(Files(path=place))
    assert report.verdict is LeakVerdict.LEAKED
    assert places_of(report) == [f"{place}/open/file"]
    assert sorted(gap.place for gap in report.not_searched) == [f"{place}/closed", f"{place}/secret"]
    assert tmp_path.exists()


def test_what_is_excluded_is_left_out_and_said(tmp_path: Path) -> None:
    (tmp_path / "values").write_bytes(RAW)
    (tmp_path / "keep").mkdir()
    (tmp_path / "keep" / "file").write_bytes(RAW)
    (tmp_path / "log").write_bytes(b"nothing")
    report = look(Files(path=tmp_path, exclude=(tmp_path / "values", tmp_path / "keep", tmp_path / "absent")))
    assert report.verdict is LeakVerdict.CLEAN
    assert sorted(item.place for item in report.left_out) == [f"{tmp_path}/keep", f"{tmp_path}/values"]


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """Everything in one: names with quotes, a value in each kind of column, a text that is no UTF-8."""
    path = tmp_path / "some.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute('CREATE TABLE "odd ""name" (id INTEGER, note TEXT, raw BLOB, at TIMESTAMP)')
        connection.execute("CREATE TABLE empty (id INTEGER)")
        rows = [(number, "nothing", b"\x00", "no time at all") for number in range(1200)]
        rows[700] = (700, SECRET, b"\x00", "")
        rows[1100] = (1100, "", b"\xff" + RAW, "")
        connection.executemany('INSERT INTO "odd ""name" VALUES (?, ?, ?, ?)', rows)
        connection.execute('INSERT INTO "odd ""name" VALUES (0, CAST(? AS TEXT), 0, 0)', (b"\xff\xfe",))
    return path


@pytest.mark.parametrize("scheme", ["sqlite", "sqlite+aiosqlite"])
def test_every_column_of_every_table_is_searched(database: Path, scheme: str) -> None:
    report = look(Database(url=SecretStr(f"{scheme}:///{database}")))
    assert report.not_searched == ()
    assert [place.partition("column ")[2] for place in places_of(report)] == ["note, row 701", "raw, row 1101"]


def test_a_value_that_is_only_in_the_journal_is_found_in_the_files(database: Path) -> None:
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("CREATE TABLE fresh (note TEXT)")
        connection.execute("INSERT INTO fresh VALUES ('journal-only-value')")
        connection.commit()
        report = look(Files(path=database.parent), value="journal-only-value")
    assert [leak.place for leak in report.leaks] == [f"{database}-wal"]


def test_a_locked_database_is_a_gap(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("holdtrue.adapters.leaks.databases._WAIT_SECONDS", 0.1)
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode=DELETE")
        connection.execute("BEGIN EXCLUSIVE")
        report = look(Database(url=SecretStr(f"sqlite:///{database}")))
    assert report.verdict is LeakVerdict.INCOMPLETE
    assert "locked" in report.not_searched[0].reason


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("sqlite:////no/such/file.db", "unable to open"),
        ("sqlite:///{folder}/empty.db", "no table"),
        ("sqlite:///{folder}/junk.db", "not a database"),
        ("postgresql://me:a-db-password@127.0.0.1:1/x", "refused"),
    ],
)
def test_a_database_that_shows_nothing_is_a_gap(tmp_path: Path, url: str, reason: str) -> None:
    (tmp_path / "empty.db").touch()
    (tmp_path / "junk.db").write_bytes(b"junk" * 1000)
    report = look(Database(url=SecretStr(url.format(folder=tmp_path))))
    assert report.verdict is LeakVerdict.INCOMPLETE
    assert reason in report.not_searched[0].reason
    assert "a-db-password" not in report.model_dump_json()


@pytest.mark.parametrize("url", ["junk", "nosuchdb://host/x"])
def test_what_is_no_database_is_refused(url: str) -> None:
    with pytest.raises(RejectedError):
        look(Database(url=SecretStr(url)))


@contextmanager
def process(*arguments: str, **environment: str) -> Iterator[int]:
    command = [sys.executable, "-ISc", "import sys; sys.stdin.read()", *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, env=environment) as child:
        yield child.pid
        child.communicate()


def test_command_lines_and_environments_are_searched() -> None:
    own = secrets.token_hex(16)  # A process of another test session may hold SECRET.
    with process(f"--password={own}") as first, process(TOKEN=own) as second:
        report = look(Processes(), value=own)
        without = look(Processes(exclude=frozenset({first, second})), value=own)
    assert {(place.split()[1], place.rpartition(", ")[2]) for place in places_of(report, own)} == {
        (str(first), "command line"), (str(second), "environment"),
    }  # fmt: skip
    assert without.leaks == ()
    assert report.searched > 2


def test_a_search_that_finds_nothing_that_is_there_says_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(RAW)
    monkeypatch.setattr(WordIndex, "find", lambda *_: [])
    with pytest.raises(UnavailableError, match="on purpose"):
        look(Files(path=tmp_path))


@pytest.mark.parametrize("kind", ["database", "processes"])
def test_each_kind_of_place_is_proved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    (tmp_path / "file").write_bytes(b"nothing")
    place: Place = Processes() if kind == "processes" else Database(url=SecretStr(f"sqlite:///{tmp_path}/x.db"))
    module = import_module("holdtrue.adapters.leaks.search")  # not the function of that name in its package
    monkeypatch.setattr(module, f"search_{kind}", lambda *_: None)
    with pytest.raises(UnavailableError, match=kind):
        look(place)


@pytest.mark.parametrize(("values", "places"), [((), (Files(path=Path("/")),)), (("x" * 3 + "abcdefg",), ())])
def test_nothing_to_search_is_refused(values: tuple[str, ...], places: tuple[Place, ...]) -> None:
    with pytest.raises(RejectedError):
        search([KnownValue(name="x", value=SecretStr(value)) for value in values], places)
