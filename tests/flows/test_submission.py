"""A secret that would rest in Prefect is refused before there is a run."""

import gc
import inspect
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from uuid import UUID

import prefect
import prefect.schedules
import pytest
from prefect import Flow, State
from prefect.blocks.system import Secret as SecretBlock
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun
from prefect.exceptions import PrefectHTTPStatusError
from prefect.flow_engine import run_flow
from prefect.utilities.asyncutils import run_coro_as_sync
from prefect.utilities.callables import parameter_schema
from pydantic import BaseModel, Secret, SecretBytes, SecretStr, ValidationError

from blocks.secret_ref import SecretRef
from flows.audit import audit
from flows.drift import drift
from flows.provision import provision
from flows.sweep import sweep
from flows.validate import validate
from holdtrue.errors import SecretExposed
from tasks.submission import GuardedFlow, flow, guard, start_run

TOKEN = "hvs." + "CAESIJ" * 6


@prefect.flow
def take(secret: SecretRef, note: str = "") -> str:
    """A user's flow."""
    return f"{secret.block}{note}"


def count_runs() -> int:
    with get_client(sync_client=True) as client:
        return int(client._client.post("/flow_runs/count", json={}).json())


def deploy(given: Flow[..., Any]) -> UUID:
    with get_client(sync_client=True) as client:
        return client.create_deployment(
            flow_id=client.create_flow(given),
            name="submission",
            enforce_parameter_schema=True,
            parameter_openapi_schema=parameter_schema(given).model_dump_for_openapi(),
        )


def submit(deployment: UUID, parameters: dict[str, Any]) -> int:
    """What a person's click in the UI asks the server for; returns the status of its answer."""
    with get_client(sync_client=True) as client:
        body = {"parameters": parameters}
        try:
            return client._client.post(f"/deployments/{deployment}/create_flow_run", json=body).status_code
        except PrefectHTTPStatusError as error:
            return error.response.status_code


@pytest.mark.parametrize(
    ("given", "good", "bad"),
    [
        (take, {"secret": {"block": "database"}}, {"secret": TOKEN}),
        (take, {"secret": {"block": "database"}}, {"secret": {"block": TOKEN}}),
        (provision, {"environment": "demo"}, {"environment": TOKEN}),
        (provision, {"environment": "demo"}, {"environment": "demo", "approved_plan": TOKEN}),
    ],
)
def test_the_server_refuses_a_pasted_secret(given: Flow[..., Any], good: dict[str, Any], bad: dict[str, Any]) -> None:
    deployment, before = deploy(given), count_runs()
    assert submit(deployment, bad) == HTTPStatus.CONFLICT
    assert count_runs() == before
    assert submit(deployment, good) == HTTPStatus.CREATED
    assert count_runs() == before + 1


@pytest.mark.parametrize(
    ("parameters", "job_variables", "place"),
    [
        ({"secret": {"block": "database"}, "note": TOKEN}, {}, "parameters.note"),
        ({"secret": SecretStr("whatever it is")}, {}, "parameters.secret"),
        ({"secret": {"block": "database"}}, {"env": {"DB_PASSWORD": "in clear text"}}, "job_variables.env.DB_PASSWORD"),
    ],
)
def test_starting_a_run_with_a_secret_names_the_place_and_makes_no_run(
    parameters: dict[str, Any], job_variables: dict[str, Any], place: str
) -> None:
    deploy(take)
    before = count_runs()
    with pytest.raises(SecretExposed) as caught:
        start_run("take/submission", parameters, job_variables=job_variables, timeout_seconds=0)
    assert place in str(caught.value)
    assert TOKEN not in str(caught.value)
    assert count_runs() == before


def test_starting_a_run_with_a_reference() -> None:
    deploy(take)
    before = count_runs()
    run = start_run("take/submission", {"secret": {"block": "database"}}, timeout_seconds=0)
    assert count_runs() == before + 1
    assert run.parameters["secret"] == {"block": "database"}


def test_a_reference_holds_no_secret() -> None:
    with pytest.raises(ValidationError):
        SecretRef(block=TOKEN)


@flow(name="guarded")
def guarded(note: Any = "") -> int:
    """A user's flow that would take anything."""
    return len(str(note))


@flow(name="guarded-async")
async def guarded_async(note: Any = "") -> int:
    """The same, as a coroutine."""
    return len(str(note))


@dataclass
class Login:
    """What a user may pass about."""

    user: str
    word: SecretStr


class Box:
    """An object that Prefect stores by its attributes."""

    def __init__(self) -> None:
        self.database = {"password": "in clear text"}


class Open(BaseModel, extra="allow"):
    """A model that keeps what it does not know."""


