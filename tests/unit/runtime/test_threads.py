"""Work in threads: everything comes back, what is raised is raised here, and nobody waits for what is not wanted."""

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from holdtrue.runtime.threads import in_threads


def test_every_item_comes_back_with_what_became_of_it() -> None:
    assert dict(in_threads(range(1000), lambda number: number * 2, at_once=7)) == {n: n * 2 for n in range(1000)}


def test_nothing_to_do_ends_at_once() -> None:
    assert list(in_threads((), str, at_once=3)) == []


def test_as_many_work_at_once_as_are_allowed() -> None:
    meeting = threading.Barrier(4)

    assert len(list(in_threads(range(8), lambda _: meeting.wait(10), at_once=4))) == 8


def test_fewer_threads_than_are_allowed_are_started_for_fewer_items() -> None:
    seen = dict(in_threads(range(2), lambda _: threading.active_count(), at_once=500))

    assert max(seen.values()) <= threading.active_count() + 2


def test_what_is_raised_is_raised_here_and_nothing_further_is_begun() -> None:
    begun: list[int] = []

    def work(number: int) -> None:
        begun.append(number)
        raise ValueError(number)

    with pytest.raises(ValueError, match="0"):
        list(in_threads(range(1000), work, at_once=1))

    assert begun == [0]


@pytest.fixture
def first_only() -> Iterator[Callable[[int], int]]:
    """Work of which only that on 0 ends before the test does."""
    over = threading.Event()

    def work(number: int) -> int:
        if number:
            over.wait(30)
        return number

    yield work
    over.set()


def test_nobody_waits_for_what_is_on_its_way(first_only: Callable[[int], int]) -> None:
    started = time.monotonic()
    for number, _ in in_threads(range(3), first_only, at_once=3):
        assert number == 0
        break

    assert time.monotonic() - started < 10


def test_what_has_not_ended_in_time_is_left_out(first_only: Callable[[int], int]) -> None:
    started = time.monotonic()
    assert list(in_threads(range(3), first_only, at_once=3, until=started + 0.3)) == [(0, 0)]

    assert time.monotonic() - started < 10


@pytest.mark.parametrize("given", [0, 1, 3])
def test_fewer_threads_than_were_wanted_do_all_the_work(monkeypatch: pytest.MonkeyPatch, given: int) -> None:
    start = threading.Thread.start
    started: list[threading.Thread] = []

    def start_a_few(thread: threading.Thread) -> None:
        if len(started) == given:
            raise RuntimeError("can't start new thread")
        started.append(thread)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", start_a_few)

    assert dict(in_threads(range(50), str, at_once=8)) == {number: str(number) for number in range(50)}
