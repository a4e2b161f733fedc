"""pylock.toml."""

import pytest

from holdtrue.core.lockfiles import OWN_PROJECT, parse_pylock
from holdtrue.models.dependency import Dependency, Inventory, Origin

HEAD = 'lock-version = "1.0"\ncreated-by = "tests"\n'


def read(packages: str, head: str = HEAD) -> Inventory:
    return parse_pylock(head + packages, "pylock.toml")


def package(fields: str, name: str = "demo") -> str:
    return f'\n[[packages]]\nname = "{name}"\n{fields}\n'


def test_packages_of_an_index() -> None:
    inventory = read(
        package('version = "1.0"\nindex = "https://pypi.org/simple"\nmarker = "os_name == \'nt\'"', "Demo_A")
        + package('version = "2.0"\nwheels = [{ url = "https://h.example/b-2.0-py3-none-any.whl", size = 1 }]', "b")
    )

    assert inventory.dependencies == (
        Dependency("demo-a", "1.0", place="line 4", marker="os_name == 'nt'", index="pypi.org/simple"),
        Dependency("b", "2.0", place="line 10", index="h.example/b-2.0-py3-none-any.whl"),
    )
    assert inventory.gaps == ()


@pytest.mark.parametrize(
    ("fields", "origin", "version"),
    [
        ('vcs = { type = "git", url = "https://u:s3cr3t@h.example/demo", commit-id = "01" }', Origin.VCS, ""),
        ('version = "1.0"\nvcs = { type = "git", path = "../demo", commit-id = "01" }', Origin.VCS, "1.0"),
        ('directory = { path = "../demo" }', Origin.LOCAL, ""),
        ('directory = { path = "../demo", editable = true }', Origin.EDITABLE, ""),
        ('archive = { url = "https://u:s3cr3t@h.example/demo-1.0.tar.gz" }', Origin.URL, "1.0"),
        ('archive = { url = "https://u:s3cr3t@h.example/demo.tar.gz" }', Origin.URL, ""),
        ('archive = { path = "demo-1.0-py3-none-any.whl" }', Origin.LOCAL, "1.0"),
        ('wheels = [{ name = "demo-1.0-py3-none-any.whl", path = "x" }]', Origin.LOCAL, "1.0"),
        ('sdist = { path = "wheels/demo-1.0.tar.gz" }', Origin.LOCAL, "1.0"),
        ('wheels = [{ url = "file:///srv/demo-1.0-py3-none-any.whl" }]', Origin.LOCAL, "1.0"),
        ('version = "1.0"\nindex = "https://h.example/simple"\nwheels = [{ path = "x" }]', Origin.INDEX, "1.0"),
        ('version = "1.0"\nsdist = { path = "x" }\nwheels = [{ url = "https://h.example/y" }]', Origin.INDEX, "1.0"),
        ('sdist = { url = "https://h.example/other-1.0.tar.gz" }', Origin.INDEX, ""),
    ],
)
def test_origins_and_versions_in_file_names(fields: str, origin: Origin, version: str) -> None:
    inventory = read(package(fields))

    (item,) = inventory.dependencies
    assert (item.origin, item.version) == (origin, version)
    assert bool(item.reason) is not bool(version)
    assert item.is_direct is None
    assert "s3cr3t" not in repr(inventory)


def test_the_project_itself_is_listed_with_that_reason() -> None:
    (item,) = read(package('directory = { path = ".", editable = true }', "app")).dependencies

    assert item.origin is Origin.EDITABLE
    assert item.reason == OWN_PROJECT


def test_what_a_package_needs_has_to_be_there() -> None:
    inventory = read(
        package('version = "1.0"\ndependencies = [{ name = "b", version = "1.0" }, { name = "gone" }]')
        + package('version = "1.0"', "b")
    )

    assert [gap.name for gap in inventory.gaps] == ["gone"]


def test_two_versions_are_both_kept() -> None:
    inventory = read(package('version = "1.0"\nmarker = "a"') + package('version = "2.0"\nmarker = "b"'))

    assert [(item.version, item.marker) for item in inventory.dependencies] == [("1.0", "a"), ("2.0", "b")]


@pytest.mark.parametrize("head", ["", 'lock-version = "2.0"\n', "lock-version = 2.0\n"])
def test_another_format_is_told_and_the_packages_stay(head: str) -> None:
    inventory = read(package('version = "1.0"'), head)

    assert [item.name for item in inventory.dependencies] == ["demo"]
    assert inventory.gaps


def test_no_packages_are_a_gap() -> None:
    assert read("packages = []\n").gaps
