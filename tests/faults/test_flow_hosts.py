"""Hosts that are gone, playbooks that are wrong, checks that fail or do not exist."""

from pathlib import Path

import pytest

from flows.drift import drift
from flows.provision import provision
from flows.validate import validate
from holdtrue.cli import ExitCode, main
from tests.integration.flow_stage import IDLE_PLAYBOOK, TINY_PLAYBOOK, Stage, on_signal

PLAYBOOK = "ansible/tiny.yml"
CHECKS = "checks/tiny/test_tiny.py"


@pytest.mark.usefixtures("untouched")
class TestBeforeAnythingRuns:
    def test_unreachable_host(self, stage: Stage) -> None:
        host = stage.sandbox.hosts[1]
        host.stop()
        try:
            provisioned = stage.run(provision, "tiny")
            validated = stage.run(validate, "tiny")
        finally:
            host.start()
        stage.require(provisioned, "PreflightFailed", "host web-2", "refused", "environment tiny")
        assert "host web-1" not in provisioned.message
        stage.require(validated, "Incomplete", "web-2")
        assert "web-1 | passed" in "".join(stage.texts(validated).values()), "the other host was checked"

    def test_playbook_with_a_syntax_error_is_named_by_file_and_line(self, stage: Stage) -> None:
        path = stage.fleet.write(PLAYBOOK, TINY_PLAYBOOK.replace("mode:", "  mode:"))
        run = stage.run(provision, "tiny")
        stage.require(run, "PreflightFailed", f"{path}:", "environment tiny")
        assert run.result.applied is None

    def test_role_of_the_requirements_that_is_not_installed(self, stage: Stage) -> None:
        stage.fleet.write("ansible/requirements.yml", "roles: [nobody.nothing]\n")
        stage.require(stage.run(provision, "tiny"), "PreflightFailed", "nobody.nothing", "ansible-galaxy role install")


def task(name: str, module: str, arguments: str) -> str:
    return f"{TINY_PLAYBOOK}    - name: {name}\n      {module}: {arguments}\n"


@pytest.mark.usefixtures("untouched_but_state")
class TestAfterTheApply:
    def test_host_lost_under_the_playbook(self, stage: Stage, tmp_path: Path) -> None:
        host = stage.sandbox.hosts[1]
        with on_signal(tmp_path, host.stop) as command:
            stage.fleet.write(
                PLAYBOOK,
                task("Lose a host", "ansible.builtin.shell", f'"{command}"')
                + "      when: inventory_hostname == 'web-1'\n"
                + "    - name: Write after that\n      ansible.builtin.command: 'true'\n",
            )
            try:
                run = stage.run(provision, "tiny")
            finally:
                host.start()
        stage.require(run, "Unavailable", "web-2", "unreachable", "sshd")
        assert "web-1" not in run.message

    def test_lost_handler_is_named_until_it_is_acknowledged(self, stage: Stage) -> None:
        handler = "  handlers:\n    - name: Restart it\n      ansible.builtin.command: 'true'\n  tasks:"
        notifying = TINY_PLAYBOOK.replace("  tasks:", handler).replace("content: tiny", "content: tiny2")
        notifying += "      notify: Restart it\n"
        stage.fleet.write(CHECKS, "def test_one(host):\n    assert host.file('/').exists\n")
        failing = "    - name: Fail\n      ansible.builtin.fail: {msg: no}\n      when: inventory_hostname == 'web-2'\n"
        try:
            stage.fleet.write(PLAYBOOK, notifying + failing)
            stage.require(stage.run(provision, "tiny"), "ConfigurationFailed", "web-2: Restart it")
            stage.fleet.write(PLAYBOOK, notifying)
            again = stage.run(provision, "tiny")
            stage.require(again, "HandlersLost", "web-2: Restart it", PLAYBOOK, "holdtrue acknowledge tiny web-2")
            assert "web-1" not in again.message
            stage.require(stage.run(drift, ["tiny"]), "Drifted", "web-2")
        finally:
            assert main(["acknowledge", "tiny", "web-2", "Restart it"]) == ExitCode.GOOD
        assert stage.run(provision, "tiny").name in {"Provisioned", "Unchanged"}

    def test_failed_task_is_named_with_its_host(self, stage: Stage) -> None:
        line = '"test $(basename $(dirname {{ root }})) != web-2"'
        stage.fleet.write(PLAYBOOK, task("Demand the impossible", "ansible.builtin.shell", line))
        run = stage.run(provision, "tiny")
        stage.require(run, "ConfigurationFailed", "web-2", "Demand the impossible", PLAYBOOK)
        assert "web-1" not in run.message

    def test_task_that_always_changes_is_named_with_its_hosts(self, stage: Stage) -> None:
        stage.fleet.write(PLAYBOOK, task("Stamp the date", "ansible.builtin.command", "date"))
        run = stage.run(provision, "tiny")
        stage.require(run, "NotIdempotent", "web-1: Stamp the date", "web-2: Stamp the date", PLAYBOOK)

    def test_failed_check_stops_before_traffic(self, stage: Stage) -> None:
        stage.fleet.write(PLAYBOOK, IDLE_PLAYBOOK)
        stage.fleet.write(CHECKS, "def test_port(host):\n    assert host.socket('tcp://1').is_listening\n")
        run = stage.run(provision, "tiny")
        stage.require(run, "ValidationFailed", "test_port", "web-1", "web-2", "environment tiny")

    def test_no_check_at_all_is_inconclusive(self, stage: Stage) -> None:
        stage.fleet.write(PLAYBOOK, IDLE_PLAYBOOK)
        stage.fleet.write(CHECKS, "")
        run = stage.run(provision, "tiny")
        stage.require(run, "Inconclusive", "web-1", "web-2", "environment tiny")


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize(
    ("text", "state_name", "named"),
    [
        ("", "Incomplete", "web-1"),
        ("import pytest\n\n\ndef test_one(host):\n    pytest.skip('later')\n", "Incomplete", "web-1"),
        ("import no_such_module\n", "Incomplete", "web-1"),
        ("def test_one(host):\n    assert host.file('/none').exists\n", "ChecksFailed", "test_one"),
    ],
    ids=["none", "all-skipped", "not-importable", "failing"],
)
def test_validate_never_passes_without_a_passed_check(stage: Stage, text: str, state_name: str, named: str) -> None:
    stage.fleet.write(CHECKS, text)
    stage.require(stage.run(validate, "tiny"), state_name, "tiny", named)


