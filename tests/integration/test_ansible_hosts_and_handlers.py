"""Handlers that are lost, and hosts on which no task ran, as the real Ansible tells them on the sandbox's hosts."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from holdtrue.adapters.ansible import AnsibleConfigurator
from holdtrue.errors import ConfigurationFailed, HoldtrueError, HostUnreachable
from holdtrue.models.base import Progress, ignore_progress
from holdtrue.models.configuration import ConfigurationRun, HandlerNote, LostHandler
from holdtrue.models.credentials import SshAccess
from holdtrue.models.host import Host
from sandbox import Sandbox


def _configurator(playbook: Path, hosts: Sequence[Host], access: SshAccess) -> AnsibleConfigurator:
    return AnsibleConfigurator(playbook=playbook, hosts=hosts, access=access, timeout_seconds=180)


def _write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


class _Memory:
    """What a later run would know: handlers that are still to run, by host and any of their names."""

    def __init__(self) -> None:
        self.open: set[tuple[str, str]] = set()

    def __call__(self, note: HandlerNote) -> None:
        places = {(note.host, handler) for handler in note.handlers}
        self.open = self.open | places if note.is_open else self.open - places


def _fail(configurator: AnsibleConfigurator, memory: _Memory) -> tuple[ConfigurationRun, HoldtrueError]:
    with pytest.raises(ConfigurationFailed) as failure:
        configurator.apply(ignore_progress, memory)
    assert isinstance(failure.value.done, ConfigurationRun)
    return failure.value.done, failure.value


_WRITE = """
    - name: write
      ansible.builtin.copy: {content: "x", dest: "{{ root }}/it", mode: "0600"}
      notify: %s
"""
_FAIL = '    - {name: break, ansible.builtin.fail: {msg: no}, when: inventory_hostname == "web-1"}\n'


def test_a_handler_lost_by_a_failure_is_named_until_it_has_run(
    clean_sandbox: Sandbox, hosts: list[Host], access: SshAccess, tmp_path: Path
) -> None:
    head = "- hosts: all\n  gather_facts: false\n  handlers:\n"
    handler = '    - {name: restart, ansible.builtin.command: "touch {{ root }}/restarted"}\n  tasks:'
    broken = _write(tmp_path / "broken.yml", head + handler + _WRITE % "restart" + _FAIL)
    repaired = _write(tmp_path / "repaired.yml", head + handler + _WRITE % "restart")
    memory = _Memory()

    done, failure = _fail(_configurator(broken, hosts, access), memory)

    # web-1 failed before its handler's turn; web-2 went on to it.
    assert done.lost_handlers == (LostHandler(host="web-1", handler="restart"),)
    assert "web-1: restart" in failure.what
    assert memory.open == {("web-1", "restart")}
    assert [(host.world / "restarted").exists() for host in clean_sandbox.hosts] == [False, True]

    again = _configurator(repaired, hosts, access).apply(ignore_progress, memory)
    assert (again.changed, again.lost_handlers) == ((), ())
    assert memory.open == {("web-1", "restart")}

    (clean_sandbox.hosts[0].world / "it").write_text("tampered")
    _configurator(repaired, hosts, access).apply(ignore_progress, memory)
    assert (clean_sandbox.hosts[0].world / "restarted").exists()
    assert memory.open == set()


@pytest.mark.parametrize("by", ["play", "ansible.cfg"])
def test_forced_handlers_are_not_lost(hosts: list[Host], access: SshAccess, tmp_path: Path, by: str) -> None:
    forced = "  force_handlers: true\n" if by == "play" else ""
    if by == "ansible.cfg":
        _write(tmp_path / "ansible.cfg", "[defaults]\nforce_handlers = True\n")
    text = f"- hosts: all\n  gather_facts: false\n{forced}  handlers:\n"
    text += '    - {name: restart, ansible.builtin.command: "true"}\n  tasks:' + _WRITE % "restart" + _FAIL
    memory = _Memory()
    done, _ = _fail(_configurator(_write(tmp_path / "play.yml", text), hosts, access), memory)
    assert done.lost_handlers == ()
    assert memory.open == set()
    assert {(result.host, result.task) for result in done.changed} >= {("web-1", "restart"), ("web-2", "restart")}


_MANY = """
- hosts: web-1
  gather_facts: false
  roles: [web]
  vars: {service: nginx}
  handlers:
    - {name: first of two, listen: both, ansible.builtin.command: "true"}
    - {name: second of two, listen: both, ansible.builtin.command: "true"}
    - {name: "restart {{ service }}", ansible.builtin.command: "true"}
    - {name: reload a, ansible.builtin.command: "true"}
    - {name: reload b, ansible.builtin.command: "true"}
    - {name: not needed, ansible.builtin.command: "true", when: false}
    - {name: reset, ansible.builtin.meta: reset_connection}
    - {name: several, ansible.builtin.include_tasks: several.yml}
    - {name: unused, ansible.builtin.command: "true"}
  tasks:
    - name: write
      ansible.builtin.copy: {content: "x", dest: "{{ root }}/many", mode: "0600"}
      notify: [both, "restart {{ service }}", not needed, reset, several, "web : of the role"]
    - name: loop
      ansible.builtin.copy: {content: "x", dest: "{{ root }}/loop-{{ item }}", mode: "0600"}
      notify: "reload {{ item }}"
      loop: [a, b]
