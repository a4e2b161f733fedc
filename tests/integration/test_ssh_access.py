"""SSH accesses to the sandbox's hosts: who gets in, who does not and why, and what is left of them."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncssh
import pytest

from holdtrue.adapters.ssh import generate_key_pair, open_ssh_access, reach
from holdtrue.errors import ToolMissing
from holdtrue.models.credentials import SshAccess, SshIdentity
from holdtrue.models.host import Host
from holdtrue.models.validation import CheckOutcome
from holdtrue.runtime.process import find_marked, run_tool, tool_environment
from sandbox import Sandbox

_TIMEOUT_SECONDS = 30.0


def _hosts(sandbox: Sandbox) -> list[Host]:
    return [Host(name=host.name, address=host.address, port=host.port, user=host.user) for host in sandbox.hosts]


def _authorities(sandbox: Sandbox) -> list[str]:
    return [sandbox.hosts[0].host_ca_line]


def _identity(sandbox: Sandbox, ttl_seconds: int = 300) -> SshIdentity:
    private_key, public_key = generate_key_pair()
    return SshIdentity(
        private_key=private_key,
        certificate=sandbox.openbao.sign_user_key(public_key, ttl_seconds=ttl_seconds),
        principals=("deploy",),
        expires_at=datetime.now(UTC) + timedelta(seconds=ttl_seconds),
    )


def _foreign_identity() -> SshIdentity:
    """A certificate from a CA that no host trusts."""
    private_key, public_key = generate_key_pair()
    certificate = asyncssh.generate_private_key("ssh-ed25519").generate_user_certificate(
        asyncssh.import_public_key(public_key), "stranger", principals=["deploy"]
    )
    return SshIdentity(
        private_key=private_key,
        certificate=certificate.export_certificate().decode(),
        principals=("deploy",),
        expires_at=datetime.now(UTC) + timedelta(minutes=5),
    )


def _detail(access: SshAccess, host: Host, timeout_seconds: float = _TIMEOUT_SECONDS) -> str:
    [result] = reach(access, [host], timeout_seconds)
    assert result.outcome is CheckOutcome.ERROR
    assert result.kind == "ssh"
    assert result.target == host.name
    return result.detail


def _belonging_to(folder: Path) -> list[str]:
    """Command lines of every process that knows the access's folder: agent, keeper, shared connections."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with suppress(OSError):
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                if str(folder) in command:
                    found.append(command)
    return found


def _wait_until(done: Callable[[], bool], limit_seconds: float = 15.0) -> bool:
    deadline = time.monotonic() + limit_seconds
    while not done() and time.monotonic() < deadline:
        time.sleep(0.05)
    return done()


def _is_gone(folder: Path, agent_socket: Path) -> bool:
    return not (folder.exists() or _belonging_to(folder) or find_marked("SSH_AUTH_SOCK", str(agent_socket)))


@contextmanager
def _listener() -> Iterator[int]:
    """A port that accepts connections and never speaks."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        yield silent.getsockname()[1]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_every_host_answers_and_its_connection_is_shared_and_survives_a_tool(sandbox: Sandbox) -> None:
    hosts = _hosts(sandbox)
    with open_ssh_access(hosts, _identity(sandbox), _authorities(sandbox)) as access:
        results = reach(access, hosts, _TIMEOUT_SECONDS)
        assert [(result.target, result.outcome) for result in results] == [
            (host.name, CheckOutcome.PASSED) for host in hosts
        ]
        command = ["ssh", "-F", str(access.config), "--", hosts[0].name, "echo $HOLDTRUE_SANDBOX_HOST"]
        lines: list[str] = []
        for _ in range(2):
            run = run_tool(
                command,
                environment=tool_environment({"SSH_AUTH_SOCK": str(access.agent_socket)}),
                folder=access.config.parent,
                on_line=lines.append,
                timeout_seconds=30,
            )
            assert run.exit_code == 0, run.error_tail
        assert lines == [hosts[0].name] * 2
        # The tool's tree was ended; the connection was not part of it.
        for host in hosts:
            ask = ["ssh", "-F", str(access.config), "-O", "check", "--", host.name]
            assert subprocess.run(ask, check=False, capture_output=True, timeout=10).returncode == 0


def test_the_key_is_in_the_agent_and_nowhere_else(sandbox: Sandbox) -> None:
    identity = _identity(sandbox)
    secret_lines = identity.private_key.get_secret_value().splitlines()[1:-1]
    with open_ssh_access(_hosts(sandbox), identity, _authorities(sandbox)) as access:
        folder = access.config.parent
        assert folder.stat().st_mode & 0o077 == 0
        texts = [path.read_text() for path in folder.rglob("*") if path.is_file()]
        assert any("StrictHostKeyChecking yes" in text for text in texts)
        assert not any(line in text for line in secret_lines for text in texts)
        assert not any(line in command for line in secret_lines for command in _belonging_to(folder))


@pytest.mark.parametrize("failure", [None, ValueError, KeyboardInterrupt, SystemExit])
def test_nothing_is_left_on_any_way_out(sandbox: Sandbox, failure: type[BaseException] | None) -> None:
    hosts = _hosts(sandbox)
    with (
        suppress(ValueError, KeyboardInterrupt, SystemExit),
        open_ssh_access(hosts, _identity(sandbox), _authorities(sandbox)) as access,
    ):
        reach(access, hosts, _TIMEOUT_SECONDS)
        folder = access.config.parent
        # Agent with its keeper, and a shared connection a host: the checker sees what it must not see later.
        assert len(_belonging_to(folder)) >= 2 + len(hosts)
        if failure is not None:
            raise failure
    assert _is_gone(folder, access.agent_socket)


_OWNER = """
import sys, time
from pathlib import Path
from holdtrue.adapters.ssh import open_ssh_access, reach
from holdtrue.models.credentials import SshIdentity
from holdtrue.models.host import Host

