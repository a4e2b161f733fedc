"""Hooks that something else sets after the net was put below them, and what a handler reports that fails."""

import io
import logging
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from pydantic import SecretStr

from holdtrue.core.forms import REPLACEMENT
from holdtrue.runtime.log_guard import guard_logging
from holdtrue.runtime.redaction import SECRETS, register_secret

VALUE = "s3cr3t-canary/value"


class Sealed(Exception):
    """Its text cannot be changed."""

    def __str__(self) -> str:
        return VALUE


@contextmanager
def plain_hooks() -> Iterator[io.StringIO]:
    """What the process writes to its standard error, with hooks that know nothing of the net."""
    with warnings.catch_warnings(), SECRETS.open(), pytest.MonkeyPatch.context() as monkeypatch:
        warnings.simplefilter("always")
        monkeypatch.setattr(sys, "excepthook", sys.__excepthook__)
        monkeypatch.setattr(sys, "unraisablehook", sys.__unraisablehook__)
        monkeypatch.setattr(threading, "excepthook", threading.__excepthook__)
        monkeypatch.setattr(warnings, "showwarning", show_plainly)
        monkeypatch.setattr(sys, "stderr", written := io.StringIO())
        register_secret(SecretStr(VALUE), name="canary")
        yield written


def show_plainly(message: Warning | str, *_: object) -> None:
    assert sys.stderr is not None
    sys.stderr.write(str(message))


def warn() -> None:
    warnings.warn(f"deprecated {VALUE}", stacklevel=1)


def die() -> None:
    sys.excepthook(RuntimeError, RuntimeError(VALUE), None)


def die_in_a_thread() -> None:
    def fail() -> None:
        raise RuntimeError(VALUE)

    thread = threading.Thread(target=fail)
    thread.start()
    thread.join()


def die_unseen() -> None:
    class Dying:
        def __del__(self) -> None:
            raise RuntimeError(VALUE)

    Dying()


WAYS = (warn, die, die_in_a_thread, die_unseen)


@pytest.mark.parametrize("tell", WAYS)
def test_a_hook_that_was_replaced_is_guarded_again(tell: Callable[[], None]) -> None:
    with plain_hooks() as shown:
        guard_logging()
        tell()
    assert VALUE not in shown.getvalue()
    assert REPLACEMENT in shown.getvalue()


@pytest.mark.parametrize("tell", WAYS)
def test_positive_control_without_the_net_it_is_told(tell: Callable[[], None]) -> None:
    with plain_hooks() as shown:
        tell()
    assert VALUE in shown.getvalue()


def test_a_hook_is_guarded_once() -> None:
    with plain_hooks():
        guard_logging()
        hooks = warnings.showwarning, sys.excepthook, threading.excepthook, sys.unraisablehook
        guard_logging()
        assert (warnings.showwarning, sys.excepthook, threading.excepthook, sys.unraisablehook) == hooks


@pytest.mark.parametrize("error", [RuntimeError(f"cannot send to {VALUE}"), Sealed()])
def test_a_handler_that_fails(error: Exception) -> None:
    def send() -> None:
        raise error

    class Failing(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            try:
                send()
            except Exception:  # noqa: BLE001 - as handlers do
                self.handleError(record)

    with plain_hooks() as shown:
        guard_logging()
        Failing().handle(logging.makeLogRecord({"msg": "all is well"}))
    assert "Logging error" in shown.getvalue()
    assert VALUE not in shown.getvalue()
    assert REPLACEMENT in shown.getvalue()
