"""uv.lock."""

import pytest

from holdtrue.core.lockfiles import OWN_PROJECT, parse_uv_lock
from holdtrue.core.lockfiles.uv import NO_PROJECT
from holdtrue.models.dependency import Dependency, Gap, Inventory, Origin

REGISTRY = 'source = { registry = "https://mirror.example/simple" }'
ROOT = '[[package]]\nname = "app"\nversion = "1.0"\nsource = { editable = "." }\n'
VIRTUAL = ROOT.replace("editable", "virtual") + "dependencies = [{ name = 'demo-a-b' }]\n"


def read(*packages: str, head: str = "version = 1\n") -> Inventory:
    return parse_uv_lock("\n".join((head, *packages)), "uv.lock")


def package(name: str, version: str = "1.0", source: str = REGISTRY, **more: str) -> str:
    fields = "".join(f"{key.replace('_', '-')} = {value}\n" for key, value in more.items())
    return f'[[package]]\nname = "{name}"\nversion = "{version}"\n{source}\n{fields}'


def by_name(inventory: Inventory) -> dict[str, Dependency]:
    return {item.name: item for item in inventory.dependencies}


def test_a_package_is_named_as_pep_503_and_its_version_as_pep_440_write_them() -> None:
    inventory = read(package("Demo_A.b", "1.0.RC1"), VIRTUAL)

    assert inventory.kind == "uv.lock"
    assert inventory.label == "uv.lock"
    assert inventory.dependencies == (
        Dependency("demo-a-b", "1.0rc1", place="line 3", is_direct=True, index="mirror.example/simple"),
    )
    assert inventory.gaps == ()


def test_chains_are_the_shortest_ones_in_a_graph_with_cycles() -> None:
    inventory = read(
        f'{ROOT}dependencies = [{{ name = "a" }}, {{ name = "d" }}]\n',
        package("a", dependencies='[{ name = "b" }]'),
        package("b", dependencies='[{ name = "c" }, { name = "a" }]'),
        package("c", dependencies='[{ name = "b" }]'),
        package("d", dependencies='[{ name = "c" }]'),
    )

    found = by_name(inventory)
    assert {name: item.chain for name, item in found.items()} == {
        "app": (), "a": (), "b": ("a",), "c": ("d",), "d": (),
    }  # fmt: skip
    assert {name for name, item in found.items() if item.is_direct} == {"app", "a", "d"}
    assert [name for name, item in found.items() if item.is_direct is False] == ["b", "c"]


def test_extras_and_groups_of_the_project_are_direct() -> None:
    root = (
        f'{ROOT}[package.optional-dependencies]\nweb = [{{ name = "a" }}]\n'
        '[package.dev-dependencies]\ndev = [{ name = "b" }]\n'
    )

    found = by_name(read(root, package("a"), package("b")))

    assert found["a"].is_direct
    assert found["b"].is_direct


def test_what_an_extra_of_a_package_brings_in_has_that_package_as_its_chain() -> None:
    extra = package("a") + '[package.optional-dependencies]\nfast = [{ name = "b" }]\n'

    found = by_name(read(f'{ROOT}dependencies = [{{ name = "a", extra = ["fast"] }}]\n', extra, package("b")))

    assert found["b"].chain == ("a",)


def test_all_members_of_a_workspace_are_projects() -> None:
    inventory = read(
        package("one", source='source = { virtual = "." }', dependencies='[{ name = "two" }]'),
        package("two", source='source = { editable = "parts/two" }', dependencies='[{ name = "a" }]'),
        package("a"),
        head='version = 1\n[manifest]\nmembers = ["one", "Two"]\n',
    )

    found = by_name(inventory)
    assert found.keys() == {"two", "a"}, "nothing of a virtual project is installed"
    assert found["two"].reason == OWN_PROJECT
    assert found["two"].origin is Origin.EDITABLE
    assert found["a"].chain == ()
    assert found["a"].is_direct


def test_a_script_and_a_workspace_without_project_say_in_the_manifest_what_they_ask_for() -> None:
    head = (
        'version = 1\n[manifest]\nrequirements = [{ name = "a", specifier = ">=1" }]\n'
        '[manifest.dependency-groups]\ndev = [{ name = "b" }]\n'
    )

    found = by_name(read(package("a", dependencies='[{ name = "c" }]'), package("b"), package("c"), head=head))

    assert found["a"].is_direct
    assert found["b"].is_direct
    assert found["c"].chain == ("a",)


