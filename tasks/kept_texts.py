"""What Prefect would keep of one request or event: its texts are redacted, and data that holds a secret is refused.

A text is what people read: a message, a log line, the name of a run. Data is what a run or a person works with, or what
something is found by. A run that got `[redacted]` as a parameter would work with it, and an artifact with `[redacted]`
in its key could not be found.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from prefect.client.schemas.actions import (
    ArtifactCreate,
    DeploymentFlowRunCreate,
    FlowRunCreate,
    LogCreate,
    StateCreate,
    TaskRunCreate,
)
from prefect.client.schemas.objects import StateDetails, StateType, TaskRun
from prefect.events.schemas.events import Event

from holdtrue.errors import SecretExposed
from holdtrue.runtime.public_names import publish_names
from holdtrue.runtime.redaction import redact_data, redact_shown, redact_text
from tasks.neutral_messages import with_neutral_messages

REFERENCE: Final = "put it into Vault, save a VaultSecret block, and pass SecretRef(block=...)."

_TEXTS: Final = re.compile(
    r"/(?:logs|events|task_runs)(?:/|$)|/flow_runs/(?:bulk_set_state|[^/]+/(?:set_state|labels))/?$"
)
"""Paths of the API that take only texts about a run, and its state."""

_ARTIFACT: Final = re.compile(r"/artifacts(?:/|$)")
_RUN: Final = re.compile(r"/flow_runs(?:/[0-9a-f-]{36})?/?$|/deployments/[^/]+/create_flow_run(?:/bulk)?/?$")
_NOT_DATA: Final[Mapping[re.Pattern[str], frozenset[str]]] = {
    _ARTIFACT: frozenset({"type", "data", "description", "metadata_"}),
    _RUN: frozenset({"name", "labels", "state"}),
}
"""Fields that are texts in a request whose other fields are data."""

_RUN_INPUT: Final = re.compile(r"/flow_runs/[^/]+/input/?$")
_QUESTION: Final = ("-schema", "-description")
"""Ends of the keys under which Prefect keeps the form of a pause; the answer and other inputs are data (prefect 3.9,
input/run_input.py)."""

_ASKED: Final = re.compile(r"/(?:filter|count|paginate|history|lateness|validate|get_runs|get_scheduled_flow_runs)/?$")
"""Ends of paths that only read: Prefect does not keep what is sent to them."""

_DECLARED: Final = re.compile(r"/block_(?:types|schemas)(?:/|$)")
"""Paths that take what the code of a block class declares, which is public: no run adds anything to it."""

_DEPTH: Final = 100
"""Data that is nested deeper is not searched, so it is not sent."""

_WORDS: Final = (
    *("markdown", "progress", "validated_state", "initial_state", "prefect.task-run", "prefect.flow-run"),
    *(f"prefect.resource.{name}" for name in ("id", "name", "role")),
    *(f"prefect.state-{name}" for name in ("message", "name", "timestamp", "type")),
)
"""Words that are not in Prefect's models: types of artifacts, and parts of events about runs."""


def publish_words_of_prefect() -> None:
    """Publish the words of Prefect's API, so that none is redacted: the server would refuse requests without them."""
    models = (ArtifactCreate, DeploymentFlowRunCreate, Event, FlowRunCreate, LogCreate, StateCreate, TaskRunCreate)
    fields = (name for model in (*models, StateDetails, TaskRun) for name in model.model_fields)
    publish_names((*fields, *(kind.value for kind in StateType), *_WORDS))


def clean_body(method: str, path: str, content: bytes) -> bytes:
    """The body of a request, without a registered secret and with neutral messages.

    `path` begins below the address of the API.

    Raises:
        SecretExposed: it contains a secret where a replacement would be taken for data. It must not be sent.
    """
    if _DECLARED.match(path) or (method == "POST" and _ASKED.search(path)):
        return content
    try:
        data = json.loads(content)
    except ValueError:
        refuse_registered(content, where=_where(path))
        return content
    clean = with_neutral_messages(_clean(path, data))
    return content if clean == data else json.dumps(clean).encode()


def clean_event(event: Event) -> Event:
    """The event itself, or a copy with neutral messages and without registered secrets in any text, number or key."""
    data = event.model_dump(mode="json")
    clean = with_neutral_messages(redact_data(data))
    return event if clean == data else type(event).model_validate(clean)


def refuse_registered(data: Any, *, where: str) -> None:
    """Refuse data that contains a registered secret.

    Raises:
        SecretExposed: it contains one.
    """
    places = list(places_of_secrets(data))
    if places:
        raise SecretExposed(
            f"Prefect would keep a secret of this run in clear, so nothing was sent: {', '.join(places)}",
            where=where,
            next_step=f"choose names without secrets; where the secret itself is needed, {REFERENCE}",
        )


def places_of_secrets(data: Any, at: str = "", depth: int = 0) -> Iterator[str]:
    """Path of each key and value that contains a registered secret; the path leaves out the text of such a key.

    Data that is nested too deeply to be searched counts as a place too.
    """
    match data:
        case Mapping() | list() | tuple() | set() | frozenset() if depth == _DEPTH:
            yield at
        case Mapping():
            for key, item in data.items():
                is_secret = redact_text(str(key)) != str(key)
                path = f"{at}.{'(a key)' if is_secret else key}".removeprefix(".")
                if is_secret:
                    yield path
                yield from places_of_secrets(item, path, depth + 1)
        case list() | tuple() | set() | frozenset():
            for index, item in enumerate(data):
                yield from places_of_secrets(item, f"{at}[{index}]", depth + 1)
        case _ if redact_shown(redact_data(data)) is not data:
            yield at


def _clean(path: str, data: Any) -> Any:
    if _TEXTS.match(path):
        return redact_data(data)
    if isinstance(data, list):
        return [_clean(path, item) for item in data]
    texts = _texts(path, data) if isinstance(data, Mapping) else frozenset()
    if not texts:
        refuse_registered(data, where=_where(path))
        return data
    refuse_registered({name: item for name, item in data.items() if name not in texts}, where=_where(path))
    return {name: redact_data(item) if name in texts else item for name, item in data.items()}


def _texts(path: str, data: Mapping[str, Any]) -> frozenset[str]:
    if _RUN_INPUT.match(path):
        return frozenset({"value"}) if str(data.get("key", "")).endswith(_QUESTION) else frozenset()
    return next((texts for pattern, texts in _NOT_DATA.items() if pattern.match(path)), frozenset())


def _where(path: str) -> str:
    return f"request to the Prefect API, {redact_text(path)}"
