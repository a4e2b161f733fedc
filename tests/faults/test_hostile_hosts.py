"""Data about hosts that wants to run code on the worker: in the state, in outputs, in what a playbook reads.

The sentinel is a file outside of every host's folder, which each attack would create.
"""

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from random import Random
from typing import Any

import pytest
from pydantic import JsonValue

from flows.drift import drift
from flows.provision import provision
from flows.validate import validate
from holdtrue.adapters.ansible import AnsibleConfigurator
from holdtrue.adapters.testinfra import TestinfraChecks
from holdtrue.core.hosts import parse_hosts
from holdtrue.errors import ConfigurationFailed, HoldtrueError, RejectedError
from holdtrue.models.configuration import ConfigurationRun, TaskOutcome
from holdtrue.models.credentials import SshAccess
from holdtrue.models.environment import DriftLayer
from holdtrue.models.host import Host
from holdtrue.models.preflight import PrerequisiteOutcome
from holdtrue.models.stack import StackOutputs
from holdtrue.models.validation import CheckOutcome
from sandbox import Sandbox
from tests.integration.flow_stage import STACK_FILES, Stage
from tests.integration.host_access import access_to, hosts_of
from tests.long_form import long_form


@pytest.fixture
def sentinel(tmp_path: Path) -> Path:
    """The file that must not come into being."""
    return tmp_path / "sentinel"


@pytest.fixture(scope="module")
def hosts(sandbox: Sandbox) -> list[Host]:
    return hosts_of(sandbox)


@pytest.fixture(scope="module")
def access(sandbox: Sandbox, hosts: list[Host]) -> Iterator[SshAccess]:
    with access_to(sandbox, hosts) as opened:
        yield opened


def python_that_tells(sentinel: Path, name: str = "interpreter") -> str:
    """A program that creates the sentinel where it runs, and then does what Python does."""
    program = sentinel.with_name(name)
    program.write_text(f'#!/bin/sh\ntouch {sentinel}\nexec {sys.executable} "$@"\n')
    program.chmod(0o755)
    return str(program)


def attacks(sentinel: Path) -> dict[str, dict[str, JsonValue]]:
    """Variables of a host, each of which runs a program or command of this machine when Ansible takes it."""
    program, touch = python_that_tells(sentinel), f"touch {sentinel}"
    return {
        "connection": {"ansible_connection": "local", "ansible_shell_executable": program},
        "python": {"ansible_python_interpreter": program},
        "common-args": {"ansible_ssh_common_args": f"-o ControlPath=none -o ProxyCommand='{touch}'"},
        "extra-args": {"ansible_ssh_extra_args": f"-o ControlPath=none -o ProxyCommand='{touch}'"},
        "executable": {"ansible_ssh_executable": program},
    }


def with_variables(host: Host, **variables: JsonValue) -> Host:
    """The host with these variables too, without a check of them."""
    return host.model_copy(update={"variables": host.variables | variables})


def run_playbook(folder: Path, tasks: str, hosts: Sequence[Host], access: SshAccess) -> ConfigurationRun:
    playbook = folder / "play.yml"
    playbook.write_text(f"- hosts: all\n  gather_facts: false\n  tasks:\n{tasks}")
    return AnsibleConfigurator(
        playbook=playbook, hosts=hosts, access=access, timeout_seconds=120, variables={"given": "localhost"}
    ).apply()


class TestVariablesOfAHost:
    def test_the_sentinel_notices_when_the_boundary_is_missing(
        self, hosts: list[Host], sandbox: Sandbox, tmp_path: Path
    ) -> None:
        """The positive control: the same variables in hosts that nothing has checked."""
        sentinels = {name: tmp_path / name / "sentinel" for name in attacks(tmp_path / "sentinel")}
        unchecked = []
        for name, sentinel in sentinels.items():
            sentinel.parent.mkdir()
            unchecked.append(with_variables(hosts[0], **attacks(sentinel)[name]).model_copy(update={"name": name}))
        with access_to(sandbox, unchecked) as opened, suppress(HoldtrueError):
            run_playbook(tmp_path, "    - ansible.builtin.ping:\n", unchecked, opened)
        assert {name for name, sentinel in sentinels.items() if sentinel.exists()} == set(sentinels)

    def test_are_refused_by_name(self, sentinel: Path, hosts: list[Host]) -> None:
        for variables in attacks(sentinel).values():
            record = hosts[0].model_dump(mode="json") | {"variables": variables}
            with pytest.raises(RejectedError) as refusal:
                parse_hosts(StackOutputs(values={"hosts": [record]}), "hosts")
            assert [name for name in variables if name not in refusal.value.what] == []
            assert refusal.value.where == f"host {hosts[0].name}, stack output 'hosts'[0]"


