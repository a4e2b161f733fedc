"""Whatever a run has Prefect keep is free of its secrets, or is refused. Each way is shown to lead there."""

import asyncio
import gc
import json
import secrets
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import httpx
import prefect
import pytest
from prefect import task
from prefect.client.base import PrefectHttpxSyncClient
from prefect.client.orchestration import get_client
from prefect.events import Event
from prefect.events.worker import EventsWorker
from prefect.logging import get_run_logger
from prefect.settings import get_current_settings
from pydantic import SecretStr

from blocks.vault import VaultCredentials
from holdtrue.core.forms import REPLACEMENT, forms
from holdtrue.errors import SecretExposed
from holdtrue.runtime.public_names import publish_names
from holdtrue.runtime.redaction import SECRETS, redact_text, register_secret
from tasks.kept_texts import clean_body
from tasks.redaction import guard_prefect, redacted_run
from tests.flows.server_database import content_with
from tests.flows.ways_into_prefect import DATA, TEXTS, Way, guarded, key_of_an_artifact

pytestmark = pytest.mark.filterwarnings("ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(autouse=True)
def no_sockets_left() -> Iterator[None]:
    """Prefect's asynchronous clients leave the socket of their last connection to the garbage collector."""
    yield
    gc.collect()


def new_value() -> str:
    """Good as a name of anything, as a number, and as a part of a key."""
    return str(10**15 + secrets.randbelow(10**15))


VALUE = "s3cr3t-of-a-request"


@pytest.fixture
def known_value() -> Iterator[None]:
    with SECRETS.open():
        register_secret(SecretStr(VALUE), name="canary")
        yield


@pytest.fixture
def secret() -> str:
    return new_value()


def values_for(ways: tuple[Way, ...]) -> dict[str, str]:
    return {way.__name__: new_value() for way in ways}


@pytest.fixture(params=["at once", "after the run"])
def events_are_sent(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], None]]:
    """Call it after the run: where the server is slow, events wait until the run has forgotten its secrets."""
    may_go = threading.Event()
    handle = EventsWorker._handle

    async def handle_later(self: EventsWorker, event: Event) -> None:
        await asyncio.to_thread(may_go.wait)
        await handle(self, event)

    if request.param == "after the run":
        EventsWorker.drain_all()
        monkeypatch.setattr(EventsWorker, "_handle", handle_later)
    yield may_go.set
    may_go.set()
    EventsWorker.drain_all()


def test_texts_are_redacted(events_are_sent: Callable[[], None]) -> None:
    known, unknown = values_for(TEXTS), values_for(TEXTS)

    @prefect.flow(name="leaving")
    @redacted_run
    def leaving() -> None:
        for value in known.values():
            register_secret(SecretStr(value), name="canary")
        for leave in TEXTS:
            leave(known[leave.__name__])
            leave(unknown[leave.__name__])

    leaving()
    events_are_sent()
    kept = content_with(*unknown.values())
    assert {name for name, value in known.items() if value.encode() in kept} == set()


def test_a_run_that_has_read_a_date_as_a_secret_keeps_its_log_and_events() -> None:
    """Prefect refuses log records, states and events whose time is redacted."""
    told = [new_value() for _ in range(2)]

    @prefect.flow(name="dated")
    @redacted_run
    def dated() -> None:
        now = datetime.now(UTC)
        for value in (now.date().isoformat(), now.isoformat(timespec="minutes")):
            register_secret(SecretStr(value), name="rotated")
        get_run_logger().warning("is %s", told[0])
        prefect.events.emit_event("x", {"prefect.resource.id": "x"}, payload={"text": told[1]})

    assert dated(return_state=True).is_completed()
    content_with(*told)


