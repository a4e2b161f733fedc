"""Holdtrue deployed onto a sandbox: blocks saved, deployments registered, runs started and awaited."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from sandbox.assembly import Sandbox
from sandbox.errors import SandboxError

if TYPE_CHECKING:
    from holdtrue.credentials.documents import Document

ROOT: Final = Path(__file__).parent.parent
BLOCK_NAME: Final = "demo"
"""What fleet/environments/demo.yaml calls all its blocks."""

_DEPLOY_SECONDS: Final = 120.0
_POLL_SECONDS: Final = 0.5


@dataclass(frozen=True, slots=True)
class FinishedRun:
    """A flow run that reached its end."""

    id: UUID
    state_name: str
    state_type: str
    message: str
    report: str
    """The markdown of its report artifact; empty when it has none."""
    seconds: float
    """As long as somebody waited: from the request on, where the run was asked for."""
    worker_seconds: float
    """From the moment the worker took the run to its final state, the start of its interpreter included."""


@contextmanager
def joined(sandbox: Sandbox, extra: Mapping[str, str] | None = None) -> Iterator[None]:
    """Make this process a client of the sandbox; Prefect must not have been imported before the first time."""
    added = flow_environment(sandbox) | dict(extra or {})
    before = {name: os.environ.get(name) for name in added}
    os.environ.update(added)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def flow_environment(sandbox: Sandbox) -> dict[str, str]:
    """What a worker or an in-process flow needs beyond the sandbox's own variables."""
    return sandbox.environment() | {
        "HOLDTRUE_HOME": str(ROOT),
        "HOLDTRUE_FLEET": os.environ.get("HOLDTRUE_FLEET", str(ROOT / "fleet")),
        "HOLDTRUE_REPORTS": str(sandbox.directory / "reports"),
        "HOLDTRUE_LEDGER_URL": f"sqlite:///{sandbox.directory / 'ledger.db'}",
        "HOLDTRUE_PASS_ENVIRONMENT": "HOLDTRUE_SANDBOX",
        "PYTHONPATH": str(ROOT),
    }


def save_blocks(sandbox: Sandbox, name: str = BLOCK_NAME) -> None:
    """Save the blocks that the fleet declares, as `make blocks` does; those called `demo` as `name`."""
    from blocks.publish import publish  # noqa: PLC0415 - imports Prefect, which reads its settings then
    from holdtrue.credentials.documents import load_documents  # noqa: PLC0415

    fleet = Path(flow_environment(sandbox)["HOLDTRUE_FLEET"])
    declared = load_documents(fleet, block_variables(sandbox))
    renamed = (_rename(entry, name) if entry.name == BLOCK_NAME else entry for entry in declared.entries)
    publish(replace(declared, entries=tuple(renamed)))


def _rename(entry: "Document", name: str) -> "Document":
    return replace(entry, name=name, login=name if entry.login else "")


def block_variables(sandbox: Sandbox) -> dict[str, str]:
    """What fleet/blocks.yaml leaves to the environment."""
    return {
        "DEMO_VAULT_ADDRESS": sandbox.openbao.address,
        "DEMO_VAULT_CA_FILE": str(sandbox.openbao.ca_file),
        "DEMO_ROLE_ID": sandbox.openbao.role_id,
        "DEMO_SWEEP_ROLE_ID": sandbox.openbao.sweep_role.role_id,
        "DEMO_AWS_REGION": sandbox.aws.region,
        "DEMO_AWS_ENDPOINT_URL": sandbox.aws.endpoint_url,
        "DEMO_STATE_URL": sandbox.state_url,
    }


def deploy_all(sandbox: Sandbox) -> str:
    """Run `prefect deploy --all` as a person would.

    Raises:
        SandboxError: it failed.
    """
    # Left to the worker, as prefect.yaml says.
    environment = {name: value for name, value in os.environ.items() if name != "HOLDTRUE_HOME"}
    done = subprocess.run(
        [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all"],
        cwd=ROOT,
        env=environment | sandbox.environment(),
        check=False,
        capture_output=True,
        text=True,
        timeout=_DEPLOY_SECONDS,
        stdin=subprocess.DEVNULL,
    )
    if done.returncode:
        raise SandboxError(f"`prefect deploy --all` ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
    return done.stdout


def run_flow(deployment: str, parameters: Mapping[str, Any], *, timeout_seconds: float = 180) -> FinishedRun:
    """Run `flow/deployment` on the worker and wait for its end.

    Raises:
        SandboxError: it did not end in time; it is asked to cancel.
    """
    from prefect.client.orchestration import get_client  # noqa: PLC0415 - reads its settings when imported

    asked = time.monotonic()
    with get_client(sync_client=True) as client:
        wanted = client.read_deployment_by_name(deployment)
        run = client.create_flow_run_from_deployment(wanted.id, parameters=dict(parameters))
    finished = wait_for_end(run.id, deployment, timeout_seconds=timeout_seconds)
    return replace(finished, seconds=time.monotonic() - asked)


def wait_for_end(flow_run_id: UUID, name: str, *, timeout_seconds: float) -> FinishedRun:
    """Wait until a run of this name is over.

    Raises:
        SandboxError: it did not end in time; it is asked to cancel.
    """
    from prefect.client.orchestration import get_client  # noqa: PLC0415
    from prefect.client.schemas.objects import StateType  # noqa: PLC0415
    from prefect.states import Cancelling  # noqa: PLC0415

    started = time.monotonic()
    with get_client(sync_client=True) as client:
        while True:
            run = client.read_flow_run(flow_run_id)
            if run.state is not None and run.state.is_final():
                break
            if time.monotonic() - started > timeout_seconds:
                client.set_flow_run_state(flow_run_id, Cancelling())
                state = run.state.name if run.state else StateType.SCHEDULED
                raise SandboxError(f"{name} is still {state} after {timeout_seconds:g} s")
            time.sleep(_POLL_SECONDS)
    return FinishedRun(
        id=run.id,
        state_name=run.state.name or "",
        state_type=run.state.type.value,
        message=run.state.message or "",
        report=read_report(run.id),
        seconds=time.monotonic() - started,
        worker_seconds=_worker_seconds(run.id),
    )


def _worker_seconds(flow_run_id: UUID) -> float:
    from prefect.client.orchestration import get_client  # noqa: PLC0415
    from prefect.client.schemas.objects import StateType  # noqa: PLC0415

    with get_client(sync_client=True) as client:
        states = client.read_flow_run_states(flow_run_id)
    taken = next((state for state in states if state.type is StateType.PENDING), states[0])
    return (states[-1].timestamp - taken.timestamp).total_seconds()


def read_report(flow_run_id: UUID) -> str:
    """The markdown of a run's report artifact; empty when it has none."""
    from prefect.client.orchestration import get_client  # noqa: PLC0415
    from prefect.client.schemas.filters import (  # noqa: PLC0415
        ArtifactFilter,
        ArtifactFilterFlowRunId,
        ArtifactFilterType,
    )
    from prefect.client.schemas.sorting import ArtifactSort  # noqa: PLC0415

    wanted = ArtifactFilter(
        flow_run_id=ArtifactFilterFlowRunId(any_=[flow_run_id]), type=ArtifactFilterType(any_=["markdown"])
    )
    with get_client(sync_client=True) as client:
        found = client.read_artifacts(artifact_filter=wanted, sort=ArtifactSort.CREATED_DESC)
    # The last one: a drift of the fleet has a page for each environment before it.
    return next((str(item.data) for item in found if str(item.data).startswith("# ")), "")
