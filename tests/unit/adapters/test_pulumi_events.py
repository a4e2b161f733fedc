"""From the engine's events to messages."""

import pytest
from pulumi.automation.events import DiagnosticEvent, EngineEvent

from holdtrue.adapters.pulumi.events import to_message
from holdtrue.adapters.pulumi.messages import Diagnostic


def said(text: str, severity: str = "info", *, ephemeral: bool = True) -> object:
    event = DiagnosticEvent(message=text, color="never", severity=severity, ephemeral=ephemeral)
    return to_message(EngineEvent(sequence=1, timestamp=1, diagnostic_event=event))


@pytest.mark.parametrize(
    "text", ["", "\n", "  \t\n", "<{%reset%}><{%reset%}>\n", "<{%fg 12%}> <{%reset%}>", "\x1b[0m\n"]
)
@pytest.mark.parametrize("ephemeral", [True, False])
def test_a_status_line_that_is_taken_away_is_not_a_message(text: str, *, ephemeral: bool) -> None:
    assert said(text, ephemeral=ephemeral) is None


@pytest.mark.parametrize("text", ["waiting", "<{%reset%}>waiting<{%reset%}>\n", "\x1b[1mwaiting\x1b[0m"])
def test_a_status_line_with_words_is_one(text: str) -> None:
    assert said(text) == Diagnostic("info", "waiting")


def test_debugging_is_left_out() -> None:
    assert said("inner workings", "debug") is None
