"""Every way in which a run can make Prefect keep a text, or a value that something else goes on with."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Final

import prefect
import prefect.artifacts
import prefect.events
import pytest
from prefect import task
from prefect.client.orchestration import get_client
from prefect.context import FlowRunContext
from prefect.deployments import run_deployment
from prefect.events import Event
from prefect.events.clients import PrefectEventsClient
from prefect.exceptions import FlowPauseTimeout
from prefect.flow_runs import pause_flow_run
from prefect.input import RunInput
from prefect.input.actions import create_flow_run_input
from prefect.logging.handlers import APILogHandler, APILogWorker
from prefect.states import Completed
from prefect.variables import Variable

from tasks.redaction import redacted_run
from tasks.submission import flow, start_run
from tests.flows.runs import end_of

Way = Callable[[str], None]


@prefect.flow(name="take")
def take(note: Any = "") -> int:
    """A user's flow, which nothing guards."""
    return len(str(note))


@flow(name="take-guarded")
def guarded(note: Any = "") -> int:
    """A user's flow."""
    return len(str(note))


def this_run() -> Any:
    context = FlowRunContext.get()
    assert context is not None
    assert context.flow_run is not None
    return context.flow_run


def flow_run_name(text: str) -> None:
    prefect.flow(name="named", flow_run_name=lambda: f"run of {text}")(lambda: None)()


def task_run_name(text: str) -> None:
    task(name="named", task_run_name=lambda: f"task of {text}")(lambda: None)()


def name_of_a_run_with_an_event(text: str) -> None:
    """Prefect adds the runs that an event comes from when it sends it."""

    @task(task_run_name=lambda: f"task of {text}")
    def emitting() -> None:
        prefect.events.emit_event("x", {"prefect.resource.id": "x"})

    @prefect.flow(name="emitting", flow_run_name=lambda: f"run of {text}")
    def run() -> None:
        emitting()

    run()


def new_name(text: str) -> None:
    with get_client(sync_client=True) as client:
        client.update_flow_run(this_run().id, name=f"renamed {text}")


def labels(text: str) -> None:
    with get_client(sync_client=True) as client:
        client.update_flow_run_labels(this_run().id, {"owner": text, text: "owner"})


def state_name(text: str) -> None:
    end_of(prefect.flow(name="stated")(redacted_run(lambda: Completed(name=text))))


def state_name_of_a_task(text: str) -> None:
    task(name="stated")(lambda: Completed(name=text))()


def first_state(text: str) -> None:
    with get_client(sync_client=True) as client:
        client.create_flow_run(take, state=Completed(name=text, message=text))


class Question(RunInput):
    """A form."""

    answer: bool = False


def question_of_a_pause(text: str) -> None:
    @prefect.flow(name="paused")
    def paused() -> None:
        with pytest.raises(FlowPauseTimeout):
            pause_flow_run(wait_for_input=Question.with_initial_data(description=text), timeout=1, poll_interval=1)

    paused(return_state=True)


def event_name(text: str) -> None:
    prefect.events.emit_event(f"prefect.{text}", {"prefect.resource.id": "x"})


def event_resource(text: str) -> None:
    prefect.events.emit_event("x", {"prefect.resource.id": f"holdtrue.{text}", text: "x"})


def event_related(text: str) -> None:
    related = [{"prefect.resource.id": f"prefect.x.{text}", "prefect.resource.role": text}]
    prefect.events.emit_event("x", {"prefect.resource.id": "x"}, related=related)


def event_payload(text: str) -> None:
    payload = {"intended": text, "task_run": {"tags": [text]}, "state": {"data": text}, "deep": [{text: (text,)}]}
    prefect.events.emit_event("x", {"prefect.resource.id": "x"}, payload=payload)


def number_in_an_event(text: str) -> None:
    prefect.events.emit_event("x", {"prefect.resource.id": "x"}, payload={"pin": [int(text)], "pins": {int(text): 1}})


