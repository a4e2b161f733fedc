"""A load balancer that is gone and probes that fail: traffic is put back, or the run says loudly that it is not."""

import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus

import httpx
import pytest
from prefect.exceptions import TerminationSignal

from flows.provision import provision
from sandbox.load_balancer import BACKEND
from sandbox.web import Answer, Request, WebServer
from tests.integration.flow_stage import IDLE_PLAYBOOK, Stage, free_port

REQUESTS = 20


@pytest.fixture
def on_standby(stage: Stage) -> Iterator[None]:
    """All traffic on the standby page, and afterwards where it was."""
    balancer = stage.sandbox.load_balancer
    before = balancer.weights()
    balancer.reset()
    yield
    balancer.start()
    # What gets traffic first: a backend in which nothing has any weight serves nobody.
    for server, weight in sorted(before.items(), key=lambda item: -item[1]):
        assert balancer.command(f"set server {BACKEND}/{server} weight {weight}") == ""


pytestmark = pytest.mark.usefixtures("on_standby", "untouched_but_state")


@contextmanager
def front(stage: Stage, answer: Callable[[int], HTTPStatus]) -> Iterator[list[int]]:
    """Make `tiny` ask our own server instead of the load balancer; `answer` gets the number of the question."""
    asked: list[int] = []

    def respond(_: Request) -> Answer:
        asked.append(len(asked) + 1)
        return Answer(answer(asked[-1]), "text/plain", b"front")

    server = WebServer(free_port(), respond)
    probe = {"name": "front", "url": f"{server.url}/", "attempts": 1}
    stage.fleet.edit_manifest("tiny", traffic={"probes": [probe]})
    stage.fleet.write("ansible/tiny.yml", IDLE_PLAYBOOK)
    try:
        yield asked
    finally:
        server.stop()


def served_by(stage: Stage) -> Counter[str]:
    with httpx.Client(trust_env=False) as client:
        answers = [client.get(stage.sandbox.load_balancer.url) for _ in range(REQUESTS)]
    return Counter(answer.text for answer in answers)


def test_absent_load_balancer_is_seen_before_anything_runs(stage: Stage) -> None:
    balancer = stage.sandbox.load_balancer
    balancer.stop()
    try:
        run = stage.run(provision, "tiny")
    finally:
        balancer.start()
    stage.require(run, "PreflightFailed", "load balancer", str(balancer.socket_path), "traffic.socket")


def test_failed_probe_brings_traffic_back(stage: Stage) -> None:
    with front(stage, lambda number: HTTPStatus.OK if number == 1 else HTTPStatus.BAD_GATEWAY) as asked:
        run = stage.run(provision, "tiny")
    assert asked == [1, 2]
    stage.require(run, "TrafficRestored", "100 %", "front", "502", f"backend {BACKEND}")
    assert served_by(stage) == {"standby": REQUESTS}


def test_termination_in_the_middle_of_the_shift_brings_traffic_back(stage: Stage) -> None:
    shifted: list[dict[str, int]] = []

    def terminate(_: int) -> HTTPStatus:
        shifted.append(dict(stage.sandbox.load_balancer.weights()))
        os.kill(os.getpid(), signal.SIGTERM)
        return HTTPStatus.OK

    # Prefect passes the signal on to the handler that was there before; by default that would end the tests.
    before = signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        with front(stage, terminate), pytest.raises(TerminationSignal):
            stage.run(provision, "tiny")
    finally:
        signal.signal(signal.SIGTERM, before)
    assert [weights["web-1"] > 0 for weights in shifted] == [True], "the shift had begun"
    assert served_by(stage) == {"standby": REQUESTS}


def test_load_balancer_lost_during_the_shift_names_the_weights_to_set(stage: Stage) -> None:
    balancer = stage.sandbox.load_balancer

    def lose(_: int) -> HTTPStatus:
        balancer.stop()
        return HTTPStatus.OK

    try:
        with front(stage, lose) as asked:
            run = stage.run(provision, "tiny")
    finally:
        balancer.start()
    assert asked == [1]
    stage.require(run, "TrafficStranded", "standby=100", "web-1=0", "web-2=0", str(balancer.socket_path))


def test_shift_that_passes_moves_requests(stage: Stage) -> None:
    shares: list[Counter[str]] = []

    def count(_: int) -> HTTPStatus:
        shares.append(served_by(stage))
        return HTTPStatus.OK

    with front(stage, count):
        run = stage.run(provision, "tiny")
    stage.require(run, "Provisioned", "traffic moved")
    stage.sandbox.load_balancer.reset()
    assert [share["standby"] for share in shares] == [REQUESTS // 2, 0]
    assert shares[1] == {"web-1": REQUESTS // 2, "web-2": REQUESTS // 2}


@contextmanager
def taken_out(stage: Stage, server: str) -> Iterator[Callable[[], None]]:
    """A function that puts a server into maintenance, which ends with the block."""
    balancer = stage.sandbox.load_balancer

    def take_out() -> None:
        assert balancer.command(f"set server {BACKEND}/{server} state maint") == ""

    try:
        yield take_out
    finally:
        assert balancer.command(f"set server {BACKEND}/{server} state ready") == ""


def test_a_host_in_maintenance_is_named_before_anything_is_changed(stage: Stage) -> None:
    with taken_out(stage, "web-2") as take_out:
        take_out()
        run = stage.run(provision, "tiny")
    stage.require(run, "PreflightFailed", "load balancer", "web-2", "MAINT", "state ready")
    assert served_by(stage) == {"standby": REQUESTS}


def test_a_host_taken_out_while_traffic_moves_sends_it_back(stage: Stage) -> None:
    shifted: list[int] = []
    with taken_out(stage, "web-2") as take_out:

        def take_out_and_answer(_: int) -> HTTPStatus:
            shifted.append(stage.sandbox.load_balancer.weights()["web-2"])
            take_out()
            return HTTPStatus.OK

        with front(stage, take_out_and_answer):
            run = stage.run(provision, "tiny")
    assert stage.sandbox.load_balancer.weights() == {"standby": 100, "web-1": 0, "web-2": 0}
    assert len(shifted) == 1
    assert shifted[0] > 0, "the shift had begun"
    stage.require(run, "TrafficRestored", "web-2", "MAINT", "state ready", f"backend {BACKEND}")
    assert served_by(stage) == {"standby": REQUESTS}


def test_a_host_that_the_balancer_finds_down_gets_no_traffic(stage: Stage) -> None:
    balancer = stage.sandbox.load_balancer
    stage.fleet.edit_manifest("tiny", traffic={"health_wait_seconds": 1})
    with front(stage, lambda _: HTTPStatus.OK) as asked:
        assert balancer.command(f"set server {BACKEND}/web-1 health down") == ""
        try:
            run = stage.run(provision, "tiny")
        finally:
            assert balancer.command(f"set server {BACKEND}/web-1 health up") == ""
    assert asked == []
    stage.require(run, "TrafficRefused", "web-1", "DOWN", f"backend {BACKEND}")
    assert served_by(stage) == {"standby": REQUESTS}
