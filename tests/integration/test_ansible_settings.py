"""What the user's ansible.cfg sets holds in a run, unless it is among what is overridden, which is told."""

import json
from pathlib import Path

import pytest

from holdtrue.adapters.ansible import AnsibleConfigurator
from holdtrue.models.base import Progress
from holdtrue.models.credentials import SshAccess
from holdtrue.models.host import Host


def _configurator(folder: Path, settings: str, tasks: str, hosts: list[Host], access: SshAccess) -> AnsibleConfigurator:
    (folder / "ansible.cfg").write_text(settings)
    playbook = folder / "play.yml"
    playbook.write_text(f"- hosts: all\n  gather_facts: false\n  tasks:\n{tasks}")
    return AnsibleConfigurator(playbook=playbook, hosts=hosts, access=access, timeout_seconds=120)


_CALLBACK = """
from pathlib import Path
from ansible.plugins.callback import CallbackBase

class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "mine"
    CALLBACK_NEEDS_ENABLED = True

    def v2_playbook_on_stats(self, stats):
        Path(__file__).with_suffix(".seen").touch()
"""


def test_a_cache_of_facts_and_callbacks_of_the_user_are_used(
    hosts: list[Host], access: SshAccess, tmp_path: Path
) -> None:
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins/mine.py").write_text(_CALLBACK)
    settings = f"""[defaults]
fact_caching = jsonfile
fact_caching_connection = {tmp_path}/facts
callback_plugins = plugins
callbacks_enabled = mine
"""
    tasks = "    - ansible.builtin.set_fact: {colour: green, cacheable: true}\n"
    seen: list[Progress] = []
    _configurator(tmp_path, settings, tasks, hosts[:1], access).check(seen.append)
    [cached] = [path for path in (tmp_path / "facts").rglob("*") if path.is_file()]
    assert "green" in json.dumps(json.loads(cached.read_text()))
    assert (tmp_path / "plugins/mine.seen").exists()
    assert not [line for line in seen if "ansible.cfg" in line.message]

    # A later run, of a process of its own, has what this one has cached.
    tasks = "    - ansible.builtin.assert: {that: colour == 'green'}\n"
    assert _configurator(tmp_path, settings, tasks, hosts[:1], access).apply().hosts[0].ok == 1


@pytest.mark.parametrize(
    ("section", "option", "value"),
    [
        ("defaults", "transport", "local"),
        ("defaults", "remote_port", "1"),
        ("defaults", "remote_user", "nobody"),
        ("defaults", "ask_pass", "True"),
        ("defaults", "ask_vault_pass", "True"),
        ("privilege_escalation", "become_ask_pass", "True"),
        ("inventory", "enable_plugins", "ini"),
        ("defaults", "inventory", "nowhere"),
        ("defaults", "local_tmp", "elsewhere"),
        ("ssh_connection", "control_path", "elsewhere/%%C"),
        ("ssh_connection", "ssh_args", "-o ProxyCommand=/bin/false"),
        ("defaults", "stdout_callback", "minimal"),
    ],
)
def test_what_would_break_a_run_is_not_followed_and_told_once(
    hosts: list[Host], access: SshAccess, tmp_path: Path, section: str, option: str, value: str
) -> None:
    seen: list[Progress] = []
    tasks = "    - {name: who, ansible.builtin.command: id -un, check_mode: false}\n"
    run = _configurator(tmp_path, f"[{section}]\n{option} = {value}\n", tasks, hosts[:1], access).check(seen.append)
    assert [(summary.host, summary.changed) for summary in run.hosts] == [(hosts[0].name, 1)]
    assert [option in line.message for line in seen if "ansible.cfg" in line.message] == [True]
    assert not (tmp_path / "elsewhere").exists()


def test_a_failed_task_opens_no_debugger(hosts: list[Host], access: SshAccess, tmp_path: Path) -> None:
    settings = "[defaults]\nenable_task_debugger = True\n"
    tasks = "    - {ansible.builtin.fail: {msg: no}, ignore_errors: true}\n"
    assert _configurator(tmp_path, settings, tasks, hosts[:1], access).apply().hosts[0].failed == 0
