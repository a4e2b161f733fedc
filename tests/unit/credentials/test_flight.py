"""Many callers, one request."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from holdtrue.credentials.flight import SingleFlight
from holdtrue.errors import ServiceUnreachable


class _Server:
    """Counts requests, and answers none before it is let."""

    def __init__(self, error: Exception | None = None) -> None:
        self.requests = 0
        self.let = threading.Event()
        self.error = error

    def ask(self) -> str:
        self.requests += 1
        assert self.let.wait(10)
        if self.error is not None:
            raise self.error
        return f"answer {self.requests}"


def test_a_hundred_callers_make_one_request() -> None:
    server, flight = _Server(), SingleFlight[str, str](60)
    with ThreadPoolExecutor(100) as pool:
        answers = [pool.submit(flight.get, "key", server.ask) for _ in range(100)]
        server.let.set()
        assert {answer.result() for answer in answers} == {"answer 1"}
    assert server.requests == 1


def test_each_key_has_its_own_answer() -> None:
    flight = SingleFlight[str, str](60)
    assert flight.get("a", lambda: "of a") == "of a"
    assert flight.get("b", lambda: "of b") == "of b"
    assert flight.get("a", lambda: "another") == "of a"


def test_all_who_wait_get_the_error_and_the_next_one_asks_anew() -> None:
    error = ServiceUnreachable("no answer", where="here", next_step="wait")
    server, flight = _Server(error), SingleFlight[str, str](60)
    with ThreadPoolExecutor(10) as pool:
        answers = [pool.submit(flight.get, "key", server.ask) for _ in range(10)]
        server.let.set()
        raised = [answer.exception() for answer in answers]
    assert {str(item) for item in raised} == {str(error)}
    assert len({id(item) for item in raised}) == 10, "one exception object in two threads mixes their tracebacks"
    asked = server.requests
    server.error = None
    assert flight.get("key", server.ask) == f"answer {asked + 1}"


def test_an_interrupted_request_leaves_nobody_waiting() -> None:
    flight = SingleFlight[str, str](60)

    def interrupted() -> str:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        flight.get("key", interrupted)
    assert flight.get("key", lambda: "answer") == "answer"


def test_an_old_answer_is_asked_for_again() -> None:
    flight = SingleFlight[str, str](-1)
    assert flight.get("key", lambda: "old") == "old"
    assert flight.get("key", lambda: "new") == "new"


def test_a_forgotten_answer_is_asked_for_again() -> None:
    flight = SingleFlight[str, str](60)
    assert flight.get("key", lambda: "old") == "old"
    flight.forget("key")
    assert flight.get("key", lambda: "new") == "new"
