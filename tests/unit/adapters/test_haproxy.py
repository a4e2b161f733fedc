"""The switch against sockets that misbehave in ways the real HAProxy does not on demand."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from holdtrue.adapters.haproxy import HaproxySwitch
from holdtrue.adapters.haproxy.states import reason_out_of_service
from holdtrue.errors import HoldtrueError, RejectedError, ResourceMissing, ServiceUnreachable, is_transient

SOCKET = Path("/run/haproxy/admin.sock")
Reply = Callable[[str, socket.socket], None]


class _FakeHaproxy:
    """Answers each connection's one command with `reply`; keeps weights like HAProxy does."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.weights = {"standby": 100, "web-1": 0, "web-2": 0}
        self.refused: set[str] = set()
        self.ignored: set[str] = set()
        self.reply: Reply = self.answer
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(path))
        self._listener.listen()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def answer(self, command: str, connection: socket.socket) -> None:
        words = command.split()
        if words[0] == "show":
            rows = "".join(f"3 web {i} {name} 2 0 {weight}\n" for i, (name, weight) in enumerate(self.weights.items()))
            names = "be_id be_name srv_id srv_name srv_op_state srv_admin_state srv_uweight"
            connection.sendall(f"1\n# {names}\n{rows}\n".encode())
            return
        server = words[2].split("/")[1]
        if server in self.refused:
            connection.sendall(b"Backend is using a static LB algorithm\n")
            return
        if server not in self.ignored:
            self.weights[server] = int(words[4])
        connection.sendall(b"\n")

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(timeout=5)

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                try:
                    self.reply(connection.recv(4096).decode().strip(), connection)
                except OSError:
                    continue


@pytest.fixture
def haproxy(tmp_path: Path) -> Iterator[_FakeHaproxy]:
    server = _FakeHaproxy(tmp_path / "admin")
    yield server
    server.close()


def _switch(haproxy: _FakeHaproxy, timeout_seconds: float = 5.0) -> HaproxySwitch:
    return HaproxySwitch(socket=haproxy.path, backend="web", timeout_seconds=timeout_seconds)


def test_weights_move(haproxy: _FakeHaproxy) -> None:
    _switch(haproxy).set_weights({"web-1": 40, "web-2": 50})
    assert _switch(haproxy).weights() == {"standby": 100, "web-1": 40, "web-2": 50}


def test_a_refusal_in_the_middle_puts_the_others_back(haproxy: _FakeHaproxy) -> None:
    haproxy.refused.add("web-2")
    with pytest.raises(RejectedError, match="web-2"):
        _switch(haproxy).set_weights({"standby": 10, "web-1": 40, "web-2": 50})
    assert haproxy.weights == {"standby": 100, "web-1": 0, "web-2": 0}


def test_a_termination_in_the_middle_puts_the_others_back(haproxy: _FakeHaproxy) -> None:
    class Terminating(dict[str, int]):
        def items(self):  # type: ignore[no-untyped-def]  # noqa: ANN202 - stands in for a signal between two commands
            yield from list(super().items())[:1]
            if haproxy.weights["standby"] == 10:
                raise KeyboardInterrupt
            yield from list(super().items())[1:]

    with pytest.raises(KeyboardInterrupt):
        _switch(haproxy).set_weights(Terminating(standby=10, **{"web-1": 90}))
    assert haproxy.weights["standby"] == 100


def test_a_weight_that_does_not_hold_is_an_error_and_undone(haproxy: _FakeHaproxy) -> None:
    haproxy.ignored.add("web-2")
    with pytest.raises(RejectedError, match="web-2"):
        _switch(haproxy).set_weights({"web-1": 40, "web-2": 50})
    assert haproxy.weights["web-1"] == 0


def test_a_loss_in_the_middle_says_that_weights_may_stand(haproxy: _FakeHaproxy) -> None:
    def die_at_second(command: str, connection: socket.socket) -> None:
        if "web-2" in command:
            haproxy.reply = lambda _command, _connection: None
            return
        haproxy.answer(command, connection)

    haproxy.reply = die_at_second
    with pytest.raises(HoldtrueError) as raised:
        _switch(haproxy).set_weights({"web-1": 40, "web-2": 50})
    assert raised.value.__notes__


