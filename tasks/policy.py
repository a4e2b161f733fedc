"""The one retry layer, and what every tool task has in common."""

from collections.abc import Callable
from typing import Any, Final, TypedDict

from prefect import runtime
from prefect.cache_policies import NO_CACHE, CachePolicy
from prefect.client.schemas.objects import State, TaskRun
from prefect.tasks import Task

from holdtrue.core.run_subject import RunSubject
from holdtrue.errors import is_transient


class _TaskOptions(TypedDict):
    persist_result: bool
    cache_policy: CachePolicy
    log_prints: bool


class _FlowOptions(TypedDict):
    persist_result: bool
    retries: int
    flow_run_name: Callable[[], str]


class _RetryOptions(_TaskOptions):
    retries: int
    retry_delay_seconds: list[float]
    retry_condition_fn: Any


def may_help_to_retry(_task: Task[..., Any], _run: TaskRun, state: State[Any]) -> bool:
    """Retry only what the error tree calls transient; everything else needs a person."""
    error = state.result(raise_on_failure=False)
    return isinstance(error, BaseException) and is_transient(error)


def name_run() -> str:
    """The name of this run, by what it is about: `provision demo`, `drift fleet`."""
    return RunSubject.of(runtime.flow_run.parameters).run_name(str(runtime.flow_run.flow_name))


FLOW: Final[_FlowOptions] = {
    "persist_result": False,
    # Set explicitly, because PREFECT_FLOWS_DEFAULT_RETRIES would let Prefect repeat a flow that returns a failed state.
    "retries": 0,
    "flow_run_name": name_run,
}
"""For every flow: nothing written to result storage, run once, and named by what it is about."""

MUTATES: Final[_TaskOptions] = {"persist_result": False, "cache_policy": NO_CACHE, "log_prints": False}
"""For tasks that change the world: never repeated by themselves, nothing written to result storage."""

READS: Final[_RetryOptions] = {
    **MUTATES,
    # The SDKs below retry nothing (hvac, botocore and httpx are told so), so this is all the patience there is.
    "retries": 2,
    "retry_delay_seconds": [1.0, 4.0],
    "retry_condition_fn": may_help_to_retry,
}
"""For tasks that only look: repeated when the error tree says that this may help."""
