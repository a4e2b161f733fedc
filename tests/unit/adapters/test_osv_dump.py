"""The offline source: what a dump says, and that one which is old, cut, damaged or hostile never reads as clean."""

import gzip
import io
import json
import os
import sqlite3
import struct
import subprocess
import sys
import zipfile
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from holdtrue.adapters.osv_dump import OsvDump, source
from holdtrue.adapters.osv_dump.dump_file import Limits, open_dump, read_documents
from holdtrue.adapters.osv_dump.index import build_index
from holdtrue.errors import RejectedError, ServiceNotReady
from holdtrue.models.dependency import Pin
from holdtrue.models.osv import AdvisoryRecord, AdvisorySource, Certainty, SourceAnswer

NOW = datetime(2024, 6, 10, tzinfo=UTC)
VECTOR = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"


def _advisory(own_id: str = "TEST-1", name: str = "demo", **fields: object) -> dict[str, object]:
    return {
        "id": own_id,
        "modified": "2024-06-01T00:00:00Z",
        "affected": [
            {
                "package": {"ecosystem": "PyPI", "name": name},
                "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "2.0"}]}],
            }
        ],
        **fields,
    }


def _rating(own_id: str, **fields: object) -> dict[str, object]:
    """A record of another ecosystem, which makes no finding by itself."""
    return {"id": own_id, "modified": "2024-06-01T00:00:00Z", **fields}


def _lines(*records: object) -> bytes:
    return b"".join(json.dumps(record).encode() + b"\n" for record in records)


def _zip(records: Iterable[tuple[str, bytes]], *, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, data in records:
            archive.writestr(name, data)
    return buffer.getvalue()


def _source(folder: Path, content: bytes | None = None, *, maximum_age_days: float | None = None) -> OsvDump:
    dump = folder / "dump"
    if content is not None:
        dump.write_bytes(content)
    return OsvDump(dump, cache_folder=folder / "cache", maximum_age_days=maximum_age_days, now=lambda: NOW)


def _ask(folder: Path, content: bytes | None = None, *pins: Pin, maximum_age_days: float | None = None) -> SourceAnswer:
    return _source(folder, content, maximum_age_days=maximum_age_days).ask(pins or (Pin("demo", "1.0"),))


def _ids(answer: SourceAnswer, pin: Pin | None = None) -> list[str]:
    return sorted(item.advisory.id for item in answer.matches.get(pin or Pin("demo", "1.0"), ()))


def _indexes(folder: Path) -> list[Path]:
    return sorted((folder / "cache").iterdir())


def test_it_is_an_advisory_source(tmp_path: Path) -> None:
    dump: AdvisorySource = _source(tmp_path)

    assert (dump.name, dump.location) == ("osv-db", str(tmp_path / "dump"))


@pytest.mark.parametrize(
    "content",
    [
        _lines(_advisory(), _advisory("TEST-2", "other")),
        b"\xef\xbb\xbf" + _lines(_advisory(), _advisory("TEST-2", "other")).replace(b"\n", b"\r\n\r\n"),
        _lines(_advisory(), _advisory("TEST-2", "other")).rstrip(),
        gzip.compress(_lines(_advisory(), _advisory("TEST-2", "other"))),
        _zip([("TEST-1.json", json.dumps(_advisory(), indent=2).encode()),
              ("PyPI/TEST-2.json", _lines(_advisory("TEST-2", "other"))), ("README.txt", b"?")]),
        _zip([("TEST-1.json", _lines(_advisory())), ("TEST-2.JSON", _lines(_advisory("TEST-2", "other")))],
             method=zipfile.ZIP_STORED),
    ],
)  # fmt: skip
def test_each_format_is_read(tmp_path: Path, content: bytes) -> None:
    vulnerable, fixed, other, unknown = Pin("demo", "1.0"), Pin("demo", "2.0"), Pin("other", "1.0"), Pin("none", "1.0")

    for _ in ("built", "from the cache"):
        answer = _ask(tmp_path, content, vulnerable, fixed, other, unknown)

        assert {pin: _ids(answer, pin) for pin in answer.matches} == {vulnerable: ["TEST-1"], other: ["TEST-2"]}
        assert answer.matches[vulnerable][0].fixed_in == ("2.0",)
        assert answer.unanswered == {}
        assert answer.snapshot_at == datetime(2024, 6, 1, tzinfo=UTC)


def test_a_record_comes_back_as_it_was_told(tmp_path: Path) -> None:
    affected = [
        {
            "package": {"ecosystem": "PyPI", "name": "Demo"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"last_affected": "1.0"}]}],
            "versions": ["0.9", "3.0", "odd"],
            "severity": [{"type": "CVSS_V3", "score": VECTOR}],
        }
    ]
    raw = _advisory(
        published="2024-05-01T00:00:00+00:00",
        aliases=["CVE-0000-1"],
        summary="Ein Fehler ä \ud800 \x1b[31m <script>",
        database_specific={"severity": "HIGH"},
        references=[{"type": "ADVISORY", "url": "https://host.example/1"}],
        affected=affected,
    )

    told = [_ask(tmp_path, _lines(raw)).matches[Pin("demo", "1.0")][0].advisory for _ in range(2)]

    assert told[0] == told[1]
    record = told[0]
    assert isinstance(record, AdvisoryRecord)
    assert record.published == datetime(2024, 5, 1, tzinfo=UTC)
    assert (record.aliases, record.rating, record.link) == (("CVE-0000-1",), "HIGH", "https://host.example/1")
    assert record.summary == "Ein Fehler ä ? \x1b[31m <script>"
    assert record.affected[0].vectors == (VECTOR,)
    assert record.affected[0].versions == ("3.0", "odd"), "what the range holds anyway is left out"


