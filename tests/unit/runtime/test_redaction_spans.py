"""No span is exported with a registered secret, whoever recorded it."""

from collections.abc import Iterator

import pytest
from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider, export
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Link, SpanContext, Status, StatusCode
from opentelemetry.util._once import Once
from pydantic import SecretStr

from holdtrue.core.forms import REPLACEMENT
from holdtrue.runtime import tracing
from holdtrue.runtime.redaction import SECRETS, register_secret
from holdtrue.runtime.span_redaction import RedactingProcessor

VALUE = "s3cr3t-canary/value"


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def tracer(exporter: InMemorySpanExporter) -> Iterator[trace.Tracer]:
    provider = TracerProvider(resource=Resource.create({"deployment": f"at {VALUE}"}), shutdown_on_exit=False)
    provider.add_span_processor(RedactingProcessor(SimpleSpanProcessor(exporter)))
    yield provider.get_tracer("prefect")
    provider.shutdown()


def leak(tracer: trace.Tracer) -> None:
    other = SpanContext(trace_id=1, span_id=2, is_remote=True)
    with tracer.start_as_current_span(f"run {VALUE}", links=[Link(other, {"from": VALUE})]) as span:
        span.set_attributes({"url": f"http://u:{VALUE}@host", "list": ["a", VALUE], "number": 3})
        span.add_event(f"event {VALUE}", {"prefect.state.message": VALUE})
        span.record_exception(ValueError(VALUE))
        span.set_status(Status(StatusCode.ERROR, f"failed with {VALUE}"))


def test_every_text_of_a_span_is_redacted_and_the_rest_stays(
    tracer: trace.Tracer, exporter: InMemorySpanExporter
) -> None:
    leak(tracer)
    with SECRETS.open():
        register_secret(SecretStr(VALUE), name="canary")
        leak(tracer)
    leaky, clean = exporter.get_finished_spans()

    assert leaky.to_json().count(VALUE) == 10, "positive control"
    assert VALUE not in clean.to_json()
    assert clean.to_json().count(REPLACEMENT) == 10
    assert clean.name == f"run {REPLACEMENT}"
    assert (clean.attributes or {})["number"] == 3
    assert clean.kind is leaky.kind
    assert clean.status.status_code is StatusCode.ERROR
    assert clean.instrumentation_scope == leaky.instrumentation_scope
    assert clean.context != leaky.context
    assert clean.start_time is not None
    assert clean.end_time is not None
    assert clean.start_time < clean.end_time
    assert [link.context for link in clean.links] == [link.context for link in leaky.links]


def test_a_clean_span_is_handed_on_itself(exporter: InMemorySpanExporter) -> None:
    ended = []

    class Recorder(SimpleSpanProcessor):
        def on_end(self, span: object) -> None:
            ended.append(span)

    processor = RedactingProcessor(Recorder(exporter))
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(processor)
    provider.add_span_processor(Recorder(exporter))
    with SECRETS.open():
        register_secret(SecretStr(VALUE), name="canary")
        with provider.get_tracer("x").start_as_current_span("clean", attributes={"a": "b"}) as span:
            span.add_event("one")
    assert ended[0] is ended[1]
    assert processor.force_flush()


def test_what_this_process_exports_passes_the_net(
    monkeypatch: pytest.MonkeyPatch, exporter: InMemorySpanExporter
) -> None:
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", None)
    monkeypatch.setattr(trace, "_TRACER_PROVIDER_SET_ONCE", Once())
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "console")
    monkeypatch.setattr(export, "ConsoleSpanExporter", lambda: exporter)
    tracing.start_tracing()
    with SECRETS.open():
        register_secret(SecretStr(VALUE), name="canary")
        leak(trace.get_tracer("prefect"))
    # Exported only now, when the secret is forgotten.
    assert tracing.flush_tracing()
    provider = trace.get_tracer_provider()
    assert isinstance(provider, TracerProvider)
    provider.shutdown()

    (span,) = exporter.get_finished_spans()
    assert span.name == f"run {REPLACEMENT}"
    assert VALUE not in span.to_json()
