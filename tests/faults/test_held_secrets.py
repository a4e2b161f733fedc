"""A secret that somebody still holds is redacted in every run of the process, the second as the first."""

import asyncio
import contextvars
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import pytest
from prefect import flow, task
from prefect.artifacts import create_markdown_artifact
from prefect.client.schemas.objects import State
from prefect.events import emit_event
from prefect.events.worker import EventsWorker
from prefect.logging import get_run_logger
from prefect.logging.handlers import APILogWorker
from prefect.settings import PREFECT_API_AUTH_STRING, temporary_settings
from pydantic import SecretStr

from holdtrue.adapters.leaks import search
from holdtrue.credentials import scope as scopes
from holdtrue.credentials.scope import credential_scope
from holdtrue.models.leak import Database, Files, KnownValue, Leak
from holdtrue.runtime.redaction import SECRETS
from sandbox import Sandbox
from tasks.redaction import redacted, redacted_run
from tests.faults.held_credentials import Held, References
from tests.integration.flow_stage import Stage

# Prefect's async client leaves a socket to the garbage collector when its loop ends.
pytestmark = pytest.mark.filterwarnings("ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning")

CONTROL: Final = "control"
TOKEN_SECONDS: Final = 600
ARRIVAL_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class Values:
    """All that the runs got hold of, by kind."""

    known: list[tuple[str, str]] = field(default_factory=list)

    def fetch(self, held: References, login: str) -> str:
        """A text with one secret of each kind, each asked for in the way in which a task asks for it."""
        keys, environment = held.role_keys.keys(), held.pulumi.open({}, operation_seconds=60).environment
        assert keys.session_token is not None
        secret_id = held.vault.auth.secret_id  # type: ignore[union-attr]
        got = {
            "Vault token": held.vault.connect().session().token,
            "secret id": secret_id.read(lambda wrapped: wrapped),
            "KV value": held.secret.get(),
            "AWS key in KV": held.kv_keys.keys().secret_access_key,
            "AWS key of a role": keys.secret_access_key,
            "AWS session token of a role": keys.session_token,
            "SSH key": held.ssh.issue().private_key,
            "PKI key": held.pki.issue().private_key,
            "database login": held.database.login().password,
            "transit plaintext": held.transit.decrypt(held.ciphertext),
            "Pulumi's token": environment["VAULT_TOKEN"],
            "login to Prefect": SecretStr(login),
        }
        self.known.extend((kind, value.get_secret_value()) for kind, value in got.items())
        return "\n".join(value.get_secret_value() for value in got.values())


KINDS: Final = (
    *("Vault token", "secret id", "KV value", "AWS key in KV", "AWS key of a role", "AWS session token of a role"),
    *("SSH key", "PKI key", "database login", "transit plaintext", "Pulumi's token", "login to Prefect"),
)


@dataclass(frozen=True, slots=True)
class Flows:
    """Guarded flows that tell what they get."""

    get: Callable[[], str]

    def child(self, marker: str) -> State[Any]:
        """Tells it by every way, and fails with it."""

        @task(name="tell", log_prints=True)
        @redacted
        def tell() -> None:
            text = f"{marker} {self.get()}"
            create_markdown_artifact(text, key="held")
            raise RuntimeError(text)

        @flow(name="held child", log_prints=True, persist_result=True)
        @redacted_run
        def run() -> None:
            text = f"{marker} {self.get()}"
            get_run_logger().warning(text)
            print(text)  # noqa: T201 - as users do, with log_prints
            emit_event("held.told", {"prefect.resource.id": "held"}, payload={"text": text})
            tell.submit().wait()
            raise RuntimeError(text)

        return run(return_state=True)

    def nested(self, marker: str) -> State[Any]:
        """Runs two children, and then fails with what it gets itself."""

        @flow(name="held parent", persist_result=True)
        @redacted_run
        def run() -> None:
            for number in range(2):
                self.child(f"{marker} {number}")
            raise RuntimeError(f"{marker} {self.get()}")

        return run(return_state=True)

    def coroutine(self, marker: str) -> State[Any]:
        """The same as a coroutine function."""

        @flow(name="held coroutine", persist_result=True)
        @redacted_run
        async def run() -> None:
            text = f"{marker} {self.get()}"
            get_run_logger().warning(text)
            raise RuntimeError(text)

        async def end() -> State[Any]:
            return await run(return_state=True)

        return asyncio.run(end())


def under_one_scope(flows: Flows) -> None:
    with credential_scope():
        for number in range(2):
            flows.child(f"one scope {number}")


