"""Links that lead out of a folder are found, wherever they are; those that stay inside are not."""

from pathlib import Path

import pytest

from holdtrue.runtime.boundary import LinkOut, link_out_of, links_below, target_outside


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "fleet" / "roles" / "web").mkdir(parents=True)
    (tmp_path / "fleet" / "roles" / "web" / "main.yml").touch()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "main.yml").touch()
    return tmp_path / "fleet"


def test_a_link_that_leads_out_is_named_with_where_it_leads(root: Path) -> None:
    (root / "file.yml").symlink_to("../elsewhere/main.yml")
    target = root.parent / "elsewhere" / "main.yml"
    assert link_out_of(root, root / "file.yml") == LinkOut(root / "file.yml", target)
    assert list(links_below(root, root)) == [LinkOut(root / "file.yml", target)]


def test_a_folder_above_that_leads_out_is_named_in_place_of_the_file(root: Path) -> None:
    (root / "linked").symlink_to(root.parent / "elsewhere")
    found = link_out_of(root, root / "linked" / "main.yml")
    assert found == LinkOut(root / "linked", root.parent / "elsewhere")


def test_a_link_to_nothing_leads_out_all_the_same(root: Path) -> None:
    (root / "later.yml").symlink_to("../elsewhere/later.yml")
    assert link_out_of(root, root / "later.yml") is not None


def test_a_link_of_a_link_is_followed_to_its_end(root: Path) -> None:
    (root / "first").symlink_to("second")
    (root / "second").symlink_to("../elsewhere")
    found = link_out_of(root, root / "first" / "main.yml")
    assert found == LinkOut(root / "first", root.parent / "elsewhere")


def test_links_behind_a_link_that_stays_inside_are_found(root: Path) -> None:
    (root / "used").mkdir()
    (root / "used" / "roles").symlink_to("../roles")
    (root / "roles" / "web" / "out.yml").symlink_to("/etc/hostname")
    assert [found.link for found in links_below(root, root / "used")] == [root / "used/roles/web/out.yml"]


def test_links_that_stay_inside_are_fine(root: Path) -> None:
    (root / "again").symlink_to("roles")
    (root / "absolute.yml").symlink_to(root / "roles" / "web" / "main.yml")
    (root / "roles" / "up").symlink_to("..")
    (root / "loop").symlink_to("loop")
    assert link_out_of(root, root / "again" / "web" / "main.yml") is None
    assert list(links_below(root, root)) == []


def test_a_root_that_is_a_link_itself_is_fine(root: Path) -> None:
    alias = root.parent / "alias"
    alias.symlink_to(root)
    (root / "inside.yml").symlink_to(root / "roles" / "web" / "main.yml")
    assert link_out_of(alias, alias / "inside.yml") is None
    assert list(links_below(alias, alias)) == []
    (root / "out.yml").symlink_to("/etc/hostname")
    assert [found.link for found in links_below(alias, alias)] == [alias / "out.yml"]


def test_a_folder_whose_name_only_begins_alike_is_outside(root: Path) -> None:
    (root.parent / "fleet-2").mkdir()
    (root / "out").symlink_to("../fleet-2")
    assert link_out_of(root, root / "out") is not None


def test_the_interpreter_of_a_virtual_environment_may_be_a_link(root: Path) -> None:
    environment = root / "program" / ".venv"
    (environment / "bin").mkdir(parents=True)
    (environment / "bin" / "python").symlink_to("/usr/bin/python3")
    assert list(links_below(root, root / "program")) != []
    (environment / "pyvenv.cfg").touch()
    assert list(links_below(root, root / "program")) == []
    (environment / "lib").symlink_to("/usr/lib")
    assert [found.link for found in links_below(root, root / "program")] == [environment / "lib"]


def test_a_path_leads_out_by_two_dots_too(root: Path) -> None:
    assert target_outside(root, root / "roles" / ".." / ".." / "elsewhere") == root.parent / "elsewhere"
    assert target_outside(root, root / "roles" / ".." / "roles") is None
