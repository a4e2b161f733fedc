"""What a manifest gives to a playbook, on the sandbox's hosts: variables, secrets, tags, structured host data."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path

import pytest
from pydantic import JsonValue, SecretStr

from holdtrue.adapters.ansible import AnsibleConfigurator, TaskSelection
from holdtrue.adapters.ansible import configurator as adapter
from holdtrue.adapters.ansible.censor import VARIABLES
from holdtrue.adapters.ansible.inventory import render_variables
from holdtrue.core.drift import configuration_drift, judge
from holdtrue.errors import ConfigurationFailed
from holdtrue.models.base import Progress
from holdtrue.models.configuration import ConfigurationRun
from holdtrue.models.credentials import SshAccess
from holdtrue.models.drift import DriftVerdict
from holdtrue.models.host import Host
from sandbox import Sandbox

_TODAY = date(2026, 1, 1)
_SECRET = "canary-{{ 7 * 7 }}-x7Qw/2nVb+9Lz"


def _configurator(
    playbook: Path,
    hosts: Sequence[Host],
    access: SshAccess,
    *,
    variables: Mapping[str, JsonValue] | None = None,
    secrets: Mapping[str, str] | None = None,
    selection: TaskSelection | None = None,
) -> AnsibleConfigurator:
    return AnsibleConfigurator(
        playbook=playbook,
        hosts=hosts,
        access=access,
        timeout_seconds=180,
        variables=variables,
        secrets={name: SecretStr(value) for name, value in (secrets or {}).items()},
        selection=selection or TaskSelection(),
    )


def _write(folder: Path, files: Mapping[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder / "play.yml"


def _with_variables(host: Host, **variables: JsonValue) -> Host:
    return host.model_copy(update={"variables": {**host.variables, **variables}})


_DUMP = """\
    - name: dump
      ansible.builtin.copy: {content: "{{ seen | to_json }}", dest: "{{ root }}/seen.json", mode: "0600"}