def test_names_need_not_be_normalised(tmp_path: Path) -> None:
    answer = _ask(tmp_path, _lines(_advisory(name="Demo.Kit")), Pin("demo-kit", "1.0"), Pin("DEMO_KIT", "1.0"))

    assert [_ids(answer, pin) for pin in (Pin("demo-kit", "1.0"), Pin("DEMO_KIT", "1.0"))] == [["TEST-1"]] * 2


def test_withdrawn_advisories_find_nothing(tmp_path: Path) -> None:
    answer = _ask(tmp_path, _lines(_advisory(withdrawn="2024-06-01T00:00:00Z"), _advisory("TEST-2", "other")))

    assert (answer.matches, answer.unanswered) == ({}, {})


def test_odd_versions_are_possible_and_never_an_error(tmp_path: Path) -> None:
    pins = [Pin("demo", version) for version in ("9" * 1_000_000, "", "odd", "\ud800", "1.0+cpu")]

    answer = _ask(tmp_path, _lines(_advisory()), *pins, Pin("\ud800", "1.0"), Pin("\x00", "1.0"))

    assert [answer.matches[pin][0].certainty for pin in pins] == [Certainty.POSSIBLE] * 4 + [Certainty.AFFECTED]


@pytest.mark.parametrize("order", [1, -1])
def test_of_two_records_with_one_id_the_last_modified_counts(tmp_path: Path, order: int) -> None:
    records = [
        _advisory(modified="2024-01-01T00:00:00Z", summary="old"),
        _advisory(modified="2024-01-01T00:00:00.5Z", summary="new"),
        _advisory("TEST-2", modified="2024-01-01T02:00:00+02:00"),
        _advisory("TEST-2", modified="2024-01-01T00:00:00.1Z", withdrawn="2024-01-02T00:00:00Z"),
    ]

    answer = _ask(tmp_path, _lines(*records[::order]))

    assert [item.advisory.summary for item in answer.matches[Pin("demo", "1.0")]] == ["new"]


def test_ten_thousand_advisories_on_one_package_are_all_told(tmp_path: Path) -> None:
    pins = [Pin("demo", "1.0"), Pin("demo", "1.1"), *(Pin(f"other-{number}", "1.0") for number in range(2_000))]

    answer = _ask(tmp_path, _lines(*(_advisory(f"TEST-{number}") for number in range(10_000))), *pins)

    assert [len(answer.matches[pin]) for pin in pins[:2]] == [10_000] * 2
    assert len(answer.matches) == 2


# Severity


