"""The two kinds of value: one that crosses a boundary, and progress on its way to a person."""

from collections.abc import Callable
from enum import StrEnum

from pydantic import BaseModel, ConfigDict


class Value(BaseModel):
    """Immutable, closed: an unknown field is an error, not a surprise."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ProgressLevel(StrEnum):
    """How loud a progress line is."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class Progress(Value):
    """One line for the person who watches the run; `done` and `total` count the stage's units where they are known."""

    message: str
    level: ProgressLevel = ProgressLevel.INFO
    done: int | None = None
    total: int | None = None


ProgressSink = Callable[[Progress], None]


def ignore_progress(_: Progress) -> None:
    """The sink for callers that watch nothing."""
