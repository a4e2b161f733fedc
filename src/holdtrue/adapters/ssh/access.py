"""An open SSH access: an agent, a configuration and shared connections that end with the run, however it ends."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from holdtrue.adapters.ssh.config import render_config, render_known_hosts
from holdtrue.adapters.ssh.keys import add_to_agent
from holdtrue.errors import ToolMissing, UnavailableError
from holdtrue.models.credentials import SshAccess, SshIdentity
from holdtrue.models.host import Host
from holdtrue.runtime.folder import private_folder
from holdtrue.runtime.process import find_marked, signal_processes, tool_environment

_CLOSING_SECONDS = 10.0

_KEEPER = """
echo "$SSH_AGENT_PID"
cat >/dev/null
for socket in "$1"/m/*; do
    [ -S "$socket" ] && ssh -F none -o ControlPath="$socket" -O exit -- keeper 2>/dev/null &
done
wait
kill "$SSH_AGENT_PID"
rm -rf -- "$1"
"""
"""Runs under the agent and waits until this process closes its pipe or dies, even by SIGKILL; then it ends everything.

ssh-agent(1) with a command listens before it starts the command, and ends when the command ends.
"""


@contextmanager
def open_ssh_access(hosts: Sequence[Host], identity: SshIdentity, host_ca_lines: Sequence[str]) -> Iterator[SshAccess]:
    """A way to `hosts` as `identity`, trusting host keys that one of the host CAs signed.

    The key lives in an agent of the run, which forgets it when the certificate expires. Connections are shared
    through ControlPath; call `reach` first, so that they belong to this access and not to the tool that comes first.
    On every way out, this process's sudden death included, agent, connections and folder are gone.

    Raises:
        AccessDenied: the certificate has expired.
        SecretInvalid: key or certificate cannot be read, or do not belong together.
        ConfigurationFailed: two hosts have the same name.
        ToolMissing: OpenSSH's client is not installed.
    """
    _require_openssh()
    with private_folder("ht-ssh") as folder:
        agent_socket = folder / "agent"
        config, known_hosts, masters = folder / "config", folder / "known_hosts", folder / "m"
        masters.mkdir(mode=0o700)
        known_hosts.write_text(render_known_hosts(host_ca_lines))
        config.write_text(render_config(hosts, agent_socket=agent_socket, known_hosts=known_hosts, masters=masters))
        with _agent(agent_socket, folder):
            add_to_agent(agent_socket, identity)
            yield SshAccess(config=config, agent_socket=agent_socket)


def _require_openssh() -> None:
    missing = [name for name in ("ssh", "ssh-agent") if shutil.which(name, path=tool_environment({})["PATH"]) is None]
    if missing:
        raise ToolMissing(
            f"{' and '.join(missing)} not found on PATH", next_step="install OpenSSH's client (openssh-client)"
        )


@contextmanager
def _agent(socket: Path, folder: Path) -> Iterator[None]:
    """An agent that listens on `socket`; ends with its keeper, and with it the connections below `folder`."""
    keeper = subprocess.Popen(
        ["ssh-agent", "-a", str(socket), "/bin/sh", "-c", _KEEPER, "keeper", str(folder)],
        env=tool_environment({}),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        # Ctrl-C in a terminal reaches the whole group; the tools must lose their hosts after they have ended.
        start_new_session=True,
    )
    assert keeper.stdin is not None  # noqa: S101 - PIPE was asked for
    assert keeper.stdout is not None  # noqa: S101
    agent_pid = 0
    try:
        answer = keeper.stdout.readline()
        if not answer.strip().isdigit():
            raise UnavailableError("ssh-agent did not start", where=str(socket), next_step="run ssh-agent by hand")
        agent_pid = int(answer)
        yield
    finally:
        with suppress(OSError):
            keeper.stdin.close()
        try:
            keeper.wait(_CLOSING_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(keeper.pid, signal.SIGKILL)
            keeper.wait()
        finally:
            keeper.stdout.close()
            # Ways around the keeper: a connection that a tool has just opened, an agent that outlived its keeper.
            leftovers = find_marked("SSH_AUTH_SOCK", str(socket))
            signal_processes(leftovers | ({agent_pid} - {0}), signal.SIGKILL)
