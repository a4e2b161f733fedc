"""Makes the messages of states neutral on their way to Prefect, which takes them from exceptions of any origin."""

from collections.abc import Mapping
from typing import Any, Final

from holdtrue.core.neutral import several_lines

_STATES: Final = frozenset({"state", "initial_state", "validated_state", "payload"})
"""The keys under which requests and events have a state, or something that contains one."""


def with_neutral_messages(data: Any) -> Any:
    """The request or event with neutral messages. Line breaks stay, because a message is shown on its own."""
    return {name: _neutral(name, item) for name, item in data.items()} if isinstance(data, Mapping) else data


def _neutral(name: str, item: Any) -> Any:
    if name in _STATES:
        return with_neutral_messages(item)
    return several_lines(item) if name == "message" and isinstance(item, str) else item
