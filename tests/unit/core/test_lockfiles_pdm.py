"""pdm.lock."""

import pytest

from holdtrue.core.lockfiles import OWN_PROJECT, parse_pdm_lock
from holdtrue.models.dependency import Dependency, Inventory, Origin

HEAD = '[metadata]\ngroups = ["default", "dev"]\nlock_version = "4.5.0"\n'


def read(packages: str, direct: frozenset[str] | None = None) -> Inventory:
    return parse_pdm_lock(HEAD + packages, "pdm.lock", direct)


def package(name: str, fields: str = "") -> str:
    return f'\n[[package]]\nname = "{name}"\nversion = "1.0"\n{fields}\n'


def test_a_package_and_the_same_one_with_an_extra_are_one() -> None:
    inventory = read(
        package("demo", 'groups = ["default"]\nmarker = "os_name == \'nt\'"')
        + package("demo", 'extras = ["fast"]\ndependencies = ["demo==1.0", "quick>=1; os_name == \'nt\'"]')
        + package("quick"),
        frozenset({"demo"}),
    )

    assert inventory.dependencies == (
        Dependency("demo", "1.0", place="package 1", is_direct=True),
        Dependency("quick", "1.0", place="package 3", chain=("demo",), is_direct=False),
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


def test_no_packages_are_a_gap() -> None:
    assert read("").gaps