HOSTILE_TEXTS = (
    *("{{ lookup('pipe', 'touch SENTINEL') }}", "{% for x in lookup('pipe', 'touch SENTINEL') %}{% endfor %}"),
    *("{# x #}{{ query('pipe', 'touch SENTINEL') }}", "!unsafe {{ 1 }}", "$(touch SENTINEL)", "`touch SENTINEL`"),
    *("; touch SENTINEL;", "a\n- hosts: localhost\n", "-oProxyCommand=touch SENTINEL", "ssh://x?ssh_config=/dev/null"),
    *("__ansible_type", "__ansible_unsafe", "__ansible_vault", "TrustedAsTemplate", "!vault |\n  00", "!include x"),
    *("%h %C", "\x1b]0;title\x07", "\u202e\u2028", "\x00", "localhost", "169.254.169.254", "x@y", "../../evil", ""),
)
HOSTILE_NAMES = (
    *("ansible_connection", "ansible_ssh_executable", "ansible_become_exe", "ansible_shell_executable", "hostvars"),
    *("ansible_ssh_common_args", "ansible_facts", "_ansible_x", "ansible_perl_interpreter", "ansible_become_method"),
    *("ansible_python_interpreter", "ansible_host", "playbook_dir", "groups", "host_key_alias", "a b", "a\nb", ""),
)
FIELDS = ("name", "address", "user", "port", "more")


def everything(sentinel: Path) -> JsonValue:
    """Each of the texts as an item and as a value, and as a key where it may be one."""
    texts = [text.replace("SENTINEL", str(sentinel)) for text in HOSTILE_TEXTS]
    keys = [text for text in texts if not text.startswith("__ansible_")]
    mappings: list[JsonValue] = [{text: [text]} for text in keys]
    return [*texts, *mappings, dict(zip(keys, texts, strict=False))]


def hostile_records(seed: int, sentinel: Path, base: dict[str, Any], count: int) -> list[dict[str, Any]]:
    """Records of hosts, each with some values of the lists above; one in four only among ordinary variables."""
    random = Random(seed)  # noqa: S311 - the same records in each run

    def text() -> str:
        return random.choice(HOSTILE_TEXTS).replace("SENTINEL", str(sentinel))

    def value(depth: int = 2) -> JsonValue:
        match random.randrange(5 if depth else 2):
            case 0 | 1:
                return text()
            case 2:
                return [value(depth - 1) for _ in range(2)]
            case 3:
                return {text(): value(depth - 1)}
            case _:
                return random.choice([None, True, 0, 1.5, 1e300, -1])

    records = [base | {"variables": {"payload": everything(sentinel), "more": everything(sentinel)}}]
    for index in range(1, count):
        record = base | {"name": f"web-{index}", "variables": {"payload": value(), "more": value()}}
        for _ in range(random.randrange(4)):
            if random.random() < 0.5:
                record["variables"][random.choice(HOSTILE_NAMES)] = value()
            else:
                record[random.choice(FIELDS)] = value()
        records.append(record)
    return records


@pytest.mark.soak
def test_no_hostile_record_runs_code_on_the_worker(
    sentinel: Path, hosts: list[Host], sandbox: Sandbox, tmp_path: Path
) -> None:
    """What is refused is refused as bad input. What is accepted reaches the host as it is, through every tool."""
    accepted: list[Host] = []
    refusals: list[str] = []
    base = hosts[0].model_dump(mode="json")
    for record in hostile_records(20_261, sentinel, base, long_form(600, 20_000)):
        try:
            accepted += parse_hosts(StackOutputs(values={"hosts": [record]}), "hosts")
        except RejectedError as refusal:
            refusals.append(str(refusal))
    assert [text for text in refusals if not (text.isascii() and text.isprintable())] == []
    assert min(len(accepted), len(refusals)) > 100, "too few of one kind for the rest to prove anything"
    known = {name for host in accepted for name in host.variables if "ansible" in name}
    assert known <= {"ansible_python_interpreter"}

    reached = [
        with_variables(hosts[0], **host.variables).model_copy(update={"name": host.name}) for host in accepted[:8]
    ]
    tasks = """\
    - ansible.builtin.debug: {var: more}
    - ansible.builtin.set_fact: {kept: "{{ payload }}"}
    - ansible.builtin.debug: {msg: "{{ kept }}"}
    - ansible.builtin.command: {argv: [echo, "{{ kept }}"]}
      changed_when: false
    - ansible.builtin.copy: {content: "{{ kept | to_json }}", dest: "{{ root }}/{{ inventory_hostname }}.json"}
"""
    suite = tmp_path / "test_suite.py"
    suite.write_text("def test_host(host):\n    assert host.run('true').rc == 0\n")
    with access_to(sandbox, reached) as opened:
        run_playbook(tmp_path, tasks, reached, opened)
        checks = TestinfraChecks(suites=[suite], access=opened, timeout_seconds=60).run(reached)
    assert {check.outcome for check in checks} == {CheckOutcome.PASSED}
    for host in reached:
        written = (sandbox.hosts[0].world / f"{host.name}.json").read_text()
        assert json.loads(written) == host.variables["payload"]
    assert not sentinel.exists()


