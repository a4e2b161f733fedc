import json
from pathlib import Path

import pytest

from holdtrue.adapters.ansible.galaxy import SearchPaths, ask_requirements, find_requirement_files, search_paths
from holdtrue.errors import RejectedError, ResourceMissing


def write(path: Path, text: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_files_are_found_where_people_put_them_up_to_the_fleet(tmp_path: Path) -> None:
    fleet = tmp_path / "fleet"
    places = ["ansible/web/requirements.yml", "ansible/web/roles/requirements.yaml", "ansible/requirements.yml"]
    places += ["ansible/collections/requirements.yml", "requirements.yml"]
    for place in (*places, "../requirements.yml", "other/requirements.yml"):
        write(fleet / place)
    found = find_requirement_files(fleet / "ansible/web/site.yml", fleet)
    assert [str(path.relative_to(fleet)) for path in found] == places


def test_a_playbook_outside_of_the_fleet_has_its_own_folder_only(tmp_path: Path) -> None:
    write(tmp_path / "requirements.yml")
    own = write(tmp_path / "a/requirements.yml")
    assert find_requirement_files(tmp_path / "a/site.yml", tmp_path / "fleet") == (own,)


def paths_of(tmp_path: Path) -> SearchPaths:
    entries = {
        "DEFAULT_ROLES_PATH": [str(tmp_path / "home/roles")],
        "COLLECTIONS_PATHS": [str(tmp_path / "home/collections"), str(tmp_path / "odd/ansible_collections")],
        "COLLECTIONS_SCAN_SYS_PATH": False,
    }
    dump = json.dumps([{"name": name, "value": value} for name, value in entries.items()] + [{"GALAXY_SERVERS": {}}])
    return search_paths(dump, tmp_path / "play/site.yml")


def test_what_is_installed_anywhere_on_the_way_is_there(tmp_path: Path) -> None:
    write(tmp_path / "play/roles/local/tasks/main.yml")
    write(tmp_path / "home/roles/own.web/meta/.galaxy_install_info", "version: 1.2.0\n")
    place = tmp_path / "home/collections/ansible_collections/a/b/MANIFEST.json"
    write(place, json.dumps({"collection_info": {"version": "1.5.0"}}))
    write(tmp_path / "odd/ansible_collections/c/d/galaxy.yml", "version: 0.1.0\n")
    write(tmp_path / "play/collections/ansible_collections/e/f/MANIFEST.json", "{")
    file = write(
        tmp_path / "requirements.yml",
        "roles: [local, {name: own.web, version: 1.2.0}]\n"
        "collections: ['a.b:>=1.0.0', c.d, {name: e.f, version: 1.0.0}, {name: https://example.org/x.git}]\n",
    )
    detail = ask_requirements([file], paths_of(tmp_path))
    assert detail.startswith("5 ")
    assert "1 could not be checked" in detail


def test_each_missing_one_is_named_with_the_command(tmp_path: Path) -> None:
    (tmp_path / "home/roles/empty.role").mkdir(parents=True)
    roles = write(tmp_path / "roles/requirements.yml", "- own.web\n- empty.role\n")
    both = write(tmp_path / "requirements.yml", "roles: [own.web]\ncollections: [{name: a.b, version: '>=1'}]\n")
    with pytest.raises(ResourceMissing) as missing:
        ask_requirements([roles, both], paths_of(tmp_path))
    for name in ("role own.web", "role empty.role", "collection a.b >=1"):
        assert name in missing.value.what
    assert f"ansible-galaxy role install -r {roles} && ansible-galaxy install -r {both}" in missing.value.next_step


def test_another_version_is_named_and_replaced_by_force(tmp_path: Path) -> None:
    place = tmp_path / "home/collections/ansible_collections/a/b/MANIFEST.json"
    write(place, json.dumps({"collection_info": {"version": "1.5.0"}}))
    file = write(tmp_path / "requirements.yml", "collections: ['a.b:>=2.0.0']\n")
    with pytest.raises(ResourceMissing) as missing:
        ask_requirements([file], paths_of(tmp_path))
    assert "1.5.0 is installed" in missing.value.what
    assert missing.value.next_step.endswith(f"ansible-galaxy collection install -r {file} --force")


def test_a_file_that_is_not_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RejectedError):
        ask_requirements([write(tmp_path / "requirements.yml", "- [")], paths_of(tmp_path))
