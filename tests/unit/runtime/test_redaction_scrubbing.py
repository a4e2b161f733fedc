"""Exceptions leave without registered secrets, wherever in them they stand."""

import asyncio
import subprocess
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType

import pytest
from pydantic import BaseModel, SecretStr, ValidationError

from holdtrue.core.forms import REPLACEMENT
from holdtrue.errors import AccessDenied, ServiceUnreachable, is_transient
from holdtrue.runtime.redaction import SECRETS, register_secret
from holdtrue.runtime.scrubbing import scrubbed, scrubs_errors

VALUE = "s3cr3t-canary/value"
LONG = "".join(f"{number:02}Qk" for number in range(40, 60))
"""Longer than what pydantic shows of its input."""


@pytest.fixture(autouse=True)
def known() -> Iterator[None]:
    with SECRETS.open():
        register_secret(SecretStr(VALUE), name="canary")
        yield


def rendered(error: BaseException) -> str:
    """Everything that loggers, states and people make of it, chain and all."""
    parts = ["".join(traceback.format_exception(error))]
    seen: list[BaseException | None] = [error]
    while seen:
        link = seen.pop()
        if link is not None:
            parts += [str(link), repr(link), repr(link.args), repr(vars(link))]
            seen += [link.__cause__, link.__context__]
            if isinstance(link, BaseExceptionGroup):
                seen += link.exceptions
    return "\n".join(parts)


def raised(make: Callable[[], object]) -> BaseException:
    try:
        make()
    except BaseException as error:  # noqa: BLE001 - whatever it is
        return error
    raise AssertionError


class Slotted(Exception):
    __slots__ = ("command",)

    def __init__(self, command: str) -> None:
        super().__init__("failed")
        self.command = command

    def __str__(self) -> str:
        return f"failed: {self.command}"


