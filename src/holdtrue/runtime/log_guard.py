"""What log records, warnings and reports of unhandled exceptions show: no registered secret, and only neutral text.

`Logger.handle` is the one place that every record passes, from every logger however early it was made, and before any
handler formats or queues it. The record factory would be earlier, but `extra` is put on the record after it. A text is
made neutral after that, in `Logger.callHandlers`: filters have read the record by then, and may have rewritten it; and
the redaction has seen it whole.
"""

import logging
import sys
import threading
import traceback
import warnings
from collections.abc import Callable
from threading import Event, Lock
from types import TracebackType
from typing import Any, Final, TextIO

from holdtrue.core.neutral import for_log
from holdtrue.runtime.neutral_log import neutralize_record
from holdtrue.runtime.redaction import SECRETS, redact_shown, redact_text
from holdtrue.runtime.scrubbing import reachable, scrubbed

_OWN_ATTRIBUTES: Final = frozenset(vars(logging.makeLogRecord({}))) | {"taskName", "message", "asctime"}
"""What every record has; `extra` adds others."""

_BY_ITSELF: Final = frozenset({"msg", "args", "exc_info", "exc_text", "stack_info"})
"""What is redacted with what belongs to it."""

_INSTALLING: Final = Lock()
_INSTALLED: Final = Event()


def guard_logging() -> None:
    """Put the net below all loggers, `warnings`, and the hooks for unhandled exceptions; once a process.

    Nothing is changed in a record that holds no registered secret and no unsafe text. Where one does, the message is
    the redacted and neutral text without arguments, and a traceback is shown as that.
    """
    with _INSTALLING:
        if _INSTALLED.is_set():
            return
        _INSTALLED.set()
        logging.Logger.handle = _guarded_handle(logging.Logger.handle)  # type: ignore[method-assign, assignment]
        logging.Logger.callHandlers = _guarded_call_handlers(logging.Logger.callHandlers)  # type: ignore[method-assign, assignment]
        warnings.showwarning = _guarded_warnings(warnings.showwarning)
        sys.excepthook = _guarded_excepthook(sys.excepthook)
        threading.excepthook = _guarded_thread_excepthook(threading.excepthook)
        sys.unraisablehook = _guarded_unraisablehook(sys.unraisablehook)


def redact_record(record: logging.LogRecord) -> None:
    """Take registered secrets out of all that a handler may show of it, names of loggers and threads included."""
    for name, value in list(vars(record).items()):
        if name not in _BY_ITSELF:
            setattr(record, name, redact_shown(value))
    _redact_message(record)
    if record.exc_info and record.exc_info[0] is not None:
        text = "".join(traceback.format_exception(*record.exc_info)).rstrip("\n")
        clean = redact_text(text)
        if clean != text:
            record.exc_info, record.exc_text = None, clean
    if record.exc_text:
        record.exc_text = redact_text(record.exc_text)
    if record.stack_info:
        record.stack_info = redact_text(record.stack_info)


def _redact_message(record: logging.LogRecord) -> None:
    """Arguments first: a format may cut them, and half a secret is none that the net knows."""
    record.msg, record.args = redact_shown(record.msg), redact_shown(record.args)
    try:
        message = record.getMessage()
    except Exception:  # noqa: BLE001 - arguments that do not fit, or whose code raises: handlers report them as given
        record.msg, record.args = redact_text(f"{record.msg} {record.args!r}"), None
        return
    clean = redact_text(message)
    if clean != message:
        record.msg, record.args = clean, None


def _blank(record: logging.LogRecord, error: Exception) -> None:
    record.msg, record.args = f"a log record was withheld: making it safe to show raised {type(error).__name__}", None
    record.exc_info = record.exc_text = record.stack_info = None
    for name in vars(record).keys() - _OWN_ATTRIBUTES:
        setattr(record, name, None)


def _guarded_handle(
    handle: Callable[[logging.Logger, logging.LogRecord], None],
) -> Callable[[logging.Logger, logging.LogRecord], None]:
    def guarded(self: logging.Logger, record: logging.LogRecord) -> None:
        if SECRETS:
            _prepare(record, redact_record)
        handle(self, record)

    return guarded


def _guarded_call_handlers(
    call_handlers: Callable[[logging.Logger, logging.LogRecord], None],
) -> Callable[[logging.Logger, logging.LogRecord], None]:
    def guarded(self: logging.Logger, record: logging.LogRecord) -> None:
        _prepare(record, neutralize_record)
        call_handlers(self, record)

    return guarded


def _prepare(record: logging.LogRecord, change: Callable[[logging.LogRecord], None]) -> None:
    try:
        change(record)
    except Exception as error:  # noqa: BLE001 - code of whatever was logged; a caller's log call must not raise
        _blank(record, error)


def _guarded_warnings(show: Callable[..., None]) -> Callable[..., None]:
    def guarded(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        text = str(message)
        clean = for_log(redact_text(text))
        shown = message if clean == text else clean
        show(shown, category, filename, lineno, file, None if line is None else for_log(redact_text(line)))

    return guarded


def _guarded_excepthook(
    hook: Callable[[type[BaseException], BaseException, TracebackType | None], Any],
) -> Callable[[type[BaseException], BaseException, TracebackType | None], Any]:
    def guarded(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        clean = scrubbed(error)
        if not _shown_neutral(clean):
            hook(kind if clean is error else type(clean), clean, trace)

    return guarded


def _guarded_thread_excepthook(
    hook: Callable[[threading.ExceptHookArgs], Any],
) -> Callable[[threading.ExceptHookArgs], Any]:
    def guarded(args: threading.ExceptHookArgs) -> None:
        clean = scrubbed(args.exc_value) if args.exc_value is not None else None
        if clean is not None and _shown_neutral(clean):
            return
        if clean is not args.exc_value and clean is not None:
            args = threading.ExceptHookArgs((type(clean), clean, args.exc_traceback, args.thread))
        hook(args)

    return guarded


def _guarded_unraisablehook(
    hook: Callable[["sys.UnraisableHookArgs"], Any],
) -> Callable[["sys.UnraisableHookArgs"], Any]:
    def guarded(args: "sys.UnraisableHookArgs") -> None:
        clean = scrubbed(args.exc_value) if args.exc_value is not None else None
        if clean is None:
            hook(args)
        elif clean is not args.exc_value:
            sys.excepthook(type(clean), clean, args.exc_traceback)
        elif not _shown_neutral(clean):
            hook(args)

    return guarded


def _shown_neutral(error: BaseException) -> bool:
    """Print the traceback of an exception whose texts are not neutral; False for one that its hook can print."""
    lines = [line for link in reachable(error) for line in traceback.format_exception_only(link)]
    if all(line.removesuffix("\n") == for_log(line) for line in lines):
        return False
    if sys.stderr is not None:
        sys.stderr.write(for_log("".join(traceback.format_exception(error))) + "\n")
    return True
