"""Which options of the user's ansible.cfg a run does not use, and why. All others apply.

Checked against ansible-core 2.19 (config/base.yml, plugins/connection/ssh.py) and ansible-runner 2.4
(config/_base.py), which sets two of them. What else ansible-runner would override, fact caching and callback plugins,
is restored.
"""

from typing import Final

from holdtrue.adapters.ansible.settings import UserSettings

_FOLDER: Final = "what a run writes on this machine is kept in its private folder and removed with it"
_EVENTS: Final = "the run's events take the place of what Ansible prints"
_HOSTS: Final = "the stack says which hosts there are and how they are reached"
_ACCESS: Final = "hosts are reached by ssh with the run's certificate, and their keys are always checked"
_NOBODY: Final = "a run is not interactive"

OVERRIDDEN: Final = {
    "local_tmp": _FOLDER,
    "control_path": _FOLDER,
    "control_path_dir": _FOLDER,
    "stdout_callback": _EVENTS,
    "force_color": _EVENTS,
    "nocolor": _EVENTS,
    "nocows": _EVENTS,
    "retry_files_enabled": "a report names the hosts that failed",
    "inventory": _HOSTS,
    "enable_plugins": _HOSTS,
    "remote_user": _HOSTS,
    "remote_port": _HOSTS,
    "transport": _ACCESS,
    "host_key_checking": _ACCESS,
    "ssh_args": _ACCESS,
    "ask_pass": _NOBODY,
    "ask_vault_pass": _NOBODY,
    "become_ask_pass": _NOBODY,
    "enable_task_debugger": _NOBODY,
}
"""Option to reason."""


def overridden(user: UserSettings) -> str:
    """A notice of one line: what this ansible.cfg sets and a run does not use. Empty when there is nothing."""
    named: dict[str, list[str]] = {}
    for option in sorted(user.options & OVERRIDDEN.keys()):
        named.setdefault(OVERRIDDEN[option], []).append(option)
    if not named:
        return ""
    listed = "; ".join(f"{', '.join(options)} ({reason})" for reason, options in named.items())
    return f"settings of {user.path} that are not used: {listed}"
