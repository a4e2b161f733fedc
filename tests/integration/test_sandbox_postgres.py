"""The sandbox's PostgreSQL refuses, hangs, stops and ends as it says, as root and as nobody."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from textwrap import dedent

import psycopg
import pytest
from pydantic import SecretStr

from sandbox import Sandbox, SandboxOptions, Service
from sandbox.daemon import accepts_connections
from sandbox.postgres import Postgres
from tests.conftest import Watch

ONLY = SandboxOptions(services=frozenset({Service.POSTGRES}))
SECONDS = 10.0


@pytest.fixture(scope="module")
def small(watch_services: Watch) -> Iterator[Sandbox]:
    with Sandbox(ONLY) as services, watch_services(services.log_directory):
        yield services


@pytest.fixture
def postgres(small: Sandbox) -> Iterator[Postgres]:
    yield small.postgres
    small.restore()


def connect(postgres: Postgres, password: SecretStr | None = None) -> "psycopg.Connection[tuple[object, ...]]":
    url = postgres.url(password=password).get_secret_value()
    return psycopg.connect(url.replace("+psycopg", ""), connect_timeout=2)


@pytest.mark.expected_service_errors("postgres", "password authentication failed", "A wrong password is tried.")
def test_it_lets_in_its_password_and_no_other(postgres: Postgres) -> None:
    postgres.execute("CREATE ROLE somebody LOGIN")
    assert postgres.login_roles() == {"somebody"}
    with connect(postgres) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        connect(postgres, SecretStr("wrong"))


def test_its_password_is_in_no_file_and_on_no_command_line(small: Sandbox) -> None:
    needle = small.postgres.password.get_secret_value()
    files = [path for path in small.directory.rglob("*") if path.is_file()]
    assert [path for path in files if needle.encode() in path.read_bytes()] == []
    server = small.postgres._processes()
    assert server, "the search for processes finds the server"
    assert not any(needle in word for process in server for word in process.cmdline())


def test_a_stopped_server_refuses_and_keeps_its_data(small: Sandbox, postgres: Postgres) -> None:
    postgres.execute("CREATE TABLE kept (id integer)")
    client = connect(postgres)
    began = time.monotonic()
    postgres.stop()
    assert time.monotonic() - began < 4, "it waited for its client until it was killed"
    with pytest.raises(psycopg.OperationalError):
        client.execute("SELECT 1")
    assert not accepts_connections("127.0.0.1", postgres.port)
    postgres.stop()
    postgres.start()
    postgres.start()
    assert postgres.execute("SELECT count(*) FROM kept") == [0]
    assert "recovery" not in (small.directory / "log" / "postgres.log").read_text()


def test_a_paused_server_answers_neither_new_nor_open_connections(postgres: Postgres) -> None:
    client = connect(postgres)
    postgres.pause()
    with pytest.raises(psycopg.OperationalError, match="timeout"):
        connect(postgres)
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(client.execute, "SELECT 1")
        time.sleep(0.3)
        assert not answer.done()
        postgres.resume()
        assert answer.result(SECONDS).fetchone() == (1,)
    client.close()
    postgres.pause()
    postgres.stop()


def test_it_runs_where_user_namespaces_are_forbidden(monkeypatch: pytest.MonkeyPatch, watch_services: Watch) -> None:
    monkeypatch.setattr("sandbox.postgres.AS_SOMEBODY", ("false",))
    with Sandbox(ONLY) as services, watch_services(services.log_directory):
        assert services.postgres.execute("SELECT 1") == [1]
        directory = services.directory
        owner = (directory / "postgres").stat().st_uid
        assert owner == (65_534 if os.geteuid() == 0 else os.geteuid())
    assert not directory.exists()


OWNER = """
    import sys, time
    from sandbox import Sandbox, SandboxOptions, Service
    with Sandbox(SandboxOptions(services=frozenset({Service.POSTGRES}))) as sandbox:
        print(sandbox.directory, sandbox.postgres.port, flush=True)
        time.sleep(60)
"""


def test_it_ends_with_its_killed_owner() -> None:
    with subprocess.Popen((sys.executable, "-c", dedent(OWNER)), stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        directory, port = owner.stdout.readline().split()
        assert accepts_connections("127.0.0.1", int(port))
        owner.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + SECONDS
    while accepts_connections("127.0.0.1", int(port)) or Path(directory).exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
