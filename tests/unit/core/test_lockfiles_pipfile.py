"""Pipfile.lock."""

import json

import pytest

from holdtrue.core.lockfiles import OWN_PROJECT, parse_pipfile_lock
from holdtrue.errors import RejectedError
from holdtrue.models.dependency import Dependency, Inventory, Origin

META = {"pipfile-spec": 6, "sources": [{"name": "own", "url": "https://user:s3cr3t@index.example/simple"}]}


def read(**categories: object) -> Inventory:
    return parse_pipfile_lock(json.dumps({"_meta": META, **categories}), "Pipfile.lock")


def test_every_category_is_read() -> None:
    inventory = read(
        default={"Demo_A": {"version": "==1.0", "extras": ["fast"], "markers": "os_name == 'nt'", "hashes": []}},
        develop={"demo-b": {"version": "===2.0", "index": "own"}},
        web={"demo-c": {"version": "==3.0"}},
    )

    assert inventory.dependencies == (
        Dependency("demo-a", "1.0", place="default", marker="os_name == 'nt'", index="index.example/simple"),
        Dependency("demo-b", "2.0", place="develop", index="index.example/simple"),
        Dependency("demo-c", "3.0", place="web", index="index.example/simple"),
    )
    assert inventory.gaps == ()
    assert "s3cr3t" not in repr(inventory)


def test_a_package_of_two_categories_is_listed_once_and_two_versions_are_both() -> None:
    inventory = read(
        default={"a": {"version": "==1.0", "markers": "x"}, "b": {"version": "==1.0"}},
        develop={"a": {"version": "==1.0"}, "b": {"version": "==2.0"}},
    )

    assert [(item.name, item.version, item.marker) for item in inventory.dependencies] == [
        ("a", "1.0", ""), ("b", "1.0", ""), ("b", "2.0", ""),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("entry", "origin", "version"),
    [
        ({"git": "https://s3cr3t@host.example/demo.git", "ref": "01"}, Origin.VCS, ""),
        ({"editable": True, "git": "https://s3cr3t@host.example/demo.git", "ref": "01"}, Origin.VCS, ""),
        ({"path": "./demo"}, Origin.LOCAL, ""),
        ({"path": "./demo", "editable": True}, Origin.EDITABLE, ""),
        ({"file": "https://s3cr3t@host.example/demo-1.0-py3-none-any.whl"}, Origin.URL, "1.0"),
        ({"file": "file:///wheels/demo-1.0.tar.gz"}, Origin.LOCAL, "1.0"),
        ({"file": "https://host.example/other-1.0.tar.gz"}, Origin.URL, ""),
        ({"version": ">=1.0"}, Origin.INDEX, ""),
        ({"version": "==1.*"}, Origin.INDEX, ""),
        ({"version": "*"}, Origin.INDEX, ""),
        ({}, Origin.INDEX, ""),
    ],
)
def test_origins_and_what_has_no_version(entry: dict[str, object], origin: Origin, version: str) -> None:
    inventory = read(default={"demo": entry})

    (item,) = inventory.dependencies
    assert (item.origin, item.version) == (origin, version)
    assert bool(item.reason) is not bool(version)
    assert "s3cr3t" not in repr(inventory)


def test_the_project_itself_is_listed_with_that_reason() -> None:
    (item,) = read(default={"app": {"editable": True, "path": "."}}).dependencies

    assert item.reason == OWN_PROJECT


def test_a_key_that_stands_twice_is_told() -> None:
    text = '{"_meta": {"pipfile-spec": 6}, "default": {"a": {"version": "==1.0"}, "a": {"version": "==2.0"}}}'

    assert parse_pipfile_lock(text, "Pipfile.lock").gaps


@pytest.mark.parametrize("category", ["s3cr3t value", "https://user:s3cr3t@host.example"])
def test_the_name_of_a_category_is_repeated_only_when_it_is_a_name(category: str) -> None:
    inventory = read(**{category: {"a": {"version": "==1.0"}}, f"{category}2": 1})

    assert inventory.dependencies
    assert inventory.gaps
    assert "s3cr3t" not in repr(inventory)


@pytest.mark.parametrize("categories", [{"default": []}, {"default": {"a": 1}}, {"default": {"": {}}}, {}])
def test_what_cannot_be_read_is_a_gap(categories: dict[str, object]) -> None:
    assert read(**categories).gaps


@pytest.mark.parametrize("spec", [None, 5, 60, "six", True])
def test_another_format_is_a_gap(spec: object) -> None:
    inventory = parse_pipfile_lock(
        json.dumps({"_meta": {"pipfile-spec": spec}, "default": {"a": {"version": "==1.0"}}}), "Pipfile.lock"
    )

    assert [item.name for item in inventory.dependencies] == ["a"]
    assert inventory.gaps


@pytest.mark.parametrize("text", ["", "[]", "null", '{"_meta": {', "<html>", "[" * 100_000, "1" * 5000])
def test_what_is_no_json_object_is_refused(text: str) -> None:
    with pytest.raises(RejectedError) as caught:
        parse_pipfile_lock(text, "Pipfile.lock")

    assert caught.value.where.startswith("Pipfile.lock")
    assert caught.value.next_step
