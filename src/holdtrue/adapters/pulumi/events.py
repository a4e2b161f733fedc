"""Converts the engine's events to messages, short enough for one line and without secrets."""

import hashlib
import re
from collections.abc import Mapping
from typing import Any

from pulumi.automation.events import DiagnosticEvent, EngineEvent, StepEventMetadata, StepEventStateMetadata

from holdtrue.adapters.pulumi.messages import (
    DEEPEST,
    SECRET,
    TOO_DEEP,
    UNKNOWN,
    Diagnostic,
    Json,
    Message,
    Snapshot,
    Step,
)

_SIGNATURE = "4dabf18193072939515e22adb298388d"
"""The key that marks a special value (sdk/go/common/resource/sig/sig.go)."""

_SECRET_SIGNATURE = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105 - a marker
_UNKNOWN_VALUES = frozenset(
    {
        "04da6b54-80e4-46f7-96ec-b56ff0331ba9",
        "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7",
        "3eeb2bf0-c639-47a8-9e75-3b44932eb421",
        "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2",
        "030794c1-ac77-496b-92df-f27374a8bd58",
        "e48ece36-62e2-4504-bad9-02848725956a",
        "dd056dcd-154b-4c76-9bd3-c8f88648b5ff",
    }
)
"""Placeholders of values that a preview cannot know (sdk/go/common/resource/plugin/rpc.go)."""

_PROVIDER_KEY = "__provider"
_MAXIMUM_CHARACTERS = 4096
_MARKUP = re.compile(r"<\{%[^%]*%\}>|\x1b\[[0-9;]*m")
"""Colours, in the engine's own notation (sdk/go/common/diag/colors) or a terminal's."""

_NOISE = "using pulumi-resource-pulumi-python from $PATH"


def to_message(event: EngineEvent) -> Message | None:
    """The message for an event; None for events that neither a person nor a plan needs."""
    if event.resource_pre_event:
        return _step("started", event.resource_pre_event.metadata)
    if event.res_outputs_event:
        return _step("done", event.res_outputs_event.metadata)
    if event.res_op_failed_event:
        return _step("failed", event.res_op_failed_event.metadata)
    diagnostic = event.diagnostic_event
    if diagnostic and diagnostic.severity != "debug":
        return _diagnostic(diagnostic)
    return None


def _diagnostic(event: DiagnosticEvent) -> Diagnostic | None:
    """None for noise, and for the empty messages which providers send to clear their status line."""
    text = _MARKUP.sub("", event.message).strip()
    if not text or text.startswith(_NOISE):
        return None
    return Diagnostic(severity=event.severity, text=text, urn=event.urn or "")


def _step(phase: Any, metadata: StepEventMetadata) -> Step:
    operation = metadata.op.value if hasattr(metadata.op, "value") else str(metadata.op)
    # Properties of unchanged resources are not needed, except for the stack's outputs.
    silent = operation == "same" and metadata.type != "pulumi:pulumi:Stack"
    return Step(
        phase=phase,
        operation=operation,
        urn=metadata.urn,
        type=metadata.type,
        custom=any(state is not None and bool(state.custom) for state in (metadata.old, metadata.new)),
        before=None if silent else _snapshot(metadata.old),
        after=None if silent else _snapshot(metadata.new),
        paths={path: str(diff.diff_kind.value) for path, diff in (metadata.detailed_diff or {}).items()},
    )


def _snapshot(state: StepEventStateMetadata | None) -> Snapshot | None:
    if state is None:
        return None
    return Snapshot(inputs=_properties(state.inputs or {}), outputs=_properties(state.outputs or {}))


def _properties(raw: Mapping[str, Any]) -> dict[str, Json]:
    return {name: plain(value) for name, value in raw.items() if name != _PROVIDER_KEY}


def plain(value: Any, levels: int = DEEPEST) -> Json:
    """The value with placeholders for secret and unknown values, and for what is nested too deeply.

    A long string is cut, and its hash is added.
    """
    match value:
        case str() if value in _UNKNOWN_VALUES:
            return UNKNOWN
        case str() if len(value) > _MAXIMUM_CHARACTERS:
            digest = hashlib.sha256(value.encode()).hexdigest()
            return f"{value[:200]}… ({len(value)} characters, sha256 {digest})"
        case dict() if value.get(_SIGNATURE) == _SECRET_SIGNATURE:
            return SECRET
        case dict() | list():
            return TOO_DEEP if levels == 0 else _plain_items(value, levels - 1)
        case _:
            scalar: Json = value
            return scalar


def _plain_items(value: dict[Any, Any] | list[Any], levels: int) -> Json:
    if isinstance(value, dict):
        return {str(key): plain(item, levels) for key, item in value.items()}
    return [plain(item, levels) for item in value]