def test_data_is_refused() -> None:
    known, unknown = values_for(DATA), values_for(DATA)
    refusals: dict[str, str] = {}

    @prefect.flow(name="leaving-data")
    @redacted_run
    def leaving() -> None:
        for value in known.values():
            register_secret(SecretStr(value), name="canary")
        for leave in DATA:
            try:
                leave(known[leave.__name__])
            except SecretExposed as refusal:
                refusals[leave.__name__] = str(refusal)
            leave(unknown[leave.__name__])

    leaving()
    kept = content_with(*unknown.values())
    assert refusals.keys() == known.keys()
    assert not any(known[name] in refusal for name, refusal in refusals.items())
    assert {name for name, value in known.items() if value.encode() in kept} == set()


@task(persist_result=False)
def later(note: object) -> int:
    """A user's task that runs in another process."""
    return len(str(note))


def test_a_task_for_another_process_is_refused(secret: str) -> None:
    """Prefect stores its parameters as a file, which is not in the database."""
    unknown = new_value()
    guard_prefect()
    with SECRETS.open():
        register_secret(SecretStr(secret), name="canary")
        with pytest.raises(SecretExposed, match="deferred"):
            later.delay({"deep": [secret]})
        later.delay(unknown)
    stored = b"".join(file.read_bytes() for file in get_current_settings().home.rglob("*") if file.is_file())
    assert any(form.encode() in stored for form in forms(unknown))
    assert not any(form.encode() in stored for form in forms(secret))


def test_what_a_server_is_asked_is_not_refused(secret: str) -> None:
    with SECRETS.open(), get_client(sync_client=True) as client:
        register_secret(SecretStr(secret), name="canary")
        assert client._client.post("/variables/filter", json={"variables": {"name": {"any_": [secret]}}}).json() == []


def test_what_the_code_of_a_block_declares_is_not_refused() -> None:
    """A user name that is a word of a block's description is registered like any other field of a secret."""
    (word,) = [word for word in str(VaultCredentials._to_block_type().description).split() if len(word) >= 8][:1]
    with SECRETS.open():
        assert register_secret(SecretStr(word), name="user name"), "positive control: it is redacted elsewhere"
        VaultCredentials.register_type_and_schema()


RUN = "/flow_runs/0190a5c2-0000-7000-8000-000000000000"


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/logs/", [{"message": VALUE, "name": VALUE, "level": 20}]),
        ("POST", "/artifacts/", {"key": "x", "type": "markdown", "data": VALUE, "description": VALUE}),
        ("POST", "/flow_runs/", {"name": VALUE, "labels": {VALUE: VALUE}, "state": {"name": VALUE, "type": "RUNNING"}}),
        ("POST", "/deployments/1/create_flow_run", {"name": VALUE, "state": {"message": VALUE}, "parameters": {}}),
        ("POST", "/deployments/1/create_flow_run/bulk", [{"name": VALUE}, {"name": "fine"}]),
        ("PATCH", RUN, {"name": VALUE}),
        ("PATCH", f"{RUN}/labels", {"owner": VALUE}),
        ("POST", f"{RUN}/set_state", {"state": {"name": VALUE, "message": VALUE}}),
        ("POST", f"{RUN}/input", {"key": "paused-1-description", "value": VALUE}),
        ("POST", f"{RUN}/input", {"key": "paused-1-schema", "value": f'{{"title": "{VALUE}"}}'}),
        ("PATCH", "/task_runs/1", {"name": VALUE}),
    ],
)
@pytest.mark.usefixtures("known_value")
def test_texts_of_a_request(method: str, path: str, body: Any) -> None:
    clean = clean_body(method, path, json.dumps(body).encode())
    assert json.loads(clean) == json.loads(json.dumps(body).replace(VALUE, REPLACEMENT))


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/artifacts/", {"key": VALUE}),
        ("POST", "/flow_runs/", {"name": "fine", "parameters": {"deep": [{VALUE: 1}]}}),
        ("POST", "/flow_runs/", {"tags": [VALUE]}),
        ("POST", "/deployments/1/create_flow_run/bulk", [{"name": "fine"}, {"job_variables": {"env": {"X": VALUE}}}]),
        ("PATCH", RUN, {"parameters": {"x": VALUE}}),
        ("POST", f"{RUN}/resume", {"run_input": {"x": VALUE}}),
        ("POST", f"{RUN}/input", {"key": "paused-1-response", "value": VALUE}),
        ("POST", f"{RUN}/input", {"key": f"{VALUE}-schema", "value": "fine"}),
        ("POST", "/flows/", {"name": VALUE}),
        ("POST", "/deployments/", {"name": "x", "description": VALUE}),
        ("POST", "/automations/", {"name": "x", "actions": [{"message": VALUE}]}),
        ("POST", "/block_documents/", {"data": {"value": VALUE}}),
        ("PATCH", "/variables/name/labels", {"value": VALUE}),
        ("PATCH", "/work_pools/filter", {"description": VALUE}),
        ("POST", "/some/path/of/tomorrow", {"value": VALUE}),
        ("POST", "/some/path/of/tomorrow", f"not JSON {VALUE}"),
    ],
)
@pytest.mark.usefixtures("known_value")
def test_data_of_a_request(method: str, path: str, body: Any) -> None:
    content = body if isinstance(body, str) else json.dumps(body)
    with pytest.raises(SecretExposed) as caught:
        clean_body(method, path, content.encode())
    assert VALUE not in str(caught.value)
    clean = content.replace(VALUE, "another value").encode()
    assert clean_body(method, path, clean) is clean


