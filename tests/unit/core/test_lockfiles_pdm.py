"""pdm.lock."""

import pytest

from holdtrue.core.lockfiles import OWN_PROJECT, Needs, parse_pdm_lock, read_needs
from holdtrue.models.dependency import Dependency, Inventory, Origin

HEAD = '[metadata]\ngroups = ["default", "dev"]\nlock_version = "4.5.0"\n'


def read(packages: str, needs: Needs | None = None) -> Inventory:
    return parse_pdm_lock(HEAD + packages, "pdm.lock", needs)


def package(name: str, fields: str = "") -> str:
    return f'\n[[package]]\nname = "{name}"\nversion = "1.0"\n{fields}\n'


def test_a_package_and_the_same_one_with_an_extra_are_one() -> None:
    inventory = read(
        package("demo", 'groups = ["default"]\nmarker = "os_name == \'nt\'"')
        + package("demo", 'extras = ["fast"]\ndependencies = ["demo==1.0", "quick>=1; os_name == \'nt\'"]')
        + package("quick"),
        Needs(frozenset({"demo"})),
    )

    assert inventory.dependencies == (
        Dependency("demo", "1.0", place="line 5", is_direct=True),
        Dependency("quick", "1.0", place="line 17", chain=("demo",), is_direct=False),
    )
    assert inventory.gaps == ()


@pytest.mark.parametrize(
    ("fields", "origin"),
    [
        ("", Origin.INDEX),
        ('git = "https://host.example/demo"\nrevision = "01"', Origin.VCS),
        ('editable = true\nhg = "https://host.example/demo"', Origin.VCS),
        ('url = "https://host.example/demo.zip"', Origin.URL),
        ('path = "./wheels/demo.whl"', Origin.LOCAL),
        ('editable = true\npath = "./demo"', Origin.EDITABLE),
    ],
)
def test_origins(fields: str, origin: Origin) -> None:
    (item,) = read(package("demo", fields)).dependencies

    assert item.origin is origin
    assert item.reason == ""
    assert item.is_direct is None


def test_the_project_itself_is_listed_with_that_reason() -> None:
    (item,) = read(package("app", 'editable = true\npath = "."')).dependencies

    assert item.reason == OWN_PROJECT


@pytest.mark.parametrize("head", ["", '[metadata]\nlock_version = "3.1"\n', "[metadata]\nlock_version = true\n"])
def test_another_format_is_told_and_the_packages_stay(head: str) -> None:
    inventory = parse_pdm_lock(head + package("demo"), "pdm.lock")

    assert [item.name for item in inventory.dependencies] == ["demo"]
    assert len(inventory.gaps) == 1


def test_a_file_that_is_cut_between_two_packages_says_so() -> None:
    needs = Needs(frozenset({"first", "last"}), {"default": frozenset({"first"}), "dev": frozenset({"last"})})
    whole = package("first", 'dependencies = ["middle>=1"]') + package("last") + package("middle")

    for packages in range(4):
        inventory = read("\n[[package]]".join(whole.split("\n[[package]]")[: packages + 1]), needs)

        assert bool(inventory.gaps) is (packages < 3)
    assert {gap.name for gap in read(package("first", 'dependencies = ["middle>=1"]'), needs).gaps} == {
        "last",
        "middle",
    }


def test_what_need_not_be_in_the_file_is_no_gap() -> None:
    needs = Needs(
        frozenset({"demo", "unlocked", "conditional", "left-out"}),
        {"default": frozenset({"demo"}), "other": frozenset({"unlocked"}), "dev": frozenset({"left-out"})},
        frozenset({"left-out"}),
    )
    text = package("demo", 'dependencies = ["left_out", "windows-only; os_name == \'nt\'"]')

    assert read(text, needs).gaps == ()
    assert read(package("demo"), Needs(frozenset())).dependencies[0].is_direct is None


def test_no_packages_are_a_gap() -> None:
    assert read("").gaps


def test_a_tool_that_needs_the_project_itself_is_no_gap() -> None:
    """pdm leaves the project itself out of its lock, whoever needs it."""
    needs = read_needs('[project]\nname = "Demo.Site"\ndependencies = ["tool"]\n')

    inventory = read(package("tool", 'dependencies = ["demo-site>=24"]'), needs)

    assert inventory.gaps == ()
