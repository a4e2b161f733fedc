"""Variables for Ansible as YAML in which every string is plain data: Ansible evaluates no template in it."""

from collections.abc import Mapping, Sequence
from typing import Any

import yaml
from pydantic import JsonValue

from holdtrue.models.host import Host
from holdtrue.models.host_variables import GROUPS, group_names


class _Data(dict[str, JsonValue]):
    """Variables in which Ansible must evaluate nothing, at any depth (`!unsafe`, "Unsafe or raw strings").

    The tag is set on the whole mapping. On a single string it would turn `"0123"` into a number and `"yes"` into a
    boolean: Ansible reads a tagged string as if it had no quotes (ansible-core 2.19, measured).
    """


class _Dumper(yaml.SafeDumper):
    """Writes each string in double quotes and ASCII, so that no character is special, and uses no aliases."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - PyYAML's signature
        """Write a list that occurs twice in full both times."""
        return True


_Dumper.add_representer(str, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"'))
_Dumper.add_representer(_Data, lambda dumper, data: dumper.represent_mapping("!unsafe", data.items()))


def render_variables(variables: Mapping[str, JsonValue]) -> str:
    """A variables file for `-e @file`."""
    return _dump(_Data(variables))


def render_inventory(hosts: Sequence[Host]) -> str:
    """An inventory in which every host is reached by its name in the run's ssh_config.

    Besides the variables that the stack gives it, each host has the variable `address`. `ansible_user` and
    `ansible_port` are set so that `remote_user` and `remote_port` of ansible.cfg do not win over the stack.
    """
    groups: dict[str, dict[str, dict[str, None]]] = {}
    for host in hosts:
        for group in group_names(host.variables):
            groups.setdefault(group, {"hosts": {}})["hosts"][host.name] = None
    return _dump({"all": {"hosts": {host.name: _host_variables(host) for host in hosts}, "children": groups}})


def _host_variables(host: Host) -> _Data:
    reached: dict[str, JsonValue] = {
        "ansible_host": host.name,
        "ansible_port": host.port,
        "ansible_user": host.user,
    }
    variables = {"address": host.address, **host.variables, **reached}
    return _Data({name: value for name, value in variables.items() if name != GROUPS})


def _dump(content: Mapping[str, object]) -> str:
    return yaml.dump(
        content, Dumper=_Dumper, default_flow_style=False, allow_unicode=False, sort_keys=False, width=4096
    )
