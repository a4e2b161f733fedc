"""What log records, warnings and reports of unhandled exceptions show: no registered secret, and only neutral text.

Every handler passes a record to its `filter` before it formats or queues it, whichever logger, class of logger or
record factory the record comes from. The secrets are taken out first, while each text is whole, and then what is left
is made neutral. A record that is given to a handler's `emit` directly is redacted as text, by `format`.
"""

import logging
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Mapping
from threading import Event, Lock
from types import MappingProxyType, TracebackType
from typing import Any, Final, TextIO, TypeVar
from weakref import ref

from holdtrue.core.neutral import for_log
from holdtrue.runtime.neutral_log import neutralize_record
from holdtrue.runtime.redaction import SECRETS, redact_data, redact_shown, redact_text
from holdtrue.runtime.scrubbing import reachable, scrubbed

Hook = TypeVar("Hook", bound=Callable[..., Any])

_OWN_ATTRIBUTES: Final = frozenset(vars(logging.makeLogRecord({}))) | {"taskName", "message", "asctime"}
"""What every record has; `extra` adds others."""

_BY_ITSELF: Final = frozenset({"msg", "args", "exc_info", "exc_text", "stack_info"})
"""What is redacted with what belongs to it."""

_DERIVED: Final = frozenset({"message", "asctime", "exc_text"})
"""What formatters add to a record, made from its other fields."""


class _LastRecord(threading.local):
    """The record that a thread cleaned last, because most records go to several handlers, one after the other.

    It is a weak reference: the record's exception would keep the objects of many frames alive.
    """

    _record: Callable[[], logging.LogRecord | None] = staticmethod(lambda: None)
    _fields: Mapping[str, int] = MappingProxyType({})

    def is_same(self, record: logging.LogRecord) -> bool:
        """Whether this is that record, with no field replaced."""
        return self._record() is record and self._fields == _identities(record)

    def keep(self, record: logging.LogRecord) -> None:
        """Remember this one."""
        self._record, self._fields = ref(record), _identities(record)


def _identities(record: logging.LogRecord) -> dict[str, int]:
    return {name: id(item) for name, item in vars(record).items() if name not in _DERIVED}


_LAST: Final = _LastRecord()

_GUARDED: Final = "__holdtrue_guarded__"
_INSTALLING: Final = Lock()
_INSTALLED: Final = Event()


def guard_logging() -> None:
    """Guard all log handlers, `warnings`, and the hooks for unhandled exceptions.

    Handlers are guarded once a process. Something else may set a hook later, as `warnings.catch_warnings` does at its
    end, so each call guards the hooks that are not guarded.

    A record without a registered secret and without unsafe text stays as it is. In any other record, the message
    becomes the redacted and neutral text without arguments, and a traceback is shown in the same form.
    """
    with _INSTALLING:
        if not _INSTALLED.is_set():
            _INSTALLED.set()
            logging.Handler.filter = _guarded_filter(logging.Handler.filter)  # type: ignore[method-assign]
            logging.Handler.format = _guarded_format(logging.Handler.format)  # type: ignore[method-assign]
            logging.Handler.handleError = _guarded_failure(logging.Handler.handleError)  # type: ignore[method-assign]
        warnings.showwarning = _once(_guarded_warnings, warnings.showwarning)
        sys.excepthook = _once(_guarded_excepthook, sys.excepthook)
        threading.excepthook = _once(_guarded_thread_excepthook, threading.excepthook)
        sys.unraisablehook = _once(_guarded_unraisablehook, sys.unraisablehook)


def _once(guard: Callable[[Hook], Hook], hook: Hook) -> Hook:
    """The hook, guarded; itself when it is already."""
    if getattr(hook, _GUARDED, None) is hook:  # `functools.wraps` copies attributes to other hooks.
        return hook
    guarded = guard(hook)
    setattr(guarded, _GUARDED, guarded)
    return guarded


def redact_record(record: logging.LogRecord) -> None:
    """Take registered secrets out of all that a handler may show of it, names of loggers and threads included."""
    for name, value in list(vars(record).items()):
        if name in _OWN_ATTRIBUTES - _BY_ITSELF:
            setattr(record, name, redact_shown(value))
        elif name not in _OWN_ATTRIBUTES:
            setattr(record, name, redact_shown(redact_data(value)))
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
    """Arguments first: a format may cut them, and a truncated secret cannot be recognised."""
    record.msg, record.args = redact_shown(record.msg), redact_shown(record.args)
    try:
        message = record.getMessage()
    except Exception:  # noqa: BLE001 - arguments that do not fit, or whose code raises: handlers report them as given
        record.msg, record.args = redact_text(f"{record.msg} {record.args!r}"), None
        return
    clean = redact_text(message)
    if clean != message:
        record.msg, record.args = clean, None
        record.__class__ = logging.LogRecord  # A subclass may make its message from other fields.


def _blank(record: logging.LogRecord, error: Exception) -> None:
    record.msg, record.args = f"a log record was withheld: making it safe to show raised {type(error).__name__}", None
    record.exc_info = record.exc_text = record.stack_info = None
    for name in vars(record).keys() - _OWN_ATTRIBUTES:
        setattr(record, name, None)


def _guarded_filter(decide: Callable[..., Any]) -> Callable[..., Any]:
    def guarded(self: logging.Handler, record: logging.LogRecord) -> Any:
        if not _LAST.is_same(record):
            if SECRETS:
                _prepare(record, redact_record)
            _prepare(record, neutralize_record)
            _LAST.keep(record)
        return decide(self, record)

    return guarded


def _guarded_format(render: Callable[..., str]) -> Callable[..., str]:
    def guarded(self: logging.Handler, record: logging.LogRecord) -> str:
        return redact_text(render(self, record))

    return guarded


def _guarded_failure(report: Callable[..., None]) -> Callable[..., None]:
    """A handler that fails reports its own exception, such as one of the library by which it sends."""

    def guarded(self: logging.Handler, record: logging.LogRecord) -> None:
        error = sys.exc_info()[1]
        clean = scrubbed(error) if error is not None else None
        if clean is None or clean is error:
            report(self, record)
            return
        try:
            raise clean from None  # noqa: TRY301 - what is being handled is what gets reported
        except BaseException:  # noqa: BLE001 - same
            report(self, record)

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
        if args.thread is not None:
            args.thread.name = redact_text(args.thread.name)
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
    """Print the traceback of an exception with unsafe texts; False if the ordinary hook can print it."""
    lines = [line for link in reachable(error) for line in traceback.format_exception_only(link)]
    if all(line.removesuffix("\n") == for_log(line) for line in lines):
        return False
    if sys.stderr is not None:
        sys.stderr.write(for_log("".join(traceback.format_exception(error))) + "\n")
    return True