def nested(levels: int) -> object:
    value: object = "in clear text"
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    "call",
    [
        lambda: provision(TOKEN),
        lambda: provision("demo", approved_plan=TOKEN),
        lambda: provision(SecretStr("demo")),  # type: ignore[call-overload]
        lambda: validate(TOKEN),
        lambda: drift([TOKEN]),
        lambda: audit(environments=["demo", TOKEN]),
        lambda: sweep([SecretStr("sweeper")]),  # type: ignore[list-item]
        lambda: guarded(SecretStr("anything")),
        lambda: guarded({"db": {"password": "in clear text"}}),
        lambda: guarded(Login("app", SecretStr("anything"))),
        lambda: guarded(SecretBlock(value="anything")),
        lambda: guarded(Box()),
        lambda: guarded(Open.model_validate({"db": {"password": "in clear text"}})),
        lambda: guarded({"DB_PASSWORD": 12345678}),
        lambda: guarded("export PGPASSWORD=anything; psql"),
        lambda: guarded(nested(100)),
        lambda: guarded(TOKEN, return_state=True),
        lambda: guarded.with_options(name="renamed")(TOKEN),
        lambda: run_flow(guarded, parameters={"note": TOKEN}),
    ],
)
def test_calling_a_flow_with_a_secret_makes_no_run(call: Callable[[], object]) -> None:
    before = count_runs()
    with pytest.raises(SecretExposed) as caught:
        call()
    assert "SecretRef" in str(caught.value)
    assert TOKEN not in str(caught.value)
    assert "anything" not in str(caught.value)
    assert count_runs() == before


def test_calling_a_flow_without_a_secret_makes_its_run() -> None:
    before = count_runs()
    assert guarded({"secret": SecretRef(block="database")}) > 0
    assert guarded.with_options(name="renamed")() == 0
    assert count_runs() == before + 2


# Prefect's asynchronous client leaves the socket of its last connection to the garbage collector.
@pytest.mark.filterwarnings("ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning")
def test_a_flow_that_is_a_coroutine_is_guarded_too() -> None:
    before = count_runs()
    with pytest.raises(SecretExposed):
        run_coro_as_sync(guarded_async(TOKEN))
    assert count_runs() == before
    assert run_coro_as_sync(guarded_async("fine")) == len("fine")
    assert count_runs() == before + 1
    gc.collect()


def test_an_unguarded_flow_would_have_stored_it() -> None:
    """What the guard is for, and that the count of runs can tell."""
    before = count_runs()
    plain = prefect.flow(name="plain")(guarded.fn)
    state: State[int] = plain(TOKEN, return_state=True)
    assert count_runs() == before + 1
    with get_client(sync_client=True) as client:
        assert state.state_details.flow_run_id
        assert client.read_flow_run(state.state_details.flow_run_id).parameters == {"note": TOKEN}


def test_a_child_run_is_refused_too() -> None:
    @flow(name="parent")
    def parent() -> int:
        return guarded(TOKEN)

    before = count_runs()
    with pytest.raises(SecretExposed):
        parent()
    assert count_runs() == before + 1, "the parent's own run"


def test_a_run_that_others_created_with_a_secret_fails_before_the_flow_begins() -> None:
    begun = []

    @flow(name="created-elsewhere")
    def body(note: str) -> None:
        begun.append(note)

    with get_client(sync_client=True) as client:
        given = prefect.flow(name="created-elsewhere")(body.fn)
        run = client.create_flow_run(given, parameters={"note": TOKEN})
        state = run_flow(body, flow_run=run, parameters={"note": TOKEN}, return_type="state")
        assert isinstance(state, State)
        assert state.is_failed()
        stored = client.read_flow_run(run.id).state
    assert begun == []
    assert stored is not None
    assert "delete the run" in str(stored.message)
    assert TOKEN not in str(stored.message)


def begun_by(kind: str, begun: list[str]) -> Callable[..., Any]:
    def plain(note: str = "") -> str:
        begun.append(note)
        return note

    async def coroutine(note: str = "") -> str:
        return plain(note)

    def generator(note: str = "") -> Generator[str]:
        yield plain(note)

    async def asynchronous_generator(note: str = "") -> AsyncGenerator[str]:
        yield plain(note)

    bodies: dict[str, Callable[..., Any]] = {
        "plain": plain,
        "coroutine": coroutine,
        "generator": generator,
        "asynchronous generator": asynchronous_generator,
    }
    return bodies[kind]


def outcome_of(given: Flow[..., Any], run: FlowRun) -> object:
    """What a worker's process gets to see of a run that it was told to execute."""
    result = run_flow(given, flow_run=run, parameters={"note": "fine"})
    if isinstance(result, AsyncGenerator):
        return run_coro_as_sync(collected(result))
    if isinstance(result, Generator):
        return list(result)
    return run_coro_as_sync(result) if isinstance(result, Coroutine) else result


async def collected(items: AsyncGenerator[Any]) -> list[Any]:
    return [item async for item in items]


