"""The example playbook and broken ones, run by the adapter on the sandbox's hosts."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Self

import asyncssh
import httpx
import pytest
from pydantic import SecretStr

from holdtrue.adapters.ansible import AnsibleConfigurator
from holdtrue.adapters.ssh import generate_key_pair, open_ssh_access, reach
from holdtrue.errors import ConfigurationFailed, HostUnreachable, ResourceMissing, ToolMissing
from holdtrue.models.base import Progress, ProgressSink, ignore_progress
from holdtrue.models.configuration import ConfigurationRun, TaskOutcome
from holdtrue.models.credentials import SshAccess, SshIdentity
from holdtrue.models.host import Host
from holdtrue.runtime.process import ToolTimeout, find_marked
from sandbox import Sandbox

_SITE = Path(__file__).parents[2] / "fleet" / "ansible" / "site.yml"
_TTL_SECONDS = 600
_SECRET = "canary-{{ 7 * 7 }}-t\u00e4st\nsecond line of it"


def _configurator(
    playbook: Path, hosts: Sequence[Host], access: SshAccess, timeout_seconds: float = 180.0, **secrets: str
) -> AnsibleConfigurator:
    return AnsibleConfigurator(
        playbook=playbook,
        hosts=hosts,
        access=access,
        timeout_seconds=timeout_seconds,
        secrets={name: SecretStr(value) for name, value in secrets.items()},
    )


def _play(folder: Path, tasks: str, header: str = "hosts: all") -> Path:
    playbook = folder / "play.yml"
    playbook.write_text(f"- {header}\n  gather_facts: false\n  tasks:\n{tasks}")
    return playbook


def _changed(run: ConfigurationRun) -> set[tuple[str, str]]:
    return {(result.host, result.task) for result in run.changed}


def _health(hosts: Sequence[Host]) -> list[str]:
    return [httpx.get(f"http://{host.address}:{host.variables['http_port']}/health").text for host in hosts]


def _folders(access: SshAccess) -> list[Path]:
    """The private folders of runs through this access."""
    found = []
    for folder in access.config.parents[1].glob("ht-ansible-*"):
        with suppress(OSError):
            if str(access.config) in (folder / "connection.yml").read_text():
                found.append(folder)
    return found


def _processes(access: SshAccess) -> set[int]:
    """What runs for this access beside its own agent and shared connections."""
    found = set()
    for pid in find_marked("SSH_AUTH_SOCK", str(access.agent_socket)):
        with suppress(OSError):  # It may have ended since.
            if b"ANSIBLE_LOCAL_TEMP=" in Path(f"/proc/{pid}/environ").read_bytes():
                found.add(pid)
    return found


def _left_of_ansible(access: SshAccess) -> list[str]:
    return [str(left) for left in (*_folders(access), *_processes(access))]


def test_the_example_is_installed_is_idempotent_and_repairs_itself(
    clean_sandbox: Sandbox, hosts: list[Host], access: SshAccess
) -> None:
    configurator = _configurator(_SITE, hosts, access)
    names = {host.name for host in hosts}

    foreseen = configurator.check()
    assert {host for host, _ in _changed(foreseen)} == names
    assert all(result.outcome is TaskOutcome.CHANGED for result in foreseen.results)
    # Ansible's own folder for temporary files aside.
    assert {path.name for host in clean_sandbox.hosts for path in host.world.iterdir()} <= {".ansible"}

    progress: list[Progress] = []
    first = configurator.apply(progress.append)
    assert {summary.host for summary in first.hosts} == names
    assert f"{hosts[0].name} | changed | Install the server" in [line.message for line in progress]
    assert _health(hosts) == ["ok", "ok"]

    second = configurator.apply()
    assert second.results == ()
    assert [summary.changed for summary in second.hosts] == [0, 0]

    config = clean_sandbox.hosts[0].world / "srv/web/config.json"
    declared = config.read_text()
    config.write_text(json.dumps(json.loads(declared) | {"version": "9.9.9"}))
    os.kill(int((clean_sandbox.hosts[1].world / "srv/web/web.pid").read_text()), signal.SIGKILL)
    tampered = config.read_text()

    drift = configurator.check()
    assert {host for host, _ in _changed(drift)} == names
    assert (hosts[1].name, "Start the service") in _changed(drift)
    [written] = [result for result in drift.changed if result.task == "Write the configuration"]
    assert written.host == hosts[0].name
    [diff] = written.diffs
    assert diff.path.endswith("srv/web/config.json")
    assert "9.9.9" in diff.before
    assert "9.9.9" not in diff.after
    assert config.read_text() == tampered

    configurator.apply()
    assert config.read_text() == declared
    assert _health(hosts) == ["ok", "ok"]
    assert configurator.apply().results == ()


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("- hosts: all\n  tasks:\n    - name: x\n      ansible.builtin.command: a\n       b: c\n", 5, "YAML"),
        ("- hosts: all\n  gather_facts: false\n  tasks:\n    - no_such_module: {}\n", 4, "no_such_module"),
        ("- hosts: all\n  gather_facts: false\n  roles:\n    - no_such_role\n", 4, "no_such_role"),
        ("- hosts: db\n  gather_facts: false\n  tasks: [{ansible.builtin.ping: }]\n", None, "web-1, web-2"),
        ("- hosts: web-1\n  gather_facts: false\n  tasks: [{ansible.builtin.ping: }]\n", None, "web-2"),
        ("[]\n", None, "play"),
        ("- hosts: all\n  vars_prompt: [{name: colour}]\n  tasks: []\n", None, "colour"),
    ],
)
def test_a_playbook_that_cannot_run_everywhere_is_refused_with_its_place(
    hosts: list[Host], access: SshAccess, tmp_path: Path, text: str, line: int | None, words: str
) -> None:
    playbook = tmp_path / "play.yml"
    playbook.write_text(text)
    with pytest.raises(ConfigurationFailed) as refusal:
        _configurator(playbook, hosts, access).apply()
    assert words in str(refusal.value)
    if line:
        assert refusal.value.where == f"{playbook}:{line}"


def test_no_hosts_and_no_playbook_are_refused_at_once(access: SshAccess, hosts: list[Host], tmp_path: Path) -> None:
    with pytest.raises(ConfigurationFailed):
        _configurator(_SITE, [], access).apply()
    with pytest.raises(ResourceMissing):
        _configurator(tmp_path / "absent.yml", hosts, access).check()


def test_without_ansible_the_tool_is_missing(
    access: SshAccess, hosts: list[Host], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(ToolMissing, match="ansible-playbook"):
        _configurator(_SITE, hosts, access).apply()


def test_outcomes_are_told_apart_in_check_mode(hosts: list[Host], access: SshAccess, tmp_path: Path) -> None:
    tasks = """
    - {name: not for us, ansible.builtin.command: "true", when: false}
    - {name: command, ansible.builtin.command: "true"}
    - {name: raw, ansible.builtin.raw: "true"}
    - {name: commands, ansible.builtin.command: "echo {{ item }}", loop: [1, 2]}
    - {name: nothing, ansible.builtin.command: "echo {{ item }}", loop: []}
    - {name: there, ansible.builtin.script: {cmd: /bin/true, creates: /etc/passwd}}
    - name: hidden
      ansible.builtin.copy: {content: "canary of no_log", dest: "{{ root }}/hidden", mode: "0600"}
      no_log: true
    - name: large
      ansible.builtin.copy: {content: "{{ 'x' * 2000000 }}", dest: "{{ root }}/large", mode: "0600"}
    - name: files
      ansible.builtin.copy: {content: "{{ item }}", dest: "{{ root }}/{{ item }}", mode: "0600"}
      loop: [a, b]
    - {name: binary, ansible.builtin.raw: "head -c 2000000 /dev/urandom", check_mode: false, changed_when: true}
    """
    run = _configurator(_play(tmp_path, tasks), hosts[:1], access).check()
    outcomes = {result.task: result.outcome for result in run.results}
    skipped, changed = TaskOutcome.SKIPPED, TaskOutcome.CHANGED
    assert outcomes == dict.fromkeys(["command", "raw", "commands"], skipped) | dict.fromkeys(
        ["hidden", "large", "files", "binary"], changed
    )
    assert [summary.changed for summary in run.hosts] == [4]
    assert "canary" not in run.model_dump_json()
    [files] = [result for result in run.results if result.task == "files"]
    assert [Path(diff.path).name for diff in files.diffs] == ["a", "b"]


class _Witness:
    """Looks at the machine while a run goes on: files of the run, command lines and environments of its processes.

    Ansible's local temp is left out: `copy` with `content` goes through it, in memory, and it ends with the run.
    """

    def __init__(self, access: SshAccess, needle: bytes) -> None:
        self._access = access
        self._needle = needle
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self.found: set[str] = set()
        self.looked_at = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._stop.wait(0.2):
            for folder in _folders(self._access):
                files = (path for path in folder.rglob("*") if path.is_file())
                self._search(path for path in files if folder / "tmp" not in path.parents)
            with suppress(OSError):
                for pid in _processes(self._access):
                    self._search([Path(f"/proc/{pid}/cmdline"), Path(f"/proc/{pid}/environ")])

    def _search(self, paths: Iterable[Path]) -> None:
        for path in paths:
            with suppress(OSError):
                self.looked_at += 1
                if self._needle in path.read_bytes():
                    self.found.add(str(path))


def test_a_secret_reaches_the_host_unchanged_and_nothing_else(
    clean_sandbox: Sandbox,
    hosts: list[Host],
    access: SshAccess,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HOLDTRUE_VAULT_SECRET_ID", "canary-of-the-worker")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    tasks = """
    - name: write
      ansible.builtin.copy: {content: "{{ token }}", dest: "{{ root }}/token", mode: "0600"}
    - name: environment
      ansible.builtin.copy:
        content: "[{{ lookup('ansible.builtin.env', 'HOLDTRUE_VAULT_SECRET_ID') }}]"
        dest: "{{ root }}/environment"
        mode: "0600"
    - name: speak
      ansible.builtin.fail: {msg: "it is {{ token }}"}
    """
    playbook = _play(tmp_path, tasks)
    configurator = _configurator(playbook, hosts[:1], access, token=_SECRET)
    said: list[str] = []
    with _Witness(access, b"canary-") as witness, pytest.raises(ConfigurationFailed) as failure:
        configurator.apply(lambda line: said.append(line.message))
    world = clean_sandbox.hosts[0].world
    assert (world / "token").read_text() == _SECRET
    assert (world / "environment").read_text() == "[]"
    everything = "\n".join([*said, str(failure.value), repr(failure.value.__context__)])
    assert "it is [redacted]" in everything
    assert "canary-" not in everything
    assert "second line of it" not in everything
    assert witness.looked_at > 20
    assert witness.found == set()
    assert not (tmp_path / "home").exists()
    assert _left_of_ansible(access) == []


def test_a_secret_is_not_in_a_diff(hosts: list[Host], access: SshAccess, tmp_path: Path) -> None:
    tasks = '    - ansible.builtin.copy: {content: "a={{ token }}", dest: "{{ root }}/token", mode: "0600"}\n'
    run = _configurator(_play(tmp_path, tasks), hosts[:1], access, token=_SECRET).check()
    [changed] = run.changed
    assert changed.diffs[0].after == "a=[redacted]"


def test_the_witness_sees_a_secret_that_is_an_ordinary_variable(
    hosts: list[Host], access: SshAccess, tmp_path: Path
) -> None:
    open_secret = hosts[0].model_copy(update={"variables": {**hosts[0].variables, "token": "canary-in-the-open"}})
    with _Witness(access, b"canary-") as witness:
        _configurator(_play(tmp_path, "    - ansible.builtin.ping:\n"), [open_secret], access).apply()
    assert witness.found


def test_an_unreachable_host_fails_an_apply_and_is_in_a_check(
    clean_sandbox: Sandbox, hosts: list[Host], access: SshAccess, tmp_path: Path
) -> None:
    playbook = _play(tmp_path, "    - ansible.builtin.ping:\n")
    clean_sandbox.hosts[1].stop()
    try:
        with pytest.raises(HostUnreachable) as failure:
            _configurator(playbook, hosts, access).apply()
        run = _configurator(playbook, hosts, access).check()
    finally:
        clean_sandbox.hosts[1].start()
    assert hosts[1].name in failure.value.what
    assert hosts[0].name not in failure.value.what
    assert "refused" in failure.value.what
    assert [(summary.host, summary.unreachable) for summary in run.hosts] == [
        (hosts[0].name, False),
        (hosts[1].name, True),
    ]
    assert [result.outcome for result in run.results] == [TaskOutcome.UNREACHABLE]


def test_a_playbook_cannot_weaken_the_host_keys(hosts: list[Host], clean_sandbox: Sandbox, tmp_path: Path) -> None:
    private_key, public_key = generate_key_pair()
    identity = SshIdentity(
        private_key=private_key,
        certificate=clean_sandbox.openbao.sign_user_key(public_key, ttl_seconds=_TTL_SECONDS),
        principals=("deploy",),
        expires_at=datetime.now(UTC) + timedelta(seconds=_TTL_SECONDS),
    )
    loose = "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null"
    (tmp_path / "ansible.cfg").write_text(
        f"[defaults]\nhost_key_checking = False\n[ssh_connection]\nssh_args = {loose}\nssh_extra_args = {loose}\n"
    )
    header = f"""hosts: all
  vars:
    ansible_host_key_checking: false
    ansible_ssh_host_key_checking: false
    ansible_ssh_args: {loose}
    ansible_ssh_common_args: {loose}"""
    playbook = _play(tmp_path, "    - ansible.builtin.ping:\n", header)
    foreign = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    with open_ssh_access(hosts, identity, [foreign]) as access, pytest.raises(HostUnreachable) as failure:
        _configurator(playbook, hosts, access).apply()
    assert "Host key verification failed" in failure.value.what


def test_the_users_own_settings_are_kept(hosts: list[Host], access: SshAccess, tmp_path: Path) -> None:
    (tmp_path / "ansible.cfg").write_text("[defaults]\nroles_path = own_roles\nremote_user = somebody-else\n")
    (tmp_path / "own_roles/mine/tasks").mkdir(parents=True)
    (tmp_path / "own_roles/mine/tasks/main.yml").write_text("- ansible.builtin.command: id -un\n")
    (tmp_path / "group_vars").mkdir()
    (tmp_path / "group_vars/web.yml").write_text("mine: 1\n")
    playbook = tmp_path / "play.yml"
    playbook.write_text('- hosts: web\n  gather_facts: false\n  roles: [{role: mine, when: "mine == 1"}]\n')
    grouped = hosts[0].model_copy(update={"variables": {**hosts[0].variables, "groups": "web"}})
    run = _configurator(playbook, [grouped], access).apply()
    assert _changed(run) == {(hosts[0].name, "ansible.builtin.command")}


def _long_play(folder: Path) -> Path:
    return _play(folder, '    - {name: wait, ansible.builtin.command: "sleep 60"}\n')


def test_a_run_that_takes_too_long_ends_and_names_what_it_waited_for(
    hosts: list[Host], access: SshAccess, tmp_path: Path
) -> None:
    started = time.monotonic()
    with pytest.raises(ToolTimeout) as failure:
        _configurator(_long_play(tmp_path), hosts, access, timeout_seconds=12).apply()
    assert time.monotonic() - started < 40
    assert f"{hosts[0].name} (wait)" in failure.value.what
    assert _left_of_ansible(access) == []
    assert all(result.outcome.value == "passed" for result in reach(access, hosts, 30))


class _Termination(BaseException):
    """As Prefect's: raised in the main thread, and no Exception."""


