"""Starting a run without leaving a secret in what Prefect keeps of it."""

import inspect
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from functools import wraps
from typing import Any, Final, ParamSpec, TypeVar, get_args, get_origin, get_type_hints

import prefect
from prefect import Flow
from prefect.blocks.core import Block
from prefect.client.schemas.objects import FlowRun
from prefect.context import FlowRunContext
from prefect.deployments import run_deployment
from prefect.deployments.runner import RunnerDeployment
from prefect.exceptions import ParameterTypeError
from pydantic import BaseModel, Secret, SecretBytes, SecretStr

from holdtrue.core.secret_detection import find_secrets
from holdtrue.errors import ParametersInvalid, SecretExposed
from holdtrue.runtime.log_guard import guard_logging
from holdtrue.runtime.public_names import publish_names
from holdtrue.runtime.redaction import redact_text
from tasks.kept_texts import REFERENCE, places_of_secrets
from tasks.parameters import guard_parameters, require_parameters
from tasks.redaction import guard_prefect
from tasks.run_log import filter_run_logs

P = ParamSpec("P")
R = TypeVar("R")

_STORED: Final = f"treat the secret as leaked: change it, and delete the run. From now on {REFERENCE}"
_LOOKED_AT: Final = "__holdtrue_job_variables_looked_at__"


