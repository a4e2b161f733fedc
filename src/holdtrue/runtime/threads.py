"""Work side by side that nobody has to wait for when it is not wanted any more."""

import math
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from threading import Thread
from typing import TypeVar

K = TypeVar("K")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Raised:
    error: BaseException


def in_threads(
    items: Sequence[K], work: Callable[[K], T], *, at_once: int, until: float = math.inf
) -> Iterator[tuple[K, T]]:
    """Each item with what `work` makes of it, in the order in which they end.

    What has not ended when the monotonic clock is at `until` is left out. What `work` raises is raised here.

    Whoever stops listening, above all a process that is terminated, waits for nothing: no further item is begun, and
    threads that are in the middle of one do not hold the process up. That is what `concurrent.futures` cannot do, whose
    threads are joined at the end of the process.
    """
    to_do, done = deque(items), SimpleQueue[tuple[K, T | _Raised]]()

    def run() -> None:
        while True:
            try:
                item = to_do.popleft()
            except IndexError:
                return
            try:
                done.put((item, work(item)))
            except BaseException as error:  # noqa: BLE001 - raised again where somebody listens
                to_do.clear()
                done.put((item, _Raised(error)))

    _start(run, min(at_once, len(to_do)))
    try:
        for _ in items:
            try:
                item, outcome = done.get(timeout=None if math.isinf(until) else max(0.0, until - time.monotonic()))
            except Empty:
                return
            if isinstance(outcome, _Raised):
                raise outcome.error
            yield item, outcome
    finally:
        to_do.clear()


def _start(run: Callable[[], None], threads: int) -> None:
    for number in range(threads):
        try:
            Thread(target=run, name=f"in-threads-{number}", daemon=True).start()
        except RuntimeError:  # the machine gives no more: with fewer it is slower, and without any it is done here
            if number == 0:
                run()
            return
