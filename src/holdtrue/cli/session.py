"""What the commands share: exit codes, settings, and how they end and complain."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from holdtrue.settings import Settings


class ExitCode(IntEnum):
    """What every command means by its end. A stable contract."""

    GOOD = 0
    FINDINGS = 1
    BAD_INPUT = 2
    COULD_NOT_LOOK = 3


def read_settings() -> "Settings":
    """The settings of this process.

    Raises:
        RejectedError: one has no valid value.
    """
    from pydantic import ValidationError  # noqa: PLC0415 - a command imports what it needs when it runs

    from holdtrue.errors import RejectedError  # noqa: PLC0415
    from holdtrue.settings import load_settings  # noqa: PLC0415

    try:
        return load_settings()
    except ValidationError as error:
        # Names only: a wrong value may be a secret in the wrong variable.
        names = ", ".join(f"HOLDTRUE_{item['loc'][0]}".upper() for item in error.errors(include_input=False))
        raise RejectedError("a setting has no valid value", where=names, next_step="correct or unset it") from error


@contextmanager
def unwound_on_termination() -> Iterator[None]:
    """End by exception on SIGTERM, so that a running tool is ended too."""

    def unwind(_signal: int, _frame: FrameType | None) -> NoReturn:
        sys.exit(128 + signal.SIGTERM)

    former = signal.signal(signal.SIGTERM, unwind)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, former)


def show(text: str) -> None:
    """The command's result, on standard output; a reader that has seen enough is no error."""
    try:
        print(text, flush=True)  # noqa: T201 - the one place
    except BrokenPipeError:
        # Python flushes once more at its end, which must not fail again (docs.python.org, library/signal).
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def complain(message: str) -> None:
    """One line on standard error."""
    print(f"holdtrue: {plain(message)}", file=sys.stderr)  # noqa: T201 - where errors go


def plain(text: str) -> str:
    """One line without control and direction characters: other people's text, and a terminal obeys."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)
