"""Keeps data about hosts from deciding what runs on the worker; runs inside `ansible-playbook`.

To Ansible, `localhost` is this worker. With `delegate_to: "{{ peer }}"`, a host whose `peer` is `localhost` would make
a task of the playbook run here. A playbook may run tasks on the worker, but its author has to have written that.
"""

import re
import sys
from collections.abc import Mapping, MutableMapping
from functools import wraps
from typing import Any, Final

from ansible.constants import LOCALHOST
from ansible.errors import AnsibleError
from ansible.template import is_trusted_as_template
from ansible.vars.manager import VariableManager
from jinja2 import Environment, TemplateSyntaxError
from jinja2.meta import find_undeclared_variables

_PYTHON: Final = "ansible_python_interpreter"
_CONNECTION: Final = "ansible_connection"


def guard_worker() -> None:
    """Refuse each task that would run on the worker because of a host's data, and not because of the playbook.

    `get_delegated_vars_and_hostname` is the one place where ansible-core fills in `delegate_to`, for every item of a
    loop too (executor/task_executor.py, 2.19 to 2.21), and no plugin can intervene there. It is called for each task,
    before the connection is chosen.
    """
    original = VariableManager.get_delegated_vars_and_hostname

    @wraps(original)
    def guarded(manager: Any, templar: Any, task: Any, variables: MutableMapping[str, Any]) -> Any:
        declared = task.delegate_to
        delegated = original(manager, templar, task, variables)
        name = delegated[1]
        if isinstance(name, str) and name.startswith("-"):
            raise AnsibleError(f"delegate_to must not begin with '-': {name[:80]!r}")
        if name in LOCALHOST:
            _require_foreseen("delegate_to", declared, name, variables, manager.extra_vars)
        place = variables if name is None else delegated[0]["ansible_delegated_vars"][name]
        try:
            connection = templar.template(task.connection)
            effective = templar.template(place.get(_CONNECTION, connection))
        except AnsibleError:  # Undefined or omitted: Ansible evaluates it again, unless `when` skips the task.
            return delegated
        if connection not in (task.connection, "ssh"):
            _require_foreseen("connection", task.connection, connection, variables, manager.extra_vars)
        host = manager._inventory.get_host(name or variables["inventory_hostname"])  # noqa: SLF001 - no other way to it
        given = place.get(_CONNECTION)
        # Not of localhost, which is foreseen by now, or of `add_host`: a stack's data cannot set this variable.
        is_of_the_host = host is not None and host.vars.get(_CONNECTION) is not None
        if given is not None and not is_of_the_host and effective not in (connection, "ssh"):
            _require_foreseen(_CONNECTION, given, effective, variables, manager.extra_vars)
        if effective == "local" and host is not None:
            _use_own_python(place, host.vars)
        return delegated

    VariableManager.get_delegated_vars_and_hostname = guarded


def _use_own_python(variables: MutableMapping[str, Any], data: Mapping[str, Any]) -> None:
    """Prevent a host's Python, which is a path on that host, from naming a program of the worker.

    The Python that runs Ansible takes its place, as it does for `localhost` (inventory/data.py). A Python that the
    playbook sets instead of the inventory stays.
    """
    python = variables.get(_PYTHON)
    if python is not None and python == data.get(_PYTHON) and not is_trusted_as_template(python):
        variables[_PYTHON] = sys.executable


def _require_foreseen(
    keyword: str, declared: str, value: object, variables: Mapping[str, Any], given: Mapping[str, Any]
) -> None:
    """Check that an author wrote the value: in the task, or in a variable that the task refers to.

    What an author wrote is trusted by Ansible as a template, or is an extra variable, which comes from the manifest.
    Data of hosts is neither, whether it comes from the inventory, a fact or a result.
    """
    word = re.compile(rf"(?<![\w.:-]){re.escape(str(value))}(?![\w.:-])")
    if is_trusted_as_template(value) or any(map(word.search, _written(declared, variables, given))):
        return
    raise AnsibleError(
        f"{keyword} '{declared}' is {str(value)[:80]!r} because of a host's data, which must not decide where a task"
        " runs. If this is intended, write the value into the task, a variable of the playbook, or the manifest"
    )


def _written(declared: str, variables: Mapping[str, Any], given: Mapping[str, Any]) -> list[str]:
    """The text itself, and the author's variables that it refers to, directly or through others.

    A text that is the value of a variable filled from data, as by `set_fact`, was not written by an author.
    """
    texts, seen = [declared] if is_trusted_as_template(declared) else [], set[str]()
    for text in texts:  # The list grows during the loop.
        for name in _names(text) - seen:
            seen.add(name)
            value = given.get(name, variables.get(name))
            if isinstance(value, str) and (name in given or is_trusted_as_template(value)):
                texts.append(value)
    return texts


def _names(template: str) -> set[str]:
    try:
        return find_undeclared_variables(Environment(autoescape=True).parse(template))
    except TemplateSyntaxError:  # Ansible has evaluated it by its own rules.
        return set()
