"""The secrets that this process holds, by value, and the net that takes them out of every text on its way out.

Whoever fetches a secret registers it; whoever writes a text for a person or a service passes it through `redact_text`.
A value is known while anybody holds it: the run that registered it, the lease that it came with, the cache that serves
it. A value that is registered without a holder stays known until the process ends.
"""

import logging
import math
import time
from array import array
from collections import Counter, UserString, deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from itertools import takewhile
from threading import Lock
from typing import Any, Final, TypeVar

from pydantic import SecretStr

from holdtrue.core.forms import REPLACEMENT, refusal
from holdtrue.core.redaction import Redactor, StreamRedactor
from holdtrue.runtime.public_names import is_public

Data = TypeVar("Data")

_LOGGER: Final = logging.getLogger(__name__)

LINGER_SECONDS: Final = 60.0
"""A value stays known for this long after its last holder let go: a text made before may come out later."""

_DEPTH: Final = 100
"""What is nested deeper, or in itself, is not looked at, so it is not shown either."""

_NUMBERS: Final = frozenset({int, float})
_PLAIN: Final = frozenset(
    {type(None), bool, int, float, str, bytes, bytearray, dict, list, tuple, set, frozenset, deque, range}
)
"""Show nothing but what they hold."""


class SecretHolder:
    """Something that holds secrets: a run, a lease, a cache. They stay known until it lets go of them."""

    def __init__(self, registry: "SecretRegistry") -> None:
        self._registry = registry
        self.values: set[str] = set()
        self.refused: set[str] = set()
        """Names of values that cannot be redacted."""
        self.is_open = True

    @contextmanager
    def collecting(self) -> Iterator[None]:
        """Hold everything that is registered inside the block, in addition to the run that it is registered for."""
        with self._registry.collected_by(self):
            yield

    def release(self) -> None:
        """Let go of everything, for good. What another holder has stays known. Calling it again has no effect."""
        self._registry.release(self)