class Sealed(Exception):
    """Keeps its text where nobody reaches it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self._show: Callable[[], str] = lambda: text

    def __str__(self) -> str:
        return self._show()


class SealedSignal(BaseException):
    """As libraries do that want to pass every `except Exception`."""

    def __str__(self) -> str:
        return f"stop: {VALUE}"


class Model(BaseModel):
    number: int


def _raise(error: BaseException) -> None:
    raise error


IN_PLACE: dict[str, Callable[[], object]] = {
    "value": lambda: _raise(ValueError(f"bad {VALUE}")),
    "key": lambda: dict[str, int]()[VALUE],
    "nested arguments": lambda: _raise(RuntimeError("x", ["y", {VALUE: (VALUE, VALUE.encode())}])),
    "command": lambda: _raise(subprocess.CalledProcessError(1, ["login", VALUE], VALUE, VALUE.encode())),
    "timeout": lambda: _raise(subprocess.TimeoutExpired(["login", VALUE], 1.0, output=VALUE.encode())),
    "file": lambda: open(f"/nowhere/{VALUE}"),  # noqa: SIM115, PTH123 - it is not there
    "decoding": (VALUE.encode() + b"\xff").decode,
    "encoding": f"{VALUE}\udc80".encode,
    "number": lambda: int(VALUE),
    "syntax": lambda: compile(f"x = '{VALUE}' '", VALUE, "exec"),
    "import": lambda: _raise(ImportError(f"no {VALUE}", name=VALUE)),
    "ours": lambda: _raise(AccessDenied(f"no {VALUE}", where=VALUE, next_step=f"use {VALUE}")),
    "slots": lambda: _raise(Slotted(VALUE)),
    "exit": lambda: _raise(SystemExit(VALUE)),
    "interrupt": lambda: _raise(KeyboardInterrupt(VALUE)),
    "cancelled": lambda: _raise(asyncio.CancelledError(f"cancelled {VALUE}")),
    "generator's end": lambda: _raise(GeneratorExit(VALUE)),
    "pytest's own": lambda: pytest.fail(VALUE),
    "queue": lambda: _raise(RuntimeError(deque([VALUE]), MappingProxyType({"token": VALUE}))),
}


@pytest.mark.parametrize("name", IN_PLACE)
def test_it_is_cleaned_in_place(name: str) -> None:
    error = raised(IN_PLACE[name])
    assert VALUE in rendered(error), "positive control"

    assert scrubbed(error) is error
    assert VALUE not in rendered(error)
    assert REPLACEMENT in rendered(error)


STAND_INS: dict[str, Callable[[], object]] = {
    "validation": lambda: Model.model_validate({"number": VALUE}),
    "sealed": lambda: _raise(Sealed(f"bad {VALUE}")),
    "object in the arguments": lambda: _raise(ValueError(Sealed(VALUE))),
}


@pytest.mark.parametrize("name", STAND_INS)
def test_what_cannot_be_changed_is_replaced_and_keeps_its_chain(name: str) -> None:
    def fail() -> None:
        error = raised(STAND_INS[name])
        error.add_note(f"note {VALUE}")
        raise error from LookupError(f"first {VALUE}")

    error = raised(fail)
    assert VALUE in "".join(traceback.format_exception_only(error)), "positive control"

    clean = scrubbed(error)

    assert isinstance(clean, RuntimeError)
    assert type(error).__name__ in str(clean)
    assert REPLACEMENT in str(clean)
    assert isinstance(clean.__cause__, LookupError)
    assert clean.__traceback__ is error.__traceback__
    assert f"note {REPLACEMENT}" in rendered(clean)
    assert VALUE not in rendered(clean)


@pytest.mark.parametrize(
    "given", [LONG, [LONG], {"user": "app", "token": LONG}, {"a": "." * 40, "token": LONG, "z": "." * 40}]
)
def test_a_validation_error_that_shows_or_keeps_a_part_of_it(given: object) -> None:
    error = raised(lambda: Model.model_validate({"number": given}))
    assert isinstance(error, ValidationError)
    assert LONG not in str(error)
    assert LONG in str(error.errors()), "positive control"
    assert scrubbed(error) is error, "positive control: it is not registered"

    register_secret(SecretStr(LONG), name="long")
    clean = scrubbed(error)

    assert isinstance(clean, RuntimeError)
    assert "ValidationError" in str(clean)
    assert [LONG[at : at + 4] for at in range(len(LONG) - 3) if LONG[at : at + 4] in rendered(clean)] == []


def test_a_signal_that_cannot_be_changed_is_replaced_by_one_that_passes_the_same_handlers() -> None:
    error = raised(lambda: _raise(SealedSignal()))
    assert VALUE in rendered(error), "positive control"

    clean = scrubbed(error)

    assert VALUE not in rendered(clean)
    assert "SealedSignal" in str(clean)
    assert not isinstance(clean, Exception)
    assert clean.__traceback__ is error.__traceback__


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, GeneratorExit, asyncio.CancelledError])
def test_a_signal_to_end_stays_itself_whatever_it_shows(kind: type[BaseException]) -> None:
    signal = type("Own", (kind,), {"__str__": lambda _: VALUE})(VALUE)
    assert scrubbed(signal) is signal
    assert VALUE not in repr(signal.args)


def test_an_attribute_whose_code_raises_is_left_to_others() -> None:
    class Hostile(Mapping[str, str]):
        def __getitem__(self, _: str) -> str:
            raise RuntimeError(VALUE)

        def __iter__(self) -> Iterator[str]:
            raise RuntimeError(VALUE)

        def __len__(self) -> int:
            return 1

    error = ValueError("plain", Hostile())
    assert isinstance(scrubbed(error), ValueError)


def test_the_whole_chain_is_cleaned_and_stays_a_chain() -> None:
    def fail() -> None:
        try:
            try:
                Model.model_validate({"number": VALUE})
            except ValidationError as first:
                raise OSError(5, VALUE, VALUE) from first
        except OSError:
            raise ServiceUnreachable(f"no answer to {VALUE}") from None

    error = raised(fail)
    clean = scrubbed(error)

    assert clean is error
    assert is_transient(clean)
    assert clean.__suppress_context__
    assert isinstance(clean.__context__, OSError)
    assert isinstance(clean.__context__.__cause__, RuntimeError), "the stand-in took the place in the chain"
    assert VALUE not in rendered(clean)


def test_chains_in_circles_and_very_long_ones_end() -> None:
    first, second = ValueError(VALUE), ValueError(VALUE)
    first.__context__, second.__context__ = second, first
    assert VALUE not in str(scrubbed(first)) + str(second)

    last: Exception = ValueError(VALUE)
    for _ in range(5_000):
        outer = ValueError(VALUE)
        outer.__cause__ = last
        last = outer
    assert VALUE not in str(scrubbed(last))


def test_groups_are_rebuilt_only_where_they_must_be() -> None:
    plain = ExceptionGroup("several", [ValueError(VALUE), ExceptionGroup("inner", [OSError(1, VALUE)])])
    sealed = ExceptionGroup("several", [ValueError("x"), ExceptionGroup("inner", [Sealed(VALUE)])])
    titled = ExceptionGroup(f"several {VALUE}", [ValueError(VALUE)])

    assert scrubbed(plain) is plain
    for group in (plain, scrubbed(sealed), scrubbed(titled)):
        assert isinstance(group, ExceptionGroup)
        assert VALUE not in rendered(group)
    assert isinstance(scrubbed(BaseExceptionGroup(VALUE, [KeyboardInterrupt(VALUE)])), BaseExceptionGroup)


def test_what_holds_no_secret_is_not_touched() -> None:
    error = Sealed("plain")
    error.add_note("a note")
    error.__cause__ = cause = subprocess.CalledProcessError(1, command := ["ls"])

    assert scrubbed(error) is error
    assert error.__cause__ is cause
    assert cause.cmd is command


def test_an_exception_whose_text_raises_is_left_to_others() -> None:
    class Broken(Exception):
        def __str__(self) -> str:
            raise RuntimeError(VALUE)

    assert isinstance(scrubbed(Broken()), Exception)


def test_a_function_raises_no_secret_and_no_original_as_context() -> None:
    @scrubs_errors
    def fail(text: str) -> None:
        """Fail."""
        raise Sealed(text)

    error = raised(lambda: fail(VALUE))

    assert fail.__doc__ == "Fail."
    assert isinstance(error, RuntimeError)
    assert error.__context__ is None
    assert VALUE not in rendered(error)
    assert "in fail" in "".join(traceback.format_tb(error.__traceback__)), "it still says where"
    assert isinstance(raised(lambda: fail("plain")), Sealed)


def test_a_coroutine_function_too() -> None:
    @scrubs_errors
    async def fail(text: str) -> None:
        await asyncio.sleep(0)
        raise Sealed(text)

    error = raised(lambda: asyncio.run(fail(VALUE)))

    assert isinstance(error, RuntimeError)
    assert VALUE not in rendered(error)
    assert asyncio.iscoroutinefunction(fail)


def test_generators_are_refused_not_missed() -> None:
    with pytest.raises(TypeError, match="generator"):

        @scrubs_errors
        def lines() -> Iterator[str]:
            yield VALUE