identity = SshIdentity.model_validate_json(sys.stdin.readline())
hosts = [Host.model_validate_json(sys.stdin.readline()) for _ in range(2)]
with open_ssh_access(hosts, identity, [sys.stdin.readline()]) as access:
    reach(access, hosts, 30)
    print(access.config.parent, flush=True)
    time.sleep(120)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_nothing_is_left_of_an_owner_that_dies(sandbox: Sandbox, number: signal.Signals) -> None:
    hosts = _hosts(sandbox)
    identity = _identity(sandbox)
    text = identity.model_dump_json().replace(
        "**********", identity.private_key.get_secret_value().replace("\n", "\\n")
    )
    request = [text, *(host.model_dump_json() for host in hosts), _authorities(sandbox)[0]]
    owner = subprocess.Popen(
        [sys.executable, "-c", _OWNER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        assert owner.stdin is not None
        assert owner.stdout is not None
        with owner.stdin:
            owner.stdin.write("\n".join(request) + "\n")
        folder = Path(owner.stdout.readline().strip())
        assert folder.is_dir()
        assert len(_belonging_to(folder)) >= 2 + len(hosts)
    finally:
        owner.send_signal(number)
        owner.wait(10)
        if owner.stdout is not None:
            owner.stdout.close()
    assert _wait_until(lambda: _is_gone(folder, folder / "agent")), _belonging_to(folder)


def test_a_closed_port_is_refused_and_a_silent_one_times_out(sandbox: Sandbox) -> None:
    with _listener() as port:
        good = _hosts(sandbox)[0]
        silent = good.model_copy(update={"name": "silent", "port": port})
        closed = good.model_copy(update={"name": "closed", "port": _free_port()})
        hosts = [silent, closed, good]
        with open_ssh_access(hosts, _identity(sandbox), _authorities(sandbox)) as access:
            started = time.monotonic()
            results = {result.target: result for result in reach(access, hosts, 3)}
            assert time.monotonic() - started < 10
    assert results["silent"].outcome is CheckOutcome.ERROR
    assert "timed out" in results["silent"].detail
    assert "refused" in results["closed"].detail
    assert results[good.name].outcome is CheckOutcome.PASSED


def test_an_unknown_address_is_named_as_such(sandbox: Sandbox) -> None:
    host = Host(name="nowhere", address="nowhere.invalid", user="deploy")
    with open_ssh_access([host], _identity(sandbox), _authorities(sandbox)) as access:
        assert "not a known name" in _detail(access, host)


def test_a_host_key_of_another_authority_is_refused(sandbox: Sandbox) -> None:
    host = _hosts(sandbox)[0]
    other = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    for authorities in ([other], []):
        with open_ssh_access([host], _identity(sandbox), authorities) as access:
            assert "host CA" in _detail(access, host)


def test_a_host_that_is_not_the_one_it_should_be_is_refused(sandbox: Sandbox) -> None:
    host = _hosts(sandbox)[0]
    for alias, passes in ((sandbox.hosts[0].name, True), (sandbox.hosts[1].name, False)):
        named = host.model_copy(update={"variables": {"host_key_alias": alias}})
        with open_ssh_access([named], _identity(sandbox), _authorities(sandbox)) as access:
            [result] = reach(access, [named], _TIMEOUT_SECONDS)
            assert (result.outcome is CheckOutcome.PASSED) is passes, result.detail


def test_a_certificate_of_another_authority_is_refused(sandbox: Sandbox) -> None:
    host = _hosts(sandbox)[0]
    with open_ssh_access([host], _foreign_identity(), _authorities(sandbox)) as access:
        assert "refused the certificate" in _detail(access, host)


def test_an_expired_certificate_is_dropped_and_said_to_be_expired(sandbox: Sandbox) -> None:
    host = _hosts(sandbox)[0]
    with open_ssh_access([host], _identity(sandbox, ttl_seconds=2), _authorities(sandbox)) as access:
        time.sleep(3.5)
        assert "expired" in _detail(access, host)


def test_a_machine_without_openssh_is_told_so(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(ToolMissing, match="ssh"), open_ssh_access([], _identity(sandbox), _authorities(sandbox)):
        pytest.fail("the access was opened")


def test_more_hosts_than_start_at_once_are_all_asked(sandbox: Sandbox) -> None:
    first = _hosts(sandbox)[0]
    hosts: Sequence[Host] = [
        first.model_copy(update={"name": f"closed-{number}", "port": _free_port()}) for number in range(40)
    ]
    with open_ssh_access(hosts, _identity(sandbox), _authorities(sandbox)) as access:
        results = reach(access, hosts, _TIMEOUT_SECONDS)
    assert [result.target for result in results] == [host.name for host in hosts]
    assert all("refused" in result.detail for result in results)