@pytest.mark.parametrize(
    "other",
    [
        _rating("CVE-0000-1", severity=[{"type": "CVSS_V3", "score": VECTOR}]),
        _rating("GHSA-1", aliases=["TEST-1"], severity=[{"type": "CVSS_V3", "score": VECTOR}]),
        _rating("GHSA-1", aliases=["CVE-0000-1"], severity=[{"type": "CVSS_V3", "score": VECTOR}]),
        _advisory("GHSA-1", "renamed", aliases=["CVE-0000-1"], affected=[{
            "package": {"ecosystem": "PyPI", "name": "renamed"},
            "severity": [{"type": "CVSS_V3", "score": VECTOR}],
        }]),
    ],
)  # fmt: skip
def test_severity_comes_from_an_alias_that_does_not_match_itself(tmp_path: Path, other: dict[str, object]) -> None:
    answer = _ask(tmp_path, _lines(_advisory(aliases=["CVE-0000-1"]), other))

    (found,) = answer.matches[Pin("demo", "1.0")]
    assert (found.advisory.id, found.advisory.vectors) == ("TEST-1", (VECTOR,))


def test_the_gravest_word_of_the_aliases_counts(tmp_path: Path) -> None:
    records = [
        _advisory(aliases=["A-1", "A-2", "A-3"]),
        _rating("A-1", aliases=["TEST-1"], database_specific={"severity": "LOW"}),
        _rating("A-2", database_specific={"severity": "CRITICAL"}),
        _rating("A-3", withdrawn="2024-01-01T00:00:00Z", severity=[{"type": "CVSS_V3", "score": VECTOR}]),
    ]

    (found,) = _ask(tmp_path, _lines(*records)).matches[Pin("demo", "1.0")]

    assert (found.advisory.rating, found.advisory.vectors) == ("CRITICAL", ())


def test_an_advisory_with_a_severity_keeps_its_own(tmp_path: Path) -> None:
    own = _advisory(aliases=["A-1"], database_specific={"severity": "LOW"})

    (found,) = _ask(tmp_path, _lines(own, _rating("A-1", severity=[{"type": "CVSS_V3", "score": VECTOR}]))).matches[
        Pin("demo", "1.0")
    ]

    assert (found.advisory.rating, found.advisory.vectors) == ("LOW", ())


# What is not whole, or too old


@pytest.mark.parametrize(
    "damage",
    [
        b"not JSON\n",
        b"[]\n",
        b"{}\n",
        b'{"id": 7}\n',
        b"\xff\xfe\n",
        b"[" * 200_000 + b"\n",
        b'{"id": "TEST-9", "n": ' + b"9" * 5000 + b"}\n",
        _lines(_advisory("TEST-9"))[:-30],
    ],
)
def test_a_line_that_cannot_be_read_leaves_every_package_unanswered(tmp_path: Path, damage: bytes) -> None:
    pins = (Pin("demo", "1.0"), Pin("other", "1.0"))

    answer = _ask(tmp_path, _lines(_advisory()) + damage, *pins)

    assert _ids(answer) == ["TEST-1"]
    assert answer.unanswered == dict.fromkeys(pins, "1 records of the dump cannot be read")


def _damaged_members() -> list[bytes]:
    good = ("TEST-1.json", _lines(_advisory()))
    stored = _zip([good, ("TEST-9.json", _lines(_advisory("TEST-9")))], method=zipfile.ZIP_STORED)
    deflated = bytearray(_zip([good, ("TEST-9.json", b"\x00" * 40_000)]))
    at = deflated.rindex(b"TEST-9.json", 0, deflated.index(b"PK\x01\x02")) + len(b"TEST-9.json")
    deflated[at] = 0xFF  # no deflate block begins like that
    encrypted = bytearray(stored)
    encrypted[encrypted.rindex(b"PK\x01\x02") + 8] |= 1
    return [
        _zip([good, ("TEST-9.json", b"<html>")]),
        _zip([good, ("TEST-9.json", b"")]),
        _zip([good, ("TEST-9.json", b" " * ((16 << 20) + 1))]),
        stored.replace(b"TEST-9.json{", b"TEST-9.json "),  # its checksum does not fit
        bytes(deflated),
        bytes(encrypted),
    ]


