"""`holdtrue handlers` and `holdtrue acknowledge`: exit codes, and what is forgotten."""

import json
from pathlib import Path

import pytest

from holdtrue.adapters.ledger import open_ledger
from holdtrue.cli import ExitCode, main
from holdtrue.models.ledger import Ledger


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    url = f"sqlite:///{tmp_path}/ledger.db"
    monkeypatch.setenv("HOLDTRUE_LEDGER_URL", url)
    return open_ledger(url)


def test_without_open_handlers_all_is_good(ledger: Ledger, capsys: pytest.CaptureFixture[str]) -> None:
    assert ledger.handlers.all() == ()
    assert main(["handlers"]) == ExitCode.GOOD
    assert capsys.readouterr().out.strip()


def test_each_open_handler_is_a_line(ledger: Ledger, capsys: pytest.CaptureFixture[str]) -> None:
    ledger.handlers.add("demo", "web-1", "Restart\x1b[31m")
    ledger.handlers.add("demo", "web-2", "Restart")

    assert main(["handlers"]) == ExitCode.FINDINGS
    lines = capsys.readouterr().out.splitlines()
    assert ["web-1" in lines[0], "web-2" in lines[1], len(lines)] == [True, True, 2]
    assert "\x1b" not in lines[0]

    assert main(["handlers", "--json"]) == ExitCode.FINDINGS
    found = json.loads(capsys.readouterr().out)["handlers"]
    assert [(item["environment"], item["host"]) for item in found] == [("demo", "web-1"), ("demo", "web-2")]


def test_one_handler_of_one_host_is_acknowledged(ledger: Ledger) -> None:
    for host in ("web-1", "web-2"):
        ledger.handlers.add("demo", host, "Restart")

    assert main(["acknowledge", "demo", "web-1", "Restart"]) == ExitCode.GOOD

    assert [item.host for item in ledger.handlers.all()] == ["web-2"]


@pytest.mark.parametrize("place", [("demo", "web-2", "Restart"), ("other", "web-1", "Restart"), ("demo", "web-1", "x")])
def test_a_handler_that_is_not_open_is_refused(ledger: Ledger, place: tuple[str, str, str]) -> None:
    ledger.handlers.add("demo", "web-1", "Restart")
    assert main(["acknowledge", *place]) == ExitCode.BAD_INPUT
    assert len(ledger.handlers.all()) == 1


@pytest.mark.parametrize("command", [["handlers"], ["acknowledge", "demo", "web-1", "Restart"]])
def test_a_ledger_that_is_away_is_not_nothing_to_tell(monkeypatch: pytest.MonkeyPatch, command: list[str]) -> None:
    monkeypatch.setenv("HOLDTRUE_LEDGER_URL", "postgresql+psycopg://user@127.0.0.1:9/ledger")
    assert main(command) == ExitCode.COULD_NOT_LOOK