"""


def _seen(sandbox: Sandbox, index: int = 0) -> JsonValue:
    found: JsonValue = json.loads((sandbox.hosts[index].world / "seen.json").read_text())
    return found


_PLAY = "- hosts: all\n  gather_facts: false\n"


def test_extra_variables_win_and_everything_else_keeps_its_place(
    clean_sandbox: Sandbox, hosts: list[Host], access: SshAccess, tmp_path: Path
) -> None:
    names = ("role_default", "group", "host", "of_the_stack", "play")
    given = {f"{name}_given": f"manifest {name}" for name in names}
    playbook = _write(
        tmp_path,
        {
            "roles/mine/defaults/main.yml": "role_default_given: theirs\nrole_default_kept: default\n",
            "roles/mine/tasks/main.yml": "".join(line[4:] + "\n" for line in _DUMP.splitlines()),
            "group_vars/all.yml": "group_given: theirs\ngroup_kept: group\n",
            f"host_vars/{hosts[0].name}.yml": "host_given: theirs\nhost_kept: host\n",
            "play.yml": _PLAY
            + "  vars:\n    play_given: theirs\n    play_kept: play\n    seen:\n"
            + "".join(f"      {name}: ['{{{{ {name}_given }}}}', '{{{{ {name}_kept }}}}']\n" for name in names)
            + "  roles: [mine]\n",
        },
    )
    host = _with_variables(hosts[0], of_the_stack_given="theirs", of_the_stack_kept="stack")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.yml")}
    _configurator(playbook, [host], access, variables=given).apply()
    kept = {"role_default": "default", "group": "group", "host": "host", "of_the_stack": "stack", "play": "play"}
    assert _seen(clean_sandbox) == {name: [f"manifest {name}", kept[name]] for name in names}
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.yml")} == before


_STRUCTURED: JsonValue = {
    "text": "{{ 7 * 7 }}",
    "number": 1,
    "share": 0.5,
    "on": True,
    "nothing": None,
    "list": ["{% raw %}", ["{{ root }}"], {"a b": "täst", "{{ root }}": 2}],
    "empty": [{}, [], ""],
    "texts": ["0123", "12", "yes", "on", "null", "~", "1.5", "1e3", "12:30:45", "2026-01-01", "<<", "=", " a", "a: b"],
    "yes": 1,
    "0123": 2,
    "<<": {"a": 1},
}


@pytest.mark.parametrize("where", ["manifest", "host"])
def test_structured_values_reach_the_playbook_as_they_are(
    clean_sandbox: Sandbox, hosts: list[Host], access: SshAccess, tmp_path: Path, where: str
) -> None:
    playbook = _write(tmp_path, {"play.yml": f"{_PLAY}  tasks:\n{_DUMP}"})
    if where == "manifest":
        _configurator(playbook, hosts[:1], access, variables={"seen": _STRUCTURED}).apply()
    else:
        _configurator(playbook, [_with_variables(hosts[0], seen=_STRUCTURED)], access).apply()
    assert _seen(clean_sandbox) == _STRUCTURED


_TEXTS = ["0123456789", "12345678", "12:30:45", "2026-01-01", "1e1234567", "  edges  ", "- a\n- b: {{ c }}\n", "yes"]


def test_a_secret_stays_the_text_that_it_is(
    clean_sandbox: Sandbox, hosts: list[Host], access: SshAccess, tmp_path: Path
) -> None:
    secrets = {f"word_{number}": text for number, text in enumerate(_TEXTS)}
    seen = ", ".join(f"'{{{{ {name} }}}}'" for name in secrets)
    playbook = _write(tmp_path, {"play.yml": f"{_PLAY}  vars: {{seen: [{seen}]}}\n  tasks:\n{_DUMP}"})
    _configurator(playbook, hosts[:1], access, secrets=secrets).apply()
    assert _seen(clean_sandbox) == _TEXTS


def test_a_list_of_groups_is_taken(hosts: list[Host], access: SshAccess, tmp_path: Path) -> None:
    playbook = _write(tmp_path, {"play.yml": "- hosts: web:&eu\n  gather_facts: false\n  tasks: [{ping: }]\n"})
    run = _configurator(playbook, [_with_variables(hosts[0], groups=["web", "eu"])], access).apply()
    assert [summary.ok for summary in run.hosts] == [1]


_USES = """\
  tasks:
    - {name: value, debug: {msg: "{{ given }}"}}
    - {name: item, debug: {msg: "{{ item }}"}, loop: "{{ given.list }}"}
    - {name: pairs, debug: {msg: "{{ item.key }} {{ item.value }}"}, loop: "{{ given | dict2items }}"}
    - {name: again, set_fact: {again: "{{ given }}"}}
    - {name: name, set_fact: {"{{ given | list | first }}": 1}, ignore_errors: true}
    - {name: through a variable, debug: {msg: "{{ through.list[0] }}"}, vars: {through: "{{ again }}"}}
    - {name: through a lookup, debug: {msg: "{{ lookup('vars', 'given') }}"}}
    - name: write
      copy: {content: "{{ again | to_nice_yaml }}", dest: "{{ root }}/given", mode: "0600"}