GROUP_VARS = """\
through: "{{ peer }}"
deploy_from: localhost
computed: "{{ lookup('env', 'NONE_SUCH') | default('localhost', true) }}"
author_transport: local
through_transport: "{{ transport }}"
"""
DATA: dict[str, JsonValue] = {"peer": "localhost", "peers": ["localhost"], "transport": "local", "option": "-oX=y"}
FROM_DATA = (
    'delegate_to: "{{ peer }}"',
    "delegate_to: \"{{ hostvars[inventory_hostname]['peer'] | lower }}\"",
    'delegate_to: "{{ through }}"',
    'delegate_to: "{{ remembered }}"',
    'delegate_to: "{{ item }}"\n      loop: "{{ peers }}"',
    'delegate_to: "{{ option }}"',
    'connection: "{{ transport }}"',
    'vars: {ansible_connection: "{{ transport }}"}',
    'vars: {ansible_connection: "{{ through_transport }}"}',
    'vars: {ansible_connection: "{{ remembered_transport }}"}',
)
FROM_THE_AUTHOR = (
    "delegate_to: localhost",
    "delegate_to: \"{{ none_such | default('localhost') }}\"",
    'delegate_to: "{{ deploy_from }}"',
    'delegate_to: "{{ computed }}"',
    'delegate_to: "{{ given }}"',
    'delegate_to: "{{ item }}"\n      loop: [localhost]',
    "delegate_to: \"{{ hostvars[inventory_hostname]['deploy_from'] }}\"",
    "connection: local",
    'connection: "{{ author_transport }}"',
    "vars: {ansible_connection: local}",
    'vars: {ansible_connection: "{{ author_transport }}"}',
    "vars: {ansible_connection: \"{{ none_such | default('local') }}\"}",
    "delegate_to: added",
)


def touching(sentinel: Path, place: str, number: int) -> str:
    return f"""\
    - name: Touch {number}
      ansible.builtin.command: {{argv: [touch, "{sentinel}-{number}"]}}
      register: touched_{number}
      ignore_errors: true
      {place}
"""


