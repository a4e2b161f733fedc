"""Parameters that a server refuses or lets through, with deployments of `prefect deploy`, links out of the fleet."""

from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any
from uuid import UUID

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import LogFilter, LogFilterFlowRunId
from prefect.exceptions import PrefectHTTPStatusError

from flows.audit import audit
from flows.provision import provision
from sandbox.deployment import deploy_all, flow_environment, wait_for_end
from sandbox.orchestrator import PrefectWorker
from sandbox.schedules import pause_schedules
from tests.integration.flow_stage import Stage

VALUE = "frankfurt-am-main"
"""Looks like no secret, and must not be repeated all the same."""
TOKEN = "hvs." + "CAESIJ" * 6

GOOD: Mapping[str, Mapping[str, Any]] = {
    "provision": {"environment": "nowhere"},
    "validate": {"environment": "nowhere"},
    "drift": {"environments": ["nowhere"]},
    "audit": {"environments": ["nowhere"]},
    "sweep": {"vaults": ["nowhere"]},
}
RUN_SECONDS = 120.0


@pytest.fixture(scope="module")
def deployments(joined_stage: Stage) -> dict[str, UUID]:
    """The fleet's deployments as `prefect deploy --all` makes them, without their schedules."""
    deploy_all(joined_stage.sandbox)
    pause_schedules()
    with get_client(sync_client=True) as client:
        return {item.name: item.id for item in client.read_deployments() if item.name in GOOD}


@pytest.fixture
def worker(joined_stage: Stage, deployments: dict[str, UUID]) -> Iterator[PrefectWorker]:
    assert deployments
    environment = flow_environment(joined_stage.sandbox) | {"HOLDTRUE_FLEET": str(joined_stage.fleet.root)}
    running = joined_stage.sandbox.start_worker(env=environment)
    yield running
    running.stop()


def request(deployment: UUID, parameters: Mapping[str, Any], **more: Any) -> tuple[int, str]:
    """Status of the server's answer, and the id of the run that it made."""
    with get_client(sync_client=True) as client:
        path = f"/deployments/{deployment}/create_flow_run"
        try:
            answer = client._client.post(path, json={"parameters": dict(parameters), **more})
        except PrefectHTTPStatusError as error:
            return error.response.status_code, ""
        return answer.status_code, str(answer.json()["id"])


def bad_values(name: str) -> Iterator[Mapping[str, Any]]:
    ((parameter, good),) = GOOD[name].items()
    yield {parameter: good, "region": VALUE}
    yield {parameter: good, "password": VALUE}
    values: tuple[Any, ...] = ("acme\n", TOKEN, 5, {})
    yield from ({parameter: bad if isinstance(good, str) else [bad]} for bad in values)
    yield {parameter: [good] if isinstance(good, str) else "acme"}


def stored_runs() -> set[str]:
    with get_client(sync_client=True) as client:
        return {item["id"] for item in client._client.post("/flow_runs/filter", json={}).json()}


def delete_run(run: str) -> None:
    with get_client(sync_client=True) as client:
        client._client.delete(f"/flow_runs/{run}")


@pytest.mark.parametrize("name", GOOD)
def test_the_server_refuses_what_a_flow_does_not_take_and_stores_nothing(
    deployments: dict[str, UUID], name: str
) -> None:
    before = stored_runs()
    for bad in bad_values(name):
        assert request(deployments[name], bad) == (HTTPStatus.CONFLICT, ""), bad
    assert stored_runs() == before

    status, run = request(deployments[name], GOOD[name])
    assert (status, stored_runs()) == (HTTPStatus.CREATED, before | {run}), (
        "a good run is accepted, and the check sees it"
    )
    delete_run(run)


def test_runs_that_get_past_the_server_end_by_name_on_a_worker(
    deployments: dict[str, UUID], worker: PrefectWorker
) -> None:
    past: list[tuple[str, dict[str, Any], str, str]] = [
        ("provision", {"environment": "tiny", "region": VALUE}, "Rejected", "unknown parameter: region"),
        ("validate", {"environment": "tiny", "password": VALUE}, "SecretExposed", "password"),
        ("validate", {"environment": TOKEN}, "SecretExposed", "environment"),
        ("validate", {}, "Rejected", "missing parameter: environment"),
        ("audit", {"environments": [f"{VALUE}\n"]}, "Rejected", "environments.0"),
    ]
    runs = []
    for name, parameters, state, shown in past:
        status, run = request(deployments[name], parameters, enforce_parameter_schema=False)
        assert status == HTTPStatus.CREATED
        runs.append((run, state, shown))
    status, patched = request(deployments["drift"], GOOD["drift"], state={"type": "SCHEDULED", "name": "Later"})
    assert status == HTTPStatus.CREATED
    with get_client(sync_client=True) as client:
        client._client.patch(f"/flow_runs/{patched}", json={"parameters": {"environments": None, "region": VALUE}})
    runs.append((patched, "Rejected", "unknown parameter: region"))

    for run, state, shown in runs:
        ended = wait_for_end(UUID(run), "a run past the server's check", timeout_seconds=RUN_SECONDS)
        assert (ended.state_type, ended.state_name) == ("FAILED", state), ended.message
        assert shown in ended.message
        with get_client(sync_client=True) as client:
            logs = client.read_logs(LogFilter(flow_run_id=LogFilterFlowRunId(any_=[UUID(run)])))
        assert [item.message for item in logs][-1:] == [f"{state}: {ended.message}"]
        text = "\n".join([ended.message, *(item.message for item in logs)])
        assert VALUE not in text
        assert TOKEN not in text
    assert VALUE not in worker.log_tail()


def test_a_link_out_of_the_fleet_ends_a_run_before_anything_is_read_through_it(stage: Stage) -> None:
    fleet = stage.fleet.root
    outside = fleet.parent / "outside.yml"
    (fleet / "ansible/tiny.yml").rename(outside)
    (fleet / "ansible/tiny.yml").symlink_to(outside)
    place = f"ansible/tiny.yml is a symbolic link that leads out of the fleet, to {outside}"
    stage.require(stage.run(provision, "tiny"), "Rejected", place, "configuration.playbook")
    outside.rename(fleet / "ansible/moved.yml")
    (fleet / "ansible/tiny.yml").unlink()
    (fleet / "ansible/tiny.yml").symlink_to("moved.yml")
    inside = stage.run(audit, ["tiny"])
    stage.require(inside, "Vulnerable", "4 packages audited")