"""


@pytest.mark.parametrize("where", ["manifest", "host", "play"])
def test_no_text_of_a_structured_value_is_a_template(
    hosts: list[Host], access: SshAccess, tmp_path: Path, where: str
) -> None:
    """Not of the manifest and not of the stack; of the playbook itself it is, which shows that the traps work."""
    traps = {name: tmp_path / f"sprung by {name}" for name in ("key", "value", "item")}
    lure = {name: f"{{{{ lookup('pipe', 'touch \"{path}\"') }}}}" for name, path in traps.items()}
    given: JsonValue = {lure["key"]: 1, "value": {"deep": [lure["value"]]}, "list": [lure["item"]]}
    if where == "play":
        playbook = _write(tmp_path, {"play.yml": f"{_PLAY}  vars:\n    given: {json.dumps(given)}\n{_USES}"})
        _configurator(playbook, hosts[:1], access).apply()
        assert {path.name for path in traps.values() if path.exists()} >= {"sprung by value", "sprung by item"}
        return
    playbook = _write(tmp_path, {"play.yml": f"{_PLAY}{_USES}"})
    if where == "manifest":
        _configurator(playbook, hosts[:1], access, variables={"given": given}).apply()
    else:
        _configurator(playbook, [_with_variables(hosts[0], given=given)], access).apply()
    assert [path for path in traps.values() if path.exists()] == []


def test_a_question_of_the_playbook_is_answered_by_the_manifest(
    clean_sandbox: Sandbox, hosts: list[Host], access: SshAccess, tmp_path: Path
) -> None:
    prompts = "  vars_prompt: [{name: colour}, {name: word}]\n  vars: {seen: ['{{ colour }}', '{{ word }}']}\n"
    playbook = _write(tmp_path, {"play.yml": f"{_PLAY}{prompts}  tasks:\n{_DUMP}"})
    variables, secrets = {"colour": "green"}, {"word": _SECRET}
    _configurator(playbook, hosts[:1], access, variables=variables, secrets=secrets).apply()
    assert _seen(clean_sandbox) == ["green", _SECRET]


_SUDO = """\
#!/bin/sh
# Asks for the password as sudo does, and writes down what it got.
while [ $# -gt 0 ]; do
  case "$1" in
    -p) printf '%s' "$2" >&2; shift 2 ;;
    -u) shift 2 ;;
    -*) shift ;;
    *) break ;;
  esac
done
IFS= read -r given
printf '%s' "$given" > "$(dirname "$0")/password"
exec "$@"
"""


def test_the_password_of_privilege_escalation_is_a_secret_like_others(
    clean_sandbox: Sandbox, hosts: list[Host], access: SshAccess, tmp_path: Path
) -> None:
    sudo = clean_sandbox.hosts[0].world / "sudo"
    sudo.write_text(_SUDO)
    sudo.chmod(0o755)
    header = '  vars: {ansible_become_exe: "{{ root }}/sudo"}\n'
    playbook = _write(tmp_path, {"play.yml": f"{_PLAY}{header}  tasks: [{{name: act, command: 'true'}}]\n"})
    _configurator(
        playbook,
        hosts[:1],
        access,
        variables={"ansible_become": True, "ansible_become_method": "sudo", "ansible_become_user": "nobody"},
        secrets={"ansible_become_password": _SECRET},
    ).apply()
    assert (clean_sandbox.hosts[0].world / "password").read_text() == _SECRET


_LONG = "canary+" + "".join(f"{number:03x}/" for number in range(300))

_TALKATIVE = """\
  tasks:
    - name: "task called {{ token }}"
      ansible.builtin.copy: {content: "a={{ token }}\\n", dest: "{{ root }}/token", mode: "0600"}
    - name: labels
      ansible.builtin.command: "true"
      loop: "{{ fill }}"
      vars: {fill: [{name: "{{ 'x' * 190 }}", word: "{{ token }}", long: "{{ long }}"}]}
    - name: returned
      ansible.builtin.command: {argv: [echo, "{{ token }}", "{{ long }}"]}
    - name: failing items
      ansible.builtin.fail: {msg: "{{ 'y' * 900 }}{{ long }}{{ item }}"}
      loop: ["{{ token }}"]
      ignore_errors: true
    - name: message
      ansible.builtin.fail: {msg: "{{ 'z' * 2990 }}{{ token }} {{ long }}"}