@pytest.mark.usefixtures("known_value")
def test_the_address_of_the_api_decides_nothing() -> None:
    sent: list[bytes] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request.content)
        return httpx.Response(200, json={})

    guard_prefect()
    address = "https://prefect.example/logs/api"
    with PrefectHttpxSyncClient(base_url=address, transport=httpx.MockTransport(answer)) as client:
        with pytest.raises(SecretExposed):
            client.post("/variables/", json={"value": VALUE})
        client.post("/logs/", json=[{"message": VALUE}])
        client.post("/variables/", json={"value": "fine"})
    assert [json.loads(content) for content in sent] == [[{"message": REPLACEMENT}], {"value": "fine"}]


BEFORE_ANY_RUN = f"""
import httpx
from prefect.client.base import PrefectHttpxSyncClient
from pydantic import SecretStr
from holdtrue.runtime.redaction import register_secret
from tasks.submission import flow

flow(name="guarded")(lambda: None)
register_secret(SecretStr({VALUE!r}), name="canary")
transport = httpx.MockTransport(lambda request: print(request.content.decode()) or httpx.Response(200))
client = PrefectHttpxSyncClient(base_url="https://prefect.example/api", transport=transport)
client.patch({RUN!r}, json={{"name": {VALUE!r}}})
"""


def test_the_net_is_there_as_soon_as_a_guarded_flow_is_defined() -> None:
    """The template of a run's name is filled in before the body begins."""
    done = subprocess.run(
        (sys.executable, "-c", BEFORE_ANY_RUN), capture_output=True, text=True, check=True, timeout=120
    )
    assert json.loads(done.stdout) == {"name": REPLACEMENT}


def test_the_name_of_a_flow_that_holds_a_secret_is_not_public(secret: str) -> None:
    with SECRETS.open():
        register_secret(SecretStr(secret), name="canary")
        guarded.with_options(name=f"backup of {secret}")
        with SECRETS.open():
            assert register_secret(SecretStr(secret), name="read once more")
        with pytest.raises(SecretExposed):
            guarded.with_options(name=f"backup of {secret}")()


def test_a_public_name_is_not_taken_for_a_secret() -> None:
    name = f"storefront-{secrets.token_hex(4)}"
    publish_names([f"{name}-live"])

    @prefect.flow(name="public")
    @redacted_run
    def public() -> None:
        assert not register_secret(SecretStr(name), name="a database's user")
        key_of_an_artifact(name)
        assert register_secret(SecretStr(f"{name}-live-2"), name="more than the name")
        assert redact_text(f"{name}-live-2") == REPLACEMENT

    public()
