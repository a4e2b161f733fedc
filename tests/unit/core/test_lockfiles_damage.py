"""Damaged, hostile and secret-bearing lock files: an inventory or a refusal, nothing else, and nothing silent."""

import json
import tomllib
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdtrue.core.lockfiles import (
    Needs,
    parse_pdm_lock,
    parse_pipfile_lock,
    parse_poetry_lock,
    parse_pylock,
    parse_uv_lock,
    read_needs,
)
from holdtrue.errors import RejectedError
from holdtrue.models.dependency import Inventory

Parse = Callable[[str, str], Inventory]

NEEDS = Needs(frozenset({"a"}), {"default": frozenset({"a"})})

TOML: dict[str, tuple[Parse, str]] = {
    "uv": (
        parse_uv_lock,
        """version = 1
[manifest]
members = ["app"]
requirements = [{ name = "a" }]
dependency-groups = { dev = [{ name = "a" }] }
[[package]]
name = "app"
version = "1.0"
source = { editable = "." }
dependencies = [{ name = "a", version = "1.0" }]
optional-dependencies = { web = [{ name = "a" }] }
dev-dependencies = { dev = [{ name = "a" }] }
[[package]]
name = "a"
version = "1.0"
source = { registry = "https://user:s3cr3t@index.example/simple" }
resolution-markers = ["os_name == 'nt'"]
""",
    ),
    "poetry": (
        lambda text, label: parse_poetry_lock(text, label, NEEDS),
        """[[package]]
name = "a"
version = "1.0"
develop = true
groups = ["main"]
markers = { main = "os_name == 'nt'" }
[package.dependencies]
b = { version = ">=1" }
[package.source]
type = "directory"
url = "https://user:s3cr3t@index.example/simple"
[[package]]
name = "b"
version = "1.0"
[metadata]
lock-version = "2.1"
""",
    ),
    "pdm": (
        lambda text, label: parse_pdm_lock(text, label, NEEDS),
        """[metadata]
lock_version = "4.5.0"
[[package]]
name = "a"
version = "1.0"
editable = true
path = "./s3cr3t"
marker = "os_name == 'nt'"
dependencies = ["b>=1"]
[[package]]
name = "b"
version = "1.0"
url = "https://user:s3cr3t@index.example/b.zip"
""",
    ),
    "pylock": (
        parse_pylock,
        """lock-version = "1.0"
[[packages]]
name = "a"
version = "1.0"
marker = "os_name == 'nt'"
dependencies = [{ name = "b", version = "1.0" }]
index = "https://user:s3cr3t@index.example/simple"
wheels = [{ name = "a-1.0-py3-none-any.whl", url = "https://user:s3cr3t@h.example/a-1.0-py3-none-any.whl" }]
sdist = { name = "a-1.0.tar.gz" }
[[packages]]
name = "b"
archive = { url = "https://user:s3cr3t@h.example/b-1.0.tar.gz" }
[[packages]]
name = "c"
directory = { path = "c", editable = true }
""",
    ),
}
PIPFILE = """{"_meta": {"pipfile-spec": 6}, "default": {"a": {"version": "==1.0", "markers": "x", "editable": true,
"path": "s3cr3t"}, "b": {"file": "https://user:s3cr3t@h.example/b-1.0.tar.gz"}, "c": {"git": "https://s3cr3t@h.example"}}}"""

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


def accept(parse: Parse, text: str) -> Inventory | None:
    try:
        return parse(text, "label")
    except RejectedError as error:
        refusal = error
    assert refusal.where.startswith("label")
    assert "s3cr3t" not in str(refusal)
    return None


def damage(draw: st.DrawFn, node: object) -> object:
    """One part, anywhere, replaced by anything."""
    if isinstance(node, dict | list) and node and draw(st.integers(0, 3)):
        keys = list(node) if isinstance(node, dict) else list(range(len(node)))
        key = draw(st.sampled_from(keys))
        copy = dict(node) if isinstance(node, dict) else dict(enumerate(node))
        copy[key] = damage(draw, copy[key])
        return copy if isinstance(node, dict) else list(copy.values())
    return draw(JSON_VALUES)


def write(value: object) -> str:
    """As TOML; null, which it has not, as false."""
    match value:
        case str():
            return '"' + "".join(f"\\U{ord(letter):08x}" for letter in value) + '"'
        case list():
            return f"[{', '.join(map(write, value))}]"
        case dict():
            return f"{{{', '.join(f'{write(key)} = {write(item)}' for key, item in value.items())}}}"
        case None | bool():
            return "true" if value else "false"
        case _:
            return repr(value)


@pytest.mark.parametrize("name", TOML)
def test_the_undamaged_file_is_read_whole_and_repeats_no_secret(name: str) -> None:
    parse, text = TOML[name]

    inventory = parse(text, "label")

    assert len(inventory.dependencies) == text.count("[[package")
    assert inventory.gaps == ()
    assert "s3cr3t" not in repr(inventory)


@pytest.mark.parametrize("name", TOML)
@given(data=st.data())
@settings(deadline=None, max_examples=60)
def test_cut_and_changed_text(name: str, data: st.DataObject) -> None:
    parse, text = TOML[name]
    start, end = sorted(data.draw(st.tuples(st.integers(0, len(text)), st.integers(0, len(text)))))

    accept(parse, text[:start])
    accept(parse, text[:start] + data.draw(st.text(max_size=4)) + text[end:])


