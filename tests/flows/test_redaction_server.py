"""What a leaky run tells the Prefect server holds no registered secret; without the net all of it does."""

import asyncio
import base64
import json
import logging
import secrets
import traceback
import urllib.parse
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from prefect import flow, task
from prefect.artifacts import acreate_markdown_artifact, create_markdown_artifact, create_table_artifact
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State
from prefect.events import emit_event
from prefect.exceptions import TerminationSignal
from prefect.logging import get_run_logger
from prefect.logging.handlers import APILogWorker
from prefect.settings import PREFECT_LOGGING_LEVEL, temporary_settings
from prefect.states import Failed
from pydantic import BaseModel, SecretStr

from flows.validate import validate
from holdtrue.core.forms import REPLACEMENT
from holdtrue.errors import SecretExposed
from holdtrue.models.base import Progress, ProgressSink, ignore_progress
from holdtrue.models.host import Host
from holdtrue.models.validation import CheckOutcome, CheckResult
from holdtrue.runtime.redaction import SECRETS, register_secret
from holdtrue.runtime.scrubbing import scrubbed
from holdtrue.testing import FakeHostChecks
from tasks.redaction import redacted, redacted_run
from tests.flows import server_database
from tests.flows.conftest import FakeTools
from tests.flows.runs import artifacts_of, descriptions_of, end_of
from tests.flows.server_database import forms_in, forms_of


class Model(BaseModel):
    number: int


@pytest.fixture
def value() -> str:
    """New for every test: they share the server."""
    return f"s3cr3t/{secrets.token_hex(12)}\n+{secrets.token_hex(6)}"


@pytest.fixture(autouse=True)
def at_debug_level() -> Iterator[None]:
    loggers = [logging.getLogger(f"prefect.{name}") for name in ("flow_runs", "task_runs", "client")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.DEBUG)
    with temporary_settings({PREFECT_LOGGING_LEVEL: "DEBUG"}):
        yield
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)


def told(value: str) -> set[str]:
    """Forms of the value that the server has kept."""
    kept = server_database.content()
    assert b"holdtrue-redaction-control" in kept, "it is the database of these runs"
    return forms_in(kept, value)


def leak(value: str) -> None:
    """Every way in which a task's body tells something."""
    create_markdown_artifact(f"# holdtrue-redaction-control {value}", key="leak", description=value)
    create_table_artifact([{"name": "token", value: value}], key="leak-table")
    tell(value)


def tell(value: str) -> None:
    logger = get_run_logger()
    logger.debug("debug %s", value)
    logger.info("escaped %s, %s", base64.b64encode(value.encode()).decode(), urllib.parse.quote(value))
    logger.warning("hex %s", value.encode().hex(), extra={"token": value})
    print(f"printed {value}")  # noqa: T201 - as users do, with log_prints
    emit_event(
        f"leak {value}",
        {"prefect.resource.id": "holdtrue.leak", "token": value},
        related=[{"prefect.resource.id": f"x.{value}", "prefect.resource.role": "x"}],
        payload={"deep": [{"token": value, value: 1}]},
    )


def learn(value: str, *, known: bool) -> None:
    """As a block does that fetches it."""
    if known:
        assert register_secret(SecretStr(value), name="canary")


def fail(value: str) -> None:
    try:
        Model.model_validate({"number": value})
    except ValueError as error:
        raise RuntimeError("login failed", {"password": value}) from error


def _raising(value: str, *, known: bool) -> State[Any]:
    @task(log_prints=True, retries=1)
    @redacted
    def leaky() -> None:
        learn(value, known=known)
        leak(value)
        fail(value)

    @flow(name="leaky-raising")
    @redacted
    def run() -> None:
        leaky()

    return end_of(run)


def _returning(value: str, *, known: bool) -> State[Any]:
    @task(log_prints=True)
    @redacted
    def leaky() -> None:
        learn(value, known=known)
        leak(value)

    @flow(name="leaky-returning")
    @redacted_run
    def run() -> State[Any]:
        leaky()
        return Failed(message=f"ends with {value}", data=ValueError(value))

    return end_of(run)


def _submitting(value: str, *, known: bool) -> State[Any]:
    @task(log_prints=True)
    @redacted
    def leaky() -> None:
        learn(value, known=known)
        leak(value)
        fail(value)

    @flow(name="leaky-submitting")
    @redacted
    def run() -> None:
        leaky.submit().result()

    return end_of(run)


def _async(value: str, *, known: bool) -> State[Any]:
    @task(log_prints=True)
    @redacted
    async def leaky() -> None:
        learn(value, known=known)
        await acreate_markdown_artifact(f"# holdtrue-redaction-control {value}", key="leak", description=value)
        tell(value)
        fail(value)

    @flow(name="leaky-async")
    @redacted
    async def run() -> None:
        await leaky()

    async def end() -> State[Any]:
        return await run(return_state=True)

    return asyncio.run(end())


# Prefect's async client leaves a socket to the garbage collector when its loop ends.
UNCLOSED = pytest.mark.filterwarnings("ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning")
RUNS = [_raising, _returning, _submitting, pytest.param(_async, marks=UNCLOSED)]


