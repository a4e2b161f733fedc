"""What a server refuses as parameters of the project's deployments, and how a run ends that got past it."""

import gc
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from uuid import UUID

import pytest
from prefect import Flow, State
from prefect.client.orchestration import get_client
from prefect.deployments.runner import RunnerDeployment
from prefect.exceptions import PrefectHTTPStatusError
from prefect.flow_engine import run_flow
from prefect.utilities.asyncutils import run_coro_as_sync
from prefect.utilities.callables import parameter_schema

from flows.audit import audit
from flows.drift import drift
from flows.provision import provision
from flows.sweep import sweep
from flows.validate import validate
from holdtrue.errors import HoldtrueError
from tasks.submission import flow

TOKEN = "hvs." + "CAESIJ" * 6
VALUE = "frankfurt-am-main"
"""Looks like no secret, and must not be repeated all the same."""

ONE: Mapping[str, Any] = {"environment": "acme"}
SOME: Mapping[str, Any] = {"environments": ["acme"]}
VAULTS: Mapping[str, Any] = {"vaults": ["sweeper"]}

BAD: list[tuple[Flow[..., Any], Mapping[str, Any]]] = [
    *((given, {**good, "region": VALUE}) for given, good in ((provision, ONE), (validate, ONE))),
    *((given, {**good, "region": VALUE}) for given, good in ((drift, SOME), (audit, SOME), (sweep, VAULTS))),
    *((given, {**ONE, "password": "hunter2hunter2"}) for given in (provision, validate)),
    *((given, {"environment": bad}) for given in (provision, validate) for bad in ("acme\n", TOKEN, 5, None, ["acme"])),
    *((given, {}) for given in (provision, validate, sweep)),
    *((provision, {**ONE, "approved_plan": bad}) for bad in ("ab" * 32 + "\n", TOKEN, 1, "AB" * 32)),
    *((given, {"environments": bad}) for given in (drift, audit) for bad in (["acme\n"], ["acme", TOKEN], "acme", [1])),
    *((sweep, {"vaults": bad}) for bad in (["sweeper\n"], [TOKEN], "sweeper", None, [None])),
]
GOOD: list[tuple[Flow[..., Any], Mapping[str, Any]]] = [
    (provision, ONE),
    (provision, {**ONE, "approved_plan": "ab" * 32}),
    (provision, {**ONE, "approved_plan": None}),
    (validate, ONE),
    *((given, good) for given in (drift, audit) for good in (SOME, {}, {"environments": None})),
    (sweep, VAULTS),
]


@dataclass
class Deployments:
    """Deployments of flows, as `flow.deploy` and `flow.serve` make them."""

    made: dict[str, UUID]

    def of(self, given: Flow[..., Any]) -> UUID:
        if given.name not in self.made:
            deployment = given.to_deployment("parameters")
            assert isinstance(deployment, RunnerDeployment)
            deployed = deployment.apply()
            assert isinstance(deployed, UUID)
            self.made[given.name] = deployed
        return self.made[given.name]


def status_of(deployment: UUID, parameters: Mapping[str, Any]) -> int:
    with get_client(sync_client=True) as client:
        try:
            path = f"/deployments/{deployment}/create_flow_run"
            return client._client.post(path, json={"parameters": parameters}).status_code
        except PrefectHTTPStatusError as error:
            return error.response.status_code


def answer_to_several(deployment: UUID, parameters: Mapping[str, Any]) -> str:
    """What the server says of one of several runs that it is asked for at once."""
    with get_client(sync_client=True) as client:
        path = f"/deployments/{deployment}/create_flow_run/bulk"
        (result,) = client._client.post(path, json=[{"parameters": parameters}]).json()["results"]
    return f"{result['status']}: {result['error']}"


def count_runs() -> int:
    with get_client(sync_client=True) as client:
        return int(client._client.post("/flow_runs/count", json={}).json())


@pytest.fixture(scope="module")
def deployments() -> Deployments:
    return Deployments({})


def named(value: object) -> str:
    return value.name if isinstance(value, Flow) else repr(value).replace(TOKEN, "a token")


@pytest.mark.parametrize(("given", "parameters"), BAD, ids=named)
def test_the_server_refuses_and_stores_nothing(
    deployments: Deployments, given: Flow[..., Any], parameters: Mapping[str, Any]
) -> None:
    before = count_runs()
    assert status_of(deployments.of(given), parameters) == HTTPStatus.CONFLICT
    assert answer_to_several(deployments.of(given), parameters).startswith("FAILED: Parameter validation failed")
    assert count_runs() == before


@pytest.mark.parametrize(("given", "parameters"), GOOD, ids=named)
def test_the_server_accepts_a_good_run(
    deployments: Deployments, given: Flow[..., Any], parameters: Mapping[str, Any]
) -> None:
    before = count_runs()
    assert status_of(deployments.of(given), parameters) == HTTPStatus.CREATED
    assert count_runs() == before + 1