class TestPlaceOfATask:
    """A host's data gives `localhost`, or `local`, where a playbook takes the place of a task from a variable."""

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        (tmp_path / "group_vars").mkdir()
        (tmp_path / "group_vars/all.yml").write_text(GROUP_VARS)
        return tmp_path

    def test_is_not_taken_from_data(self, sentinel: Path, hosts: list[Host], access: SshAccess, folder: Path) -> None:
        tasks = '    - ansible.builtin.set_fact: {remembered: "{{ peer }}", remembered_transport: "{{ transport }}"}\n'
        for number, place in enumerate(FROM_DATA):
            tasks += touching(sentinel, place, number)
        refused = " and ".join(f"touched_{number} is failed" for number in range(len(FROM_DATA)))
        tasks += f"    - ansible.builtin.assert: {{that: '{refused}'}}\n"
        run_playbook(folder, tasks, [with_variables(hosts[0], **DATA)], access)
        assert list(sentinel.parent.glob("sentinel-*")) == []

    @pytest.mark.parametrize("from_data", [True, False], ids=["data", "author"])
    @pytest.mark.parametrize("where", ["group_vars", "set_fact"])
    def test_is_not_taken_from_data_for_every_task(
        self, sentinel: Path, hosts: list[Host], access: SshAccess, folder: Path, *, where: str, from_data: bool
    ) -> None:
        value = "{{ transport }}" if from_data else "local"
        given = f'ansible_connection: "{value}"\n'
        tasks = touching(sentinel, "", 0)
        if where == "group_vars":
            (folder / "group_vars/all.yml").write_text(given)
        else:
            tasks = f"    - ansible.builtin.set_fact:\n        {given}{tasks}"
        run_playbook(folder, tasks, [with_variables(hosts[0], **DATA)], access)
        assert Path(f"{sentinel}-0").exists() is not from_data

    def test_is_the_worker_when_the_playbook_says_so(
        self, sentinel: Path, hosts: list[Host], access: SshAccess, folder: Path
    ) -> None:
        """The positive control, and what an author may do."""
        added = f"name: added, ansible_connection: local, ansible_python_interpreter: {sys.executable}"
        tasks = f"    - ansible.builtin.add_host: {{{added}}}\n"
        tasks += "".join(touching(sentinel, place, number) for number, place in enumerate(FROM_THE_AUTHOR))
        run_playbook(folder, tasks, [with_variables(hosts[0], **DATA)], access)
        missing = [place for number, place in enumerate(FROM_THE_AUTHOR) if not Path(f"{sentinel}-{number}").exists()]
        assert missing == []

    def test_the_refusal_names_the_value_and_what_to_do(
        self, sentinel: Path, hosts: list[Host], access: SshAccess, folder: Path
    ) -> None:
        peers = [with_variables(host, peer=hosts[1].name) for host in hosts]
        run = run_playbook(folder, touching(sentinel, FROM_DATA[0], 0), peers, access)
        assert {result.outcome for result in run.results} == {TaskOutcome.CHANGED}, "a host of the stack is a place"
        tasks = touching(sentinel, FROM_DATA[0], 1).replace("ignore_errors: true", "ignore_errors: false")
        with pytest.raises(ConfigurationFailed, match=r"delegate_to .*'localhost'"):
            run_playbook(folder, tasks, [with_variables(hosts[0], **DATA)], access)

    @pytest.mark.parametrize("author_says_it", [False, True], ids=["data", "author"])
    def test_the_python_of_a_host_is_not_a_program_of_the_worker(
        self, sentinel: Path, hosts: list[Host], access: SshAccess, folder: Path, *, author_says_it: bool
    ) -> None:
        program = python_that_tells(sentinel, "python3")
        host = with_variables(hosts[0], ansible_python_interpreter=program)
        Host.model_validate(host.model_dump())
        tasks = "    - ansible.builtin.command: 'true'\n      connection: local\n"
        tasks += f"      vars: {{ansible_python_interpreter: {program}}}\n" if author_says_it else ""
        run = run_playbook(folder, tasks, [host], access)
        assert {result.outcome for result in run.results} == {TaskOutcome.CHANGED}
        assert sentinel.exists() is author_says_it


@contextmanager
def hosts_in_state(stage: Stage, **changes: JsonValue) -> Iterator[None]:
    """The state says something else about the first host, as whoever can write the state could make it say."""
    path = stage.sandbox.state_directory / ".pulumi/stacks" / STACK_FILES["tiny"]
    before = path.read_bytes()
    state = json.loads(before)
    outputs = next(
        resource["outputs"]
        for resource in state["checkpoint"]["latest"]["resources"]
        if resource["type"] == "pulumi:pulumi:Stack"
    )
    outputs["hosts"][0] |= changes
    path.write_text(json.dumps(state))
    try:
        yield
    finally:
        path.write_bytes(before)


class TestFlows:
    def test_edited_state_is_refused_by_drift_and_validate(self, stage: Stage, sentinel: Path) -> None:
        variables = attacks(sentinel)["connection"]
        with hosts_in_state(stage, variables=variables):
            drifted = stage.run(drift, ["tiny"])
            validated = stage.run(validate, "tiny")
        stage.require(drifted, "Incomplete", "web-1", "ansible_connection")
        stage.require(validated, "Incomplete", "web-1", *variables)
        unknown = {gap.layer: gap.reason for gap in drifted.result.environments[0].not_checked}
        assert unknown.keys() == {DriftLayer.CONFIGURATION, DriftLayer.RUNTIME}
        assert [reason for reason in unknown.values() if not all(name in reason for name in variables)] == []
        assert not sentinel.exists()

    def test_outputs_of_the_program_are_refused_before_the_hosts_are_configured(
        self, stage: Stage, sentinel: Path
    ) -> None:
        outputs = json.loads((stage.fleet.root / "pulumi/tiny/outputs.json").read_text())
        good = json.dumps(outputs)
        outputs["hosts"][0]["variables"] = attacks(sentinel)["connection"]
        try:
            stage.fleet.write("pulumi/tiny/outputs.json", json.dumps(outputs))
            refused = stage.run(provision, "tiny")
            stage.require(refused, "Rejected", "web-1", "ansible_connection")
            assert not sentinel.exists()
        finally:
            stage.fleet.write("pulumi/tiny/outputs.json", good)
            repaired = stage.run(provision, "tiny")
        assert repaired.name in {"Provisioned", "Unchanged"}, repaired.message
        outcomes = {item.name: item.outcome for item in repaired.result.preflight.prerequisites}
        assert outcomes["hosts"] is PrerequisiteOutcome.DOUBTFUL