@pytest.mark.parametrize("number", range(6))
def test_a_member_that_cannot_be_read_leaves_every_package_unanswered(tmp_path: Path, number: int) -> None:
    answer = _ask(tmp_path, _damaged_members()[number])

    assert _ids(answer) == ["TEST-1"]
    assert answer.unanswered == {Pin("demo", "1.0"): "1 records of the dump cannot be read"}


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_members_that_unpack_without_bound_are_not_unpacked(tmp_path: Path, method: int) -> None:
    path = tmp_path / "dump"
    path.write_bytes(_zip([("TEST-1.json", b" " * 100_000)], method=method))

    with open_dump(path) as file:
        assert list(read_documents(path, file)) == [None]


@pytest.mark.parametrize(
    ("age_days", "maximum_age_days", "is_too_old"),
    [(9, 8.5, True), (9, 9.0, False), (9, None, False), (1000, 999.0, True), (-3, 5.0, True), (-0.5, 5.0, False)],
)
def test_a_dump_is_as_old_as_its_newest_record(
    tmp_path: Path, age_days: float, maximum_age_days: float | None, *, is_too_old: bool
) -> None:
    newest = NOW - timedelta(days=age_days)
    content = _lines(
        _advisory(modified="2020-01-01T00:00:00Z"),
        _advisory("TEST-2", "other", withdrawn="2020-01-01T00:00:00Z", modified=newest.isoformat()),
        _advisory("TEST-3", "other", modified="2019-01-01T00:00:00Z"),
    )

    answer = _ask(tmp_path, content, maximum_age_days=maximum_age_days)

    assert answer.snapshot_at == newest
    assert _ids(answer) == ["TEST-1"]
    assert bool(answer.unanswered) is is_too_old
    if is_too_old and age_days > 0:
        assert f"{age_days:.1f} days" in answer.unanswered[Pin("demo", "1.0")]
        assert f"{maximum_age_days:g} days" in answer.unanswered[Pin("demo", "1.0")]


def test_a_dump_without_times_has_no_age_and_passes_no_limit(tmp_path: Path) -> None:
    content = _lines(_advisory(modified="lately"))

    assert _ask(tmp_path, content).unanswered == {}
    answer = _ask(tmp_path, content, maximum_age_days=36500)
    assert answer.snapshot_at is None
    assert list(answer.unanswered) == [Pin("demo", "1.0")]


def test_every_reason_is_told(tmp_path: Path) -> None:
    answer = _ask(tmp_path, _lines(_advisory()) + b"?\n?\n", maximum_age_days=1)

    assert "2 records" in answer.unanswered[Pin("demo", "1.0")]
    assert "9.0 days" in answer.unanswered[Pin("demo", "1.0")]


# What is no dump


def _absent(path: Path) -> None:
    path.unlink(missing_ok=True)


def _whole_zip() -> bytes:
    return _zip([(f"TEST-{number}.json", _lines(_advisory(f"TEST-{number}"))) for number in range(20)])


@pytest.mark.parametrize(
    "make",
    [
        _absent,
        lambda path: path.mkdir(),
        os.mkfifo,
        lambda path: path.symlink_to(path),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"\n\n"),
        lambda path: path.write_bytes(b"<html>\n<body>Sign in</body>\n</html>\n"),
        lambda path: path.write_bytes(json.dumps([_advisory()]).encode()),
        lambda path: path.write_bytes(json.dumps(_advisory(), indent=2).encode()),
        lambda path: path.write_bytes(_lines(_rating("GHSA-1", affected=[{"package": {"ecosystem": "npm"}}]))),
        lambda path: path.write_bytes(bytes(range(256)) * 500),
        lambda path: path.write_bytes(_zip([])),
        lambda path: path.write_bytes(_zip([("all.jsonl", _lines(_advisory()))])),
        lambda path: path.write_bytes(_whole_zip()[:-1]),
        lambda path: path.write_bytes(_whole_zip()[:2000]),
        lambda path: path.write_bytes(_whole_zip()[:4]),
        lambda path: path.write_bytes(gzip.compress(_lines(_advisory()))[:-1]),
        lambda path: path.write_bytes(gzip.compress(_lines(_advisory()))[:40]),
        lambda path: path.write_bytes(gzip.compress(_lines(_advisory()))[:-8] + b"\x00" * 8),
        lambda path: path.write_bytes(b"\x1f\x8b\x08\x00" + b"?" * 100),
    ],
)  # fmt: skip
def test_what_is_no_whole_dump_is_refused(tmp_path: Path, make: object) -> None:
    assert callable(make)
    make(tmp_path / "dump")

    with pytest.raises(RejectedError) as refused:
        _ask(tmp_path)

    assert refused.value.where == str(tmp_path / "dump")
    assert refused.value.next_step
    assert not (tmp_path / "cache").exists()


