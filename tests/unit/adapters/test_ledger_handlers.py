"""Handlers in a ledger on SQLite: noted until they have run."""

from pathlib import Path

import pytest
from sqlalchemy import create_engine, inspect

from holdtrue.adapters.ledger import open_ledger
from holdtrue.models.ledger import Ledger


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return open_ledger(f"sqlite:///{tmp_path}/ledger.db")


def places(ledger: Ledger, environment: str | None = None) -> list[tuple[str, str, str]]:
    return [(item.environment, item.host, item.handler) for item in ledger.handlers.all(environment)]


def test_a_handler_is_noted_once_with_its_first_time(ledger: Ledger) -> None:
    ledger.handlers.add("demo", "web-1", "Restart")
    (first,) = ledger.handlers.all()
    ledger.handlers.add("demo", "web-1", "Restart")
    assert ledger.handlers.all() == (first,)


def test_each_environment_and_host_has_its_own(ledger: Ledger) -> None:
    ledger.handlers.add("demo", "web-1", "Restart")
    ledger.handlers.add("demo", "web-2", "Restart")
    ledger.handlers.add("other", "web-1", "Restart")

    assert ledger.handlers.remove("demo", "web-1", ["Restart", "another name"]) == 1

    assert places(ledger) == [("demo", "web-2", "Restart"), ("other", "web-1", "Restart")]
    assert places(ledger, "other") == [("other", "web-1", "Restart")]
    assert ledger.handlers.remove("demo", "web-1", ["Restart"]) == 0


def test_a_name_longer_than_its_column_is_still_found(ledger: Ledger) -> None:
    ledger.handlers.add("demo", "web-1", "x" * 600)
    assert ledger.handlers.remove("demo", "web-1", ["x" * 600]) == 1
    assert places(ledger) == []


def test_the_handlers_survive_the_ledger_that_noted_them(tmp_path: Path, ledger: Ledger) -> None:
    ledger.handlers.add("demo", "web-1", "Restart")
    url = f"sqlite:///{tmp_path}/ledger.db"
    assert places(open_ledger(url)) == [("demo", "web-1", "Restart")]
    assert "handlers" in inspect(create_engine(url)).get_table_names()
