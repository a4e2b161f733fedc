"""The secrets that this process holds, by value, and the net that takes them out of every text on its way out.

Whoever fetches a secret registers it; whoever writes a text for a person or a service passes it through `redact_text`.
A run opens the registrations and closes them at its end; what is registered outside of any run stays for the process.
"""

import logging
from array import array
from collections import Counter, UserString, deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, Final, TypeVar

from pydantic import SecretStr

from holdtrue.core.redaction import REPLACEMENT, Redactor, StreamRedactor, refusal
from holdtrue.runtime.public_names import is_public

Data = TypeVar("Data")

_LOGGER: Final = logging.getLogger(__name__)

_DEPTH: Final = 100
"""What is nested deeper, or in itself, is not looked at, so it is not shown either."""

_NUMBERS: Final = frozenset({int, float})
_PLAIN: Final = frozenset(
    {type(None), bool, int, float, str, bytes, bytearray, dict, list, tuple, set, frozenset, deque, range}
)
"""Show nothing but what they hold."""


@dataclass(slots=True, eq=False)
class _Scope:
    """What was registered between one opening and its closing, and the names that were refused."""

    values: set[str] = field(default_factory=set, repr=False)
    refused: set[str] = field(default_factory=set)


class SecretRegistry:
    """Secrets by value, each known until the last scope that registered it is closed. Threads share it."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._redactor = Redactor()
        self._holders: Counter[str] = Counter()
        self._process = _Scope()
        self._open: list[_Scope] = []
        self._current: ContextVar[_Scope | None] = ContextVar("holdtrue_secret_scope", default=None)

    def __bool__(self) -> bool:
        return bool(self._redactor)

    @contextmanager
    def open(self) -> Iterator[None]:
        """Forget at the end of the block what was registered in it."""
        scope = _Scope()
        with self._lock:
            self._open.append(scope)
        token = self._current.set(scope)
        try:
            yield
        finally:
            self._current.reset(token)
            with self._lock:
                self._open.remove(scope)
                self._forget(scope)

    @property
    def is_open(self) -> bool:
        """Whether a scope is open here, in this thread's or coroutine's context."""
        return self._current.get() is not None

    def register(self, value: SecretStr, *, name: str) -> bool:
        """Know this value from now on; False, and one warning with its `name`, when it cannot be redacted by value.

        It belongs to the innermost scope of the caller's context. A thread that was started without a context
        registers for all open scopes, and for the process when there is none.
        """
        text = value.get_secret_value()
        with self._lock:
            scopes = self._scopes()
            if all(text in scope.values for scope in scopes):
                return True
            reason = refusal(text) or ("it is a public name, or a part of one" if is_public(text) else None)
            if reason is None:
                for scope in scopes:
                    self._remember(scope, text)
                return True
            known = all(name in scope.refused for scope in scopes)
            for scope in scopes:
                scope.refused.add(name)
        if not known:
            _LOGGER.warning("%s is not redacted where it shows up: %s", name, reason)
        return False

    def redact(self, text: str) -> str:
        """The text without any registered value, in whatever form."""
        return self._redactor.redact(text) if self._redactor else text

    def redact_data(self, data: Data) -> Data:
        """The same structure of mappings, sequences and sets with every text, number and bytes redacted, keys too.

        Objects of other classes, and structures that hold no registered value, are passed on as they are. Mappings and
        sequences that are none of Python's own become dicts and lists where something in them is redacted.
        """
        return _redacted(data, self._redactor) if self._redactor else data

    def redact_shown(self, data: Any) -> Any:
        """`redact_data` for what somebody will print: an object that would show a value becomes its redacted text."""
        return _redacted(data, self._redactor, objects=True) if self._redactor else data

    def stream(self) -> StreamRedactor:
        """For one text that comes in chunks."""
        return StreamRedactor(self._redactor)

    def _scopes(self) -> list[_Scope]:
        current = self._current.get()
        if current is not None and current in self._open:
            return [current]
        return self._open or [self._process]

    def _remember(self, scope: _Scope, text: str) -> None:
        if text in scope.values:
            return
        scope.values.add(text)
        self._holders[text] += 1
        if self._holders[text] == 1:
            self._redactor.add([text])

    def _forget(self, scope: _Scope) -> None:
        self._holders.subtract(scope.values)
        gone = [text for text in scope.values if not self._holders[text]]
        for text in gone:
            del self._holders[text]
        self._redactor.discard(gone)
        scope.values.clear()


def _redacted(data: Any, redactor: Redactor, depth: int = 0, *, objects: bool = False) -> Any:  # noqa: C901 - one case a type
    def clean(item: Any) -> Any:
        return _redacted(item, redactor, depth + 1, objects=objects)

    result = data
    match data:
        case range() | memoryview() | array():
            pass
        case str():
            result = redactor.redact(data)
        case UserString():
            # A sequence of its own kind, each character one of one character.
            result = redacted if (redacted := redactor.redact(str(data))) != str(data) else data
        case int() | float() if type(data) in _NUMBERS and not objects:
            # Not for what is printed: `%d` needs a number, and the text that it makes is redacted.
            result = REPLACEMENT if (digits := repr(data)) != redactor.redact(digits) else data
        case bytes() | bytearray():
            text = data.decode(errors="surrogateescape")
            redacted = redactor.redact(text)
            result = data if redacted == text else type(data)(redacted.encode(errors="surrogateescape"))
        case Mapping() | Sequence() | set() | frozenset() if depth == _DEPTH:
            result = REPLACEMENT
        case Mapping():
            old = list(data.items())
            pairs = [(clean(name), clean(item)) for name, item in old]
            if any(new[0] is not given[0] or new[1] is not given[1] for new, given in zip(pairs, old, strict=True)):
                result = _without_loss(pairs)
        case Sequence() | set() | frozenset():
            given = list(data)
            items = [clean(item) for item in given]
            if any(new is not item for new, item in zip(items, given, strict=True)):
                result = _alike(data, items)
    if objects and result is data and type(data) not in _PLAIN:
        return _redacted_object(data, redactor)
    return result


def _alike(data: Any, items: list[Any]) -> Any:
    match data:
        case deque():
            return deque(items, data.maxlen)
        case tuple() if hasattr(data, "_fields"):
            return type(data)(*items)
        case list() | tuple() | set() | frozenset():
            return type(data)(items)
        case _:
            return items


def _redacted_object(data: Any, redactor: Redactor) -> Any:
    """The object itself when neither of its texts shows a value."""
    texts: list[str] = []
    for render in (str, repr):
        with suppress(Exception):
            texts.append(render(data))
    if not texts:
        # Whoever prints it reports what its code raises, and with what.
        return f"{type(data).__name__} that cannot be shown"
    return next((clean for text in texts if (clean := redactor.redact(text)) != text), data)


def _without_loss(pairs: list[tuple[Any, Any]]) -> dict[Any, Any]:
    """Two names may be the same after redaction; both entries stay."""
    result: dict[Any, Any] = {}
    for name, value in pairs:
        result[name if name not in result else f"{REPLACEMENT} {len(result) + 1}"] = value
    return result


SECRETS: Final = SecretRegistry()
"""The process's registry, which everything here uses."""


def register_secret(value: SecretStr, *, name: str) -> bool:
    """Have this value redacted wherever it shows up; see `SecretRegistry.register`."""
    return SECRETS.register(value, name=name)


def redact_text(text: str) -> str:
    """The text without any registered value, in whatever form."""
    return SECRETS.redact(text)


def redact_data(data: Data) -> Data:
    """The structure without any registered value; see `SecretRegistry.redact_data`."""
    return SECRETS.redact_data(data)


def redact_shown(data: Any) -> Any:
    """The same for what somebody will print, objects included; see `SecretRegistry.redact_shown`."""
    return SECRETS.redact_shown(data)