def event_of_a_client(text: str) -> None:
    async def emit() -> None:
        async with PrefectEventsClient() as client:
            resource = {"prefect.resource.id": "x", "name": text}
            await client.emit(event=Event(event="x", resource=resource, payload={"number": text}))

    asyncio.run(emit())


def number_in_an_event_of_a_client(text: str) -> None:
    async def emit() -> None:
        async with PrefectEventsClient() as client:
            resource = {"prefect.resource.id": "x"}
            await client.emit(Event(event="x", resource=resource, payload={"pin": int(text)}))

    asyncio.run(emit())


class OwnLogger(logging.Logger):
    """Passes records to its handlers in its own way."""

    def handle(self, record: logging.LogRecord) -> None:
        self.callHandlers(record)


def record_of(text: str) -> logging.LogRecord:
    made = logging.LogRecord("x", logging.INFO, __file__, 1, "is %s", (text,), None)
    made.flow_run_id = str(this_run().id)
    return made


def logger_of_another_class(text: str) -> None:
    logger = OwnLogger("x", logging.INFO)
    logger.addHandler(APILogHandler())
    logger.info("is %s", text, extra={"flow_run_id": str(this_run().id)})


def called_handlers(text: str) -> None:
    logging.getLogger("prefect.flow_runs").callHandlers(record_of(text))


def emitting_handler(text: str) -> None:
    APILogHandler().emit(record_of(text))


def queued_log(text: str) -> None:
    APILogWorker.instance().send(APILogHandler().prepare(record_of(f"{text[:9]}%s")) | {"message": f"is {text}"})


TEXTS: Final[tuple[Way, ...]] = (
    *(
        flow_run_name,
        task_run_name,
        name_of_a_run_with_an_event,
        new_name,
        labels,
        state_name,
        state_name_of_a_task,
        first_state,
    ),
    *(question_of_a_pause, event_name, event_resource, event_related, event_payload, number_in_an_event),
    *(event_of_a_client, number_in_an_event_of_a_client),
    *(logger_of_another_class, called_handlers, emitting_handler, queued_log),
)


def deployment_of_take() -> str:
    with get_client(sync_client=True) as client:
        client.create_deployment(flow_id=client.create_flow(take), name="kept", parameters={})
    return "take/kept"


def parameter_of_a_deployment(text: str) -> None:
    run_deployment(deployment_of_take(), parameters={"note": {"deep": [text]}}, timeout=0)


def parameter_of_start_run(text: str) -> None:
    start_run(deployment_of_take(), {"note": int(text)}, timeout_seconds=0)


def job_variable(text: str) -> None:
    run_deployment(deployment_of_take(), job_variables={"env": {"GREETING": text}}, timeout=0)


def parameter_of_a_child(text: str) -> None:
    take(text)


def parameter_of_a_guarded_child(text: str) -> None:
    guarded({"deep": [f"x {text}"]})


def tag_of_a_child(text: str) -> None:
    with prefect.tags(text):
        take()


def key_of_an_artifact(text: str) -> None:
    prefect.artifacts.create_markdown_artifact("x", key=f"report-{text}")


def variable(text: str) -> None:
    Variable.set("kept_text", text, overwrite=True)


def answer_to_a_question(text: str) -> None:
    create_flow_run_input("paused-1-response", {"answer": text}, flow_run_id=this_run().id)


def description_of_a_deployment(text: str) -> None:
    with get_client(sync_client=True) as client:
        client.create_deployment(flow_id=client.create_flow(take), name="described", description=text)


DATA: Final[tuple[Way, ...]] = (
    *(parameter_of_a_deployment, parameter_of_start_run, job_variable, parameter_of_a_child),
    *(parameter_of_a_guarded_child, tag_of_a_child, key_of_an_artifact, variable, answer_to_a_question),
    description_of_a_deployment,
)
