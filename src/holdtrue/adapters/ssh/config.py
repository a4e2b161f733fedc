"""The ssh_config and known_hosts of one run, as text."""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from holdtrue.errors import ConfigurationFailed
from holdtrue.models.host import Host
from holdtrue.models.host_variables import HOST_KEY_ALIAS

_WORD = re.compile(r"[A-Za-z0-9:][A-Za-z0-9._:-]*")
"""Nothing that ssh_config could read as a second line, a pattern, a token (`%h`) or an option."""

_AUTHORITY = "@cert-authority"


def render_config(hosts: Sequence[Host], *, agent_socket: Path, known_hosts: Path, masters: Path) -> str:
    """One `Host` block a host, then what holds for all (ssh_config(5): the first value found wins).

    `IdentityFile none` keeps the user's own keys out and `IdentitiesOnly no` lets the agent's certificate in: the
    agent holds nothing else. Options that a server could use against the caller (forwarding, local commands) are off.

    Raises:
        ConfigurationFailed: two hosts have the same name, so one would be addressed twice and one never; or a name
            is not one.
    """
    if twice := sorted(name for name, times in Counter(host.name for host in hosts).items() if times > 1):
        raise ConfigurationFailed(
            f"two hosts are named {', '.join(twice)}", where="stack outputs", next_step="give every host its own name"
        )
    if hostile := [name for host in hosts for name in _names(host) if not _WORD.fullmatch(name)]:
        raise ConfigurationFailed(f"not a host name: {hostile[0]!r}", where="stack outputs")
    blocks = [_host_block(host) for host in hosts]
    return "\n".join([*blocks, _shared_block(agent_socket, known_hosts, masters)])


def render_known_hosts(host_ca_lines: Sequence[str]) -> str:
    """The host CAs that are trusted, and nothing else; a line may be a bare public key or a full known_hosts line."""
    lines = [line.strip() for line in host_ca_lines if line.strip()]
    return "".join(f"{line if line.startswith(_AUTHORITY) else f'{_AUTHORITY} * {line}'}\n" for line in lines)


def _names(host: Host) -> list[str]:
    return [host.name, host.address, *_alias(host)]


def _alias(host: Host) -> list[str]:
    alias = host.variables.get(HOST_KEY_ALIAS)
    return [] if alias is None else [str(alias)]


def _host_block(host: Host) -> str:
    lines = [f"Host {host.name}", f"  HostName {host.address}", f"  Port {host.port}", f"  User {host.user}"]
    lines += [f"  HostKeyAlias {alias}" for alias in _alias(host)]
    return "\n".join(lines) + "\n"


def _shared_block(agent_socket: Path, known_hosts: Path, masters: Path) -> str:
    options = {
        "BatchMode": "yes",
        "StrictHostKeyChecking": "yes",
        "UserKnownHostsFile": known_hosts,
        "GlobalKnownHostsFile": "none",
        "UpdateHostKeys": "no",
        "IdentityAgent": agent_socket,
        "IdentityFile": "none",
        "IdentitiesOnly": "no",
        "PreferredAuthentications": "publickey",
        "ForwardAgent": "no",
        "ForwardX11": "no",
        "PermitLocalCommand": "no",
        "ConnectTimeout": "10",
        "ServerAliveInterval": "15",
        "ServerAliveCountMax": "3",
        "ControlMaster": "auto",
        "ControlPath": masters / "%C",
        # Longer than any pause between two stages; the access ends the masters itself.
        "ControlPersist": "600",
        "LogLevel": "ERROR",
    }
    return "Host *\n" + "".join(f"  {name} {value}\n" for name, value in options.items())