"""
_ALL = {"first of two", "second of two", "restart nginx", "reload a", "reload b", "not needed", "several"}


def test_every_way_to_name_a_handler_is_followed(hosts: list[Host], access: SshAccess, tmp_path: Path) -> None:
    _write(tmp_path / "several.yml", '- {name: one of several, ansible.builtin.command: "true"}\n')
    role = '- {name: of the role, ansible.builtin.command: "true"}\n'
    _write(tmp_path / "roles/web/handlers/main.yml", role)
    whole = _write(tmp_path / "whole.yml", _MANY)
    cut = _write(tmp_path / "cut.yml", _MANY + "    - ansible.builtin.fail: {msg: no}\n")
    memory = _Memory()

    done, _ = _fail(_configurator(cut, hosts[:1], access), memory)
    lost = {handler.handler for handler in done.lost_handlers}
    assert lost == _ALL | {"web : of the role"}
    assert {handler for _, handler in memory.open} == lost

    # A flush before the failure: all of them run.
    flushed = _write(
        tmp_path / "flushed.yml",
        _MANY.replace("many", "flushed").replace("loop-", "flush-")
        + "    - ansible.builtin.meta: flush_handlers\n    - ansible.builtin.fail: {msg: no}\n",
    )
    done, _ = _fail(_configurator(flushed, hosts[:1], access), memory)
    assert done.lost_handlers == ()
    assert memory.open == set()
    assert _configurator(whole, hosts[:1], access).apply(ignore_progress, memory).lost_handlers == ()


def test_a_handler_that_fails_is_lost_for_its_host(hosts: list[Host], access: SshAccess, tmp_path: Path) -> None:
    text = "- hosts: all\n  gather_facts: false\n  handlers:\n"
    text += '    - {name: restart, ansible.builtin.command: "false", when: inventory_hostname == "web-2"}\n  tasks:'
    memory = _Memory()
    configurator = _configurator(_write(tmp_path / "play.yml", text + _WRITE % "restart"), hosts, access)
    done, _ = _fail(configurator, memory)
    assert done.lost_handlers == (LostHandler(host="web-2", handler="restart", failed=True),)
    assert memory.open == {("web-2", "restart")}


def test_a_notified_handler_is_told_at_once_so_that_a_killed_run_leaves_it(
    hosts: list[Host], access: SshAccess, tmp_path: Path
) -> None:
    text = "- hosts: all\n  gather_facts: false\n  handlers:\n"
    text += '    - {name: restart, ansible.builtin.command: "true"}\n  tasks:' + _WRITE % "restart"
    text += "    - {name: after, ansible.builtin.ping: }\n"
    told: list[str] = []
    _configurator(_write(tmp_path / "play.yml", text), hosts[:1], access).apply(
        lambda line: told.append(line.message), lambda note: told.append(f"{note.handlers[0]} {note.is_open}")
    )
    assert [line for line in told if line in {"restart True", "restart False", "task | after", "task | restart"}] == [
        "restart True",
        "task | after",
        "task | restart",
        "restart False",
    ]


def test_a_handler_that_runs_once_has_run_for_all(hosts: list[Host], access: SshAccess, tmp_path: Path) -> None:
    text = "- hosts: all\n  gather_facts: false\n  handlers:\n"
    text += '    - {name: announce, ansible.builtin.command: "true", run_once: true}\n  tasks:'
    memory = _Memory()
    run = _configurator(_write(tmp_path / "play.yml", text + _WRITE % "announce"), hosts, access).apply(
        ignore_progress, memory
    )
    assert [result.host for result in run.changed if result.task == "announce"] == ["web-1"]
    assert run.lost_handlers == ()
    assert memory.open == set()


def test_an_ended_host_loses_its_handlers_without_any_failure(
    hosts: list[Host], access: SshAccess, tmp_path: Path
) -> None:
    text = "- hosts: all\n  gather_facts: false\n  handlers:\n"
    text += '    - {name: restart, ansible.builtin.command: "true"}\n  tasks:' + _WRITE % "restart"
    text += '    - {ansible.builtin.meta: end_host, when: inventory_hostname == "web-2"}\n'
    run = _configurator(_write(tmp_path / "play.yml", text), hosts, access).apply()
    assert run.lost_handlers == (LostHandler(host="web-2", handler="restart"),)


def test_check_mode_loses_no_handler(hosts: list[Host], access: SshAccess, tmp_path: Path) -> None:
    text = "- hosts: all\n  gather_facts: false\n  handlers:\n"
    text += '    - {name: restart, ansible.builtin.command: "true"}\n  tasks:' + _WRITE % "restart"
    text += "    - ansible.builtin.meta: end_play\n"
    run = _configurator(_write(tmp_path / "play.yml", text), hosts, access).check()
    assert len(run.changed) == 2
    assert run.lost_handlers == ()


_PING = "    - {name: ping, ansible.builtin.ping: }\n"


@pytest.mark.parametrize(
    ("play", "untouched", "word"),
    [
        (_PING, [], ""),
        (
            f"    - {{ansible.builtin.meta: end_host, when: inventory_hostname == 'web-2'}}\n{_PING}",
            ["web-2"],
            "end_host",
        ),
        (f"    - ansible.builtin.meta: end_play\n{_PING}", ["web-1", "web-2"], "end_play"),
        ("    - {name: once, ansible.builtin.ping: , run_once: true}\n", ["web-2"], "run_once"),
        (
            f"    - {{ansible.builtin.setup: }}\n    - ansible.builtin.meta: end_play\n{_PING}",
            ["web-1", "web-2"],
            "end_",
        ),
        ("    - {name: not needed, ansible.builtin.ping: , when: false}\n", [], ""),
        ("    []\n", ["web-1", "web-2"], "no task"),
    ],
)
@pytest.mark.parametrize("check", [True, False])
def test_a_host_on_which_no_task_ran_is_told_as_that(
    hosts: list[Host], access: SshAccess, tmp_path: Path, play: str, untouched: list[str], word: str, *, check: bool
) -> None:
    playbook = _write(tmp_path / "play.yml", f"- hosts: all\n  gather_facts: false\n  tasks:\n{play}")
    seen: list[Progress] = []
    configurator = _configurator(playbook, hosts, access)
    run = configurator.check(seen.append) if check else configurator.apply(seen.append)
    assert [host.host for host in run.untouched] == untouched
    assert all(word in host.reason for host in run.untouched)
    assert [line.message.split(" | ")[0] for line in seen if "not touched" in line.message] == untouched


def test_a_host_touched_by_a_later_play_is_touched(hosts: list[Host], access: SshAccess, tmp_path: Path) -> None:
    ended = "- hosts: all\n  gather_facts: false\n  tasks:\n    - ansible.builtin.meta: end_play\n"
    text = f"{ended}- hosts: web-2\n  gather_facts: false\n  tasks:\n{_PING}"
    run = _configurator(_write(tmp_path / "play.yml", text), hosts, access).apply()
    assert [host.host for host in run.untouched] == ["web-1"]


def test_hosts_behind_an_unreachable_batch_are_not_told_as_in_no_play(
    clean_sandbox: Sandbox, hosts: list[Host], access: SshAccess, tmp_path: Path
) -> None:
    text = f"- hosts: all\n  serial: 1\n  gather_facts: false\n  tasks:\n{_PING}"
    configurator = _configurator(_write(tmp_path / "play.yml", text), hosts, access)
    clean_sandbox.hosts[0].stop()
    try:
        with pytest.raises(HostUnreachable) as failure:
            configurator.check()
    finally:
        clean_sandbox.hosts[0].start()
    assert "web-1" in failure.value.what
    assert "web-2" in failure.value.what