@pytest.mark.usefixtures("untouched")
def test_broken_playbook_leaves_the_other_layers_of_drift_reported(stage: Stage) -> None:
    stage.fleet.write(PLAYBOOK, TINY_PLAYBOOK.replace("mode:", "  mode:"))
    run = stage.run(drift, ["tiny"])
    stage.require(run, "Incomplete", "configuration", PLAYBOOK)
    layers = {item.layer.value for item in run.result.environments[0].not_checked}
    assert layers == {"configuration"}
    assert run.result.environments[0].checked >= 5


SKIPPED = (
    TINY_PLAYBOOK
    + """\
    - name: Migrate the database
      ansible.builtin.command: 'true'
      changed_when: false
"""
)


@pytest.mark.usefixtures("untouched")
def test_task_that_check_mode_skips_is_accepted_by_a_rule_that_names_it(stage: Stage) -> None:
    stage.fleet.write(PLAYBOOK, SKIPPED)
    stage.require(stage.run(drift, ["tiny"]), "Incomplete", "Migrate the database")

    rule = {
        "layer": "configuration",
        "target": "web-*",
        "field": "Migrate the database",
        "reason": "cannot run in check mode",
        "owner": "ops",
    }
    stage.fleet.edit_manifest("tiny", drift={"ignore": [rule | {"expires": "2999-01-31"}]})
    run = stage.run(drift, ["tiny"])
    stage.require(run, "InSync", "2 gaps accepted")
    accepted = run.result.environments[0].accepted
    assert sorted((item.gap.target, item.gap.field) for item in accepted) == [
        ("web-1", "Migrate the database"),
        ("web-2", "Migrate the database"),
    ]

    stage.fleet.edit_manifest("tiny", drift={"ignore": [rule | {"expires": "2001-01-31"}]})
    stage.require(stage.run(drift, ["tiny"]), "Incomplete", "Migrate the database", "1 rule in drift.ignore expired")


@pytest.mark.usefixtures("untouched")
def test_host_that_its_play_ends_is_a_gap_and_not_a_host_in_no_play(stage: Stage) -> None:
    ended = "    - ansible.builtin.meta: end_host\n      when: inventory_hostname == 'web-2'\n    - name: Write"
    stage.fleet.write(PLAYBOOK, TINY_PLAYBOOK.replace("    - name: Write", ended))
    run = stage.run(drift, ["tiny"])
    stage.require(run, "Incomplete", "web-2", "meta: end_host")
    assert [item.field for item in run.result.environments[0].not_checked] == ["no task"]
