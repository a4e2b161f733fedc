"""Registered secrets out of spans, also of those that Prefect and other libraries record."""

from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan, Span, SpanProcessor
from opentelemetry.trace import Link, Status
from opentelemetry.util import types

from holdtrue.runtime.redaction import SECRETS, redact_data, redact_text


class RedactingProcessor(SpanProcessor):
    """Hands every ended span on without registered values.

    When it ends, not when it is exported: by then the run may be over, and its secrets forgotten.
    """

    def __init__(self, target: SpanProcessor) -> None:
        self._target = target

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Nothing of a span that has only begun is exported."""
        self._target.on_start(span, parent_context)

    def on_end(self, span: ReadableSpan) -> None:
        """Pass it on as it is, or a clean copy of it."""
        self._target.on_end(redacted_span(span) if SECRETS else span)

    def shutdown(self) -> None:
        """Hand on what is left, and end."""
        self._target.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Hand on what is left now."""
        return self._target.force_flush(timeout_millis)


def redacted_span(span: ReadableSpan) -> ReadableSpan:
    """The span itself when it holds no registered value, or a copy that holds none in any text."""
    name, status, attributes = redact_text(span.name), _redacted_status(span.status), _redacted(span.attributes)
    events, links = [_redacted_event(event) for event in span.events], [_redacted_link(link) for link in span.links]
    resource = _redacted_resource(span.resource)
    changed = (
        name is not span.name
        or status is not span.status
        or attributes is not None
        or resource is not span.resource
        or any(new is not old for new, old in zip(events, span.events, strict=True))
        or any(new is not old for new, old in zip(links, span.links, strict=True))
    )
    if not changed:
        return span
    return ReadableSpan(
        name=name,
        context=span.context,
        parent=span.parent,
        resource=resource,
        attributes=span.attributes if attributes is None else attributes,
        events=events,
        links=links,
        kind=span.kind,
        status=status,
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )


def _redacted(attributes: types.Attributes) -> types.Attributes:
    """What takes their place, or None when they are clean. They are a mapping, but no dict, and new at each access."""
    copy = dict(attributes or {})
    clean = redact_data(copy)
    return None if clean is copy else clean


def _redacted_event(event: Event) -> Event:
    name, attributes = redact_text(event.name), _redacted(event.attributes)
    if name is event.name and attributes is None:
        return event
    return Event(name, event.attributes if attributes is None else attributes, event.timestamp)


def _redacted_link(link: Link) -> Link:
    attributes = _redacted(link.attributes)
    return link if attributes is None else Link(link.context, attributes)


def _redacted_status(status: Status) -> Status:
    if status.description is None:
        return status
    description = redact_text(status.description)
    return status if description is status.description else Status(status.status_code, description)


def _redacted_resource(resource: Resource) -> Resource:
    attributes = _redacted(resource.attributes)
    return resource if attributes is None else Resource(attributes, resource.schema_url)
