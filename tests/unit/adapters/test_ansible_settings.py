from pathlib import Path

import pytest

from holdtrue.adapters.ansible.settings import (
    UserSettings,
    ansible_environment,
    connection_variables,
    find_user_settings,
    forks,
    secret_environment,
)
from holdtrue.models.credentials import SshAccess

_ACCESS = SshAccess(config=Path("/run/ssh/config"), agent_socket=Path("/run/ssh/agent"))


def _environment(user: UserSettings, **locale: str) -> dict[str, str]:
    return ansible_environment(
        user,
        access=_ACCESS,
        folder=Path("/run/ansible"),
        home=Path("/home/me"),
        callbacks=Path("/callbacks"),
        locale=locale,
    )


def test_the_file_beside_the_playbook_counts_alone(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / ".ansible.cfg").write_text("[defaults]\nforks = 3\n")
    assert find_user_settings(tmp_path / "site.yml", home).options == {"forks"}
    (tmp_path / "ansible.cfg").write_text("[defaults]\nroles_path = x%y\n[ssh_connection]\npipelining = False\n")
    found = find_user_settings(tmp_path / "site.yml", home)
    assert found == UserSettings(tmp_path / "ansible.cfg", frozenset({"roles_path", "pipelining"}))


def test_a_broken_file_is_left_to_ansible(tmp_path: Path) -> None:
    (tmp_path / "ansible.cfg").write_text("not an ini file")
    assert find_user_settings(tmp_path / "site.yml", tmp_path) == UserSettings(tmp_path / "ansible.cfg", frozenset())


def test_what_the_user_set_stays_set() -> None:
    user = UserSettings(Path("/p/ansible.cfg"), frozenset({"pipelining", "roles_path", "forks"}))
    environment = _environment(user)
    assert environment["ANSIBLE_CONFIG"] == "/p/ansible.cfg"
    assert not {"ANSIBLE_PIPELINING", "ANSIBLE_ROLES_PATH"} & environment.keys()
    assert environment["ANSIBLE_COLLECTIONS_PATH"].startswith("/home/me/.ansible/collections:")
    assert forks(user, 4) is None


def test_without_a_file_our_defaults_hold() -> None:
    user = UserSettings(None, frozenset())
    environment = _environment(user)
    assert environment["ANSIBLE_PIPELINING"] == "True"
    assert "ANSIBLE_CONFIG" not in environment
    assert [forks(user, count) for count in (1, 4, 500)] == [1, 4, 20]


def test_everything_that_ansible_writes_goes_below_the_folder() -> None:
    environment = _environment(UserSettings(None, frozenset()))
    for name in ("ANSIBLE_HOME", "ANSIBLE_LOCAL_TEMP", "ANSIBLE_SSH_CONTROL_PATH_DIR"):
        assert environment[name].startswith("/run/ansible/")


@pytest.mark.parametrize(
    ("locale", "forced"),
    [
        ({}, True),
        ({"LANG": "C"}, True),
        ({"LANG": "de_DE.UTF-8"}, False),
        ({"LC_ALL": "C", "LANG": "de_DE.UTF-8"}, True),
        ({"LC_CTYPE": "en_US.utf8"}, False),
    ],
)
def test_ansible_gets_an_encoding_it_accepts(locale: dict[str, str], *, forced: bool) -> None:
    assert ("LC_ALL" in _environment(UserSettings(None, frozenset()), **locale)) is forced


def test_strict_host_keys_come_before_what_a_playbook_adds() -> None:
    variables = connection_variables(_ACCESS)
    assert str(variables["ansible_ssh_args"]).startswith("-F /run/ssh/config -o StrictHostKeyChecking=yes")
    assert variables["ansible_host_key_checking"] is True


def test_a_playbook_with_secrets_leaves_no_log_of_its_own() -> None:
    none = UserSettings(None, frozenset())
    assert secret_environment(none, ()) == {}
    environment = secret_environment(none, ("token", "word"))
    assert environment["ANSIBLE_LOG_PATH"] == "/dev/null"
    assert environment["ANSIBLE_NO_TARGET_SYSLOG"] == "True"
    assert environment["HOLDTRUE_SECRET_VARIABLES"] == "token,word"
    user = UserSettings(Path("/p/ansible.cfg"), frozenset({"no_target_syslog"}))
    assert "ANSIBLE_NO_TARGET_SYSLOG" not in secret_environment(user, ("token",))
