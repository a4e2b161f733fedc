"""Texts that were made while a run held its secrets, and that come out after its end."""

import logging
import logging.handlers
import queue
import threading
from collections.abc import Callable

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from pydantic import SecretStr

from holdtrue.core.forms import REPLACEMENT
from holdtrue.runtime.log_guard import guard_logging
from holdtrue.runtime.redaction import LINGER_SECONDS, SECRETS, redact_text, register_secret
from holdtrue.runtime.scrubbing import scrubbed
from holdtrue.runtime.span_redaction import RedactingProcessor

VALUE = "s3cr3t-canary/value"
LOGGER = logging.getLogger("test.redaction.late")


def _span() -> Callable[[], str]:
    """Prefect ends the span of a flow's run after the run's own code."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(RedactingProcessor(SimpleSpanProcessor(exporter)))
    span = provider.get_tracer("prefect").start_span("flow")
    span.set_attribute("url", f"https://user:{VALUE}@host")

    def come_out() -> str:
        span.end()
        provider.shutdown()
        return str(exporter.get_finished_spans()[0].to_json())

    return come_out


def _thread() -> Callable[[], str]:
    """Works on after the end of the run that started it."""
    records: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: records.append(record.getMessage())  # type: ignore[method-assign]
    may_go_on = threading.Event()
    text = f"made with {VALUE}"

    def work() -> None:
        may_go_on.wait(10)
        LOGGER.warning(text)

    thread = threading.Thread(target=work)
    thread.start()

    def come_out() -> str:
        LOGGER.addHandler(handler)
        may_go_on.set()
        thread.join(10)
        LOGGER.removeHandler(handler)
        return "\n".join(records)

    return come_out


def _exception() -> Callable[[], str]:
    """Nobody asked for it while the run lasted."""
    error = RuntimeError(f"login with {VALUE} failed")
    return lambda: str(scrubbed(error))


def _text() -> Callable[[], str]:
    """The state message of a parent that its child returned it to."""
    text = f"the child failed with {VALUE}"
    return lambda: redact_text(text)


LATE = [_span, _thread, _exception, _text]


@pytest.mark.parametrize("make", LATE)
def test_it_is_redacted_when_it_comes_out_soon(
    make: Callable[[], Callable[[], str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SECRETS, "linger_seconds", LINGER_SECONDS)
    guard_logging()
    with SECRETS.open():
        register_secret(SecretStr(VALUE), name="canary")
        come_out = make()
    text = come_out()
    monkeypatch.setattr(SECRETS, "linger_seconds", 0)
    with SECRETS.open():  # So that the next test does not know it.
        register_secret(SecretStr(VALUE), name="canary")
    assert redact_text(VALUE) == VALUE
    assert VALUE not in text
    assert REPLACEMENT in text


@pytest.mark.parametrize("make", LATE)
def test_positive_control_without_the_time_after_the_run_it_shows(make: Callable[[], Callable[[], str]]) -> None:
    guard_logging()
    with SECRETS.open():
        register_secret(SecretStr(VALUE), name="canary")
        come_out = make()
    assert VALUE in come_out()


def test_what_waits_in_a_queue_was_redacted_when_it_was_made() -> None:
    waiting: queue.SimpleQueue[logging.LogRecord] = queue.SimpleQueue()
    handler = logging.handlers.QueueHandler(waiting)
    memory = logging.handlers.MemoryHandler(10, flushLevel=logging.CRITICAL)
    guard_logging()
    for each in (handler, memory):
        LOGGER.addHandler(each)
    try:
        LOGGER.warning("before %s", VALUE)
        with SECRETS.open():
            register_secret(SecretStr(VALUE), name="canary")
            LOGGER.warning("logged %s", VALUE)
    finally:
        for each in (handler, memory):
            LOGGER.removeHandler(each)
    assert redact_text(VALUE) == VALUE
    texts = [record.getMessage() for record in memory.buffer]
    assert texts == [f"before {VALUE}", f"logged {REPLACEMENT}"], "the first is the positive control"
    assert [waiting.get().getMessage() for _ in texts] == texts
