"""A secret that would rest in Prefect is refused before there is a run."""

from http import HTTPStatus
from typing import Any
from uuid import UUID

import pytest
from prefect import Flow, flow
from prefect.client.orchestration import get_client
from prefect.exceptions import PrefectHTTPStatusError
from prefect.utilities.callables import parameter_schema
from pydantic import SecretStr, ValidationError

from blocks.secret_ref import SecretRef
from flows.provision import provision
from holdtrue.errors import SecretExposed
from tasks.submission import start_run

TOKEN = "hvs." + "CAESIJ" * 6


@flow
def take(secret: SecretRef, note: str = "") -> str:
    """A user's flow."""
    return f"{secret.block}{note}"


def count_runs() -> int:
    with get_client(sync_client=True) as client:
        return len(client.read_flow_runs(limit=200))


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