@pytest.mark.parametrize(
    ("weights", "error"),
    [
        ({"web-1": 10, "web-9": 10}, ResourceMissing),
        ({"web-1": 10, "web-2; disable server web/standby": 1}, ResourceMissing),
        ({"web-1": 10, "web-2": 257}, RejectedError),
        ({"web-1": 10, "web-2": -1}, RejectedError),
    ],
)
def test_nothing_changes_unless_all_can(
    haproxy: _FakeHaproxy, weights: dict[str, int], error: type[HoldtrueError]
) -> None:
    with pytest.raises(error):
        _switch(haproxy).set_weights(weights)
    assert haproxy.weights == {"standby": 100, "web-1": 0, "web-2": 0}


def _hang(_command: str, _connection: socket.socket) -> None:
    time.sleep(0.6)


def _drip(_command: str, connection: socket.socket) -> None:
    for _ in range(8):
        connection.sendall(b"1")
        time.sleep(0.1)


def _flood(_command: str, connection: socket.socket) -> None:
    while True:
        connection.sendall(b"x" * 65536)


def _other_service(_command: str, connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n\xff\xfe")


def _silence(_command: str, _connection: socket.socket) -> None:
    return


QUESTIONS: list[Callable[[HaproxySwitch], object]] = [
    HaproxySwitch.weights,
    HaproxySwitch.out_of_service,
    HaproxySwitch.require_adjustable,
]


@pytest.mark.parametrize("ask", QUESTIONS)
@pytest.mark.parametrize("reply", [_hang, _drip, _flood, _other_service, _silence])
def test_a_socket_that_does_not_answer_as_haproxy_is_unreachable(
    haproxy: _FakeHaproxy, reply: Reply, ask: Callable[[HaproxySwitch], object]
) -> None:
    haproxy.reply = reply
    began = time.monotonic()
    with pytest.raises(ServiceUnreachable) as raised:
        ask(_switch(haproxy, timeout_seconds=0.3))
    assert is_transient(raised.value)
    assert time.monotonic() - began < 3


LISTED = (
    b"1\n# be_id be_name srv_id srv_name srv_op_state srv_admin_state srv_uweight\n"
    b"3 web 1 standby 2 0 240\n3 web 2 web-1 2 0 0\n\n"
)


@pytest.mark.parametrize("length", range(len(LISTED) + 1))
def test_a_list_that_is_cut_short_says_nothing_about_weights(haproxy: _FakeHaproxy, length: int) -> None:
    """Such as by a HAProxy that is killed: 24 instead of 240, or a backend without one of its servers."""
    haproxy.reply = lambda _, connection: connection.sendall(LISTED[:length])
    if length == len(LISTED):
        assert _switch(haproxy).weights() == {"standby": 240, "web-1": 0}
        return
    with pytest.raises(ServiceUnreachable):
        _switch(haproxy).weights()


@pytest.mark.parametrize("row", [b"3 web 1 standby 2 0 many", b"3 web 1 standby 2 0 -1", b"3 web 1 standby", b"word"])
def test_a_row_without_its_numbers_is_not_haproxys(haproxy: _FakeHaproxy, row: bytes) -> None:
    haproxy.reply = lambda _, connection: connection.sendall(LISTED.replace(b"3 web 1 standby 2 0 240", row))
    with pytest.raises(ServiceUnreachable):
        _switch(haproxy).weights()


def test_a_weight_without_an_answer_is_not_set(haproxy: _FakeHaproxy) -> None:
    def reply(command: str, connection: socket.socket) -> None:
        if command.startswith("show "):
            haproxy.answer(command, connection)

    haproxy.reply = reply
    with pytest.raises(ServiceUnreachable, match="incomplete"):
        _switch(haproxy).set_weights({"web-1": 120})


def test_a_socket_that_answers_states_and_no_statistics_is_unreachable(haproxy: _FakeHaproxy) -> None:
    def reply(command: str, connection: socket.socket) -> None:
        if command.startswith("show stat "):
            connection.sendall(b"Unknown command\n")
        else:
            haproxy.answer(command, connection)

    haproxy.reply = reply
    with pytest.raises(ServiceUnreachable):
        _switch(haproxy).out_of_service()


@pytest.mark.parametrize(
    ("flags", "operational", "by_operator"),
    [
        (0x01, 0, True),
        (0x02, 0, True),
        (0x04, 0, True),
        (0x08, 2, True),
        (0x10, 2, True),
        (0x20, 0, False),
        (0x40, 0, False),
        (0x21, 0, True),
        (0, 0, False),
        (0, 3, False),
    ],
)
def test_a_state_without_requests_is_told_from_an_operators(flags: int, operational: int, by_operator: bool) -> None:  # noqa: FBT001
    row = {"srv_name": "web-1", "srv_admin_state": str(flags), "srv_op_state": str(operational)}
    reason = reason_out_of_service(row, "web", socket=SOCKET, tracked="front/web-1", is_backup=False)
    assert reason is not None
    assert reason.by_operator is by_operator
    assert reason.next_step


@pytest.mark.parametrize(
    ("flags", "server"), [(0x01, "web/web-1"), (0x08, "web/web-1"), (0x02, "front/web-1"), (0x10, "front/web-1")]
)
def test_the_advice_is_a_command_for_the_server_that_an_operator_has_stopped(flags: int, server: str) -> None:
    row = {"srv_name": "web-1", "srv_admin_state": str(flags), "srv_op_state": "0"}
    reason = reason_out_of_service(row, "web", socket=SOCKET, tracked="front/web-1", is_backup=False)
    assert reason is not None
    assert f"`echo 'set server {server} state ready' | socat stdio {SOCKET}`" in reason.next_step


@pytest.mark.parametrize("operational", [1, 2])
def test_a_server_that_starts_or_runs_serves_unless_it_is_a_backup(operational: int) -> None:
    row = {"srv_name": "web-1", "srv_admin_state": "0", "srv_op_state": str(operational)}
    assert reason_out_of_service(row, "web", socket=SOCKET, tracked="front/web-1", is_backup=False) is None
    assert reason_out_of_service(row, "web", socket=SOCKET, tracked="front/web-1", is_backup=True) is not None


def test_a_backend_name_cannot_be_a_second_command(haproxy: _FakeHaproxy) -> None:
    switch = HaproxySwitch(socket=haproxy.path, backend="web; shutdown sessions server web/standby")
    with pytest.raises(RejectedError):
        switch.weights()


HEADER = "1\n# be_id be_name srv_id srv_name srv_op_state srv_admin_state srv_uweight srv_iweight\n"


@pytest.mark.parametrize(
    "rows",
    [
        "3 web 1 web-1 2 0\n\n",
        "3 web 1 web-1 2 0 10",
        "3 web 1 web-1 2 0 x 1\n\n",
        f"3 web 1 web-1 2 0 {'9' * 5000} 1\n\n",
    ],
    ids=["row-cut", "number-cut", "word", "huge"],
)
def test_a_server_list_that_is_cut_or_not_of_haproxy_gives_no_weights(haproxy: _FakeHaproxy, rows: str) -> None:
    switch = HaproxySwitch(socket=haproxy.path, backend="web")
    haproxy.reply = lambda _, connection: connection.sendall(f"{HEADER}3 web 0 standby 2 0 100 1\n\n".encode())
    assert switch.weights() == {"standby": 100}
    haproxy.reply = lambda _, connection: connection.sendall(f"{HEADER}3 web 0 standby 2 0 100 1\n{rows}".encode())
    with pytest.raises(ServiceUnreachable):
        switch.weights()


def test_statistics_that_are_not_of_haproxy_are_no_defect(haproxy: _FakeHaproxy) -> None:
    def reply(command: str, connection: socket.socket) -> None:
        text = f"{HEADER}\n" if "servers" in command else f"# svname,a\nx,{'y' * 200_000}\n"
        connection.sendall(text.encode())

    haproxy.reply = reply
    with pytest.raises(ServiceUnreachable):
        HaproxySwitch(socket=haproxy.path, backend="web").out_of_service()