class SecretRegistry:
    """Secrets by value. Each is known while anybody holds it, and a while longer. Threads share it."""

    def __init__(self, linger_seconds: float = LINGER_SECONDS) -> None:
        self.linger_seconds = linger_seconds
        """How long a value stays known after its last holder let go."""
        self._lock = Lock()
        self._redactor = Redactor()
        self._holders: Counter[str] = Counter()
        self._lingering: dict[str, float] = {}
        """Values without a holder, with the time (monotonic clock) at which each is forgotten, the earliest first."""
        self._forget_at = math.inf
        self._process = SecretHolder(self)
        self._runs: list[SecretHolder] = []
        self._run: ContextVar[SecretHolder | None] = ContextVar("holdtrue_secret_run", default=None)
        self._collectors: ContextVar[tuple[SecretHolder, ...]] = ContextVar("holdtrue_secret_collectors", default=())

    def __reduce__(self) -> str:
        """Pickled by name, as a part of flows for other processes: each has its own registry, and no value leaves."""
        return "SECRETS"

    def __bool__(self) -> bool:
        self._forget_in_time()
        return bool(self._redactor)

    def holder(self) -> SecretHolder:
        """A holder that keeps what it collects until it is released."""
        return SecretHolder(self)

    @contextmanager
    def open(self) -> Iterator[None]:
        """Open a run, which holds what is registered in the block and lets go of it at the end."""
        run = self.holder()
        with self._lock:
            self._runs.append(run)
        token = self._run.set(run)
        try:
            yield
        finally:
            self._run.reset(token)
            with self._lock:
                self._runs.remove(run)
            self.release(run)

    @contextmanager
    def collected_by(self, holder: SecretHolder) -> Iterator[None]:
        """See `SecretHolder.collecting`."""
        token = self._collectors.set((*self._collectors.get(), holder))
        try:
            yield
        finally:
            self._collectors.reset(token)

    @property
    def is_open(self) -> bool:
        """Whether a run is open in the context of this thread or coroutine."""
        return self._run.get() is not None

    def register(self, value: SecretStr, *, name: str, keeper: SecretHolder | None = None) -> bool:
        """Redact this value from now on; False, and one warning with its `name`, if it cannot be redacted by value.

        It is held by the innermost run of the caller's context, by the collectors of that context, and by the keeper. A
        thread that was started without a context registers for all open runs. If there is none of these, the process
        holds the value until it ends.
        """
        text = value.get_secret_value()
        with self._lock:
            runs = self._runs_here()
            collectors = self._collectors.get() if keeper is None else (keeper, *self._collectors.get())
            holders = [*runs, *(holder for holder in collectors if holder.is_open)] or [self._process]
            if all(text in holder.values for holder in holders):
                return True
            reason = refusal(text) or ("it is a public name, or a part of one" if is_public(text) else None)
            if reason is None:
                for holder in holders:
                    self._hold(holder, text)
                return True
            known = all(name in holder.refused for holder in runs or holders)
            for holder in holders:
                holder.refused.add(name)
        if not known:
            _LOGGER.warning("%s is not redacted where it shows up: %s", name, reason)
        return False

    def release(self, holder: SecretHolder) -> None:
        """See `SecretHolder.release`."""
        with self._lock:
            holder.is_open = False
            self._holders.subtract(holder.values)
            until = time.monotonic() + self.linger_seconds
            for text in holder.values:
                if not self._holders[text]:
                    del self._holders[text]
                    self._lingering[text] = until
            holder.values.clear()
            self._forget_overdue()

    def redact(self, text: str) -> str:
        """The text without any registered value, in whatever form."""
        return self._redactor.redact(text) if self else text

    def redact_data(self, data: Data) -> Data:
        """The same structure of mappings, sequences and sets with every text, number and bytes redacted, keys too.

        Objects of other classes, and structures that hold no registered value, are passed on as they are. Mappings and
        sequences of other classes than Python's own become dicts and lists if something in them is redacted.
        """
        return _redacted(data, self._redactor) if self else data

    def redact_shown(self, data: Any) -> Any:
        """`redact_data` for what somebody will print: an object that would show a value becomes its redacted text."""
        return _redacted(data, self._redactor, objects=True) if self else data

    def stream(self) -> StreamRedactor:
        """For one text that comes in chunks."""
        return StreamRedactor(self._redactor)

    def _runs_here(self) -> list[SecretHolder]:
        current = self._run.get()
        return [current] if current is not None and current.is_open else self._runs

    def _hold(self, holder: SecretHolder, text: str) -> None:
        if text in holder.values:
            return
        holder.values.add(text)
        self._holders[text] += 1
        if self._holders[text] == 1 and self._lingering.pop(text, None) is None:
            self._redactor.add([text])

    def _forget_in_time(self) -> None:
        # A signal handler that logs may have interrupted the code that has the lock. Then the next call forgets them.
        if time.monotonic() >= self._forget_at and self._lock.acquire(blocking=False):
            try:
                self._forget_overdue()
            finally:
                self._lock.release()

    def _forget_overdue(self) -> None:
        """The caller has the lock."""
        now = time.monotonic()
        overdue = list(takewhile(lambda text: self._lingering[text] <= now, self._lingering))
        for text in overdue:
            del self._lingering[text]
        self._redactor.discard(overdue)
        self._forget_at = next(iter(self._lingering.values()), math.inf)


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
            # Numbers to be printed stay, because `%d` needs one; the text that it produces is redacted.
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


def register_secret(value: SecretStr, *, name: str, keeper: SecretHolder | None = None) -> bool:
    """Have this value redacted wherever it shows up; see `SecretRegistry.register`."""
    return SECRETS.register(value, name=name, keeper=keeper)


def redact_text(text: str) -> str:
    """The text without any registered value, in whatever form."""
    return SECRETS.redact(text)


def redact_data(data: Data) -> Data:
    """The structure without any registered value; see `SecretRegistry.redact_data`."""
    return SECRETS.redact_data(data)


def redact_shown(data: Any) -> Any:
    """The same for what somebody will print, objects included; see `SecretRegistry.redact_shown`."""
    return SECRETS.redact_shown(data)