# Prefect's asynchronous client leaves the socket of its last connection to the garbage collector.
@pytest.mark.filterwarnings("ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("kind", ["plain", "coroutine", "generator", "asynchronous generator"])
def test_a_run_that_others_gave_a_secret_as_job_variable_fails_before_the_flow_begins(kind: str) -> None:
    begun: list[str] = []
    body = guard(prefect.flow(name=f"job-variables-{kind}")(begun_by(kind, begun)))
    deployment = deploy(body)
    with get_client(sync_client=True) as client:
        bad, good = (
            client.create_flow_run_from_deployment(deployment, job_variables={"env": {name: "in clear text"}})
            for name in ("DB_PASSWORD", "GREETING")
        )
        with pytest.raises(SecretExposed) as caught:
            outcome_of(body, bad)
        stored = client.read_flow_run(bad.id).state
        assert begun == []
        assert stored is not None
        assert stored.is_failed()
        for said in (str(stored.message), str(caught.value)):
            assert "job_variables.env.DB_PASSWORD" in said
            assert "delete the run" in said
            assert "in clear text" not in said
        assert outcome_of(body, good) in ("fine", ["fine"])
    assert begun == ["fine"]
    gc.collect()


def test_options_and_methods_stay_guarded() -> None:
    class Owner:
        @flow(name="method")
        def method(self, note: str) -> str:
            return f"{type(self).__name__} {note}"

    method: Callable[[str], str] = Owner().method  # type: ignore[assignment] # Prefect binds it, mypy does not
    assert method("fine") == "Owner fine"
    with pytest.raises(SecretExposed):
        method(TOKEN)
    renamed = guarded.with_options(name="renamed")
    assert renamed.fn is guarded.fn, "it is looked at once"


def test_a_block_that_the_server_keeps_by_its_id_is_no_secret() -> None:
    @flow(name="takes-a-block")
    def body(word: SecretBlock[str]) -> int:
        return len(word.get())

    given = {
        "word": {"$ref": {"block_document_id": str(SecretBlock(value="in the block").save("taken", overwrite=True))}}
    }
    with get_client(sync_client=True) as client:
        run = client.create_flow_run(prefect.flow(name="takes-a-block")(body.fn), parameters=given)
    assert run_flow(body, flow_run=run, parameters=given) == len("in the block")


@pytest.mark.parametrize(
    "options",
    [
        {"parameters": {"note": TOKEN}},
        {"job_variables": {"env": {"DB_PASSWORD": "in clear text"}}},
        {"schedules": [prefect.schedules.Cron("0 0 * * *", parameters={"note": TOKEN})]},
    ],
)
def test_a_deployment_made_by_code_is_refused(options: Mapping[str, Any]) -> None:
    with pytest.raises(SecretExposed, match="deployment of guarded"):
        guarded.to_deployment("nightly", **options)
    with pytest.raises(SecretExposed, match="deployment of guarded"):
        run_coro_as_sync(guarded.ato_deployment("nightly", **options))
    assert guarded.to_deployment("nightly", parameters={"note": "fine"}).parameters == {"note": "fine"}


def test_a_deployment_made_by_code_is_refused_by_position_too() -> None:
    names = list(inspect.signature(Flow.to_deployment).parameters)
    before = [None] * (names.index("parameters") - len(("self", "name")))
    given = ("nightly", *before, {"note": TOKEN})
    with pytest.raises(SecretExposed, match="deployment of guarded"):
        guarded.to_deployment(*given)
    with pytest.raises(SecretExposed, match="deployment of guarded"):
        run_coro_as_sync(guarded.ato_deployment(*given))
    assert guarded.to_deployment("nightly", *before, {"note": "fine"}).parameters == {"note": "fine"}


class Nested(BaseModel):
    """A model that holds a secret, and itself."""

    word: SecretStr | None = None
    next: "Nested | None" = None


def as_secret_text(word: SecretStr) -> None: ...
def as_secret_bytes(word: SecretBytes | None = None) -> None: ...
def as_any_secret(words: list[Secret[int]]) -> None: ...
def as_model(given: dict[str, Nested]) -> None: ...
def as_default(word: str = TOKEN) -> None: ...


@pytest.mark.parametrize("body", [as_secret_text, as_secret_bytes, as_any_secret, as_model, as_default])
def test_a_flow_that_asks_for_a_secret_cannot_be_defined(body: Callable[..., None]) -> None:
    with pytest.raises(SecretExposed) as caught:
        guard(prefect.flow(name="asks")(body))
    assert TOKEN not in str(caught.value)


def test_a_flow_that_asks_for_a_reference_or_a_block_can() -> None:
    def body(
        secret: SecretRef, block: SecretBlock[str], text: str = "", *, more: dict[str, Any] | None = None
    ) -> None: ...

    assert isinstance(guard(prefect.flow(name="asks")(body)), GuardedFlow)


@pytest.mark.parametrize("given", [provision, validate, drift, audit, sweep])
def test_every_flow_of_the_project_is_guarded(given: object) -> None:
    assert isinstance(given, GuardedFlow)
