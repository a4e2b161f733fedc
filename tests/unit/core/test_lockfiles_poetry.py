"""poetry.lock."""

import pytest

from holdtrue.core.lockfiles import Needs, parse_poetry_lock
from holdtrue.models.dependency import Dependency, Inventory, Origin

METADATA = '\n[metadata]\nlock-version = "2.1"\n'

FIRST_FORMAT = """
[[package]]
name = "Demo_A"
version = "1.0"
category = "main"
optional = false

[package.dependencies]
Demo-B = {version = ">=1", optional = true, markers = "extra == 'b'"}
absent = ">=2"

[[package]]
name = "demo-b"
version = "2.0"
category = "dev"

[metadata]
lock-version = "1.1"

[metadata.files]
demo-a = []
"""


def read(packages: str, needs: Needs | None = None) -> Inventory:
    return parse_poetry_lock(packages + METADATA, "poetry.lock", needs)


def test_the_first_format() -> None:
    inventory = parse_poetry_lock(FIRST_FORMAT, "poetry.lock")

    assert inventory.dependencies == (
        Dependency("demo-a", "1.0", place="line 2", index="pypi.org/simple"),
        Dependency("demo-b", "2.0", place="line 12", index="pypi.org/simple"),
    )
    assert inventory.gaps == (), "an extra that nobody asked for is not held"


def test_chains_are_known_once_the_project_is() -> None:
    first, second = parse_poetry_lock(FIRST_FORMAT, "poetry.lock", Needs(frozenset({"demo-a"}))).dependencies

    assert (first.is_direct, first.chain) == (True, ())
    assert (second.is_direct, second.chain) == (False, ("demo-a",))


@pytest.mark.parametrize(
    ("source", "origin"),
    [
        ('type = "legacy"\nurl = "https://index.example/simple"\nreference = "mirror"', Origin.INDEX),
        ('type = "git"\nurl = "https://host.example/demo.git"\nresolved_reference = "01"', Origin.VCS),
        ('type = "url"\nurl = "https://host.example/demo-1.0.tar.gz"', Origin.URL),
        ('type = "file"\nurl = "demo-1.0.tar.gz"', Origin.LOCAL),
        ('type = "directory"\nurl = "../demo"', Origin.LOCAL),
    ],
)
def test_origins(source: str, origin: Origin) -> None:
    (item,) = read(f'[[package]]\nname = "demo"\nversion = "1.0"\n[package.source]\n{source}\n').dependencies

    assert item.origin is origin


def test_a_folder_in_place() -> None:
    (item,) = read(
        '[[package]]\nname = "demo"\nversion = "1.0"\ndevelop = true\n[package.source]\ntype = "directory"\nurl = "."\n'
    ).dependencies

    assert item.origin is Origin.EDITABLE


def test_an_unknown_source_is_told_and_the_package_stays() -> None:
    inventory = read('[[package]]\nname = "demo"\nversion = "1.0"\n[package.source]\ntype = "floppy"\n')

    assert inventory.dependencies[0].origin is not Origin.INDEX
    assert inventory.gaps[0].name == "line 1"


@pytest.mark.parametrize(
    ("fields", "marker"),
    [
        ("", ""),
        ("markers = \"os_name == 'nt'\"", "os_name == 'nt'"),
        ('groups = ["main"]\nmarkers = {main = "a", dev = "b"}', "a or b"),
        ('groups = ["main", "dev"]\nmarkers = {main = "a"}', ""),
    ],
)
def test_markers(fields: str, marker: str) -> None:
    (item,) = read(f'[[package]]\nname = "demo"\nversion = "1.0"\n{fields}\n').dependencies

    assert item.marker == marker


@pytest.mark.parametrize("metadata", ["", '[metadata]\nlock-version = "3.0"\n', "[metadata]\nlock-version = []\n"])
def test_a_cut_file_or_another_format_is_told_and_the_packages_stay(metadata: str) -> None:
    inventory = parse_poetry_lock(f'[[package]]\nname = "demo"\nversion = "1.0"\n{metadata}', "poetry.lock")

    assert [item.name for item in inventory.dependencies] == ["demo"]
    assert inventory.gaps


def test_a_file_that_is_older_than_its_project_says_so() -> None:
    needs = Needs(
        frozenset({"demo", "new", "tool", "web", "docs"}),
        {
            "default": frozenset({"demo", "new"}),
            "dev": frozenset({"tool"}),
            "site": frozenset({"web"}),
            "docs": frozenset({"docs"}),
        },
    )
    inventory = read(
        '[[package]]\nname = "demo"\nversion = "1.0"\ngroups = ["main", "dev"]\n[extras]\nsite = ["web"]\n', needs
    )

    assert [gap.name for gap in inventory.gaps] == ["new", "tool", "web"], "nothing of the group docs is locked"
    assert [item.is_direct for item in inventory.dependencies] == [True]


def test_what_the_project_does_not_ask_for_is_not_told() -> None:
    (item,) = read('[[package]]\nname = "demo"\nversion = "1.0"\n', Needs(frozenset())).dependencies

    assert item.is_direct is None


def test_no_packages_are_a_gap() -> None:
    assert read("package = []\n").gaps
