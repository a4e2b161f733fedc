"""A value that pydantic shows in part reaches the Prefect server in no part."""

import json
import secrets
from typing import Any

import pytest
from prefect import flow, task
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import LogFilter, LogFilterFlowRunId
from prefect.client.schemas.objects import State
from prefect.logging.handlers import APILogWorker
from pydantic import BaseModel, SecretStr

from holdtrue.core.forms import REPLACEMENT
from holdtrue.runtime.redaction import SECRETS, register_secret
from tasks.redaction import redacted, redacted_run
from tests.flows.runs import end_of


class Model(BaseModel):
    number: int


def refused(value: str, *, known: bool) -> State[Any]:
    """The end of a run in which a library refuses the value, alone and in a mapping."""

    @task
    @redacted
    def read() -> None:
        if known:
            register_secret(SecretStr(value), name="canary")
        try:
            Model.model_validate({"number": value})
        finally:
            Model.model_validate({"number": {"user": "app", "token": value}})

    @flow(name="refused")
    @redacted_run
    def run() -> None:
        read()

    return end_of(run)


def told(state: State[Any]) -> str:
    """State message and log of the run, as the server keeps them."""
    run_id = state.state_details.flow_run_id
    assert run_id is not None
    APILogWorker.drain_all()
    with get_client(sync_client=True) as client:
        message = client.read_flow_run(run_id).state.message  # type: ignore[union-attr]
        logs = client.read_logs(LogFilter(flow_run_id=LogFilterFlowRunId(any_=[run_id])))
    return json.dumps([message, *(log.message for log in logs)])


@pytest.mark.parametrize("known", [True, False])
def test_no_part_of_it_is_told(known: bool) -> None:  # noqa: FBT001 - a parameter of the test
    value = secrets.token_urlsafe(48)
    with SECRETS.open():
        shown = told(refused(value, known=known))

    parts = [value[at : at + 6] for at in range(len(value) - 5) if value[at : at + 6] in shown]
    assert "..." in shown, "positive control: pydantic shortened it"
    assert (parts == []) is known
    assert (REPLACEMENT in shown) is known