"""


def _fragments(secret: str, text: str) -> list[str]:
    """Pieces of eight characters of the secret that are in the text."""
    return [piece for at in range(len(secret) - 7) if (piece := secret[at : at + 8]) in text]


def test_nothing_that_is_told_holds_a_secret_or_a_part_of_it(
    hosts: list[Host], access: SshAccess, tmp_path: Path
) -> None:
    (tmp_path / "ansible.cfg").write_text(f"[defaults]\nlog_path = {tmp_path}/own.log\ndisplay_args_to_stdout = true\n")
    playbook = _write(tmp_path, {"play.yml": f"{_PLAY}{_TALKATIVE}"})
    told: list[Progress] = []
    secrets = {"token": _SECRET, "long": _LONG}
    with pytest.raises(ConfigurationFailed) as failure:
        _configurator(playbook, hosts[:1], access, secrets=secrets).apply(told.append)
    done = failure.value.done
    assert isinstance(done, ConfigurationRun)
    log = tmp_path / "own.log"
    everything = "\n".join(
        [*(line.message for line in told), str(failure.value), done.model_dump_json()]
        + ([log.read_text()] if log.exists() else [])
    )
    assert "task called [redacted]" in everything
    assert {result.task for result in done.results} >= {"labels", "returned", "message"}
    assert [*_fragments(_SECRET, everything), *_fragments(_LONG, everything)] == []
    assert any("own.log" in line.message or "log_path" in line.message for line in told), "what is overridden is said"


@pytest.mark.parametrize("secret_names", ["token,long", ""])
def test_the_record_of_the_callback_holds_no_secret(tmp_path: Path, secret_names: str) -> None:
    """Ansible alone with our callback, so that its files stay; without the names the values are found in them."""
    play = _TALKATIVE.replace("{{ root }}", str(tmp_path))
    playbook = _write(tmp_path, {"play.yml": f"- hosts: localhost\n  connection: local\n  gather_facts: false\n{play}"})
    values = tmp_path / "values.yml"
    values.write_text(render_variables({"token": _SECRET, "long": _LONG}))
    record = tmp_path / "record"
    record.mkdir()
    environment = {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "LC_ALL": "C.UTF-8",
        "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
        "ANSIBLE_STDOUT_CALLBACK": "awx_display",
        "ANSIBLE_CALLBACK_PLUGINS": str(Path(adapter.__file__).with_name("callback")),
        "ANSIBLE_DISPLAY_ARGS_TO_STDOUT": "True",
        "AWX_ISOLATED_DATA_DIR": str(record),
        "MAX_EVENT_RES": "100000000",
        VARIABLES: secret_names,
    }
    done = subprocess.run(
        ["ansible-playbook", "-i", "localhost,", "-e", f"@{values}", "--diff", str(playbook)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        cwd=tmp_path,
    )
    assert done.returncode == 2, done.stdout + done.stderr
    texts = [path.read_text() for path in record.rglob("*.json")]
    ended = {
        (event["event"], event["event_data"].get("task"))
        for event in map(json.loads, texts)
        if event["event"] in {"runner_on_ok", "runner_on_failed"}
    }
    assert {("runner_on_ok", "labels"), ("runner_on_ok", "returned"), ("runner_on_failed", "message")} <= ended
    written = "\n".join(texts)
    found = [*_fragments("canary-", written), *_fragments("x7Qw/2nVb+9Lz", written), *_fragments(_LONG, written)]
    assert bool(found) is (secret_names == "")


def test_what_ansible_says_about_a_secret_variable_does_not_show_where_it_came_from(
    clean_sandbox: Sandbox, hosts: list[Host], access: SshAccess, tmp_path: Path
) -> None:
    """Ansible warns of this name, and shows the lines of the file it is from: it would read the pipe a second time."""
    playbook = _write(tmp_path, {"play.yml": f"{_PLAY}  vars: {{seen: ['{{{{ port }}}}']}}\n  tasks:\n{_DUMP}"})
    _configurator(playbook, hosts[:1], access, secrets={"port": _SECRET}).apply()
    assert _seen(clean_sandbox) == [_SECRET]


def test_check_mode_and_the_second_run_get_the_same(
    clean_sandbox: Sandbox, hosts: list[Host], access: SshAccess, tmp_path: Path
) -> None:
    task = '    - copy: {content: "{{ token }} {{ colour }}", dest: "{{ root }}/kept", mode: "0600"}\n'
    playbook = _write(tmp_path, {"play.yml": f"{_PLAY}  tasks:\n{task}"})

    def run(secret: str) -> AnsibleConfigurator:
        variables: dict[str, JsonValue] = {"colour": "{{ 1 }}"}
        return _configurator(playbook, hosts, access, variables=variables, secrets={"token": secret})

    assert {result.host for result in run(_SECRET).check().changed} == {host.name for host in hosts}
    assert len(run(_SECRET).apply().changed) == len(hosts)
    assert (clean_sandbox.hosts[0].world / "kept").read_text() == f"{_SECRET} {{{{ 1 }}}}"
    assert run(_SECRET).apply().results == ()
    assert run(_SECRET).check().results == ()
    drifted = run("another-canary-value").check()
    [diff] = drifted.changed[0].diffs
    assert diff.after == "[redacted] {{ 1 }}"
    assert "another-canary" not in drifted.model_dump_json()


_TAGGED = """\
  tasks:
    - {name: one, command: "true", check_mode: false, changed_when: false, tags: [one]}
    - {name: two, command: "true", check_mode: false, changed_when: false, tags: [two, slow]}
    - {name: untagged, command: "true", check_mode: false, changed_when: false}
