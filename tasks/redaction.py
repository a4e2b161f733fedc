"""The net between a run and Prefect: what this process tells the server holds no registered secret.

The messages of states are made neutral on the same way.

Prefect has no hook for what it sends, so two of its methods are wrapped: the one that every API request passes, and
the one that every event passes on its way into the queue (prefect 3.8, client/base.py and events/worker.py).
"""

import json
import re
from collections.abc import Callable, Mapping
from functools import wraps
from inspect import iscoroutinefunction
from threading import Event as Flag
from threading import Lock
from typing import Any, Final, ParamSpec, TypeVar

from prefect.client.base import PrefectHttpxAsyncClient, PrefectHttpxSyncClient
from prefect.client.schemas.objects import State
from prefect.events.schemas.events import Event
from prefect.events.worker import EventsWorker
from prefect.settings import get_current_settings

from holdtrue.runtime.log_guard import guard_logging
from holdtrue.runtime.redaction import SECRETS, redact_data, redact_text, register_secret
from holdtrue.runtime.scrubbing import scrubbed, scrubs_errors
from tasks.neutral_messages import with_neutral_messages

P = ParamSpec("P")
R = TypeVar("R")

_TOLD: Final = re.compile(r"/(?:logs|artifacts|events|task_runs)(?:/|$)|/set_state/?$")
"""API paths that take texts about a run. Blocks, variables and parameters are data: a run that got `[redacted]` in
their place would go on with it, so these are refused elsewhere, not rewritten here."""

_OURS: Final = ("prefect.", "holdtrue.")
"""Begins of names that Prefect and this project give. A user's own may hold what the run knows, and is redacted."""

_RESOURCE: Final[Mapping[str, Any]] = {
    **dict.fromkeys(
        ("prefect.resource.role", "prefect.state-type", "prefect.state-timestamp", "prefect.orchestration")
    ),
    "prefect.resource.id": _OURS,
}
_STATE: Final[Mapping[str, Any]] = dict.fromkeys(("id", "type", "timestamp", "state_details", "data"))
_RUN: Final[Mapping[str, Any]] = dict.fromkeys(
    ("id", "flow_run_id", "task_key", "dynamic_key", "cache_key", "tags", "empirical_policy", "task_inputs")
)
_IDENTIFIERS: Final[Mapping[str, Any]] = {
    **_RUN,
    **dict.fromkeys(("task_run_id", "key", "type", "timestamp", "occurred", "follows")),
    "event": _OURS,
    "resource": _RESOURCE,
    "related": _RESOURCE,
    "state": _STATE,
    "payload": {"intended": None, "initial_state": _STATE, "validated_state": _STATE, "task_run": _RUN},
}
"""What Prefect and automations find things by, in these requests and in events. It is never rewritten, for an artifact
with the key `[redacted]` is refused; who chooses it, chooses it without secrets.

By the name of the field: None keeps it, begins keep what begins so, and a mapping tells what is kept below.
"""

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
    """`redacted` for a whole flow run, sync or async: at its end it lets go of its secrets.

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
    """What this process logs in to Prefect with is in its environment for all of its life."""
    api = get_current_settings().api
    for name, login in (("PREFECT_API_KEY", api.key), ("PREFECT_API_AUTH_STRING", api.auth_string)):
        if login is not None and login.get_secret_value():
            register_secret(login, name=name)


def guard_prefect() -> None:
    """Put the net below Prefect's clients; once a process."""
    if _INSTALLED.is_set():
        return
    with _INSTALLING:
        if _INSTALLED.is_set():
            return
        PrefectHttpxSyncClient.send = _guarded_send(PrefectHttpxSyncClient.send)  # type: ignore[method-assign]
        PrefectHttpxAsyncClient.send = _guarded_send(PrefectHttpxAsyncClient.send)  # type: ignore[method-assign]
        EventsWorker._prepare_item = _guarded_prepare(EventsWorker._prepare_item)  # type: ignore[method-assign, assignment] # noqa: SLF001
        _INSTALLED.set()


def _guarded_send(send: Callable[..., Any]) -> Callable[..., Any]:
    """Alike for both clients: the async one's answer is awaited by its caller."""

    @wraps(send)
    def guarded(self: Any, request: Any, *args: Any, **kwargs: Any) -> Any:
        return send(self, _clean_request(request), *args, **kwargs)

    return guarded


def _clean_request(request: Any) -> Any:
    """The httpx request itself, or one with a redacted body."""
    if not request.content or not _TOLD.search(request.url.path):
        return request
    try:
        data = json.loads(request.content)
    except ValueError:
        data = request.content
    clean = with_neutral_messages(_without_secrets(data))
    if clean == data:
        return request
    headers = [(name, value) for name, value in request.headers.multi_items() if name != "content-length"]
    return type(request)(
        request.method,
        request.url,
        headers=headers,
        content=clean if isinstance(clean, bytes) else json.dumps(clean).encode(),
        extensions=request.extensions,
    )


def _guarded_prepare(prepare: Callable[[EventsWorker, Event], Event]) -> Callable[[EventsWorker, Event], Event]:
    @wraps(prepare)
    def guarded(self: EventsWorker, event: Event) -> Event:
        return prepare(self, _clean_event(event))

    return guarded


def _clean_event(event: Event) -> Event:
    data = event.model_dump(mode="json")
    clean = with_neutral_messages(_without_secrets(data))
    return event if clean == data else type(event).model_validate(clean)


def _without_secrets(data: Any, kept: Mapping[str, Any] = _IDENTIFIERS) -> Any:
    """What is told, redacted, but for the identifiers that `kept` names."""
    if isinstance(data, list):
        return [_without_secrets(item, kept) for item in data]
    if not isinstance(data, dict):
        return redact_data(data)
    fixed = {name: _kept(item, kept[name]) for name, item in data.items() if name in kept}
    return {**redact_data({name: item for name, item in data.items() if name not in fixed}), **fixed}


def _kept(item: Any, how: Any) -> Any:
    match how:
        case Mapping():
            return _without_secrets(item, how)
        case tuple() if not str(item).startswith(how):
            return redact_data(item)
        case _:
            return item


def _clean_state(result: R) -> R:
    """A state that a flow returns is told to the server after the run's secrets are forgotten."""
    if isinstance(result, State) and SECRETS:
        if result.message is not None:
            result.message = redact_text(result.message)
        if isinstance(result.data, BaseException):
            result.data = scrubbed(result.data)
    return result