@pytest.mark.parametrize("run", RUNS)
def test_nothing_that_a_run_tells_holds_the_secret(
    run: Callable[..., State[Any]], value: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with SECRETS.open():
        state = run(value, known=True)
        assert told(value) == set()

    assert REPLACEMENT in (state.message or "")
    assert told_in(state, REPLACEMENT) == {"logs", "artifacts", "states"}
    shown = capfd.readouterr()
    assert not any(form in shown.out + shown.err for form in forms_of(value))


@pytest.mark.parametrize("run", RUNS)
def test_positive_control_without_registration_all_of_it_is_told(run: Callable[..., State[Any]], value: str) -> None:
    state = run(value, known=False)

    line, raw = value.splitlines()[0], value.encode()
    groups = base64.b64encode(raw[: len(raw) - len(raw) % 3]).decode()
    assert {line, groups, raw.hex(), urllib.parse.quote(value)} - told(value) == set()
    assert told_in(state, line) == {"logs", "artifacts", "states"}


def test_an_event_is_clean_before_it_is_queued(value: str) -> None:
    control = f"holdtrue-redaction-control-{secrets.token_hex(12)}"

    @flow(name="eventful")
    @redacted_run
    def run() -> None:
        learn(value, known=True)
        for text in (value, control):
            payload = {"deep": [{"token": text, text: 1}]}
            related = [{"prefect.resource.id": f"x.{text}", "prefect.resource.role": "x"}]
            emit_event(f"leak {text}", {"prefect.resource.id": f"leak.{text}"}, related=related, payload=payload)

    run()
    server_database.content_with(control)
    assert told(value) == set()


def test_what_things_are_found_by_is_not_a_secret() -> None:
    """Under a replacement nobody would find it, and in clear everybody would."""
    word = f"restore-{secrets.token_hex(4)}"

    @task(tags={word})
    def limited() -> None: ...

    @flow(name="identifiers")
    @redacted_run
    def run() -> None:
        register_secret(SecretStr(word), name="canary")
        with pytest.raises(SecretExposed, match="key"):
            create_markdown_artifact(f"# {word}", key=word, description=f"about {word}")
        create_markdown_artifact(f"# holdtrue-redaction-control {word}", key="restore", description=f"about {word}")
        limited()

    state = end_of(run)
    assert state.is_completed()
    assert artifacts_of(state) == {"restore": f"# holdtrue-redaction-control {REPLACEMENT}"}
    assert descriptions_of(state) == {"restore": f"about {REPLACEMENT}"}
    assert told(word) == set()


def test_a_termination_stays_one_and_shows_nothing(value: str) -> None:
    with SECRETS.open():
        learn(value, known=True)
        error = TerminationSignal(signal=15)
        error.add_note(value)
        error.__context__ = ValueError(value)
        assert scrubbed(error) is error
        assert error.signal == 15
        assert not any(form in "".join(traceback.format_exception(error)) for form in forms_of(value))


def test_prefect_prints_no_variables_of_a_failing_frame(value: str) -> None:
    @task
    def failing() -> None:
        held = [value]
        logging.getLogger("prefect.task_runs").debug("holdtrue-redaction-control")
        raise RuntimeError(len(held))

    @flow(name="failing")
    def run() -> None:
        failing()

    end_of(run)

    assert told(value) == set()


class LeakyChecks(FakeHostChecks):
    """Learns a secret while it looks, and shows it."""

    def __init__(self, value: str) -> None:
        super().__init__()
        self._value = value

    def run(self, hosts: Sequence[Host], on_progress: ProgressSink = ignore_progress) -> tuple[CheckResult, ...]:
        register_secret(SecretStr(self._value), name="canary")
        on_progress(Progress(message=f"holdtrue-redaction-control {self._value}"))
        return tuple(
            CheckResult(
                target=host.name,
                name="service",
                kind="testinfra",
                outcome=CheckOutcome.FAILED,
                detail=f"{'x' * 1900}{self._value}",
            )
            for host in hosts
        )


def test_no_report_of_ours_holds_the_secret_and_the_run_forgets_it(
    tools: FakeTools, tmp_path: Path, value: str
) -> None:
    tools.checks = LeakyChecks(value)

    state = end_of(validate, "demo")

    assert state.name == "ChecksFailed"
    assert SECRETS.redact(value) == value
    assert told(value) == set()
    files = [file for file in (tmp_path / "reports").rglob("*") if file.is_file()]
    assert {file.name for file in files} == {"junit.xml", "validate.json"}
    for text in (*(file.read_text() for file in files), str(state), artifacts_of(state)["validate-report-demo"]):
        assert not any(line in text for line in value.splitlines())
    assert all(REPLACEMENT in file.read_text() for file in files)


def told_in(state: State[Any], text: str) -> set[str]:
    """In which of the run's records on the server the text is."""
    run_id = str(state.state_details.flow_run_id)
    APILogWorker.drain_all()
    with get_client(sync_client=True) as client:
        api = client._client
        logs = api.post("/logs/filter", json={"logs": {"flow_run_id": {"any_": [run_id]}}}).json()
        tasks = api.post("/task_runs/filter", json={"flow_runs": {"id": {"any_": [run_id]}}}).json()
        states = api.get(f"/flow_run_states/?flow_run_id={run_id}").json()
    found = {
        "logs": "\n".join(log["message"] for log in logs),
        "artifacts": "\n".join(artifacts_of(state).values()),
        "states": json.dumps([states, tasks]),
    }
    return {kind for kind, content in found.items() if text in content}
