"""Which names Ansible takes for a variable, and which of them it keeps for itself."""

from typing import Final

IDENTIFIER: Final = r"^[A-Za-z_][A-Za-z0-9_]*$"

SET_BY_ANSIBLE: Final = frozenset(
    {
        *("groups", "group_names", "hostvars", "inventory_dir", "inventory_file", "inventory_hostname"),
        *("inventory_hostname_short", "omit", "play_hosts", "playbook_dir", "role_name", "role_names", "role_path"),
        *("role_uuid", "vars"),
    }
)
"""Ansible sets these itself and overwrites other values (VariableManager, INTERNAL_STATIC_VARS)."""


def is_of_ansible(name: str) -> bool:
    """Whether Ansible reads the variable itself: such variables decide how and where code runs, also on the worker.

    Those of connections, privilege escalation, shells, modules and lookups begin with `ansible_` or `_ansible_`. The
    other two are an internal variable of the ssh connection and a variable of ansible-core's own tests.
    """
    return name.lstrip("_").startswith("ansible_") or name in {"delegated_vars", "_z_test_entry"}
