"""The balancer is lost at every step of a shift in turn: what the shift says at its end is true of the real weights."""

import re
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from http import HTTPStatus
from pathlib import Path
from typing import cast

import pytest

from holdtrue.credentials.environment_lock import HeldLock
from holdtrue.errors import HoldtrueError, ServiceUnreachable, TrafficRestored, TrafficStranded
from holdtrue.models.credentials import HostAccess, SshAccess
from holdtrue.models.environment import Environment
from holdtrue.models.stack import StackOutputs
from holdtrue.models.traffic import TrafficShift
from holdtrue.models.validation import Verdict, VerdictOutcome
from holdtrue.runtime.folder import private_folder
from holdtrue.testing import NO_CHANGES
from holdtrue.toolbox import real_tools
from sandbox import Sandbox
from sandbox.load_balancer import BACKEND, LoadBalancer
from sandbox.web import Answer, WebServer
from tasks.toolbox import use_toolbox
from tasks.traffic import shift_traffic
from tests.integration.flow_stage import free_port
from tests.integration.host_access import hosts_of

SECONDS = 10
BEFORE = {"standby": 80, "web-1": 0, "web-2": 0}
"""Not what HAProxy starts with, so that a restart is not taken for a way back."""
MOVED = {"standby": 0, "web-1": 240, "web-2": 240}

FIRST_STEP = 5
"""The number of the command with which the first step begins: it looks at the weights before it writes."""


class Fault(StrEnum):
    """What happens at one command."""

    AWAY = "away"
    """The socket is gone before it, and stays away."""
    ANSWER_LOST = "answer lost"
    """HAProxy carries it out; its answer is lost, and the socket is gone from then on."""
    BLINK = "blink"
    """It is lost, and the next one gets through."""
    RESTART = "restart"
    """HAProxy was started again before it, with the weights of its configuration."""


@dataclass
class Relay:
    """A socket in front of HAProxy's: one connection is one command."""

    path: Path
    balancer: LoadBalancer
    fault: Fault | None = None
    at: int = 0
    """The number of the command that the fault happens at."""
    commands: list[str] = field(default_factory=list)

    def serve(self, listener: socket.socket) -> None:
        if self.fault is Fault.AWAY and self.at == 1:
            self.path.unlink()
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                command = connection.makefile().readline().strip()
                self.commands.append(command)
                reply = self._reply(command)
                # Before the answer, after which the next command may come at any moment.
                if self.fault is Fault.AWAY and len(self.commands) == self.at - 1:
                    self.path.unlink()
                connection.sendall(reply.encode())

    def _reply(self, command: str) -> str:
        if len(self.commands) == self.at:
            match self.fault:
                case Fault.BLINK:
                    return ""
                case Fault.ANSWER_LOST:
                    self.balancer.command(command)
                    self.path.unlink()
                    return ""
                case Fault.RESTART:
                    self.balancer.stop()
                    self.balancer.start()
        return f"{reply}\n\n" if (reply := self.balancer.command(command)) else "\n"


@contextmanager
def relay(balancer: LoadBalancer, fault: Fault | None = None, at: int = 0) -> Iterator[Relay]:
    with private_folder("ha") as folder, socket.socket(socket.AF_UNIX) as listener:
        made = Relay(folder / "s", balancer, fault, at)
        listener.bind(str(made.path))
        listener.listen(8)
        thread = threading.Thread(target=made.serve, args=(listener,))
        thread.start()
        try:
            yield made
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(SECONDS)


class Held:
    """A lock that is never lost."""

    def require_held(self) -> None:
        pass


@dataclass(frozen=True, slots=True)
class Shifter:
    """Shifts the sandbox's traffic from `BEFORE` to `MOVED` in two steps."""

    sandbox: Sandbox
    probe_url: str

    def shift(self, fault: Fault | None = None, at: int = 0) -> tuple[TrafficShift | HoldtrueError, list[str]]:
        """How a shift ends, and the commands that came to the balancer."""
        balancer = self.sandbox.load_balancer
        balancer.reset()
        assert balancer.command(f"set server {BACKEND}/standby weight 80") == ""
        with relay(balancer, fault, at) as made:
            return self._exit(made.path), made.commands

    def _exit(self, path: Path) -> TrafficShift | HoldtrueError:
        hosts = tuple(hosts_of(self.sandbox))
        environment = Environment.model_validate(
            {
                "name": "exits",
                "infrastructure": {"project": "p", "stack": "s"},
                "configuration": {"playbook": "p.yml"},
                "validation": {"suites": ["c.py"]},
                "credentials": {"vault": "v", "aws": "a", "ssh": "s", "pulumi": "p"},
                "traffic": {
                    "socket": str(path),
                    "backend": BACKEND,
                    "steps": [50, 100],
                    "bake_seconds": 0,
                    "health_wait_seconds": 0,
                    "probes": [{"name": "front", "url": self.probe_url, "attempts": 1}],
                },
            }
        )
        access = HostAccess(
            hosts=hosts, outputs=StackOutputs(values={}), ssh=SshAccess(config=Path("none"), agent_socket=Path("none"))
        )
        now = datetime.now(UTC)
        verdict = Verdict(
            outcome=VerdictOutcome.PASS,
            environment="exits",
            hosts=access.names,
            plan_digest=NO_CHANGES.digest,
            checks=(),
            reasons=(),
            decided_at=now,
            expires_at=now + timedelta(hours=1),
        )
        try:
            done = shift_traffic.fn(environment, access, NO_CHANGES, verdict, cast("HeldLock", Held()))
        except HoldtrueError as error:
            return error
        assert done is not None
        return done