def test_a_dump_that_was_taken_away_is_not_answered_from_its_index(tmp_path: Path) -> None:
    _ask(tmp_path, _lines(_advisory()))
    (tmp_path / "dump").unlink()

    with pytest.raises(RejectedError):
        _ask(tmp_path)


def test_a_dump_that_grows_while_it_is_read_may_be_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def read_slowly(documents: Iterable[bytes | None], now: datetime) -> object:
        index = build_index(documents, now)
        with (tmp_path / "dump").open("ab") as file:
            file.write(_lines(_advisory("TEST-2")))
        return index

    monkeypatch.setattr(source, "build_index", read_slowly)

    with pytest.raises(ServiceNotReady):
        _ask(tmp_path, _lines(_advisory()))

    monkeypatch.undo()
    assert _ids(_ask(tmp_path)) == ["TEST-1", "TEST-2"]


# What is made to fill a machine


@pytest.mark.parametrize(
    ("content", "limits"),
    [
        (_whole_zip(), Limits(members=19)),
        (_whole_zip(), Limits(directory_bytes=500)),
        (_whole_zip(), Limits(total_bytes=500)),
        (_lines(_advisory(), _advisory(), _advisory()), Limits(total_bytes=500)),
        (gzip.compress(b"x" * 100_000), Limits(total_bytes=50_000, document_bytes=1000)),
        (_lines(_advisory()) + b"\n" * 1000, Limits(total_bytes=50_000)),
        (_zip([(f"{number}.json", b" " * 2000) for number in range(9)]), Limits(total_bytes=5000, document_bytes=1000)),
    ],
)
def test_a_dump_beyond_the_limits_is_refused(tmp_path: Path, content: bytes, limits: Limits) -> None:
    path = tmp_path / "dump"
    path.write_bytes(content)

    with open_dump(path) as file:
        assert len(list(read_documents(path, file))) > 0
    with open_dump(path) as file, pytest.raises(RejectedError):
        list(read_documents(path, file, limits))


def test_a_line_beyond_the_limit_is_passed_over_in_pieces(tmp_path: Path) -> None:
    path = tmp_path / "dump"
    path.write_bytes(b"1\n" + b"x" * 1000 + b"\n2\n" + b"y" * 10 + b"\n" + b"z" * 11)

    with open_dump(path) as file:
        documents = list(read_documents(path, file, Limits(document_bytes=10)))

    assert documents == [b"1\n", None, b"2\n", None, None]


def test_a_zip_whose_list_of_files_is_said_to_be_endless_is_refused(tmp_path: Path) -> None:
    content = bytearray(_whole_zip())
    end = content.rindex(b"PK\x05\x06")
    content[end + 12 : end + 16] = struct.pack("<L", 0x7FFFFFFF)

    with pytest.raises(RejectedError):
        _ask(tmp_path, bytes(content))


# The index


def test_a_dump_is_indexed_once(tmp_path: Path) -> None:
    _ask(tmp_path, _lines(_advisory()))
    (built,) = _indexes(tmp_path)
    before = built.stat()

    _ask(tmp_path)

    assert [(path, path.stat().st_ino, path.stat().st_mtime_ns) for path in _indexes(tmp_path)] == [
        (built, before.st_ino, before.st_mtime_ns)
    ]


@pytest.mark.parametrize("keeps_time", [False, True])
def test_a_changed_dump_is_indexed_again_and_the_old_index_goes(tmp_path: Path, *, keeps_time: bool) -> None:
    other = OsvDump(tmp_path / "b", cache_folder=tmp_path / "cache", maximum_age_days=None, now=lambda: NOW)
    (tmp_path / "b").write_bytes(_lines(_advisory("TEST-8")))
    other.ask([Pin("demo", "1.0")])
    _ask(tmp_path, _lines(_advisory("TEST-1")))
    former = _indexes(tmp_path)
    status = (tmp_path / "dump").stat()

    (tmp_path / "new").write_bytes(_lines(_advisory("TEST-2")))
    if keeps_time:
        os.utime(tmp_path / "new", ns=(status.st_atime_ns, status.st_mtime_ns))
    (tmp_path / "new").replace(tmp_path / "dump")

    assert _ids(_ask(tmp_path)) == ["TEST-2"]
    assert len(former) == len(_indexes(tmp_path)) == 2
    assert len(set(former) & set(_indexes(tmp_path))) == 1, "the other dump keeps its index"


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-5000])


