"""Approval by the form in the UI: the run pauses, a person answers, the run goes on or ends."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterState, FlowRunFilterStateType
from prefect.client.schemas.objects import StateType
from prefect.exceptions import PrefectHTTPStatusError

from flows.provision import provision
from holdtrue.models.stack import Operation, Plan, ResourceChange
from holdtrue.testing import FakeStackEngine
from tests.flows.conftest import OUTPUTS, FakeTools
from tests.flows.runs import end_of

DELETE = Plan(
    stack="demo",
    changes=(ResourceChange(urn="urn:pulumi:d::d::aws:Bucket::logs", type="aws:Bucket", operation=Operation.DELETE),),
    unchanged=1,
    digest="d1",
)


@pytest.fixture(params=[20])
def waiting_tools(request: pytest.FixtureRequest, tools: FakeTools, fleet: Path) -> FakeTools:
    manifest = fleet / "environments" / "demo.yaml"
    text = manifest.read_text()
    manifest.write_text(text.replace("policy:\n", f"policy:\n  approval_timeout_seconds: {request.param}\n"))
    tools.engine = FakeStackEngine(plans=(DELETE,), stack_outputs=(OUTPUTS,))
    return tools


@contextmanager
def person(answer: dict[str, Any]) -> Iterator[list[str]]:
    """Somebody who answers the first paused run; collects what the form told."""
    told: list[str] = []

    def answer_when_asked() -> None:
        paused = FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.PAUSED])))
        deadline = time.monotonic() + 20
        with get_client(sync_client=True) as client:
            while time.monotonic() < deadline:
                runs = client.read_flow_runs(flow_run_filter=paused)
                if runs and runs[0].state is not None:
                    keyset = runs[0].state.state_details.run_input_keyset or {}
                    # The form follows the state: for a moment there is a paused run without one.
                    try:
                        told.append(client._client.get(f"/flow_runs/{runs[0].id}/input/{keyset['description']}").text)
                    except PrefectHTTPStatusError:
                        continue
                    client.resume_flow_run(runs[0].id, run_input=answer)
                    return
                time.sleep(0.1)

    thread = threading.Thread(target=answer_when_asked)
    thread.start()
    try:
        yield told
    finally:
        thread.join()


def test_a_person_lets_the_plan_run(waiting_tools: FakeTools) -> None:
    with person({"approve": True, "approver": "sam", "reason": "planned"}) as told:
        state = end_of(provision, "demo")

    assert state.name == "Provisioned"
    assert waiting_tools.engine.applied == [DELETE]
    assert "d1" in told[0]
    assert "logs" in told[0]


def test_a_person_refuses(waiting_tools: FakeTools) -> None:
    with person({"approve": False, "approver": "sam"}):
        state = end_of(provision, "demo")

    assert state.name == "ApprovalRequired"
    assert waiting_tools.engine.applied == []


@pytest.mark.parametrize("waiting_tools", [2], indirect=True)
def test_nobody_answers_in_time(waiting_tools: FakeTools) -> None:
    state = end_of(provision, "demo")

    assert state.name == "ApprovalRequired"
    assert waiting_tools.engine.applied == []
