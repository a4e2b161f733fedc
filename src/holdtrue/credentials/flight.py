"""Many callers, one request: who asks while it is under way gets its answer, or its error."""

import threading
import time
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Generic, TypeVar

from holdtrue.errors import HoldtrueError

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class _Flight(Generic[V]):
    landing: Future[V]
    begun: float


class SingleFlight(Generic[K, V]):
    """Answers by key, each asked for once and kept for a while; an error is kept for nobody."""

    def __init__(self, max_age_seconds: float) -> None:
        self._max_age_seconds = max_age_seconds
        self._flights: dict[K, _Flight[V]] = {}
        self._lock = threading.Lock()

    def get(self, key: K, request: Callable[[], V]) -> V:
        """The answer for `key`: the one at hand, the one under way, or a new one.

        Raises:
            BaseException: what the request raised, to everyone who waited for it.
        """
        now = time.monotonic()
        with self._lock:
            flight = self._flights.get(key)
            is_mine = flight is None or now - flight.begun > self._max_age_seconds
            if flight is None or is_mine:
                flight = self._flights[key] = _Flight(Future(), now)
        if is_mine:
            self._fly(key, flight, request)
            return flight.landing.result()
        try:
            return flight.landing.result()
        except HoldtrueError as error:
            # An exception object belongs to the thread that raised it: the others get one of their own.
            raise type(error)(error.what, where=error.where, next_step=error.next_step) from error

    def forget(self, key: K) -> None:
        """Ask anew the next time."""
        with self._lock:
            self._flights.pop(key, None)

    def _fly(self, key: K, flight: _Flight[V], request: Callable[[], V]) -> None:
        try:
            flight.landing.set_result(request())
        except BaseException as error:  # noqa: BLE001 - whoever waits has to hear of it
            with self._lock:
                if self._flights.get(key) is flight:
                    del self._flights[key]
            flight.landing.set_exception(error)
