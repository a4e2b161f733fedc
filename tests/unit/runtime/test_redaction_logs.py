"""No handler of any logger sees a registered secret, whatever part of a record it shows."""

import io
import json
import logging
import sys
import threading
import warnings
from collections import UserString, deque
from collections.abc import Callable, Iterator
from logging.handlers import QueueHandler
from queue import SimpleQueue
from types import MappingProxyType, SimpleNamespace
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from holdtrue.core.forms import REPLACEMENT
from holdtrue.runtime import log_guard
from holdtrue.runtime.log_guard import guard_logging
from holdtrue.runtime.redaction import SECRETS, register_secret

VALUE = "s3cr3t-canary/value"
NUMBER = 4711081512
EARLY = logging.getLogger("test.redaction.early")
EARLY.setLevel(logging.DEBUG)


class Everything(logging.Handler):
    """Shows what the formatter makes of a record, and every attribute of it, as JSON formatters do."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(logging.Formatter("%(message)s"))
        self.formatted: list[str] = []
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)
        self.formatted.append(self.format(record))

    @property
    def text(self) -> str:
        shown = [json.dumps(vars(record), default=repr) for record in self.records]
        return "\n".join([*self.formatted, *shown])


@pytest.fixture
def handler() -> Iterator[Everything]:
    everything = Everything()
    EARLY.addHandler(everything)
    yield everything
    EARLY.removeHandler(everything)


@pytest.fixture
def known() -> Iterator[None]:
    guard_logging()
    with SECRETS.open():
        register_secret(SecretStr(VALUE), name="canary")
        register_secret(SecretStr(str(NUMBER)), name="number")
        yield


class Shown:
    def __repr__(self) -> str:
        return f"Shown({VALUE!r})"


class Broken:
    def __repr__(self) -> str:
        raise RuntimeError(VALUE)


def _fail() -> None:
    raise OSError(5, VALUE)


def _fail_twice() -> None:
    try:
        _fail()
    except OSError as first:
        raise RuntimeError("second") from first


def _log_exception(logger: logging.Logger) -> None:
    try:
        _fail()
    except OSError:
        logger.exception("failed")


def _log_in_a_thread(logger: logging.Logger) -> None:
    thread = threading.Thread(target=logger.info, args=["x"], name=f"worker of {VALUE}")
    thread.start()
    thread.join()


def _log_handled_chain(logger: logging.Logger) -> None:
    try:
        _fail_twice()
    except RuntimeError as error:
        logger.warning("failed", exc_info=error)


class OwnLogger(logging.Logger):
    """Passes records to its handlers in its own way."""

    def handle(self, record: logging.LogRecord) -> None:
        self.callHandlers(record)


class OwnRecord(logging.LogRecord):
    """Makes its message when it is asked for it."""

    def getMessage(self) -> str:  # noqa: N802 - the name that logging calls
        return f"is {VALUE}"


class OwnHandler(logging.Handler):
    """Does not call the `handle` of its base class, as the handler of Prefect's terminal."""

    def __init__(self, target: Everything) -> None:
        super().__init__()
        self._target = target

    def handle(self, record: logging.LogRecord) -> bool:
        passed = self.filter(record)
        self._target.emit(record)
        return bool(passed)


def _record(logger: logging.Logger, kind: type[logging.LogRecord] = logging.LogRecord) -> logging.LogRecord:
    return kind(logger.name, logging.INFO, __file__, 1, "is %s", (VALUE,), None, sinfo=f"Stack: {VALUE}")


def _own_logger(logger: logging.Logger) -> None:
    own = OwnLogger("test.redaction.own", logging.INFO)
    own.parent = logger
    own.info("is %s", VALUE, extra={"token": VALUE})


def _own_record(logger: logging.Logger) -> None:
    made = logging.getLogRecordFactory()
    logging.setLogRecordFactory(OwnRecord)
    try:
        logger.info("x")
    finally:
        logging.setLogRecordFactory(made)


def _own_handler(logger: logging.Logger) -> None:
    OwnHandler(_everything()).handle(_record(logger))


def _queue(logger: logging.Logger) -> None:
    waiting: SimpleQueue[logging.LogRecord] = SimpleQueue()
    QueueHandler(waiting).handle(_record(logger))
    _everything().emit(waiting.get())


def _everything() -> Everything:
    (handler,) = (handler for handler in EARLY.handlers if isinstance(handler, Everything))
    return handler


