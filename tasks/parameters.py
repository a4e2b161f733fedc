"""Parameters of runs: which ones a server refuses, and how a run with wrong parameters ends if the server accepted it.

Three functions of Prefect 3.9 are wrapped, because there is no hook for what they do:

- `ParameterSchema.model_dump` (utilities/callables) makes the schema that a deployment is created with. It says nothing
  about parameters that a flow does not take, so a server stores a run with `{"environment": "demo", "size": 3}`.
- `_flow_parameters` (flow_engine.py) raises for such a run before the engine has started, so it ends as Crashed.
- `exception_to_failed_state` (flow_engine.py) names every state `Failed`, whatever the error is.
"""

import inspect
from collections.abc import Callable, Coroutine, Mapping
from functools import wraps
from threading import Event as Flag
from threading import Lock
from typing import Any, Final

from prefect import Flow, State, flow_engine
from prefect.client.schemas.objects import FlowRun
from prefect.exceptions import ParameterBindError, SignatureMismatchError
from prefect.states import exception_to_failed_state
from prefect.utilities.callables import ParameterSchema

from holdtrue.core.neutral import for_terminal
from holdtrue.core.secret_detection import path_to
from holdtrue.errors import HoldtrueError, ParametersInvalid

_SHOWN: Final = 60
"""How many characters of an unknown parameter's name are shown."""

_INSTALLING: Final = Lock()
_INSTALLED: Final = Flag()


def guard_parameters(kind: type[Flow[..., Any]]) -> None:
    """Close the schemas of all deployments that this process makes, and name the end states of this kind of flow.

    Every schema is closed: no flow takes a parameter that its signature does not name. Calling it again has no effect.
    """
    if _INSTALLED.is_set():
        return
    with _INSTALLING:
        if _INSTALLED.is_set():
            return
        ParameterSchema.model_dump = _closed(ParameterSchema.model_dump)  # type: ignore[method-assign]
        flow_engine._flow_parameters = _unchecked(flow_engine._flow_parameters, kind)  # noqa: SLF001
        flow_engine.exception_to_failed_state = _named(exception_to_failed_state)  # type: ignore[attr-defined]
        _INSTALLED.set()


def require_parameters(body: Callable[..., Any], parameters: Mapping[str, Any], *, where: str) -> None:
    """Check the names of a run's parameters against what the function takes.

    Raises:
        ParametersInvalid: one is unknown, or one without a default is not given; names them, never a value.
    """
    taken = inspect.signature(body).parameters
    unknown = ", ".join(sorted(for_terminal(path_to("", name), _SHOWN) for name in parameters if name not in taken))
    missing = ", ".join(name for name, item in taken.items() if _is_required(item) and name not in parameters)
    problems = [f"unknown parameter: {unknown}"] if unknown else []
    problems += [f"missing parameter: {missing}"] if missing else []
    if problems:
        known = ", ".join(taken) or "none"
        raise ParametersInvalid("; ".join(problems), where=where, next_step=f"start a run with its parameters: {known}")


def _is_required(parameter: inspect.Parameter) -> bool:
    optional = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return parameter.default is parameter.empty and parameter.kind not in optional


def _closed(model_dump: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    @wraps(model_dump)
    def dump(self: ParameterSchema, *args: Any, **kwargs: Any) -> dict[str, Any]:
        return {**model_dump(self, *args, **kwargs), "additionalProperties": False}

    return dump


def _unchecked(parameters_of: Callable[..., dict[str, Any]], kind: type[Flow[..., Any]]) -> Callable[..., Any]:
    """The stored parameters if they do not fit the flow: `validate_parameters` then refuses them within the run."""

    @wraps(parameters_of)
    def unchecked(flow: Flow[..., Any], flow_run: FlowRun | None, parameters: dict[str, Any] | None) -> Any:
        try:
            return parameters_of(flow=flow, flow_run=flow_run, parameters=parameters)
        except (SignatureMismatchError, ParameterBindError):
            if flow_run is None or not isinstance(flow, kind):
                raise
            return dict(flow_run.parameters)

    return unchecked


def _named(to_state: Callable[..., Coroutine[Any, Any, State[Any]]]) -> Callable[..., Any]:
    """If an error of our tree has ended the run, the state gets that error's name and text."""

    @wraps(to_state)
    async def named(exc: BaseException | None = None, *args: Any, **kwargs: Any) -> State[Any]:
        state = await to_state(exc, *args, **kwargs)
        if isinstance(exc, HoldtrueError):
            state.name, state.message = exc.state_name, str(exc)
        return state

    return named
