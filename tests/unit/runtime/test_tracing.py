"""Spans carry classes and durations, never exception texts, and children continue their trace."""

from collections.abc import Iterator

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode
from opentelemetry.util._once import Once

from holdtrue.runtime import tracing
from holdtrue.runtime.process import tool_environment

_PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    # The API lets a process set its provider once; each test brings its own.
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    yield exporter
    provider.shutdown()


@pytest.fixture
def no_provider(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", None)
    for name in ("OTEL_SDK_DISABLED", "OTEL_TRACES_EXPORTER", "OTEL_EXPORTER_OTLP_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)


def test_a_failed_span_names_the_class_and_not_the_text(spans: InMemorySpanExporter) -> None:
    with pytest.raises(ValueError, match="canary"), tracing.span("stage", hosts=2):
        raise ValueError("canary-secret")
    (span,) = spans.get_finished_spans()
    assert span.status.status_code is StatusCode.ERROR
    assert dict(span.attributes or {}) == {"hosts": 2, "error.type": "ValueError"}
    assert "canary" not in span.to_json()


def test_a_child_process_continues_the_trace(spans: InMemorySpanExporter) -> None:
    with tracing.span("stage"):
        environment = tool_environment({})
    (span,) = spans.get_finished_spans()
    assert span.context is not None
    assert environment["TRACEPARENT"].split("-")[1:3] == [
        f"{span.context.trace_id:032x}",
        f"{span.context.span_id:016x}",
    ]


@pytest.mark.usefixtures("no_provider")
def test_outside_a_recorded_span_nothing_is_passed_on() -> None:
    with tracing.span("stage"):
        assert tracing.trace_environment() == {}
        assert tracing.trace_carrier() == {}


def test_a_carrier_is_the_parent(spans: InMemorySpanExporter) -> None:
    with tracing.continued_span("flow", {"traceparent": _PARENT}):
        pass
    with tracing.continued_span("flow", {"traceparent": "garbage"}):
        pass
    continued, fresh = spans.get_finished_spans()
    assert continued.parent is not None
    assert f"{continued.parent.span_id:016x}" == _PARENT.split("-")[2]
    assert fresh.parent is None


@pytest.mark.usefixtures("no_provider")
@pytest.mark.parametrize(
    ("variables", "installed"),
    [
        ({}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_TRACES_EXPORTER": "none"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_SDK_DISABLED": "true"}, False),
        ({"OTEL_TRACES_EXPORTER": "console"}, True),
    ],
)
def test_the_standard_variables_decide(
    variables: dict[str, str], *, installed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trace, "_TRACER_PROVIDER_SET_ONCE", Once())
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    tracing.start_tracing()
    provider = trace.get_tracer_provider()
    assert isinstance(provider, TracerProvider) is installed
    assert tracing.flush_tracing() is True
    if isinstance(provider, TracerProvider):
        provider.shutdown()


def test_a_provider_that_is_there_is_kept(spans: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "console")
    before = trace.get_tracer_provider()
    tracing.start_tracing()
    assert trace.get_tracer_provider() is before
    assert spans.get_finished_spans() == ()
