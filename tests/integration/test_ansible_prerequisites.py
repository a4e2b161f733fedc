"""What the real ansible-playbook says of a playbook before anything is changed. No host is needed for it."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from holdtrue.adapters.ansible import PlaybookQuestions
from holdtrue.models.host import Host
from holdtrue.models.preflight import Prerequisite, PrerequisiteOutcome

FLEET = Path(__file__).parents[2] / "fleet"
HOSTS = tuple(
    Host(name=name, address="192.0.2.1", port=22, user="deploy", variables={"groups": group})
    for name, group in (("web-1", "web"), ("db-1", "db"))
)
OK, DOUBTFUL, BROKEN = PrerequisiteOutcome.OK, PrerequisiteOutcome.DOUBTFUL, PrerequisiteOutcome.BROKEN


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Nothing that this machine's user has installed counts."""
    folder = tmp_path / "home"
    monkeypatch.setenv("HOME", str(folder))
    return folder


def ask(playbook: Path, hosts: Sequence[Host] = (), root: Path | None = None) -> dict[str, Prerequisite]:
    questions = PlaybookQuestions(playbook=playbook, root=root or playbook.parent, timeout_seconds=60)
    return {item.name: item for item in questions.ask(hosts)}


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.mark.parametrize("hosts", [(), HOSTS])
def test_the_example_is_good(hosts: Sequence[Host], home: Path) -> None:
    assert {name: item.outcome for name, item in ask(FLEET / "ansible/site.yml", hosts, FLEET).items()} == {
        "playbook": OK
    }
    assert not home.exists()


@pytest.mark.parametrize("hosts", [(), HOSTS])
@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("- hosts: all\n  tasks:\n    - name: x\n      ansible.builtin.command: a\n       b: c\n", 5, "YAML"),
        ("- hosts: all\n  tasks: [{no_such_module: {}}]\n", 2, "no_such_module"),
        ("- hosts: all\n  roles: [no_such_role]\n", 2, "no_such_role"),
        ("- hosts: all\n  tasks: [{ansible.builtin.import_tasks: absent.yml}]\n", None, "absent.yml"),
        ("- hosts: all\n- ansible.builtin.import_playbook: absent.yml\n", None, "absent.yml"),
        ("- hosts: all\n  nonsense: true\n", 2, "nonsense"),
    ],
)
def test_what_cannot_run_is_found_with_its_place(
    tmp_path: Path, text: str, line: int | None, words: str, hosts: Sequence[Host]
) -> None:
    playbook = write(tmp_path / "play.yml", text)
    found = ask(playbook, hosts)["playbook"]
    assert found.outcome is BROKEN
    assert words in found.detail
    assert f"{playbook}:{line}" in found.detail or line is None
    assert found.next_step


def test_a_playbook_that_is_not_there_is_broken(tmp_path: Path) -> None:
    assert ask(tmp_path / "absent.yml")["playbook"].outcome is BROKEN


@pytest.mark.parametrize(
    ("pattern", "outcome", "names"),
    [
        ("all", OK, []),
        ("web:db", OK, []),
        ("web", DOUBTFUL, ["db-1"]),
        ("wbe", DOUBTFUL, ["web-1", "db-1"]),
    ],
)
def test_hosts_that_no_play_matches_are_told_and_stop_nothing(
    tmp_path: Path, pattern: str, outcome: PrerequisiteOutcome, names: list[str]
) -> None:
    playbook = write(tmp_path / "play.yml", f"- hosts: {pattern}\n  tasks: [{{ansible.builtin.ping: }}]\n")
    found = ask(playbook, HOSTS)["playbook"]
    assert found.outcome is outcome
    assert all(name in found.detail for name in names)
    assert ask(playbook)["playbook"].outcome is OK


def test_groups_that_a_play_makes_are_not_judged(tmp_path: Path) -> None:
    text = "- hosts: localhost\n  tasks: [{ansible.builtin.add_host: {name: db-1, groups: made}}]\n- hosts: made\n"
    assert ask(write(tmp_path / "play.yml", text), HOSTS)["playbook"].outcome is OK


def test_a_keyword_with_a_variable_of_the_run_is_not_judged(tmp_path: Path) -> None:
    found = ask(write(tmp_path / "play.yml", '- hosts: "{{ target }}"\n  tasks: []\n'), HOSTS)["playbook"]
    assert found.outcome is DOUBTFUL
    assert "target" in found.detail


def test_the_users_settings_hold_and_what_does_not_is_told(tmp_path: Path) -> None:
    write(tmp_path / "ansible.cfg", "[defaults]\nroles_path = mine\nremote_user = somebody\n")
    write(tmp_path / "mine/web/tasks/main.yml", "- ansible.builtin.ping:\n")
    found = ask(write(tmp_path / "play.yml", "- hosts: all\n  roles: [web]\n"))["playbook"]
    assert found.outcome is OK
    assert "remote_user" in found.detail
    assert "roles_path" not in found.detail


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        ("- hosts: all\n  tasks: []\n", OK),
        ("- hosts: nobody\n  tasks: []\n", DOUBTFUL),
        ('- hosts: "{{ target }}"\n  tasks: []\n', DOUBTFUL),
        ("- hosts: all\n  nonsense: true\n", BROKEN),
        (None, BROKEN),
    ],
    ids=["valid", "no play matches", "known at run time", "wrong", "absent"],
)
def test_settings_that_are_not_used_are_reported_whatever_the_outcome(
    tmp_path: Path, text: str | None, outcome: PrerequisiteOutcome
) -> None:
    configuration = write(tmp_path / "ansible.cfg", "[defaults]\nremote_user = somebody\n")
    playbook = write(tmp_path / "play.yml", text) if text is not None else tmp_path / "play.yml"
    found = ask(playbook, HOSTS)["playbook"]
    assert found.outcome is outcome
    assert "remote_user" in found.detail
    assert str(configuration) in found.detail
    configuration.unlink()
    assert "remote_user" not in ask(playbook, HOSTS)["playbook"].detail


def test_missing_roles_and_collections_are_named(tmp_path: Path, home: Path) -> None:
    playbook = write(tmp_path / "ansible/play.yml", "- hosts: all\n  tasks: [{ansible.builtin.ping: }]\n")
    write(tmp_path / "requirements.yml", "roles: [own.web]\ncollections: [own.things]\n")
    found = ask(playbook, root=tmp_path)
    assert found["playbook"].outcome is OK
    assert found["roles and collections"].outcome is BROKEN
    assert "own.web" in found["roles and collections"].detail
    assert "own.things" in found["roles and collections"].detail
    assert "ansible-galaxy install -r" in found["roles and collections"].next_step

    write(home / ".ansible/roles/own.web/tasks/main.yml", "[]\n")
    write(home / ".ansible/collections/ansible_collections/own/things/MANIFEST.json", "{}")
    assert ask(playbook, root=tmp_path)["roles and collections"].outcome is OK


def test_a_playbook_that_takes_too_long_to_read_is_broken(tmp_path: Path) -> None:
    playbook = write(tmp_path / "play.yml", "- hosts: all\n")
    questions = PlaybookQuestions(playbook=playbook, root=tmp_path, timeout_seconds=0.05)
    assert [item.outcome for item in questions.ask(())] == [BROKEN]