LEAKS: dict[str, Callable[[logging.Logger], None]] = {
    "message": lambda logger: logger.info(f"is {VALUE}"),  # noqa: G004 - as users do
    "argument": lambda logger: logger.info("is %s", VALUE),
    "cut argument": lambda logger: logger.info("is %.12s", VALUE),
    "named argument": lambda logger: logger.info("is %(x)s", {"x": VALUE}),
    "halves": lambda logger: logger.info("%s%s", VALUE[:9], VALUE[9:]),
    "object": lambda logger: logger.info("is %s", Shown()),
    "message that is an object": lambda logger: logger.info(Shown()),
    "unused argument": lambda logger: logger.log(logging.INFO, "is", {"x": VALUE}),
    "arguments that do not fit": lambda logger: logger.info("is %s %s", VALUE),  # noqa: PLE1206 - on purpose
    "object that cannot be shown": lambda logger: logger.info("is %s %s", VALUE, Broken()),
    "exception": _log_exception,
    "chain": _log_handled_chain,
    "extra": lambda logger: logger.info("x", extra={"answer": {"token": [VALUE]}, "host": VALUE}),
    "headers in extra": lambda logger: logger.info("x", extra={"headers": httpx.Headers({"x-token": VALUE})}),
    "object in extra": lambda logger: logger.info("x", extra={"token": Shown(), "tokens": [{"first": Shown()}]}),
    "queue in extra": lambda logger: logger.info("x", extra={"tokens": deque([VALUE], maxlen=3)}),
    "mapping in extra": lambda logger: logger.info("x", extra={"tokens": MappingProxyType({"first": [VALUE]})}),
    "text that is an object": lambda logger: logger.info("x", extra={"token": UserString(VALUE)}),
    "exception in extra": lambda logger: logger.info("x", extra={"error": OSError(5, VALUE)}),
    "object in an unused argument": lambda logger: logger.log(logging.INFO, "is", {"x": Shown()}),
    "name of the logger": lambda logger: logger.getChild(VALUE).info("x"),
    "name of the thread": _log_in_a_thread,
    "escaped": lambda logger: logger.info("is %s", json.dumps({"x": VALUE}).encode().hex()),
    "object in extra that cannot be shown": lambda logger: logger.info("x", extra={"token": Broken()}),
    "logger of another class": _own_logger,
    "record of another class": _own_record,
    "handler of another class": _own_handler,
    "handler that queues": _queue,
    "called handlers": lambda logger: logger.callHandlers(_record(logger)),
    "number in extra": lambda logger: logger.info("x", extra={"pin": [NUMBER], "pins": {NUMBER: 1}}),
    "number in the message": lambda logger: logger.info("is %d", NUMBER),
    "adapter": lambda logger: logging.LoggerAdapter(logger, {"run": VALUE}).info("x"),
}


@pytest.mark.usefixtures("known")
@pytest.mark.parametrize("name", LEAKS)
def test_no_part_of_a_record_shows_it(name: str, handler: Everything, monkeypatch: pytest.MonkeyPatch) -> None:
    # A handler reports arguments that do not fit on standard error.
    monkeypatch.setattr(sys, "stderr", reported := io.StringIO())
    LEAKS[name](EARLY)
    LEAKS[name](logging.getLogger("test.redaction.early.later"))

    shown = handler.text + reported.getvalue()
    assert len(handler.records) == 2
    assert VALUE not in shown
    assert VALUE[:12] not in shown
    assert VALUE.encode().hex() not in shown
    assert str(NUMBER) not in shown


UNFORMATTED = {
    "arguments that do not fit",
    "object that cannot be shown",
    "object in extra that cannot be shown",
}
"""Of these, handlers show the parts, on standard error."""


@pytest.mark.parametrize("name", sorted(LEAKS.keys() - UNFORMATTED))
def test_positive_control_without_registration_it_shows(name: str, handler: Everything) -> None:
    guard_logging()
    LEAKS[name](EARLY)

    assert any(form in handler.text for form in (VALUE[:12], VALUE.encode().hex(), str(NUMBER)))


@pytest.mark.usefixtures("known")
def test_what_holds_no_secret_is_passed_on_unchanged(handler: Everything) -> None:
    arguments, error = ("a", 1, {"b": 2}), ValueError("plain")
    headers = httpx.Headers({"x-run": "1"})
    EARLY.info("%s %d %s", *arguments, exc_info=error, extra={"run": "r-1", "headers": headers})

    (record,) = handler.records
    assert vars(record)["headers"] is headers
    assert record.exc_info is not None
    assert record.exc_info[1] is error
    assert record.args == arguments
    assert vars(record)["run"] == "r-1"


