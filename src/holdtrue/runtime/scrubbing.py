"""Registered secrets out of exceptions, whose texts end in states, logs, events and spans.

An exception is cleaned in place, so that its class, its traceback and what its handlers compare stay as they are; one
that cannot be changed, because C code made its text or an object in it does, gives way to a stand-in.
"""

from asyncio import CancelledError
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import wraps
from inspect import isasyncgenfunction, iscoroutinefunction, isgeneratorfunction
from types import GetSetDescriptorType, MemberDescriptorType
from typing import Any, Final, ParamSpec, TypeVar

from pydantic import ValidationError

from holdtrue.runtime.redaction import SECRETS, redact_data, redact_text

P = ParamSpec("P")
R = TypeVar("R")

_NOT_TEXT: Final = frozenset(
    {"__cause__", "__context__", "__suppress_context__", "__traceback__", "__dict__", "__weakref__"}
)

_SIGNALS: Final = (KeyboardInterrupt, SystemExit, GeneratorExit, CancelledError)
"""Their class is what counts, and whoever waits for them knows no other."""


def scrubbed(error: BaseException) -> BaseException:
    """The same exception without registered values, or a stand-in for one that cannot be changed.

    The whole chain is cleaned: causes, contexts and the members of groups, their arguments, notes and attributes. The
    stand-in names the class and keeps traceback, cause and context; it is a RuntimeError for an Exception, so that who
    catches these catches it, and a BaseException for others. Signals to end stay themselves. Raise it where no
    exception is being handled, or Python makes the original its context; `scrubs_errors` does.
    """
    if not SECRETS:
        return error
    chain = reachable(error)
    for link in chain:
        _clean(link)
    results: dict[int, BaseException] = {}
    for link in chain:
        _resolve(link, results)
    for link in chain:
        _join(results[id(link)], link, results)
    return results[id(error)]


def scrubs_errors(body: Callable[P, R]) -> Callable[P, R]:
    """What this function or coroutine function raises has passed the net.

    Raises:
        TypeError: it is a generator function, whose errors come when nobody is watching.
    """
    if isgeneratorfunction(body) or isasyncgenfunction(body):
        raise TypeError(f"{body.__qualname__} is a generator function; return a list instead, or catch errors inside")
    if iscoroutinefunction(body):
        return _scrubs_coroutine(body)

    @wraps(body)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return body(*args, **kwargs)
        except BaseException as error:
            clean = scrubbed(error)
            if clean is error:
                raise
        raise clean

    return run


def _scrubs_coroutine(body: Callable[P, Any]) -> Callable[P, Any]:
    @wraps(body)
    async def run(*args: P.args, **kwargs: P.kwargs) -> Any:
        try:
            return await body(*args, **kwargs)
        except BaseException as error:
            clean = scrubbed(error)
            if clean is error:
                raise
        raise clean

    return run


def reachable(error: BaseException) -> list[BaseException]:
    """The exception and all that hang on it, each once: chains may share members, and have circles."""
    found: dict[int, BaseException] = {}
    waiting = [error]
    while waiting:
        link = waiting.pop()
        if id(link) not in found:
            found[id(link)] = link
            waiting += [other for other in (link.__cause__, link.__context__) if other is not None]
            if isinstance(link, BaseExceptionGroup):
                waiting += link.exceptions
    return list(found.values())


def _resolve(error: BaseException, results: dict[int, BaseException]) -> BaseException:
    """What takes the place of a cleaned exception; most often it does so itself."""
    if id(error) not in results:
        result = _with_clean_members(error, results) if isinstance(error, BaseExceptionGroup) else error
        if result is error and not isinstance(error, _SIGNALS) and _leaks(error):
            kind = RuntimeError if isinstance(error, Exception) else BaseException
            result = kind(f"{type(error).__name__}: {redact_text(_shown(error))}")
        results[id(error)] = result
    return results[id(error)]


def _with_clean_members(
    group: BaseExceptionGroup[BaseException], results: dict[int, BaseException]
) -> BaseExceptionGroup[BaseException]:
    """The group itself when its message and members are clean: both are read-only."""
    members = [_resolve(member, results) for member in group.exceptions]
    message = redact_text(group.message)
    if message != group.message:
        return BaseExceptionGroup(message, members)
    if any(new is not old for new, old in zip(members, group.exceptions, strict=True)):
        return group.derive(members)
    return group


def _join(result: BaseException, error: BaseException, results: dict[int, BaseException]) -> None:
    """Hang the clean chain on it. Setting a cause also hides the context, so what was shown is set last."""
    shown = not error.__suppress_context__
    cause, context = error.__cause__, error.__context__
    result.__cause__ = results[id(cause)] if cause is not None else None
    result.__context__ = results[id(context)] if context is not None else None
    result.__suppress_context__ = not shown
    if result is not error:
        result.__traceback__ = error.__traceback__
        for note in getattr(error, "__notes__", ()):
            result.add_note(redact_text(str(note)))


def _clean(error: BaseException) -> None:
    for name, value in _attributes(error):
        # A read-only one, and one whose own code raises, may leave a leak, which is looked for afterwards.
        with suppress(Exception):
            clean = redact_data(value)
            if clean is not value:
                setattr(error, name, clean)


def _attributes(error: BaseException) -> Iterator[tuple[str, Any]]:
    """Its own, those in slots, and those in C: `args`, `filename` of OSError, `object` of UnicodeDecodeError ..."""
    yield from list(vars(error).items())
    for kind in type(error).__mro__:
        for name, descriptor in list(vars(kind).items()):
            if isinstance(descriptor, MemberDescriptorType | GetSetDescriptorType) and name not in _NOT_TEXT:
                with suppress(Exception):
                    yield name, getattr(error, name)


def _leaks(error: BaseException) -> bool:
    """Whether a logger, a state or a span that prints it would still print a registered value."""
    texts = [str(note) for note in getattr(error, "__notes__", ())]
    for render in (str, repr, _refused_inputs):
        with suppress(Exception):
            texts.append(render(error))
    return any(redact_text(text) != text for text in texts)


def _refused_inputs(error: BaseException) -> str:
    """The inputs that pydantic keeps in full, although its text shows only their beginning and end."""
    return str(error.errors(include_url=False)) if isinstance(error, ValidationError) else ""


def _shown(error: BaseException) -> str:
    with suppress(Exception):
        return str(error)
    return "it cannot be shown"
