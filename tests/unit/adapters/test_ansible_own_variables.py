"""The list of Ansible's variables that a host may set, against everything that the installed Ansible reads."""

import re
from pathlib import Path

import ansible
import pytest
from ansible import constants
from ansible.plugins import loader
from pydantic import ValidationError

from holdtrue.models.host import Host

ALLOWED = frozenset({"ansible_python_interpreter", "groups"})
"""`groups` never becomes a variable of Ansible: it becomes membership in groups of checked names."""

_LITERAL = re.compile(r"""["'](_*ansible_\w+)["']""")


def _of_configuration() -> set[str]:
    """Variables that set an option of ansible-core itself."""
    definitions = constants.config.get_configuration_definitions()
    return {entry["name"] for definition in definitions.values() for entry in definition.get("vars") or ()}


def _of_plugins() -> set[str]:
    """Variables that set an option of a plugin of any type, connections, become and shells among them."""
    found: set[str] = set()
    for kind in constants.CONFIGURABLE_PLUGINS:
        for plugin in getattr(loader, f"{kind}_loader").all(class_only=True):
            found |= set(constants.config.get_plugin_vars(kind, plugin._load_name))
    return found


def _of_source() -> set[str]:
    """Names that appear as a text in the source, such as what the task executor looks up by itself."""
    sources = Path(ansible.__file__).parent.rglob("*.py")
    return {name for source in sources for name in _LITERAL.findall(source.read_text(errors="replace"))}


def _of_constants() -> set[str]:
    aliases = {name for names in constants.MAGIC_VARIABLE_MAPPING.values() for name in names}
    return aliases | set(constants.INTERNAL_STATIC_VARS) | set(constants.COMMON_CONNECTION_VARS)


def _passes(name: str) -> bool:
    """Whether a host may set it, to a value that is allowed for at least one variable."""
    for value in ("/usr/bin/python3", "web"):
        try:
            Host(name="web-1", address="10.0.0.1", user="deploy", variables={name: value})
        except ValidationError:
            continue
        return True
    return False


@pytest.mark.filterwarnings("ignore")  # A plugin whose own requirement is not installed warns when it is loaded.
def test_nothing_that_ansible_reads_passes_but_the_list() -> None:
    read = _of_configuration() | _of_plugins() | _of_source() | _of_constants()
    assert {"ansible_connection", "ansible_ssh_common_args", "ansible_become_exe", "ansible_shell_executable"} <= read
    assert len(read) > 150, "too few for this to be everything"
    assert {name for name in read if _passes(name)} == ALLOWED


def test_what_ansible_does_not_read_passes() -> None:
    """The positive control: the question can be answered with yes."""
    assert _passes("http_port")