def test_a_cancelled_run_leaves_no_process(hosts: list[Host], access: SshAccess, tmp_path: Path) -> None:
    seen: list[str] = []

    def cancel(_: Progress) -> None:
        time.sleep(2.0)
        seen.extend(_left_of_ansible(access))
        raise _Termination

    sink: ProgressSink = cancel
    started = time.monotonic()
    with pytest.raises(_Termination):
        _configurator(_long_play(tmp_path), hosts, access).apply(sink)
    # The checker sees the run while it lasts, its folder and its processes.
    assert len(seen) > 1
    assert _left_of_ansible(access) == []
    assert time.monotonic() - started < 40
    assert _configurator(_play(tmp_path, "    - ansible.builtin.ping:\n"), hosts, access).apply(ignore_progress).hosts


_OWNER = """
import sys
from pathlib import Path
from holdtrue.adapters.ansible import AnsibleConfigurator
from holdtrue.models.credentials import SshAccess
from holdtrue.models.host import Host

playbook, access, *hosts = sys.stdin.read().splitlines()
AnsibleConfigurator(
    playbook=Path(playbook),
    hosts=[Host.model_validate_json(host) for host in hosts],
    access=SshAccess.model_validate_json(access),
    timeout_seconds=120,
).apply(lambda line: print(line.message, flush=True))
"""


def test_a_run_ends_with_an_owner_that_was_killed(hosts: list[Host], access: SshAccess, tmp_path: Path) -> None:
    request = [str(_long_play(tmp_path)), access.model_dump_json(), *(host.model_dump_json() for host in hosts)]
    owner = subprocess.Popen(
        [sys.executable, "-c", _OWNER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert owner.stdin is not None
    assert owner.stdout is not None
    try:
        with owner.stdin, owner.stdout:
            owner.stdin.write("\n".join(request))
            owner.stdin.close()
            assert owner.stdout.readline().strip() == "task | wait"
            assert len(_left_of_ansible(access)) > 2
            owner.kill()
    finally:
        owner.kill()
        owner.wait(10)
    deadline = time.monotonic() + 20
    while _left_of_ansible(access) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert _left_of_ansible(access) == []
