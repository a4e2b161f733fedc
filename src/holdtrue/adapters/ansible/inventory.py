"""Variables for Ansible as YAML in which every text is data and never a template, whoever wrote it."""

from collections.abc import Mapping, Sequence

import yaml

from holdtrue.models.host import Host

GROUPS = "groups"
"""Host variable with the names of the host's groups, comma-separated; Ansible reserves the name for just that."""

Scalar = str | int | float | bool


class _Unsafe(str):
    """A text that Ansible must not evaluate (`!unsafe`, playbook guide "Unsafe or raw strings")."""

    __slots__ = ()


class _Dumper(yaml.SafeDumper):
    """Writes `_Unsafe` with its tag, in double quotes and ASCII, so that no character is special."""


_Dumper.add_representer(_Unsafe, lambda dumper, text: dumper.represent_scalar("!unsafe", text, style='"'))


def render_variables(variables: Mapping[str, Scalar]) -> str:
    """A variables file for `-e @file`."""
    return _dump({name: _as_data(value) for name, value in variables.items()})


def render_inventory(hosts: Sequence[Host]) -> str:
    """An inventory in which every host is reached by its name in the run's ssh_config.

    A host's variables are its own, and `address`, unless the stack says otherwise. `ansible_user` and `ansible_port`
    keep a `remote_user` and a `remote_port` in ansible.cfg from winning over the stack.
    """
    groups: dict[str, dict[str, dict[str, None]]] = {}
    for host in hosts:
        for group in _groups(host):
            groups.setdefault(group, {"hosts": {}})["hosts"][host.name] = None
    return _dump({"all": {"hosts": {host.name: _host_variables(host) for host in hosts}, "children": groups}})


def _host_variables(host: Host) -> dict[str, object]:
    reached: dict[str, Scalar] = {"ansible_host": host.name, "ansible_port": host.port, "ansible_user": host.user}
    variables = {"address": host.address, **host.variables, **reached}
    return {name: _as_data(value) for name, value in variables.items() if name != GROUPS}


def _groups(host: Host) -> list[str]:
    return [name.strip() for name in str(host.variables.get(GROUPS, "")).split(",") if name.strip()]


def _as_data(value: Scalar) -> object:
    return _Unsafe(value) if isinstance(value, str) else value


def _dump(content: Mapping[str, object]) -> str:
    return yaml.dump(
        content, Dumper=_Dumper, default_flow_style=False, allow_unicode=False, sort_keys=False, width=4096
    )