def _drop_table(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("DROP TABLE record")
    connection.close()


def _spoil_texts(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE record SET body = ?", ('["?",1]',))
    connection.close()


def _empty_contents(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("DELETE FROM contents")
    connection.close()


def _cut_text(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE record SET body = substr(body, 1, 20)")
    connection.close()


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"SQLite format 3\x00" + b"?" * 5000),
        lambda path: path.write_bytes(path.read_bytes().replace(b"TEST", b"\xff\xff\xff\xff")),
        _truncate,
        _drop_table,
        _spoil_texts,
        _empty_contents,
        _cut_text,
    ],
)
def test_a_damaged_index_is_built_again(tmp_path: Path, damage: object) -> None:
    assert callable(damage)
    _ask(tmp_path, _lines(_advisory()))
    (built,) = _indexes(tmp_path)
    whole = built.read_bytes()
    damage(built)
    assert built.read_bytes() != whole

    assert _ids(_ask(tmp_path)) == ["TEST-1"]
    assert built.read_bytes() == whole


def test_a_folder_in_the_place_of_the_index_costs_only_time(tmp_path: Path) -> None:
    _ask(tmp_path, _lines(_advisory()))
    (built,) = _indexes(tmp_path)
    built.unlink()
    built.mkdir()

    assert _ids(_ask(tmp_path)) == ["TEST-1"]
    assert _indexes(tmp_path) == [built], "nothing is left half done"


@pytest.mark.parametrize("cache_folder", ["/proc/holdtrue", "/dev/null/holdtrue"])
def test_without_a_folder_to_write_to_the_answer_is_the_same(tmp_path: Path, cache_folder: str) -> None:
    (tmp_path / "dump").write_bytes(_lines(_advisory()))
    dump = OsvDump(tmp_path / "dump", cache_folder=Path(cache_folder), maximum_age_days=None, now=lambda: NOW)

    assert _ids(dump.ask([Pin("demo", "1.0")])) == ["TEST-1"]


def test_what_a_killed_build_left_is_no_index_and_is_swept(tmp_path: Path) -> None:
    _ask(tmp_path, _lines(_advisory()))
    (built,) = _indexes(tmp_path)
    old = built.with_name(f"{built.stem}old.unfinished")
    old.write_bytes(b"half")
    os.utime(old, (0, 0))
    running = built.with_name(f"{built.stem}running.unfinished")
    running.write_bytes(b"half")
    built.unlink()

    assert _ids(_ask(tmp_path)) == ["TEST-1"]
    assert _indexes(tmp_path) == sorted([built, running])


_CHILD = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from holdtrue.adapters.osv_dump import OsvDump
from holdtrue.models.dependency import Pin
folder = Path(sys.argv[1])
dump = OsvDump(folder / "dump", cache_folder=folder / "cache", maximum_age_days=None, now=lambda: datetime.now(UTC))
sys.stdin.readline()
print(len(dump.ask([Pin("demo", "1.0")]).matches[Pin("demo", "1.0")]))
"""


def test_processes_that_start_at_once_get_the_same_answer(tmp_path: Path) -> None:
    (tmp_path / "dump").write_bytes(_lines(*(_advisory(f"TEST-{number}") for number in range(500))))
    children = [
        subprocess.Popen(
            [sys.executable, "-c", _CHILD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(3)
    ]

    for child in children:
        assert child.stdin is not None
        child.stdin.write("\n")
        child.stdin.flush()
    answers = [child.communicate(timeout=60)[0] for child in children]

    assert answers == ["500\n"] * 3
    assert len(_indexes(tmp_path)) == 1


def test_the_source_needs_no_heavy_modules() -> None:
    code = "import sys, holdtrue.adapters.osv_dump; print({'sqlalchemy', 'httpx', 'pydantic'} & set(sys.modules))"

    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    assert output == "set()\n"
