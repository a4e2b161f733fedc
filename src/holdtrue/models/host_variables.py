"""What the data of a host may set: ordinary variables, and of Ansible's own only the listed ones.

A host's data comes from the state of a stack. Write access to that state must not be enough to run code on the worker.
"""

import re
from collections.abc import Callable
from typing import Annotated, Final

from pydantic import AfterValidator, JsonValue

from holdtrue.models.ansible_names import IDENTIFIER, SET_BY_ANSIBLE, is_of_ansible
from holdtrue.models.host_names import require_host_name

GROUPS: Final = "groups"
"""The host's groups, as a list or as a string separated by commas.

It does not become a variable of Ansible, which reserves the name for its own.
"""

HOST_KEY_ALIAS: Final = "host_key_alias"
"""Names the principal of the host's certificate, where that is not the host's address."""

_DISCOVERY: Final = frozenset({"auto", "auto_silent", "auto_legacy", "auto_legacy_silent"})
"""Modes in which Ansible looks for a Python on the host (config/base.yml, INTERPRETER_PYTHON)."""

_PYTHON: Final = re.compile(r"(/(?!\.\.?/)[A-Za-z0-9_.+@-]+)*/(python|pypy|platform-python)[0-9.]*[a-z]?")
"""An absolute path of a Python, without a space, which would separate arguments, and without `.` and `..`."""

_GROUP: Final = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?")
"""No slash: Ansible reads `group_vars/<group>`, and evaluates the templates in that file."""

_ANSIBLES_GROUPS: Final = frozenset({"all", "ungrouped", "localhost"})

_LISTED: Final = 50
_MARKER: Final = "__ansible_"
"""Modules turn a mapping with such a key into another type, or fail (ansible-core 2.19, _internal/_json, measured)."""

_INSTEAD: Final = {
    **dict.fromkeys(("ansible_host", "ansible_ssh_host"), "the host's `address`"),
    **dict.fromkeys(("ansible_port", "ansible_ssh_port"), "the host's `port`"),
    **dict.fromkeys(("ansible_user", "ansible_ssh_user"), "the host's `user`"),
    **dict.fromkeys(
        ("ansible_become", "ansible_become_method", "ansible_become_user"),
        "`configuration.variables` of the manifest, or group_vars of the playbook",
    ),
}
"""Where to set a variable that a stack may not set; group_vars or host_vars of the playbook for all others."""


def group_names(variables: dict[str, JsonValue]) -> tuple[str, ...]:
    """The groups that the variables of a host declare.

    Raises:
        ValueError: they are not names of groups.
    """
    declared = variables.get(GROUPS)
    names = declared.split(",") if isinstance(declared, str) else [] if declared is None else declared
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError("must be a list of names, or a string of names separated by commas")
    found = tuple(stripped for name in names if isinstance(name, str) and (stripped := name.strip()))
    for name in found:
        if not _GROUP.fullmatch(name) or name in _ANSIBLES_GROUPS:
            raise ValueError(
                f"{name[:80]!a} is not the name of a group: use letters, digits, and `_`, `-` or `.` inside,"
                " and none of Ansible's own groups"
            )
    return found


def _require_groups(value: JsonValue) -> None:
    group_names({GROUPS: value})


def _require_alias(value: JsonValue) -> None:
    if not isinstance(value, str):
        raise ValueError("must be a string")  # noqa: TRY004 - pydantic collects ValueError
    require_host_name(value)


def _require_python(value: JsonValue) -> None:
    if not isinstance(value, str) or not (value in _DISCOVERY or _PYTHON.fullmatch(value)):
        raise ValueError("must be the absolute path of a Python on the host, such as /usr/bin/python3, or `auto`")


_CHECKED: Final[dict[str, Callable[[JsonValue], None]]] = {
    GROUPS: _require_groups,
    HOST_KEY_ALIAS: _require_alias,
    "ansible_python_interpreter": _require_python,
}
"""Variables with a meaning of their own: these are allowed, each with a value that its function accepts."""


def _holds_marker(value: JsonValue) -> bool:
    match value:
        case dict():
            return any(key.startswith(_MARKER) or _holds_marker(item) for key, item in value.items())
        case list():
            return any(map(_holds_marker, value))
        case _:
            return False


def _problem(name: str, value: JsonValue) -> str:
    """Why a host may not set this variable; empty when it may."""
    if check := _CHECKED.get(name):
        try:
            check(value)
        except ValueError as error:
            return f"{name} {error}"
        return ""
    if not re.fullmatch(IDENTIFIER, name):
        return f"{name[:80]!a} must consist of letters, digits and underscores, without a digit at the beginning"
    if is_of_ansible(name):
        instead = _INSTEAD.get(name, "group_vars or host_vars of the playbook")
        return f"{name[:80]} may not come from a stack (use {instead})"
    if _holds_marker(value):
        return f"{name[:80]} contains a key that begins with {_MARKER}, which Ansible uses to mark the type of a value"
    return f"{name} is set by Ansible itself (choose another name)" if name in SET_BY_ANSIBLE else ""


def _checked(variables: dict[str, JsonValue]) -> dict[str, JsonValue]:
    problems = [problem for name, value in variables.items() if (problem := _problem(name, value))]
    if problems:
        more = f"; and {len(problems) - _LISTED} more" if len(problems) > _LISTED else ""
        raise ValueError("; ".join(problems[:_LISTED]) + more)
    return variables


HostVariables = Annotated[dict[str, JsonValue], AfterValidator(_checked)]
"""Any JSON value under ordinary names; one error names everything that is refused."""