class GuardedFlow(Flow[P, R]):
    """A flow that refuses a secret among its parameters, wherever they come from.

    Prefect asks `serialize_parameters` for what it is about to store of a new run, and `validate_parameters` when a run
    that the server has stored starts (flows.py and flow_engine.py of Prefect 3.8).
    """

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        """Guard the process that this flow arrives in: `serve` pickles it for the process of each run."""
        self.__dict__.update(state)
        _guard_process(self.name)

    def serialize_parameters(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """What Prefect stores of a run that is about to be created.

        Raises:
            SecretExposed: something in it is or looks like a secret; no run was created.
        """
        _refuse(self._given(parameters), where=f"flow {self.name}")
        # Of objects that nobody knows, what is stored of them tells whether they hold one.
        stored = super().serialize_parameters(parameters)
        _refuse(stored, where=f"flow {self.name}")
        return stored

    def validate_parameters(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """Parameters converted to the flow's types, after a last check of those that others gave to the run.

        Raises:
            SecretExposed: one is or looks like a secret. The run exists and has stored it.
            ParametersInvalid: one is unknown, missing or of the wrong type.
        """
        where = f"flow {self.name}"
        _refuse_stored(self._given(parameters), where=where)
        require_parameters(self.fn, parameters, where=where)
        try:
            return super().validate_parameters(parameters)
        except ParameterTypeError as error:
            # The first line is a heading, or the whole text.
            first, *rest = str(error).splitlines()
            what = "; ".join(line.removeprefix(" - ") for line in rest) or first
            raise ParametersInvalid(what, where=where, next_step="start a run with values of the right types") from None

    def with_options(self, *args: Any, **kwargs: Any) -> "GuardedFlow[P, R]":
        """Prefect's own, guarded too."""
        return guard(super().with_options(*args, **kwargs))

    def to_deployment(self, *args: Any, **kwargs: Any) -> RunnerDeployment:
        """Prefect's own, after a look at parameters, job variables and schedules.

        Raises:
            SecretExposed: something in them is or looks like a secret.
        """
        method = super().to_deployment
        self._refuse_deployment(method, args, kwargs)
        return method(*args, **kwargs)  # type: ignore[return-value] # a coroutine in async code only

    async def ato_deployment(self, *args: Any, **kwargs: Any) -> RunnerDeployment:
        """`to_deployment` for async code, which `serve` and `deploy` use.

        Raises:
            SecretExposed: something in them is or looks like a secret.
        """
        method = super().ato_deployment
        self._refuse_deployment(method, args, kwargs)
        return await method(*args, **kwargs)

    def _refuse_deployment(self, method: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        given = inspect.signature(method).bind(*args, **kwargs).arguments
        _refuse(given, where=f"deployment of {self.name}", done="so it was not made")

    def _given(self, parameters: Mapping[str, Any]) -> Mapping[str, Any]:
        """Without the object that a method belongs to: Prefect does not store it."""
        owners = {
            id(getattr(self.fn, name)) for name in ("__prefect_self__", "__prefect_cls__") if hasattr(self.fn, name)
        }
        return {name: value for name, value in parameters.items() if id(value) not in owners}


def flow(**options: Any) -> Callable[[Callable[P, R]], GuardedFlow[P, R]]:
    """Prefect's `@flow(...)`, guarded against secrets in parameters.

    Raises:
        SecretExposed: a parameter is declared as a secret, or has one as its default.
    """

    def decorate(body: Callable[P, R]) -> GuardedFlow[P, R]:
        return guard(prefect.flow(**options)(body))

    return decorate


def guard(plain: Flow[P, R]) -> GuardedFlow[P, R]:
    """The same flow, guarded.

    Raises:
        SecretExposed: a parameter is declared as a secret, or has one as its default.
    """
    declared = _types_of(plain.fn)
    for name, parameter in inspect.signature(plain.fn).parameters.items():
        if _holds_secret(declared.get(name)):
            raise SecretExposed(
                "a parameter is declared as a secret, and Prefect hands it on as ten asterisks",
                where=f"flow {plain.name}, parameter {name}",
                next_step="declare it as SecretRef, and resolve it where it is used",
            )
        if parameter.default is not parameter.empty:
            _refuse(
                {name: parameter.default},
                where=f"flow {plain.name}, default of a parameter",
                done="so it was not defined",
            )
    guarded: GuardedFlow[P, R] = object.__new__(GuardedFlow)
    # Its constructor would have to be given every option again, those that newer versions add included.
    guarded.__dict__.update(plain.__dict__)
    _guard_process(plain.name)
    guarded.fn = _looks_at_job_variables(plain.fn, where=f"flow {plain.name}")
    return guarded


def _guard_process(name: str) -> None:
    """Guard what is outside of a flow of this name: Prefect logs and sends before the flow's own code runs."""
    guard_logging()
    guard_prefect()
    filter_run_logs()
    guard_parameters(GuardedFlow)
    if redact_text(name) == name:
        publish_names([name])


def start_run(
    deployment: str,
    parameters: Mapping[str, Any] | None = None,
    *,
    job_variables: Mapping[str, Any] | None = None,
    timeout_seconds: float | None = None,
) -> FlowRun:
    """Prefect's `run_deployment`, after a look at what it would store.

    Args:
        deployment: `flow/deployment`.
        parameters: Of the run; a secret is given as `SecretRef`.
        job_variables: Of the run, such as `env`.
        timeout_seconds: How long to wait for the run's end; None waits for it, 0 does not.

    Raises:
        SecretExposed: something in them is or looks like a secret; no run was created.
    """
    guard_prefect()
    given = {"parameters": dict(parameters or {}), "job_variables": dict(job_variables or {})}
    _refuse(given, where=deployment)
    return run_deployment(  # type: ignore[return-value] # a coroutine in async code only
        deployment, parameters=given["parameters"], job_variables=given["job_variables"], timeout=timeout_seconds
    )


def _refuse(
    given: Mapping[str, Any], *, where: str, done: str = "so no run was created", next_step: str = REFERENCE
) -> None:
    suspects = [f"{item.at}: {item.why}" for item in find_secrets(given)]
    suspects += [f"{place}: this run has read it as a secret" for place in places_of_secrets(given)]
    if suspects:
        raise SecretExposed(
            f"Prefect would keep a secret in clear, {done}: {'; '.join(suspects)}", where=where, next_step=next_step
        )


def _refuse_stored(given: Mapping[str, Any], *, where: str) -> None:
    _refuse(given, where=where, done="and this run has stored it", next_step=_STORED)


def _looks_at_job_variables(body: Callable[P, R], *, where: str) -> Callable[P, R]:
    """The same body, which does not begin in a run whose job variables hold a secret.

    The UI and the API take them unseen, and no method of a flow is asked about them: its body is the first of ours that
    can tell which run it is in. It stays of its kind, because Prefect asks whether it is a coroutine or a generator.
    """
    if hasattr(body, _LOOKED_AT):
        return body

    def look() -> None:
        context = FlowRunContext.get()
        if context is not None and context.flow_run is not None:
            _refuse_stored({"job_variables": context.flow_run.job_variables or {}}, where=where)

    looking = _of_its_kind(body, look)
    setattr(looking, _LOOKED_AT, True)
    return looking


def _of_its_kind(body: Callable[P, Any], before: Callable[[], None]) -> Callable[P, Any]:
    if inspect.iscoroutinefunction(body):

        @wraps(body)
        async def run_async(*args: P.args, **kwargs: P.kwargs) -> Any:
            before()
            return await body(*args, **kwargs)

        return run_async
    if inspect.isasyncgenfunction(body):

        @wraps(body)
        async def iterate_async(*args: P.args, **kwargs: P.kwargs) -> AsyncGenerator[Any, None]:
            before()
            async for item in body(*args, **kwargs):
                yield item

        return iterate_async
    if inspect.isgeneratorfunction(body):

        @wraps(body)
        def iterate(*args: P.args, **kwargs: P.kwargs) -> Generator[Any, Any, Any]:
            before()
            return (yield from body(*args, **kwargs))

        return iterate

    @wraps(body)
    def run(*args: P.args, **kwargs: P.kwargs) -> Any:
        before()
        return body(*args, **kwargs)

    return run


def _types_of(body: Callable[..., Any]) -> Mapping[str, Any]:
    """Types of parameters by name; none where a name is known to type checkers only, as Prefect has it."""
    try:
        return get_type_hints(body)
    except (NameError, TypeError):
        return {}


def _holds_secret(declared: Any, seen: frozenset[Any] = frozenset()) -> bool:
    """Whether a type is or is made of secret types: `dict[str, SecretStr] | None`, a model with such a field.

    A block as a parameter is a reference, which Prefect stores as the block's id.
    """
    kind = get_origin(declared) or declared
    if isinstance(kind, type) and issubclass(kind, (SecretStr, SecretBytes, Secret)):
        return True
    parts = get_args(declared)
    if isinstance(kind, type) and issubclass(kind, BaseModel) and not issubclass(kind, Block) and kind not in seen:
        parts += tuple(field.annotation for field in kind.model_fields.values())
        seen |= {kind}
    return any(_holds_secret(part, seen) for part in parts)
