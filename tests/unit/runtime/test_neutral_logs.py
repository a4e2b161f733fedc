"""No handler of any logger shows a text from outside that a terminal obeys or that looks like a record of its own."""

import io
import logging
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import SecretStr

from holdtrue.runtime import log_guard
from holdtrue.runtime.log_guard import guard_logging
from holdtrue.runtime.redaction import SECRETS, register_secret
from tests.hostile_texts import HOSTILE_TEXTS, READABLE_TEXTS, log_dangers

LOGGER = logging.getLogger("test.neutral")
LOGGER.setLevel(logging.DEBUG)
each_text = pytest.mark.parametrize("text", HOSTILE_TEXTS, ids=lambda text: ascii(text[:20]))


class Rewriting(logging.Filter):
    """Writes its own text into a record, as filters of ours do."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self._text = text

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = self._text, None
        return True


class Own(logging.Logger):
    """A logger with a method of its own for the last step before the handlers."""

    def handle(self, record: logging.LogRecord) -> None:
        self.callHandlers(record)


class Keeping(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


class Shown:
    def __init__(self, text: str) -> None:
        self._text = text

    def __str__(self) -> str:
        return self._text


@pytest.fixture
def terminal() -> Iterator[io.StringIO]:
    """What a handler that shows every part of a record writes, as a terminal gets it."""
    guard_logging()
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("TIME | %(levelname)s | %(threadName)s | %(name)s | %(message)s"))
    LOGGER.addHandler(handler)
    yield stream
    LOGGER.removeHandler(handler)


def _log_exception(text: str) -> None:
    error = ValueError(text)
    error.__cause__ = KeyError(text)
    error.add_note(text)
    LOGGER.error("failed", exc_info=error)


def _log_in_a_thread(text: str) -> None:
    thread = threading.Thread(target=LOGGER.info, args=["x"], name=text)
    thread.start()
    thread.join()


def _log_after_a_filter(text: str) -> None:
    rewriting = Rewriting(text)
    LOGGER.addFilter(rewriting)
    LOGGER.info("x")
    LOGGER.removeFilter(rewriting)


def _log_by_a_logger_of_its_own(text: str) -> None:
    own = Own("test.neutral.own")
    own.parent = LOGGER
    own.info(text)


PATHS: dict[str, Callable[[str], None]] = {
    "message": LOGGER.info,
    "argument": lambda text: LOGGER.info("plan %s approved by %s", text, text),
    "object": lambda text: LOGGER.info("%s", Shown(text)),
    "arguments that do not fit": lambda text: LOGGER.info("%s %s", text),  # noqa: PLE1206 - on purpose
    "exception": _log_exception,
    "stack": lambda text: LOGGER.info(text, stack_info=True),
    "name of the logger": lambda text: LOGGER.getChild(text.replace(".", "")).info("x"),
    "name of the thread": _log_in_a_thread,
    "filter": _log_after_a_filter,
    "logger of its own": _log_by_a_logger_of_its_own,
    "handlers alone": lambda text: LOGGER.callHandlers(logging.makeLogRecord({"msg": text, "levelno": logging.INFO})),
}


@each_text
@pytest.mark.parametrize("path", PATHS)
def test_no_part_of_a_record_is_obeyed(path: str, text: str, terminal: io.StringIO) -> None:
    PATHS[path](text)

    record = terminal.getvalue().removesuffix("\n")
    assert record.startswith("TIME | ")
    assert log_dangers(record) == []
    assert len(record) < 300_000


@pytest.mark.parametrize("path", PATHS)
def test_the_control_sees_a_record_without_the_guard(
    path: str, terminal: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_guard, "neutralize_record", lambda _: None)
    with suppress(TypeError):
        PATHS[path]("a\x1b[2J\nTIME | INFO | forged")

    assert log_dangers(terminal.getvalue().removesuffix("\n")) or path == "arguments that do not fit"


@pytest.mark.parametrize("text", READABLE_TEXTS)
def test_what_is_neutral_stays_as_it_is(text: str, terminal: io.StringIO) -> None:
    handler = Keeping()
    LOGGER.addHandler(handler)
    error = ValueError(text)
    LOGGER.info("is %s", text, exc_info=error)
    LOGGER.removeHandler(handler)

    (record,) = handler.records
    assert (record.msg, record.args) == ("is %s", (text,))
    assert record.exc_info is not None
    assert record.exc_info[1] is error
    assert text in terminal.getvalue()


def test_a_secret_of_several_lines_is_found_before_its_lines_are_marked(terminal: io.StringIO) -> None:
    key = "first-line-of-it-4711\nsecond-line-of-it-4711"
    with SECRETS.open():
        register_secret(SecretStr(key), name="key")
        LOGGER.info("is %s", key)

    assert "line-of-it" not in terminal.getvalue()


@each_text
def test_unhandled_exceptions_and_warnings(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", shown := io.StringIO())
    error = ValueError(text)

    def hook(*seen: Any) -> None:
        shown.write(f"hook: {[str(item) for item in seen]}\n")

    monkeypatch.setattr(sys, "excepthook", hook)
    log_guard._guarded_excepthook(hook)(ValueError, error, None)
    thread = threading.ExceptHookArgs((ValueError, error, None, None))
    log_guard._guarded_thread_excepthook(lambda args: hook(args.exc_value))(thread)
    unraisable: Any = SimpleNamespace(exc_value=error, exc_traceback=None)
    log_guard._guarded_unraisablehook(lambda args: hook(args.exc_value))(unraisable)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = log_guard._guarded_warnings(lambda message, *_: print(f"warning: {message}", file=shown))
        warnings.warn(text, stacklevel=1)

    lines = shown.getvalue().removesuffix("\n").split("\n")
    own = [line for line in lines if not line.startswith(("hook: ", "warning: ", "ValueError: "))]
    assert log_dangers("\n".join(["first", *own])) == []
    assert len(lines) - len(own) == 4


def test_the_hook_of_an_exception_with_neutral_texts_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", shown := io.StringIO())
    asked: list[BaseException] = []
    log_guard._guarded_excepthook(lambda _, error, __: asked.append(error))(ValueError, ValueError("plain"), None)

    assert (len(asked), shown.getvalue()) == (1, "")