def test_without_any_project_nothing_is_said_about_chains() -> None:
    (item,) = read(package("a")).dependencies

    assert item.is_direct is None


@pytest.mark.parametrize(
    ("source", "origin"),
    [
        ('{ registry = "https://pypi.org/simple" }', Origin.INDEX),
        ('{ registry = "https://unknown.example/simple" }', Origin.INDEX),
        ('{ git = "https://host.example/demo?rev=main#0123" }', Origin.VCS),
        ('{ url = "https://host.example/demo-1.0.tar.gz" }', Origin.URL),
        ('{ path = "demo-1.0.tar.gz" }', Origin.LOCAL),
        ('{ directory = "../demo" }', Origin.LOCAL),
        ('{ editable = "../demo" }', Origin.EDITABLE),
    ],
)
def test_origins(source: str, origin: Origin) -> None:
    (item,) = read(package("demo", source=f"source = {source}")).dependencies

    assert item.origin is origin
    assert item.reason == "", "its version can be asked about, if only for a possible finding"


@pytest.mark.parametrize("source", ["", "source = {}", 'source = { floppy = "a" }', "source = 1"])
def test_a_source_that_is_not_known_is_told_and_the_package_stays(source: str) -> None:
    inventory = read(package("demo", source=source))

    (item,) = inventory.dependencies
    assert item.origin is not Origin.INDEX
    assert any(gap.name == "line 3" for gap in inventory.gaps)


def test_versions_under_different_markers_are_all_kept_with_their_chains() -> None:
    inventory = read(
        f"{ROOT}dependencies = ["
        '{ name = "num", version = "1.0", marker = "python_version < \'3.12\'" }, '
        '{ name = "num", version = "2.0" }]\n',
        package("num", "1.0", resolution_markers="[\"python_version < '3.12'\"]", dependencies='[{ name = "old" }]'),
        package("num", "2.0", resolution_markers='["a", "b"]'),
        package("old"),
    )

    assert [(item.version, item.marker) for item in inventory.dependencies if item.name == "num"] == [
        ("1.0", "python_version < '3.12'"),
        ("2.0", "a or b"),
    ]
    assert by_name(inventory)["old"].chain == ("num",)


def test_a_package_that_stands_twice_is_listed_once() -> None:
    assert len(read(package("a"), package("a")).dependencies) == 1


def test_a_package_without_version_is_listed_with_a_reason() -> None:
    (item,) = read(f'[[package]]\nname = "demo"\n{REGISTRY}\n').dependencies

    assert item.version == ""
    assert item.reason


def test_a_file_cut_between_two_packages_is_noticed_by_what_is_gone() -> None:
    inventory = read(f'{ROOT}dependencies = [{{ name = "a" }}, {{ name = "gone" }}]\n', package("a"))

    assert [gap.name for gap in inventory.gaps] == ["gone"]


def test_a_member_that_is_gone_is_noticed() -> None:
    inventory = read(package("one", source='source = { virtual = "." }'), package("a"),
                     head='version = 1\n[manifest]\nmembers = ["one", "two"]\n')  # fmt: skip

    assert [gap.name for gap in inventory.gaps] == ["two"]


@pytest.mark.parametrize("version", ["", "version = 2", 'version = "2.1"', "version = true", "version = []"])
def test_another_version_of_the_format_is_a_gap_and_the_packages_stay(version: str) -> None:
    inventory = read(package("demo-a-b"), VIRTUAL, head=version)

    assert [item.name for item in inventory.dependencies] == ["demo-a-b"]
    assert len(inventory.gaps) == 1


def test_a_file_without_the_project_that_it_is_made_for_is_cut() -> None:
    assert read(package("a")).gaps == (Gap("uv.lock", NO_PROJECT),)


@pytest.mark.parametrize(
    "manifest",
    ["requirements = [{ name = 'a' }]", "members = ['a']", "[manifest.dependency-groups]\ndev = [{ name = 'a' }]"],
)
def test_a_script_or_a_workspace_without_a_root_project_is_whole(manifest: str) -> None:
    assert read(package("a"), head=f"version = 1\n[manifest]\n{manifest}\n").gaps == ()


def test_no_packages_are_a_gap() -> None:
    inventory = read()

    assert inventory.dependencies == ()
    assert inventory.gaps == (Gap("uv.lock", "holds no packages"),)