@pytest.mark.usefixtures("known")
def test_the_exception_itself_stays_as_it_is_for_its_handlers(handler: Everything) -> None:
    error = OSError(5, VALUE)
    EARLY.error("failed", exc_info=error)

    assert error.strerror == VALUE
    assert "OSError" in handler.text
    assert REPLACEMENT in handler.text


def test_it_is_put_in_once() -> None:
    guard_logging()
    decide, hook = logging.Handler.filter, sys.excepthook
    guard_logging()

    assert logging.Handler.filter is decide
    assert sys.excepthook is hook


@pytest.mark.usefixtures("known")
def test_a_record_that_cannot_be_redacted_is_withheld(handler: Everything, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: logging.LogRecord) -> None:
        raise RuntimeError(VALUE)

    monkeypatch.setattr(log_guard, "redact_record", fail)
    EARLY.info("is %s", VALUE, extra={"token": VALUE})

    assert VALUE not in handler.text
    assert "withheld" in handler.text


@pytest.mark.usefixtures("known")
def test_a_record_that_is_given_to_a_handler_directly(handler: Everything) -> None:
    handler.emit(_record(EARLY))
    handler.emit(_record(EARLY, OwnRecord))

    assert handler.formatted
    assert not any(VALUE in text for text in handler.formatted)


@pytest.mark.usefixtures("known")
def test_what_a_filter_adds_between_two_handlers(handler: Everything) -> None:
    def add(record: logging.LogRecord) -> bool:
        record.token = VALUE
        return True

    adding = OwnHandler(handler)
    adding.addFilter(add)
    record = _record(EARLY)
    for each in (OwnHandler(handler), adding, OwnHandler(handler)):
        each.handle(record)

    assert vars(record)["token"] == REPLACEMENT


@pytest.mark.parametrize("is_known", [True, False])
def test_the_name_of_a_thread_that_dies(
    is_known: bool,  # noqa: FBT001 - a parameter of the test
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    guard_logging()
    monkeypatch.setattr(threading, "excepthook", log_guard._guarded_thread_excepthook(threading.__excepthook__))
    monkeypatch.setattr(sys, "stderr", reported := io.StringIO())
    with SECRETS.open():
        if is_known:
            register_secret(SecretStr(VALUE), name="canary")
        thread = threading.Thread(target=_fail_plainly, name=f"worker of {VALUE}")
        thread.start()
        thread.join()

    assert "RuntimeError: plainly" in reported.getvalue()
    assert (VALUE in reported.getvalue()) is not is_known


def _fail_plainly() -> None:
    raise RuntimeError("plainly")


@pytest.mark.usefixtures("known")
@pytest.mark.parametrize("captured", [False, True])
def test_warnings(captured: bool, handler: Everything) -> None:  # noqa: FBT001 - a parameter of the test
    shown: list[str] = []
    show = log_guard._guarded_warnings(lambda message, *_: shown.append(str(message)))
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = show
        logger = logging.getLogger("py.warnings")
        logger.addHandler(handler)
        logging.captureWarnings(capture=captured)
        try:
            warnings.warn(f"deprecated {VALUE}", stacklevel=1)
        finally:
            logging.captureWarnings(capture=False)
            logger.removeHandler(handler)

    everything = "".join(shown) + handler.text
    assert VALUE not in everything
    assert REPLACEMENT in everything


@pytest.mark.usefixtures("known")
def test_unhandled_exceptions(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []

    def hook(*seen: Any) -> None:
        shown.append(repr(seen))

    class Sealed(Exception):
        def __str__(self) -> str:
            return VALUE

        __repr__ = __str__

    monkeypatch.setattr(sys, "excepthook", hook)
    for error in (ValueError(VALUE), Sealed()):
        log_guard._guarded_excepthook(hook)(type(error), error, None)
        arguments = (type(error), error, None, None)
        log_guard._guarded_thread_excepthook(lambda args: hook(args.exc_value))(threading.ExceptHookArgs(arguments))
        unraisable = SimpleNamespace(exc_value=error, exc_traceback=None)
        log_guard._guarded_unraisablehook(lambda args: hook(args.exc_value))(unraisable)

    assert len(shown) == 6
    assert all(REPLACEMENT in text and VALUE not in text for text in shown)
