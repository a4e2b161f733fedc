"""OpenTelemetry for one run: a provider made from the standard OTEL_* variables, spans, and W3C context to children."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from opentelemetry import propagate, trace
from opentelemetry.trace import Span, Status, StatusCode

_TRACER_NAME: Final = "holdtrue"
_FLUSH_TIMEOUT_MILLISECONDS: Final = 5_000
"""A collector that is down may delay the end of a run by this much and no more."""


def start_tracing(service_name: str = "holdtrue") -> None:
    """Install the SDK's tracer provider once per process; without an exporter configured, spans stay no-ops.

    Honoured: OTEL_SDK_DISABLED, OTEL_TRACES_EXPORTER (otlp, console, none; default none unless an OTLP endpoint is
    set), OTEL_EXPORTER_OTLP_*, OTEL_TRACES_SAMPLER(_ARG), OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES. A provider
    that is already there (opentelemetry-instrument, a test) is kept; only what ours exports is redacted.
    """
    exporter = _exporter_name()
    if exporter == "none" or not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
        return
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415 - 0.2 s of CPU that only traced runs pay
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import (  # noqa: PLC0415
        BatchSpanProcessor,
        ConsoleSpanExporter,
        SpanExporter,
    )

    from holdtrue.runtime.span_redaction import RedactingProcessor  # noqa: PLC0415 - imports the SDK

    resource = Resource.create({"service.name": os.environ.get("OTEL_SERVICE_NAME", service_name)})
    target: SpanExporter
    if exporter == "console":
        target = ConsoleSpanExporter()
    else:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415

        target = OTLPSpanExporter()
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(RedactingProcessor(BatchSpanProcessor(target)))
    trace.set_tracer_provider(provider)


def _exporter_name() -> str:
    if os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return "none"
    endpoint_set = any(
        os.environ.get(name) for name in ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
    )
    return os.environ.get("OTEL_TRACES_EXPORTER", "otlp" if endpoint_set else "none")


@contextmanager
def span(name: str, **attributes: str | float | bool) -> Iterator[Span]:
    """One span around a stage or an external tool call; an exception marks it failed by class, never by message.

    Exception texts stay out: they may quote tool output, and a span leaves this machine.
    """
    tracer = trace.get_tracer(_TRACER_NAME)
    with tracer.start_as_current_span(
        name, attributes=attributes, record_exception=False, set_status_on_exception=False
    ) as current:
        try:
            yield current
        except BaseException as error:
            current.set_status(Status(StatusCode.ERROR, type(error).__name__))
            current.set_attribute("error.type", type(error).__name__)
            raise


@contextmanager
def continued_span(name: str, carrier: Mapping[str, str], **attributes: str | float | bool) -> Iterator[Span]:
    """A span whose parent is the W3C context in `carrier` (keys `traceparent`, `tracestate`), or a new trace."""
    from opentelemetry import context  # noqa: PLC0415 - beside its only use

    token = context.attach(propagate.extract(dict(carrier)))
    try:
        with span(name, **attributes) as current:
            yield current
    finally:
        context.detach(token)


def trace_carrier() -> dict[str, str]:
    """The current W3C context, empty outside a recorded span."""
    carrier: dict[str, str] = {}
    propagate.inject(carrier)
    return carrier


def trace_environment() -> dict[str, str]:
    """The current context as TRACEPARENT and TRACESTATE, the names that child processes read."""
    return {name.upper(): value for name, value in trace_carrier().items() if name in {"traceparent", "tracestate"}}


def flush_tracing() -> bool:
    """Hand finished spans to the exporter; False when it did not take them within five seconds."""
    flush = getattr(trace.get_tracer_provider(), "force_flush", None)
    return True if flush is None else bool(flush(_FLUSH_TIMEOUT_MILLISECONDS))