"""


@pytest.mark.parametrize(
    ("selection", "count"),
    [
        (TaskSelection(tags=("one",)), 1),
        (TaskSelection(tags=("one", "two"), skip_tags=("slow",)), 1),
        (TaskSelection(skip_tags=("one",)), 2),
    ],
)
def test_what_was_not_run_is_not_counted(
    hosts: list[Host], access: SshAccess, tmp_path: Path, selection: TaskSelection, count: int
) -> None:
    playbook = _write(tmp_path, {"play.yml": f"{_PLAY}{_TAGGED}"})
    run = _configurator(playbook, hosts, access, selection=selection).check()
    assert [summary.ok for summary in run.hosts] == [count] * len(hosts)
    layer = configuration_drift(run)
    assert layer.checked == count * len(hosts)
    assert all(tag in layer.selection for tag in (*selection.tags, *selection.skip_tags))
    assert judge("demo", [layer], (), today=_TODAY).verdict is DriftVerdict.IN_SYNC


@pytest.mark.parametrize("facts", ["true", "false"])
def test_tags_that_match_nothing_are_no_success(
    hosts: list[Host], access: SshAccess, tmp_path: Path, facts: str
) -> None:
    playbook = _write(tmp_path, {"play.yml": f"- hosts: all\n  gather_facts: {facts}\n{_TAGGED}"})
    configurator = _configurator(playbook, hosts, access, selection=TaskSelection(tags=("onee",)))
    for look in (configurator.check, configurator.apply):
        with pytest.raises(ConfigurationFailed) as failure:
            look()
        assert "onee" in failure.value.what
        assert "configuration.tags" in failure.value.next_step


@pytest.mark.parametrize("facts", ["true", "false"])
def test_a_host_without_a_selected_task_was_not_checked(
    hosts: list[Host], access: SshAccess, tmp_path: Path, facts: str
) -> None:
    task = '    - {name: it, command: "true", check_mode: false, changed_when: false, tags: [%s]}\n'
    plays = "".join(
        f"- hosts: {host.name}\n  gather_facts: {facts}\n  tasks:\n{task % tag}"
        for host, tag in zip(hosts, ("one", "two"), strict=True)
    )
    playbook = _write(tmp_path, {"play.yml": plays})
    configurator = _configurator(playbook, hosts, access, selection=TaskSelection(tags=("one",)))
    assert [item.target for item in configuration_drift(configurator.check()).not_checked] == [hosts[1].name]
    assert [item.host for item in configurator.apply().untouched] == [hosts[1].name]
