"""What check mode does not say, on the sandbox's hosts: each of it is a gap, and none hides what was seen."""

from pathlib import Path

import pytest

from holdtrue.adapters.ansible import AnsibleConfigurator
from holdtrue.core.drift import LATER_TASKS, configuration_drift
from holdtrue.errors import ConfigurationFailed, done_before
from holdtrue.models.configuration import ConfigurationRun
from holdtrue.models.credentials import SshAccess
from holdtrue.models.drift import LayerDrift
from holdtrue.models.host import Host
from sandbox import Sandbox

_PLAY = """\
- hosts: all
  gather_facts: false
  vars:
    ansible_remote_tmp: "{{ root }}/.ansible/tmp"
    ansible_async_dir: "{{ root }}/.ansible/async"
  tasks:
"""

_TOLERATED = """\
    - name: ask version
      command: echo 7
      register: version
      changed_when: false
    - name: write version
      copy: {content: "{{ version.stdout_lines[0] }}", dest: "{{ root }}/version.txt", mode: "0644"}
      ignore_errors: "{{ ansible_check_mode }}"
"""

_MANY_ITEMS = """\
    - name: many
      command: "true"
      changed_when: false
      loop: "{{ range(0, 60) | list }}"
      when: item > 55
"""

_BACKGROUND = """\
    - name: in the background
      command: "true"
      async: 60
      poll: 0
      changed_when: false
"""

_RESCUED = """\
    - block:
        - name: may fail
          command: /bin/false
      rescue:
        - name: write instead
          copy: {content: rescued, dest: "{{ root }}/rescued.txt", mode: "0644"}
        - block:
            - name: write more
              copy: {content: rescued, dest: "{{ root }}/more.txt", mode: "0644"}
"""

_RESCUED_BUT_JUDGED = _RESCUED.replace("command: /bin/false", 'copy: {content: x, dest: "{{ root }}/x.txt"}')

_BREAKS = """\
    - name: write first
      copy: {content: first, dest: "{{ root }}/first.txt", mode: "0644"}
    - name: ask
      command: echo 7
      register: answer
      changed_when: false
    - name: require
      assert: {that: answer.stdout == '7'}
    - name: write last
      copy: {content: last, dest: "{{ root }}/last.txt", mode: "0644"}
"""


@pytest.fixture
def host(hosts: list[Host]) -> Host:
    return hosts[0]


def configured(tmp_path: Path, host: Host, access: SshAccess, tasks: str) -> AnsibleConfigurator:
    """The configurator of a playbook that was applied."""
    playbook = tmp_path / "play.yml"
    playbook.write_text(_PLAY + tasks)
    configurator = AnsibleConfigurator(playbook=playbook, hosts=[host], access=access, timeout_seconds=120)
    configurator.apply()
    return configurator


def gaps(drift: LayerDrift) -> list[str]:
    return [gap.field for gap in drift.not_checked]


@pytest.mark.parametrize(
    ("tasks", "expected", "checked"),
    [
        (_TOLERATED, ["ask version", "write version"], 0),
        (_MANY_ITEMS, ["many"], 0),
        (_BACKGROUND, ["in the background"], 0),
        (_RESCUED, ["may fail", "write instead", "write more"], 0),
        (_RESCUED_BUT_JUDGED, [], 1),
    ],
    ids=["tolerated", "many-items", "background", "rescued", "rescued-but-judged"],
)
def test_what_check_mode_does_not_say_is_a_gap(
    tmp_path: Path, host: Host, access: SshAccess, tasks: str, expected: list[str], checked: int
) -> None:
    drift = configuration_drift(configured(tmp_path, host, access, tasks).check())
    assert gaps(drift) == expected
    assert drift.checked == checked
    assert drift.findings == ()


def test_a_task_that_fails_in_check_mode_hides_nothing_before_it(
    tmp_path: Path, clean_sandbox: Sandbox, host: Host, access: SshAccess
) -> None:
    configurator = configured(tmp_path, host, access, _BREAKS)
    (clean_sandbox.hosts[0].world / "first.txt").write_text("changed")
    with pytest.raises(ConfigurationFailed) as failure:
        configurator.check()
    seen = done_before(failure.value)
    assert isinstance(seen, ConfigurationRun)
    drift = configuration_drift(seen, failure=str(failure.value))
    assert [finding.field for finding in drift.findings] == ["write first"]
    assert gaps(drift) == ["ask", "require", LATER_TASKS]