@pytest.fixture(scope="module")
def shifter(sandbox: Sandbox) -> Iterator[Shifter]:
    server = WebServer(free_port(), lambda _: Answer(HTTPStatus.OK, "text/plain", b"front"))
    with use_toolbox(real_tools(lambda *_: pytest.fail("no block is needed")), lambda _: ()):
        yield Shifter(sandbox, f"{server.url}/")
    server.stop()
    sandbox.load_balancer.reset()


def require_true(ending: TrafficShift | HoldtrueError, commands: list[str], real: Mapping[str, int]) -> str:
    """Assert that the end of a shift says what is true of the real weights; returns which end it was."""
    match ending:
        case TrafficShift():
            assert dict(real) == ending.after == MOVED
        case TrafficRestored():
            assert dict(real) == BEFORE
            assert isinstance(ending.done, TrafficShift)
            assert ending.done.before == ending.done.after == BEFORE
        case TrafficStranded():
            assert "standby=80, web-1=0, web-2=0" in ending.next_step
            assert re.search(r"set last, or tried to set, are web-1=\d+, web-2=\d+, standby=\d+", ending.what)
            assert isinstance(ending.done, TrafficShift)
            assert ending.done.before == BEFORE
        case _:
            assert ending.what.startswith("traffic was not moved: ")
            assert not [command for command in commands if command.startswith("set server")]
            assert dict(real) == BEFORE
    return type(ending).__name__


def ends_of(shifter: Shifter, fault: Fault, numbers: range) -> list[str]:
    ends = []
    for at in numbers:
        ending, commands = shifter.shift(fault, at)
        assert len(commands) >= at - (fault is Fault.AWAY), "the fault was reached"
        ends.append(require_true(ending, commands, shifter.sandbox.load_balancer.weights()))
    return ends


@pytest.fixture(scope="module")
def last(shifter: Shifter) -> int:
    """The number of commands of a shift in which nothing fails."""
    ending, commands = shifter.shift()
    assert require_true(ending, commands, shifter.sandbox.load_balancer.weights()) == "TrafficShift"
    assert next(number for number, text in enumerate(commands, 1) if text.startswith("set server")) == FIRST_STEP + 1
    return len(commands)


@pytest.mark.parametrize("fault", [Fault.AWAY, Fault.ANSWER_LOST])
def test_a_socket_that_goes_away_strands_traffic_from_the_first_step_on(
    shifter: Shifter, last: int, fault: Fault
) -> None:
    ends = ends_of(shifter, fault, range(1, last + 1))
    assert set(ends[: FIRST_STEP - 1]) <= {"ResourceMissing", "ServiceUnreachable"}
    assert set(ends[FIRST_STEP - 1 :]) == {"TrafficStranded"}


def test_one_lost_command_brings_traffic_back(shifter: Shifter, last: int) -> None:
    ends = ends_of(shifter, Fault.BLINK, range(1, last + 1))
    assert set(ends[FIRST_STEP - 1 :]) == {"TrafficRestored"}
    assert ends[-1] == "TrafficRestored", "the last command reads the weights back"


def test_a_balancer_that_was_started_again_gets_its_weights_back(shifter: Shifter, last: int) -> None:
    """In the middle of a step, before the look after a probe, and at the read-back."""
    for at in (FIRST_STEP + 2, FIRST_STEP + 5, last):
        assert ends_of(shifter, Fault.RESTART, range(at, at + 1)) == ["TrafficRestored"]


@pytest.mark.parametrize(
    "wrong",
    [
        ServiceUnreachable("the socket is gone", where="lb"),
        ServiceUnreachable("traffic was not moved: the socket is gone", where="lb"),
        TrafficRestored("traffic is back where it was", where="lb"),
        TrafficStranded("traffic could not be put back", where="lb", next_step="look"),
        TrafficShift(before=BEFORE, after=BEFORE, steps=()),
    ],
    ids=lambda wrong: type(wrong).__name__,
)
def test_an_end_that_is_not_true_is_noticed(wrong: TrafficShift | HoldtrueError) -> None:
    with pytest.raises(AssertionError):
        require_true(wrong, [f"set server {BACKEND}/web-1 weight 240"], MOVED)
