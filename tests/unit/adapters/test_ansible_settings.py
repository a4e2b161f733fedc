from pathlib import Path

import pytest

from holdtrue.adapters.ansible.overrides import OVERRIDDEN, overridden
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
    set_by_us = {"ANSIBLE_PIPELINING", "ANSIBLE_ROLES_PATH", "ANSIBLE_COLLECTIONS_PATH", "ANSIBLE_CACHE_PLUGIN"}
    assert not set_by_us & environment.keys()
    assert forks(user, 4) is None


def test_without_a_file_our_defaults_hold() -> None:
    user = UserSettings(None, frozenset())
    environment = _environment(user)
    assert environment["ANSIBLE_PIPELINING"] == "True"
    assert not {"ANSIBLE_CONFIG", "ANSIBLE_HOME", "ANSIBLE_TRANSPORT"} & environment.keys()
    assert environment["ANSIBLE_CALLBACK_PLUGINS"].split(":")[0] == "/home/me/.ansible/plugins/callback"
    assert [forks(user, count) for count in (1, 4, 500)] == [1, 4, 20]


def test_everything_that_ansible_writes_goes_below_the_folder() -> None:
    environment = _environment(UserSettings(None, frozenset()))
    for name in ("ANSIBLE_LOCAL_TEMP", "ANSIBLE_SSH_CONTROL_PATH_DIR", "ANSIBLE_PERSISTENT_CONTROL_PATH_DIR"):
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


def test_callback_plugins_of_the_user_are_found_beside_their_file(tmp_path: Path) -> None:
    text = "[defaults]\ncallback_plugins = plugins/mine: ~/shared :/opt/x\n"
    (tmp_path / "ansible.cfg").write_text(text)
    environment = _environment(find_user_settings(tmp_path / "site.yml", tmp_path))
    assert environment["ANSIBLE_CALLBACK_PLUGINS"].split(":") == [
        f"{tmp_path}/plugins/mine",
        "/home/me/shared",
        "/opt/x",
    ]


@pytest.mark.parametrize("option", ["ask_pass", "ask_vault_pass", "become_ask_pass", "transport", "enable_plugins"])
def test_what_cannot_be_followed_is_taken_back_only_where_it_is_set(option: str) -> None:
    without = _environment(UserSettings(Path("/p/ansible.cfg"), frozenset()))
    taken_back = _environment(UserSettings(Path("/p/ansible.cfg"), frozenset({option}))).keys() - without.keys()
    assert len(taken_back) == 1
    assert option in OVERRIDDEN


def test_what_is_not_followed_is_named_with_the_reason() -> None:
    user = UserSettings(Path("/p/ansible.cfg"), frozenset({"remote_port", "remote_user", "fact_caching", "local_tmp"}))
    notice = overridden(user)
    assert "/p/ansible.cfg" in notice
    assert all(option in notice for option in ("remote_port", "remote_user", "local_tmp"))
    assert "fact_caching" not in notice
    assert overridden(UserSettings(Path("/p/ansible.cfg"), frozenset({"forks"}))) == ""