@pytest.mark.parametrize("name", TOML)
@given(data=st.data())
@settings(deadline=None, max_examples=60)
def test_any_value_of_any_type_anywhere(name: str, data: st.DataObject) -> None:
    parse, text = TOML[name]
    document = data.draw(st.composite(damage)(tomllib.loads(text)).filter(lambda node: isinstance(node, dict)))
    assert isinstance(document, dict)

    parse("\n".join(f"{write(key)} = {write(value)}" for key, value in document.items()), "label")


@given(data=st.data())
@settings(deadline=None, max_examples=60)
def test_any_value_of_any_type_anywhere_in_a_pipfile_lock(data: st.DataObject) -> None:
    accept(parse_pipfile_lock, json.dumps(data.draw(st.composite(damage)(json.loads(PIPFILE)))))
    accept(parse_pipfile_lock, PIPFILE[: data.draw(st.integers(0, len(PIPFILE)))])


@given(st.text(max_size=60))
@settings(deadline=None, max_examples=60)
def test_any_text(text: str) -> None:
    for parse in (*(parse for parse, _ in TOML.values()), parse_pipfile_lock):
        accept(parse, text)
    read_needs(text)


@pytest.mark.parametrize("parse", [parse for parse, _ in TOML.values()])
@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('version = 1\n<<<<<<< HEAD\n[[package]]\nname = "s3cr3t"\n', ":2"),
        ('version = 1\n\n[[package]]\nname = "s3cr3t', ""),
        ('a = "s3cr3t"\na = 1\n', ":2"),
        ("<!DOCTYPE html>", ":1"),
        ('{"_meta": {}}', ":1"),
        (f"a = {'[' * 20_000}", ""),
        (f"a = {'1' * 5000}", ""),
    ],
)
def test_what_is_no_toml_is_refused_with_its_line(parse: Parse, text: str, line: str) -> None:
    with pytest.raises(RejectedError) as caught:
        parse(text, "some.lock")

    assert caught.value.where == f"some.lock{line}"
    assert caught.value.next_step
    assert "s3cr3t" not in str(caught.value)


@pytest.mark.parametrize(
    ("version", "kept"),
    [
        ("1!2.0", "1!2.0"),
        ("1.0+CU118", "1.0+cu118"),
        ("1.0.DEV3", "1.0.dev3"),
        ("1.0-1", "1.0.post1"),
        ("v1.0", "1.0"),
        ("2004d", "2004d"),
        ("1" * 5000, ""),
        ("https://user:s3cr3t@h.example", ""),
        ("1.0\\u001b[31m", ""),
        ("", ""),
    ],
)
def test_versions_of_all_kinds(version: str, kept: str) -> None:
    inventory = parse_pylock(f'lock-version = "1.0"\n[[packages]]\nname = "a"\nversion = "{version}"\n', "label")

    (item,) = inventory.dependencies
    assert item.version == kept
    assert bool(item.reason) is (kept in {"", "2004d"})


@pytest.mark.parametrize("name", ["", " ", "-a", "a b", "https://user:s3cr3t@h.example", "a\\u001b", "\uff41"])
def test_a_package_without_a_name_is_a_gap(name: str) -> None:
    inventory = parse_pylock(f'lock-version = "1.0"\n[[packages]]\nname = "{name}"\nversion = "1.0"\n', "label")

    assert inventory.dependencies == ()
    assert [gap.name for gap in inventory.gaps] == ["line 2"]
    assert "s3cr3t" not in repr(inventory)


def test_keys_of_the_users_own_are_repeated_only_when_they_are_plain() -> None:
    text = 'version = 1\n[[package]]\nname = "a"\nversion = "1"\n[package.optional-dependencies]\n"s3cr3t pass" = 1\n'
    text += '[manifest]\nmembers = ["a"]\n'

    inventory = parse_uv_lock(text, "label")

    assert len(inventory.gaps) == 2
    assert "s3cr3t" not in repr(inventory)


LOCK_HEADS = {
    "uv.lock": "version = 1\n",
    "poetry.lock": '[metadata]\nlock-version = "2.1"\n',
    "pdm.lock": '[metadata]\nlock_version = "4.5.0"\n',
    "pylock.toml": 'lock-version = "1.0"\n',
}
LOCK_PARSERS = {
    "uv.lock": parse_uv_lock,
    "poetry.lock": parse_poetry_lock,
    "pdm.lock": parse_pdm_lock,
    "pylock.toml": parse_pylock,
}


@pytest.mark.parametrize("name", LOCK_PARSERS)
@pytest.mark.parametrize("held", LOCK_HEADS)
def test_a_lock_under_the_name_of_another_is_refused(name: str, held: str) -> None:
    if name == held:
        assert LOCK_PARSERS[name](LOCK_HEADS[held], "label").kind == name
        return
    with pytest.raises(RejectedError) as caught:
        LOCK_PARSERS[name](LOCK_HEADS[held], "label")
    assert held in caught.value.next_step
