"""The net between a run and Prefect: what this process sends to the server holds no registered secret.

The messages of states are made neutral at the same places.

Prefect has no hook for what it sends, so the methods that everything passes are wrapped (prefect 3.9): `send` of both
HTTP clients (client/base.py) and `emit` of the event clients (events/clients.py). Logs and events wait in queues and
may be sent after the run has forgotten its secrets, so they are also cleaned on their way into these.
"""

from collections.abc import Callable
from functools import wraps
from inspect import iscoroutinefunction, signature
from threading import Event as Flag
from threading import Lock
from typing import Any, Final, ParamSpec, TypeVar

from prefect import Task
from prefect.client.base import PrefectHttpxAsyncClient, PrefectHttpxSyncClient
from prefect.client.schemas.objects import State
from prefect.context import FlowRunContext, TaskRunContext
from prefect.events.clients import EventsClient
from prefect.events.schemas.events import Event
from prefect.events.worker import EventsWorker
from prefect.logging.handlers import APILogWorker
from prefect.settings import get_current_settings

from holdtrue.runtime.log_guard import guard_logging
from holdtrue.runtime.redaction import SECRETS, redact_data, redact_text, register_secret
from holdtrue.runtime.scrubbing import scrubbed, scrubs_errors
from tasks.kept_texts import clean_body, clean_event, publish_words_of_prefect, refuse_registered

P = ParamSpec("P")
R = TypeVar("R")

_INSTALLING: Final = Lock()
_INSTALLED: Final = Flag()


def redacted(body: Callable[P, R]) -> Callable[P, R]:
    """For the function below `@task` or `@flow`, sync or async: what leaves it, and the process, has passed the net.

    Its exceptions with their chains, the messages of states that it returns, log records, artifacts and events hold no
    registered secret. Secrets are registered by whoever fetches them: blocks of this project do, others call
    `register_secret`.
    """
    clean = scrubs_errors(body)

    if iscoroutinefunction(body):

        @wraps(body)
        async def run_async(*args: P.args, **kwargs: P.kwargs) -> Any:
            _guard()
            return _clean_state(await clean(*args, **kwargs))  # type: ignore[misc] # it is a coroutine function

        return run_async  # type: ignore[return-value] # as `body` is

    @wraps(body)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        _guard()
        return _clean_state(clean(*args, **kwargs))

    return run


def redacted_run(body: Callable[P, R]) -> Callable[P, R]:
    """`redacted` for a whole flow run, sync or async: the run lets go of its secrets at its end.

    What somebody else still holds, such as the credential scope of its parent, stays known.
    """
    clean = redacted(body)

    if iscoroutinefunction(body):

        @wraps(body)
        async def run_async(*args: P.args, **kwargs: P.kwargs) -> Any:
            with SECRETS.open():
                return await clean(*args, **kwargs)  # type: ignore[misc] # it is a coroutine function

        return run_async  # type: ignore[return-value] # as `body` is

    @wraps(body)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        with SECRETS.open():
            return clean(*args, **kwargs)

    return run


def _guard() -> None:
    guard_logging()
    guard_prefect()
    _register_login()


def _register_login() -> None:
    """Register the credentials of this process for Prefect, which stay in its environment until it ends."""
    api = get_current_settings().api
    for name, login in (("PREFECT_API_KEY", api.key), ("PREFECT_API_AUTH_STRING", api.auth_string)):
        if login is not None and login.get_secret_value():
            register_secret(login, name=name)


def guard_prefect() -> None:
    """Wrap Prefect's clients and queues in the net; once a process."""
    if _INSTALLED.is_set():
        return
    with _INSTALLING:
        if _INSTALLED.is_set():
            return
        publish_words_of_prefect()
        for client in (PrefectHttpxSyncClient, PrefectHttpxAsyncClient):
            client.send = _cleaning(client.send, _clean_request)  # type: ignore[method-assign]
        EventsClient.emit = _cleaning(EventsClient.emit, lambda _, event: clean_event(event))  # type: ignore[method-assign]
        EventsWorker.send = _cleaning(EventsWorker.send, _clean_queued_event)  # type: ignore[method-assign]
        APILogWorker.send = _cleaning(APILogWorker.send, lambda _, log: redact_data(log))  # type: ignore[method-assign]
        Task.create_run = _refusing(Task.create_run)  # type: ignore[method-assign]
        Task.create_local_run = _refusing(Task.create_local_run)  # type: ignore[method-assign]
        _INSTALLED.set()


def _cleaning(send: Callable[..., Any], clean: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    """The same method, which sends the clean form of its argument. A coroutine stays one: the caller awaits it."""
    name = list(signature(send).parameters)[1]

    @wraps(send)
    def guarded(self: Any, *args: Any, **kwargs: Any) -> Any:
        if args:
            args = (clean(self, args[0]), *args[1:])
        elif name in kwargs:
            kwargs[name] = clean(self, kwargs[name])
        return send(self, *args, **kwargs)

    return guarded


def _clean_queued_event(_: Any, event: Event) -> Event:
    """Clean the runs of the context too: the worker adds their names and tags to the event when it sends it."""
    for context in (FlowRunContext.get(), TaskRunContext.get()):
        run = getattr(context, "flow_run", None) or getattr(context, "task_run", None)
        if run is not None:
            run.name, run.tags = redact_text(run.name), redact_data(run.tags)
    return clean_event(event)


def _refusing(create: Callable[..., Any]) -> Callable[..., Any]:
    """Another process runs a deferred task (`task.delay`), and Prefect stores its parameters without using the API."""

    @wraps(create)
    def guarded(self: Task[..., Any], *args: Any, deferred: bool = False, **kwargs: Any) -> Any:
        if deferred:
            refuse_registered(kwargs.get("parameters"), where=f"task {self.name}, parameters of a deferred run")
        return create(self, *args, deferred=deferred, **kwargs)

    return guarded


def _clean_request(client: Any, request: Any) -> Any:
    """The httpx request itself, or one with a redacted body.

    Raises:
        SecretExposed: its body contains a secret where a replacement would be taken for data.
    """
    if not request.content:
        return request
    path = request.url.path.removeprefix(client.base_url.path.rstrip("/"))
    clean = clean_body(request.method, path, request.content)
    if clean is request.content:
        return request
    headers = [(name, value) for name, value in request.headers.multi_items() if name != "content-length"]
    return type(request)(request.method, request.url, headers=headers, content=clean, extensions=request.extensions)


def _clean_state(result: R) -> R:
    """A state that a flow returns is told to the server after the run's secrets are forgotten."""
    if isinstance(result, State) and SECRETS:
        if result.name is not None:
            result.name = redact_text(result.name)
        if result.message is not None:
            result.message = redact_text(result.message)
        if isinstance(result.data, BaseException):
            result.data = scrubbed(result.data)
    return result