def nested(flows: Flows) -> None:
    with credential_scope():
        for number in range(2):
            flows.nested(f"nested {number}")


def guarded_parent(flows: Flows) -> None:
    @flow(name="held scope")
    @redacted_run
    def run() -> None:
        with credential_scope():
            for number in range(2):
                flows.child(f"guarded parent {number}")

    run()


def without_a_scope(flows: Flows) -> None:
    """All share the scope of the process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scopes, "_of_process", None)
        try:
            for number in range(2):
                flows.child(f"no scope {number}")
        finally:
            scopes.current_scope().close()


def in_threads(flows: Flows) -> None:
    """Two at once, one of which logs in for both, and one more when they are over."""
    with credential_scope(), ThreadPoolExecutor(2) as pool:
        together = threading.Barrier(2, timeout=60)

        def run(marker: str) -> None:
            together.wait()
            flows.child(marker)

        at_once = [pool.submit(contextvars.copy_context().run, run, f"thread {number}") for number in range(2)]
        for ended in at_once:
            ended.result(120)
        pool.submit(contextvars.copy_context().run, flows.child, "thread 2").result(120)


def coroutines(flows: Flows) -> None:
    with credential_scope():
        for number in range(2):
            flows.coroutine(f"coroutine {number}")


SHAPES: Final = (under_one_scope, nested, guarded_parent, without_a_scope, in_threads, coroutines)


@pytest.fixture(scope="module")
def leaks(joined_stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Leak]]:
    """What of all that the runs told is to be read at Prefect, and in the results."""
    sandbox = joined_stage.sandbox
    folder = tmp_path_factory.mktemp("held")
    database = f"held_{uuid4().hex[:8]}"
    sandbox.postgres.execute(f"CREATE DATABASE {database}")
    values, login = Values(), f"somebody:{secrets.token_hex(12)}"
    control = f"c0ntrol-{secrets.token_hex(12)}"
    with pytest.MonkeyPatch.context() as patch, temporary_settings({PREFECT_API_AUTH_STRING: login}):
        # What lingers after a run would hide what nobody holds any more.
        patch.setattr(SECRETS, "linger_seconds", 0)
        patch.setenv("HOLDTRUE_LEDGER_URL", sandbox.postgres.url(database).get_secret_value())
        references = Held(sandbox, folder).references(ttl_seconds=TOKEN_SECONDS)
        flows = Flows(lambda: values.fetch(references, login))
        for shape in SHAPES:
            shape(flows)
        Flows(lambda: control).child("control")
    APILogWorker.drain_all(timeout=10)
    EventsWorker.drain_all(timeout=10)
    known = [KnownValue(name=kind, value=SecretStr(text)) for kind, text in dict.fromkeys(values.known)]
    known.append(KnownValue(name=CONTROL, value=SecretStr(control)))
    yield found(known, sandbox)
    sandbox.postgres.execute(f"DROP DATABASE {database} WITH (FORCE)")


def found(known: list[KnownValue], sandbox: Sandbox) -> list[Leak]:
    """What a search finds when the control's event has come: the server writes events some seconds late."""
    home: Path = sandbox.prefect.home
    places = Database(url=SecretStr(f"sqlite:///{home / 'prefect.db'}")), Files(path=home / "storage")
    deadline = time.monotonic() + ARRIVAL_SECONDS
    while not any("table events" in leak.place for leak in search(known[-1:], places[:1]).leaks):
        assert time.monotonic() < deadline, "the event of the control has not come"
        time.sleep(0.5)
    return list(search(known, places).leaks)


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_redacted_in_every_run(leaks: list[Leak], kind: str) -> None:
    assert [leak for leak in leaks if leak.name == kind] == []


@pytest.mark.parametrize("place", ["table log", "table flow_run_state", "table artifact", "table events", "/storage/"])
def test_positive_control_what_nobody_registered_is_found(leaks: list[Leak], place: str) -> None:
    assert any(place in leak.place for leak in leaks if leak.name == CONTROL)


@redacted_run
def use_all(references: References) -> int:
    """How many values are known while they are used."""
    with credential_scope():
        assert Values().fetch(references, "somebody:s3cr3t-login")
        return len(SECRETS._holders)


def test_nothing_is_known_any_more_when_the_last_holder_has_ended(
    joined_stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOLDTRUE_LEDGER_URL", f"sqlite:///{tmp_path}/ledger.db")
    references = Held(joined_stage.sandbox, tmp_path).references(ttl_seconds=TOKEN_SECONDS)
    before = len(SECRETS._holders)
    for _ in range(3):
        assert use_all(references) > before + len(KINDS) / 2
        assert len(SECRETS._holders) == before
