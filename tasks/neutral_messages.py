"""Makes the messages of states neutral on their way to Prefect, which takes them from exceptions of any origin."""

from collections.abc import Mapping
from typing import Any, Final

from holdtrue.core.neutral import several_lines

_MESSAGE: Final = "message"
_STATES: Final = ("state", "initial_state", "validated_state", "payload")
"""Where requests and events have a state, and what holds one."""


def with_neutral_messages(data: Any) -> Any:
    """The same request or event. Line breaks stay: a message is shown in a place of its own."""
    if not isinstance(data, Mapping):
        return data
    changed = {name: _neutral_state(data[name]) for name in _STATES if isinstance(data.get(name), Mapping)}
    return {**data, **changed} if changed else data


def _neutral_state(state: Mapping[str, Any]) -> Mapping[str, Any]:
    message = state.get(_MESSAGE)
    inner = with_neutral_messages(state)
    return {**inner, _MESSAGE: several_lines(message)} if isinstance(message, str) else inner
