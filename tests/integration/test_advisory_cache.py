"""How many requests an audit costs, cold and warm, and what a broken cache changes: nothing but that."""

import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from holdtrue.adapters.osv_api import OsvApi
from holdtrue.models.osv import SourceAnswer
from tests.integration.advisory_questions import B, C, ask, found, many
from tests.integration.osv_fault_server import LARGEST_BATCH, FaultServer, advisory


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer() as running:
        yield running


def test_a_cold_run_asks_for_each_new_advisory_once_and_a_warm_one_for_none(
    server: FaultServer, tmp_path: Path
) -> None:
    pins = many(LARGEST_BATCH + 20)
    server.add(*(advisory(pin.name, f"PYSEC-2099-{number}") for number, pin in enumerate(pins[:30])))
    server.records["PYSEC-2099-0"]["affected"] += advisory("demo-1019")["affected"]

    cold = ask(server, *pins, *pins, cache=tmp_path)
    assert server.counts() == {"querybatch": 2, "vulns": 30}
    server.asked.clear()
    warm = ask(server, *pins, cache=tmp_path)

    assert server.counts() == {"querybatch": 2}
    assert cold == warm
    assert len(cold.matches) == 31


def test_an_advisory_that_changed_is_fetched_again(server: FaultServer, tmp_path: Path) -> None:
    server.add(advisory("demo-b"), advisory("demo-c", "PYSEC-2099-3"))
    ask(server, cache=tmp_path)
    server.add(advisory("demo-b", fixed="8.0", modified="2099-03-01T00:00:00Z"))
    server.asked.clear()

    assert ask(server, cache=tmp_path).matches[B][0].fixed_in == ("8.0",)
    assert server.counts() == {"querybatch": 1, "vulns": 1}


def test_a_text_older_than_the_batch_says_is_used_and_not_kept(server: FaultServer, tmp_path: Path) -> None:
    server.add(advisory("demo-b", modified="2099-03-01T00:00:00Z", fixed="8.0"))
    server.bodies["PYSEC-2099-1"] = advisory("demo-b")

    assert ask(server, cache=tmp_path).matches[B][0].fixed_in == ("9.0",)
    server.bodies.clear()
    assert ask(server, cache=tmp_path).matches[B][0].fixed_in == ("8.0",)


def test_one_source_never_answers_for_another(server: FaultServer, tmp_path: Path) -> None:
    server.add(advisory("demo-b"))
    ask(server, cache=tmp_path)

    with FaultServer(records={"PYSEC-2099-1": advisory("demo-b", fixed="7.0")}) as other:
        assert ask(other, cache=tmp_path).matches[B][0].fixed_in == ("7.0",)


@pytest.mark.parametrize("content", [b"no database at all " * 400, b"SQLite format 3\x00" + b"\xff" * 5000, b""])
def test_a_corrupt_cache_is_made_anew(server: FaultServer, tmp_path: Path, content: bytes) -> None:
    server.add(advisory("demo-b"))
    ask(server, cache=tmp_path)
    (file,) = tmp_path.iterdir()
    file.write_bytes(content)

    assert found(ask(server, cache=tmp_path), B) == ["PYSEC-2099-1"]
    server.asked.clear()
    assert found(ask(server, cache=tmp_path), B) == ["PYSEC-2099-1"]
    assert server.counts() == {"querybatch": 1}


@pytest.mark.parametrize("text", ["no json", "[]", "null", '{"id": "PYSEC-2099-7"}', None])
def test_a_corrupt_row_is_fetched_again(server: FaultServer, tmp_path: Path, text: str | None) -> None:
    server.add(advisory("demo-b"))
    ask(server, cache=tmp_path)
    (file,) = tmp_path.iterdir()
    with sqlite3.connect(file) as connection:
        connection.execute("UPDATE advisory SET record = ?", (text,))
    connection.close()

    assert ask(server, cache=tmp_path).matches[B][0].fixed_in == ("9.0",)
    server.asked.clear()
    ask(server, cache=tmp_path)
    assert server.counts() == {"querybatch": 1}


def test_without_a_folder_that_can_be_written_memory_serves(server: FaultServer, tmp_path: Path) -> None:
    server.add(advisory("demo-b"))
    file = tmp_path / "file"
    file.touch()
    for folder in (None, file, file / "below"):
        source = OsvApi(server.url, cache_folder=folder)
        first = source.ask([B])
        server.asked.clear()

        assert source.ask([B]) == first
        assert found(first, B) == ["PYSEC-2099-1"]
        assert server.counts() == {"querybatch": 1}


def test_a_locked_cache_does_not_stop_the_audit(
    server: FaultServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("holdtrue.adapters.osv_api.cache._LOCK_SECONDS", 0.05)
    server.add(advisory("demo-b"))
    ask(server, C, cache=tmp_path)
    ask(server, B, cache=tmp_path)
    (file,) = tmp_path.iterdir()
    connection = sqlite3.connect(file, isolation_level=None)
    connection.execute("BEGIN EXCLUSIVE")

    assert found(ask(server, cache=tmp_path), B) == ["PYSEC-2099-1"]
    connection.close()
    assert file.is_file()


def test_two_clients_share_one_cache_at_once(server: FaultServer, tmp_path: Path) -> None:
    pins = many(60)
    server.add(*(advisory(pin.name, f"PYSEC-2099-{number}") for number, pin in enumerate(pins)))
    barrier = threading.Barrier(4)

    def one(_: int) -> SourceAnswer:
        barrier.wait(10)
        return ask(server, *pins, cache=tmp_path)

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(one, range(4)))

    assert all(answer == answers[0] and len(answer.matches) == 60 for answer in answers)
    server.asked.clear()
    ask(server, *pins, cache=tmp_path)
    assert server.counts() == {"querybatch": 1}


def test_two_processes_share_one_new_cache(server: FaultServer, tmp_path: Path) -> None:
    server.add(*(advisory("demo-b", f"PYSEC-2099-{number}") for number in range(20)))
    code = (
        "import sys, pathlib\n"
        "from holdtrue.adapters.osv_api import OsvApi\n"
        "from holdtrue.models.dependency import Pin\n"
        "answer = OsvApi(sys.argv[1], cache_folder=pathlib.Path(sys.argv[2])).ask([Pin('demo-b', '2.0')])\n"
        "print(len(answer.matches[Pin('demo-b', '2.0')]), len(answer.unanswered))"
    )
    command = [sys.executable, "-c", code, server.url, str(tmp_path / "cache")]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]

    assert [process.communicate(timeout=60)[0].split() for process in running] == [["20", "0"]] * 2
    server.asked.clear()
    ask(server, cache=tmp_path / "cache")
    assert server.counts() == {"querybatch": 1}
