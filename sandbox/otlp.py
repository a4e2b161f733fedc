"""An OTLP/HTTP receiver (protobuf) that keeps the spans it gets, and of metrics and logs the raw payloads."""

import gzip
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus
from types import MappingProxyType

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from sandbox.errors import SandboxError
from sandbox.web import Answer, Request, WebServer

AttributeValue = str | bool | int | float | tuple["AttributeValue", ...]
Attributes = Mapping[str, AttributeValue]


class SpanStatus(StrEnum):
    """OTLP's status codes, in order of their numbers."""

    UNSET = "unset"
    OK = "ok"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class SpanEvent:
    """Something that happened during a span, such as a recorded exception."""

    name: str
    attributes: Attributes


@dataclass(frozen=True, slots=True)
class ReceivedSpan:
    """One finished span. Ids are lower-case hex; a root has no `parent_span_id`."""

    trace_id: str
    span_id: str
    parent_span_id: str | None
    name: str
    service_name: str
    attributes: Attributes
    status: SpanStatus
    status_message: str
    events: tuple[SpanEvent, ...]


class OtlpSink:
    """The receiver. `endpoint` is what `OTEL_EXPORTER_OTLP_ENDPOINT` takes."""

    def __init__(self, port: int) -> None:
        self._arrival = threading.Condition()
        self._spans: list[ReceivedSpan] = []
        self._payloads: list[bytes] = []
        self._web = WebServer(port, self._answer)
        self.endpoint = self._web.url

    def spans(self) -> tuple[ReceivedSpan, ...]:
        """Return the spans received so far, in order of arrival."""
        with self._arrival:
            return tuple(self._spans)

    def payloads(self) -> tuple[bytes, ...]:
        """Return every request body received (decompressed), to search for what must not be in one."""
        with self._arrival:
            return tuple(self._payloads)

    def wait_for(self, is_wanted: Callable[[ReceivedSpan], bool], timeout_seconds: float) -> ReceivedSpan:
        """Return the first span that is wanted, received already or within the time.

        Raises:
            SandboxError: None arrived; the message names the spans that did.
        """
        deadline = time.monotonic() + timeout_seconds
        with self._arrival:
            while True:
                for span in self._spans:
                    if is_wanted(span):
                        return span
                if not self._arrival.wait(deadline - time.monotonic()) and time.monotonic() >= deadline:
                    names = ", ".join(sorted({span.name for span in self._spans})) or "none"
                    raise SandboxError(f"No such span within {timeout_seconds:g} s; received: {names}.")

    def clear(self) -> None:
        """Forget what was received."""
        with self._arrival:
            self._spans.clear()
            self._payloads.clear()

    def stop(self) -> None:
        """Refuse connections from now on."""
        self._web.stop()

    def _answer(self, request: Request) -> Answer:
        if request.method != "POST" or request.path not in {"/v1/traces", "/v1/metrics", "/v1/logs"}:
            return Answer(
                HTTPStatus.NOT_FOUND, "text/plain", b"this receiver has /v1/traces, /v1/metrics and /v1/logs\n"
            )
        try:
            body = gzip.decompress(request.body) if request.content_encoding == "gzip" else request.body
            spans = parse_spans(body) if request.path == "/v1/traces" else ()
        except (DecodeError, gzip.BadGzipFile) as error:
            return Answer(HTTPStatus.BAD_REQUEST, "text/plain", f"{error}\n".encode())
        with self._arrival:
            self._payloads.append(body)
            self._spans.extend(spans)
            self._arrival.notify_all()
        # An empty message is a valid full success answer of all three services.
        return Answer(HTTPStatus.OK, "application/x-protobuf", b"")


def parse_spans(body: bytes) -> tuple[ReceivedSpan, ...]:
    """Read an `ExportTraceServiceRequest`.

    Raises:
        DecodeError: The body is not one.
    """
    export = ExportTraceServiceRequest.FromString(body)
    return tuple(
        _received(span, str(_attributes(resource.resource.attributes).get("service.name", "")))
        for resource in export.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    )


def _received(span: Span, service_name: str) -> ReceivedSpan:
    return ReceivedSpan(
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_span_id=span.parent_span_id.hex() or None,
        name=span.name,
        service_name=service_name,
        attributes=_attributes(span.attributes),
        status=tuple(SpanStatus)[span.status.code],
        status_message=span.status.message,
        events=tuple(SpanEvent(event.name, _attributes(event.attributes)) for event in span.events),
    )


def _attributes(pairs: Iterable[KeyValue]) -> Attributes:
    return MappingProxyType({pair.key: _value(pair.value) for pair in pairs})


def _value(value: AnyValue) -> AttributeValue:
    match value.WhichOneof("value"):
        case "bool_value":
            return value.bool_value
        case "int_value":
            return value.int_value
        case "double_value":
            return value.double_value
        case "array_value":
            return tuple(_value(item) for item in value.array_value.values)
        case "string_value":
            return value.string_value
        case _:
            return str(value)
