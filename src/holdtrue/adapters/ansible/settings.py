"""The environment variables of ansible-playbook, and what stays as the user's own ansible.cfg sets it."""

import configparser
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue

from holdtrue.adapters.ansible.censor import VARIABLES
from holdtrue.models.credentials import SshAccess

_MAXIMUM_FORKS = 20
"""Each fork is a process of about 70 MB, and a host costs one while its task runs."""
_UNSET = {
    "transport": ("ANSIBLE_TRANSPORT", "ssh"),
    "enable_plugins": ("ANSIBLE_INVENTORY_ENABLED", "yaml"),
    "ask_pass": ("ANSIBLE_ASK_PASS", "False"),
    "ask_vault_pass": ("ANSIBLE_ASK_VAULT_PASS", "False"),
    "become_ask_pass": ("ANSIBLE_BECOME_ASK_PASS", "False"),
}
"""Options that are reset when ansible.cfg sets them: `overrides` says why."""


@dataclass(frozen=True, slots=True)
class UserSettings:
    """The ansible.cfg that Ansible would find, and the option names it sets."""

    path: Path | None
    options: frozenset[str]
    callback_plugins: str = ""
    """Folders as the file has them, separated by colons."""


def find_user_settings(playbook: Path, home: Path) -> UserSettings:
    """Find the ansible.cfg to use: in the playbook's folder, then in the home folder, then in /etc/ansible.

    This is Ansible's search order without ANSIBLE_CONFIG, with the playbook's folder as the current one. Only the first
    file found is read. Ansible itself would ignore a file in a world-writable current folder; a run names the file with
    ANSIBLE_CONFIG, so it is used there too.
    """
    for path in (playbook.parent / "ansible.cfg", home / ".ansible.cfg", Path("/etc/ansible/ansible.cfg")):
        if path.is_file():
            parser = configparser.ConfigParser(interpolation=None, strict=False)
            try:
                parser.read_string(path.read_text(encoding="utf-8", errors="replace"))
            except (OSError, configparser.Error):
                # Ansible says what is wrong with its own file better than we could.
                return UserSettings(path, frozenset())
            return UserSettings(
                path,
                frozenset(name for section in parser.sections() for name in parser[section]),
                parser.get("defaults", "callback_plugins", fallback=""),
            )
    return UserSettings(None, frozenset())


def ansible_environment(
    user: UserSettings, *, access: SshAccess, folder: Path, home: Path, callbacks: Path, locale: Mapping[str, str]
) -> dict[str, str]:
    """Variables in addition to those of every tool; `locale` is the environment without them.

    Everything that Ansible writes on this machine goes below `folder`, except for a log or a cache of facts that
    ansible.cfg puts elsewhere. What ansible.cfg sets stays set, unless `overrides` names it.
    """
    environment = {
        "ANSIBLE_LOCAL_TEMP": str(folder / "tmp"),
        "ANSIBLE_SSH_CONTROL_PATH_DIR": str(folder / "cp"),
        "ANSIBLE_PERSISTENT_CONTROL_PATH_DIR": str(folder / "pc"),
        "ANSIBLE_HOST_KEY_CHECKING": "True",
        "ANSIBLE_ENABLE_TASK_DEBUGGER": "False",
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_NOCOWS": "1",
        "AWX_LIB_DIRECTORY": str(callbacks),
        # ansible-runner adds its own folder to this variable, which would hide the option and its default.
        "ANSIBLE_CALLBACK_PLUGINS": _callback_plugins(user, home),
        # Our callback bounds results itself; above this ansible-runner's would drop a result with its `changed`.
        "MAX_EVENT_RES": "100000000",
        "SSH_AUTH_SOCK": str(access.agent_socket),
    }
    if user.path is not None:
        environment["ANSIBLE_CONFIG"] = str(user.path)
    if "pipelining" not in user.options:
        environment["ANSIBLE_PIPELINING"] = "True"
    environment |= {variable: value for option, (variable, value) in _UNSET.items() if option in user.options}
    if not _is_utf8(locale):
        environment["LC_ALL"] = "C.UTF-8"
    return environment


def secret_environment(user: UserSettings, names: Sequence[str]) -> dict[str, str]:
    """Variables for a playbook that is given secrets under these names.

    Ansible writes its output to `log_path`, so that is always switched off. Modules log their arguments on the host;
    that is switched off unless ansible.cfg sets `no_target_syslog` itself.
    """
    if not names:
        return {}
    environment = {VARIABLES: ",".join(names), "ANSIBLE_LOG_PATH": "/dev/null"}
    if "no_target_syslog" not in user.options:
        environment["ANSIBLE_NO_TARGET_SYSLOG"] = "True"
    return environment


def _callback_plugins(user: UserSettings, home: Path) -> str:
    """A relative folder is beside the file that names it (Ansible configuration settings, "Relative paths")."""
    beside = user.path.parent if user.path is not None else home
    named = (os.path.expandvars(folder.strip()) for folder in user.callback_plugins.split(":") if folder.strip())
    folders = [str(beside / (f"{home}{folder[1:]}" if folder.startswith("~/") else folder)) for folder in named]
    return ":".join(folders or [f"{home}/.ansible/plugins/callback", "/usr/share/ansible/plugins/callback"])


def connection_variables(access: SshAccess) -> dict[str, JsonValue]:
    """Extra variables, which nothing in a playbook can override, that lead every ssh through the run's access.

    ssh takes the first value it finds for an option, and Ansible puts `ssh_args` first.
    """
    strict = "-o StrictHostKeyChecking=yes -o GlobalKnownHostsFile=none"
    return {
        "ansible_ssh_args": f"-F {access.config} {strict} -o UserKnownHostsFile={access.config.parent / 'known_hosts'}",
        "ansible_host_key_checking": True,
        "ansible_ssh_host_key_checking": True,
    }


def forks(user: UserSettings, host_count: int) -> int | None:
    """How many hosts are configured at once; None when ansible.cfg decides."""
    return None if "forks" in user.options else max(1, min(host_count, _MAXIMUM_FORKS))


def _is_utf8(environment: Mapping[str, str]) -> bool:
    """Ansible refuses to start in another encoding; the first of these that is set decides (locale(7))."""
    value = next((environment[name] for name in ("LC_ALL", "LC_CTYPE", "LANG") if environment.get(name)), "")
    return "utf-8" in value.lower() or "utf8" in value.lower()