def test_an_open_schema_would_let_them_in() -> None:
    """What the closed schema is for, and that the counting of runs would notice."""
    schema = parameter_schema(validate).model_dump_for_openapi()
    assert schema.pop("additionalProperties") is False
    del schema["properties"]["environment"]["not"]
    with get_client(sync_client=True) as client:
        deployment = client.create_deployment(
            flow_id=client.create_flow(validate),
            name="open",
            enforce_parameter_schema=True,
            parameter_openapi_schema=schema,
        )
    before = count_runs()
    for parameters in ({**ONE, "region": VALUE}, {"environment": "acme\n"}):
        assert status_of(deployment, parameters) == HTTPStatus.CREATED
    assert count_runs() == before + 2


@flow(name="greets")
def greets(name: str, times: int = 1) -> str:
    """A user's flow, without a report."""
    return name * times


@flow(name="greets-async")
async def greets_async(name: str, times: int = 1) -> str:
    """The same, as a coroutine."""
    return name * times


def state_of_stored(deployment: UUID, given: Flow[..., Any], parameters: Mapping[str, Any], *, patched: bool) -> State:
    """How a run ends that the server was told not to check, or whose parameters were changed afterwards."""
    with get_client(sync_client=True) as client:
        body: dict[str, Any] = {"parameters": {} if patched else parameters, "enforce_parameter_schema": False}
        created = client._client.post(f"/deployments/{deployment}/create_flow_run", json=body).json()
        if patched:
            client._client.patch(f"/flow_runs/{created['id']}", json={"parameters": parameters})
        run = client.read_flow_run(created["id"])
    try:
        run_flow(given, flow_run=run, return_type="state")
    except HoldtrueError as error:
        raise AssertionError("the error has to end the run, not the engine") from error
    with get_client(sync_client=True) as client:
        state = client.read_flow_run(run.id).state
    assert state is not None
    return state


@pytest.mark.parametrize("patched", [False, True], ids=["unchecked", "patched"])
@pytest.mark.parametrize(
    ("given", "parameters", "name", "shown"),
    [
        (provision, {**ONE, "region": VALUE}, "Rejected", "unknown parameter: region"),
        (sweep, {**VAULTS, "region": VALUE, "size": 3}, "Rejected", "unknown parameter: region, size"),
        (provision, {**ONE, "password": VALUE}, "SecretExposed", "password"),
        (provision, {"environment": TOKEN}, "SecretExposed", "environment"),
        (provision, {**ONE, TOKEN: VALUE}, "SecretExposed", "(a key)"),
        (provision, {**ONE, "\x1b]0;a\x07" + "b" * 99: VALUE}, "Rejected", "unknown parameter: "),
        (validate, {}, "Rejected", "missing parameter: environment"),
        (validate, {"environment": {"region": VALUE}}, "Rejected", "environment: Input should be a valid string"),
        (validate, {"environment": f"{VALUE}\n"}, "Rejected", "String should match pattern"),
        (drift, {"environments": VALUE}, "Rejected", "environments"),
        (drift, {"environments": [f"{VALUE}\n"]}, "Rejected", "String should match pattern"),
        (sweep, {"vaults": [f"{VALUE}\n"]}, "Rejected", "vaults.0"),
        (greets, {"name": "a", "region": VALUE}, "Rejected", "its parameters: name, times"),
        (greets, {"name": "a", "times": VALUE}, "Rejected", "times"),
        (greets, {"times": 2}, "Rejected", "missing parameter: name"),
    ],
    ids=named,
)
def test_a_run_that_got_past_the_server_ends_by_name_and_repeats_no_value(
    deployments: Deployments,
    caplog: pytest.LogCaptureFixture,
    given: Flow[..., Any],
    parameters: Mapping[str, Any],
    name: str,
    shown: str,
    patched: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    state = state_of_stored(deployments.of(given), given, parameters, patched=patched)
    assert (state.type, state.name) == ("FAILED", name)
    assert shown in str(state.message)
    for value in (VALUE, TOKEN):
        assert value not in str(state.message)
        assert value not in caplog.text
    assert "\x1b" not in str(state.message)


def test_a_run_that_got_past_the_server_with_good_parameters_ends_well(deployments: Deployments) -> None:
    for patched in (False, True):
        state = state_of_stored(deployments.of(greets), greets, {"name": "a", "times": 2}, patched=patched)
        assert (state.type, state.name) == ("COMPLETED", "Completed")


# Prefect's asynchronous client leaves the socket of its last connection to the garbage collector.
@pytest.mark.filterwarnings("ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning")
def test_a_flow_that_is_a_coroutine_ends_by_name_too(deployments: Deployments) -> None:
    with get_client(sync_client=True) as client:
        body = {"parameters": {"region": VALUE}, "enforce_parameter_schema": False}
        path = f"/deployments/{deployments.of(greets_async)}/create_flow_run"
        run = client.read_flow_run(client._client.post(path, json=body).json()["id"])
        run_coro_as_sync(run_flow(greets_async, flow_run=run, return_type="state"))  # type: ignore[arg-type]
        state = client.read_flow_run(run.id).state
    assert state is not None
    assert (state.type, state.name) == ("FAILED", "Rejected")
    assert "unknown parameter: region; missing parameter: name" in str(state.message)
    gc.collect()
