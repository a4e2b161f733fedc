"""What the commands share: exit codes, settings, and how they end and complain."""

import os
import signal
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from enum import IntEnum
from io import TextIOWrapper
from types import FrameType
from typing import TYPE_CHECKING, NoReturn, TextIO

if TYPE_CHECKING:
    from pydantic import BaseModel

    from holdtrue.errors import RejectedError


class ExitCode(IntEnum):
    """What every command means by its end. A stable contract."""

    GOOD = 0
    FINDINGS = 1
    BAD_INPUT = 2
    COULD_NOT_LOOK = 3


@contextmanager
def unwound_on_termination() -> Iterator[None]:
    """End by exception on SIGTERM and SIGHUP, so that a running tool is ended too.

    An ignored SIGHUP stays ignored: `nohup` starts a command that outlives its terminal.
    """

    def unwind(number: int, _frame: FrameType | None) -> NoReturn:
        sys.exit(128 + number)

    is_ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    numbers = (signal.SIGTERM,) if is_ignored else (signal.SIGTERM, signal.SIGHUP)
    former = {number: signal.signal(number, unwind) for number in numbers}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


def show(text: str, *, is_document: bool = False) -> None:
    """The command's result, on standard output; a reader that has seen enough is no error.

    A document is UTF-8 wherever it goes. What a person reads is in the terminal's encoding, the rest of it escaped.

    Raises:
        RejectedError: it cannot be written, so that nobody has the result.
    """
    if sys.stdout is None:
        raise _not_written("there is no standard output")
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8" if is_document else None, errors="backslashreplace")
    error = _put(text, sys.stdout)
    if error is not None and not isinstance(error, BrokenPipeError):
        raise _not_written(error.strerror or "it failed") from error


def show_json(document: "BaseModel", indent: int | None = 2) -> None:
    """The command's result for programs, with the true text; characters that a terminal would obey are escaped.

    Raises:
        RejectedError: it cannot be written.
    """
    from holdtrue.core.neutral import json_text  # noqa: PLC0415 - a command imports what it needs when it runs

    show(json_text(document.model_dump(mode="json"), indent), is_document=True)


def show_lines(lines: Iterable[str]) -> None:
    """The command's result for a person. Each item is one line, whatever text from outside is in it.

    Raises:
        RejectedError: it cannot be written.
    """
    from holdtrue.core.neutral import unobeyed  # noqa: PLC0415 - a command imports what it needs when it runs

    show("\n".join(map(unobeyed, lines)))


def terminal_width() -> int | None:
    """Columns of the terminal that standard output is; None for a pipe or a file, where lines are whole."""
    return os.get_terminal_size(sys.stdout.fileno()).columns if sys.stdout is not None and sys.stdout.isatty() else None


def complain(message: str) -> None:
    """An error on standard error, if the process has one; the exit code says the same."""
    note(f"holdtrue: {message}")


def note(message: str) -> None:
    """A message on standard error, beside the result; text from outside is neutral in all of its lines."""
    from holdtrue.core.neutral import for_log  # noqa: PLC0415 - a command imports what it needs when it runs

    if sys.stderr is not None:
        _put(for_log(message), sys.stderr)


def _put(text: str, stream: TextIO) -> OSError | None:
    try:
        print(text, file=stream, flush=True)
    except OSError as error:
        # Python flushes once more at its end, which must not fail again (docs.python.org, library/signal).
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        return error
    return None


def _not_written(reason: str) -> "RejectedError":
    from holdtrue.errors import RejectedError  # noqa: PLC0415 - a command imports what it needs when it runs

    return RejectedError(
        f"the result cannot be written: {reason}", where="standard output", next_step="give it a place with room"
    )
