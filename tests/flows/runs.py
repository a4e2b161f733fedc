"""Run a flow to its end and read what it left behind."""

from collections.abc import Callable
from typing import Any, TypeVar

from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import ArtifactCreate
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId
from prefect.client.schemas.objects import Artifact, State

from holdtrue.models.outcome import FlowReport
from tasks.reports import load_report

R = TypeVar("R", bound=FlowReport)


def end_of(flow: Callable[..., Any], *args: Any, **kwargs: Any) -> State[Any]:
    """The final state of one run."""
    state = flow(*args, **kwargs, return_state=True)
    assert isinstance(state, State)
    return state


def report_of(kind: type[R], state: State[Any]) -> R:
    """The run's typed report, as any machine gets it from Prefect."""
    assert state.state_details.flow_run_id is not None
    report = load_report(state.state_details.flow_run_id)
    assert isinstance(report, kind)
    return report


def artifacts_of(state: State[Any]) -> dict[str, str]:
    """The run's artifacts by key."""
    return {artifact.key or artifact.type or "": str(artifact.data) for artifact in _artifacts(state)}


def descriptions_of(state: State[Any]) -> dict[str, str]:
    """What the run's artifacts say of themselves, by key."""
    return {artifact.key or artifact.type or "": artifact.description or "" for artifact in _artifacts(state)}


def _artifacts(state: State[Any]) -> list[Artifact]:
    assert state.state_details.flow_run_id is not None
    wanted = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[state.state_details.flow_run_id]))
    with get_client(sync_client=True) as client:
        return client.read_artifacts(artifact_filter=wanted)


def write_artifact(key: str, text: str) -> None:
    """Leave a markdown artifact that no run has made."""
    with get_client(sync_client=True) as client:
        client.create_artifact(ArtifactCreate(key=key, type="markdown", data=text))
