"""Inventories from files."""

import os
import threading
from pathlib import Path

import pytest

from holdtrue.adapters.inventory import text_file
from holdtrue.adapters.inventory.files import read_file
from holdtrue.adapters.inventory.projects import find_files, why_nothing
from holdtrue.errors import RejectedError
from holdtrue.models.dependency import Inventory

UV = (
    'version = 1\n[manifest]\nrequirements = [{ name = "demo" }]\n'
    '[[package]]\nname = "demo"\nversion = "1.0"\nsource = { registry = "https://pypi.org/simple" }\n'
)
POETRY = '[[package]]\nname = "demo"\nversion = "1.0"\n[metadata]\nlock-version = "2.1"\n'
PDM = '[metadata]\nlock_version = "4.5.0"\n[[package]]\nname = "demo"\nversion = "1.0"\n'
PIPFILE = '{"_meta": {"pipfile-spec": 6}, "default": {"demo": {"version": "==1.0"}}}'
PYLOCK = 'lock-version = "1.0"\n[[packages]]\nname = "demo"\nversion = "1.0"\n'


def versions(inventory: Inventory) -> dict[str, str]:
    return {item.name: item.version for item in inventory.dependencies}


@pytest.mark.parametrize(
    ("name", "text", "kind"),
    [
        ("uv.lock", UV, "uv.lock"),
        ("script.py.lock", UV, "uv.lock"),
        ("poetry.lock", POETRY, "poetry.lock"),
        ("pdm.lock", PDM, "pdm.lock"),
        ("Pipfile.lock", PIPFILE, "Pipfile.lock"),
        ("pylock.toml", PYLOCK, "pylock.toml"),
        ("pylock.dev.toml", PYLOCK, "pylock.toml"),
        ("requirements.txt", "demo==1.0\n", "requirements"),
        ("dev.IN", "demo==1.0\n", "requirements"),
        ("requirements-dev.lock", "demo==1.0\n", "requirements"),
        ("requirements", "demo==1.0\n", "requirements"),
    ],
)
def test_the_name_tells_the_format_and_no_encoding_hides_it(tmp_path: Path, name: str, text: str, kind: str) -> None:
    file = tmp_path / name
    windows = text.replace("\n", "\r\n")
    for data in (text.encode(), windows.encode(), windows.encode("utf-8-sig"), text.encode("utf-16")):
        file.write_bytes(data)

        inventory = read_file(file, label="app")

        assert versions(inventory) == {"demo": "1.0"}
        assert (inventory.label, inventory.kind, inventory.gaps) == ("app", kind, ())


def test_without_a_label_it_is_the_path(tmp_path: Path) -> None:
    (tmp_path / "uv.lock").write_text(UV)

    assert read_file(tmp_path / "uv.lock").label == str(tmp_path / "uv.lock")


@pytest.mark.parametrize("name", ["pyproject.toml", "Cargo.lock", "app.py"])
def test_a_file_of_no_known_format_is_refused_with_those_that_are(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("")

    with pytest.raises(RejectedError) as caught:
        read_file(tmp_path / name)

    assert name in caught.value.where
    assert "uv.lock" in caught.value.next_step


@pytest.mark.parametrize(("name", "text"), [("poetry.lock", POETRY), ("pdm.lock", PDM)])
def test_the_project_beside_the_lock_tells_what_is_direct(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    assert read_file(tmp_path / name).dependencies[0].is_direct is None

    (tmp_path / "pyproject.toml").write_text('[project]\nname = "app"\ndependencies = ["demo"]\n')
    assert read_file(tmp_path / name).dependencies[0].is_direct is True

    (tmp_path / "pyproject.toml").write_text('[project]\nname = "app"\ndependencies = ["demo", "lost"]\n')
    assert [gap.name for gap in read_file(tmp_path / name).gaps] == ["lost"]

    (tmp_path / "pyproject.toml").write_bytes(b"\xff\xff")
    assert read_file(tmp_path / name).dependencies[0].is_direct is None


CYCLONEDX = '{"bomFormat": "CycloneDX", "specVersion": "1.6", "components": [{"purl": "pkg:pypi/demo@1.0"}]}'


CYCLONEDX_XML = (
    '<bom xmlns="http://cyclonedx.org/schema/bom/1.6"><components><component type="library"><name>demo</name>'
    "<version>1.0</version><purl>pkg:pypi/demo@1.0</purl></component></components></bom>"
)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (f"requires-python = '>=3.11'\n{UV}", "uv.lock"),
        (POETRY, "poetry.lock"),
        (PDM, "pdm.lock"),
        (PIPFILE, "Pipfile.lock"),
        (f"# made by a tool\n{PYLOCK}", "pylock.toml"),
        ("# comment\ndemo==1.0  # via x\n", "requirements"),
        ("name: app\ndependencies:\n  - pip:\n      - demo==1.0\n", "conda"),
        ('[{"name": "demo", "version": "1.0", "channel": "pypi"}]', "conda"),
        ("# This file may be used to create an environment using:\ndemo=1.0=pypi_0\n", "conda"),
        (CYCLONEDX, "CycloneDX"),
        (f'<?xml version="1.0"?>\n{CYCLONEDX_XML}', "CycloneDX"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", ["frozen.lock", "deps.data", "list"])
def test_what_stands_in_it_tells_the_format_where_the_name_does_not(
    tmp_path: Path, name: str, text: str, kind: str
) -> None:
    (tmp_path / name).write_text(text)

    inventory = read_file(tmp_path / name)

    assert versions(inventory) == {"demo": "1.0"}
    assert inventory.kind.casefold().startswith(kind.casefold())


@pytest.mark.parametrize(
    "text",
    ["# A project\n\nInstall it with pip.\n", "\0\0", '{"name": "app"}', "", "services:\n  web: {}\n",
     '[[package]]\nname = "serde"\nversion = "1.0"\nsource = "registry+https://github.com/rust-lang/crates.io-index"\n'],
    ids=["readme", "binary", "json", "empty", "compose", "cargo"],
)  # fmt: skip
def test_what_nobody_can_tell_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "notes.data").write_text(text)

    with pytest.raises(RejectedError) as caught:
        read_file(tmp_path / "notes.data")

    assert "uv.lock" in caught.value.next_step


@pytest.mark.parametrize(
    ("name", "text", "command"),
    [
        ("pyproject.toml", '[project]\nname = "app"\n', "uv lock"),
        ("pyproject.toml", '[tool.poetry]\nname = "app"\n', "poetry lock"),
        ("pyproject.toml", '[project]\nname = "app"\n[tool.pdm.resolution]\n', "pdm lock"),
        ("Pipfile", "[packages]\ndemo = '*'\n", "pipenv lock"),
        ("setup.py", "from setuptools import setup\n", "uv pip compile"),
        ("run.py", "# /// script\n# dependencies = ['demo']\n# ///\n", "uv lock --script"),
    ],
)
def test_a_project_that_is_not_locked_is_to_be_locked_first(tmp_path: Path, name: str, text: str, command: str) -> None:
    (tmp_path / name).write_text(text)

    with pytest.raises(RejectedError) as caught:
        read_file(tmp_path / name)

    assert f"`{command}`" in caught.value.next_step
    if name != "run.py":
        assert f"`{command}`" in why_nothing(tmp_path)
    (tmp_path / "uv.lock").write_text(UV)
    with pytest.raises(RejectedError) as caught:
        read_file(tmp_path / name)
    assert str(tmp_path / "uv.lock") in caught.value.next_step


@pytest.mark.parametrize("comment", ["# -*- coding: latin-1 -*-", "#!/x\n# vim: set fileencoding=iso8859-15 :"])
def test_a_coding_comment_is_heeded_in_requirements(tmp_path: Path, comment: str) -> None:
    text = f"{comment}\n# caf\xe9\ndemo==1.0\n-r more.txt\n"
    (tmp_path / "requirements.txt").write_bytes(text.encode("latin-1"))
    (tmp_path / "more.txt").write_bytes(f"{comment}\n# \xe9\nother==2.0\n".encode("latin-1"))

    inventory = read_file(tmp_path / "requirements.txt")

    assert (versions(inventory), inventory.gaps) == ({"demo": "1.0", "other": "2.0"}, ())


@pytest.mark.parametrize("comment", ["", "# coding: nonsense\n", "# coding: zlib\n", "\n\n# coding: latin-1\n"])
def test_without_an_encoding_of_text_other_bytes_are_refused(tmp_path: Path, comment: str) -> None:
    (tmp_path / "requirements.txt").write_bytes(f"{comment}# \xe9\ndemo==1.0\n".encode("latin-1"))

    with pytest.raises(RejectedError, match="not text"):
        read_file(tmp_path / "requirements.txt")


def test_what_a_section_for_pip_includes_is_read_beside_the_environment_file(tmp_path: Path) -> None:
    for_pip = ("-r sub/more.txt", "--constraint limits.txt", "loose", "-r gone.txt")
    lines = "  - python=3.12\n  - pip:\n" + "".join(f"    - {line}\n" for line in for_pip)
    (tmp_path / "sub").mkdir()
    (tmp_path / "environment.yml").write_text(f"dependencies:\n{lines}")
    (tmp_path / "sub/more.txt").write_text("demo==1.0\n-r ../last.txt\n")
    (tmp_path / "last.txt").write_text("last==3.0\n")
    (tmp_path / "limits.txt").write_text("loose==2.0\nunused==9.0\n")

    inventory = read_file(tmp_path / "environment.yml")

    assert versions(inventory) == {"python": "3.12", "loose": "2.0", "demo": "1.0", "last": "3.0"}
    assert [gap.name for gap in inventory.gaps] == ["gone.txt"]


def test_includes_are_read_beside_the_file_that_names_them(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "top.txt").write_text("demo-a==1.0\n-r sub/more.txt\n-c sub/limits.txt\nlimited\n")
    (tmp_path / "sub/more.txt").write_text("demo-b==2.0\n-r last.txt\n-r ../top.txt\n")
    (tmp_path / "sub/last.txt").write_bytes(b"\xef\xbb\xbfdemo-c==3.0\r\n?")
    (tmp_path / "sub/limits.txt").write_text("limited==4.0\nunused==5.0\n")

    inventory = read_file(tmp_path / "top.txt")

    assert versions(inventory) == {"demo-a": "1.0", "demo-b": "2.0", "demo-c": "3.0", "limited": "4.0"}
    assert {item.name: item.place for item in inventory.dependencies} == {
        "demo-a": "line 1", "limited": "line 4", "demo-b": "sub/more.txt line 1", "demo-c": "sub/last.txt line 1",
    }  # fmt: skip
    assert [gap.name for gap in inventory.gaps] == ["sub/last.txt line 2"]


def test_what_a_constraints_file_includes_stays_a_constraint(tmp_path: Path) -> None:
    (tmp_path / "top.txt").write_text("-c limits.txt\ndemo\n")
    (tmp_path / "limits.txt").write_text("-r more.txt\n")
    (tmp_path / "more.txt").write_text("demo==1.0\nunused==2.0\n")

    assert versions(read_file(tmp_path / "top.txt")) == {"demo": "1.0"}


def test_a_file_that_is_both_included_and_a_constraint_is_read_as_both(tmp_path: Path) -> None:
    (tmp_path / "top.txt").write_text("-c more.txt\n-r more.txt\n")
    (tmp_path / "more.txt").write_text("demo==1.0\n")

    assert versions(read_file(tmp_path / "top.txt")) == {"demo": "1.0"}


@pytest.mark.parametrize("option", ["-r", "-c"])
def test_an_include_that_cannot_be_read_is_a_gap_and_the_rest_stands(tmp_path: Path, option: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "binary").write_bytes(b"\x89PNG\xff\xfe")
    (tmp_path / "loop").symlink_to("loop")
    os.mkfifo(tmp_path / "pipe")
    names = ["missing.txt", "folder", "binary", "loop", "pipe", "nul\0", "x" * 300]
    (tmp_path / "top.txt").write_text("demo==1.0\n" + "".join(f"{option} {name}\n" for name in names))

    inventory = read_file(tmp_path / "top.txt")

    assert versions(inventory) == {"demo": "1.0"}
    assert [gap.name for gap in inventory.gaps] == names
    assert all(gap.reason for gap in inventory.gaps)


def test_a_cycle_of_includes_through_symbolic_links_ends(tmp_path: Path) -> None:
    (tmp_path / "again").symlink_to(".")
    (tmp_path / "top.txt").write_text("demo==1.0\n-r again/top.txt\n")

    inventory = read_file(tmp_path / "top.txt")

    assert len(inventory.dependencies) == 1
    assert inventory.gaps == ()


@pytest.mark.parametrize("name", ["requirements.txt", "uv.lock"])
def test_what_is_no_regular_file_is_refused_at_once(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "binary").write_bytes(b"\x89PNG\xff\xfe")
    os.mkfifo(tmp_path / "pipe")
    for target in ("missing", "folder", "pipe", "/dev/zero", "binary", name):
        (tmp_path / name).unlink(missing_ok=True)
        (tmp_path / name).symlink_to(target)

        with pytest.raises(RejectedError) as caught:
            read_file(tmp_path / name)

        assert name in caught.value.where
        assert caught.value.next_step


def test_a_pipe_does_not_block_its_writer_either(tmp_path: Path) -> None:
    pipe = tmp_path / "requirements.txt"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.open("wb").close(), daemon=True)
    writer.start()

    with pytest.raises(RejectedError):
        read_file(pipe)

    # Without waiting: the writer may have met the reader above, and be gone.
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    writer.join(timeout=10)
    os.close(reader)
    assert not writer.is_alive()


@pytest.mark.parametrize("name", ["uv.lock", "requirements.txt"])
def test_a_file_of_a_hundred_megabytes_is_refused_unread(tmp_path: Path, name: str) -> None:
    with (tmp_path / name).open("wb") as file:
        file.truncate(100 << 20)

    with pytest.raises(RejectedError, match="64 MiB"):
        read_file(tmp_path / name)


def test_a_file_that_hides_its_size_is_refused_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "top.txt").write_text("demo==1.0\n-r big.txt\n")
    (tmp_path / "big.txt").write_text("x" * 50)
    monkeypatch.setattr(text_file, "_SIZE_LIMIT", 49)

    (gap,) = read_file(tmp_path / "top.txt").gaps

    assert gap.name == "big.txt"


def test_a_broken_lock_file_is_refused_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "uv.lock").write_text(f"{UV}<<<<<<< HEAD\n")

    with pytest.raises(RejectedError) as caught:
        read_file(tmp_path / "uv.lock", label="app")

    assert caught.value.where == f"app:{UV.count(chr(10)) + 1}"


def test_lock_files_are_what_tells_a_project(tmp_path: Path) -> None:
    for name in ("uv.lock", "pylock.toml", "pylock.dev.toml", "requirements.txt", "run.py.lock", "notes.lock"):
        (tmp_path / name).write_text("")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/poetry.lock").write_text("")

    assert [path.name for path in find_files(tmp_path)] == ["pylock.dev.toml", "pylock.toml", "uv.lock", "run.py.lock"]


def test_without_a_lock_file_requirements_are(tmp_path: Path) -> None:
    names = [
        "dev-requirements.txt", "requirements.lock", "requirements.txt", "test_Requirements.TXT",
        "requirements/base.txt", "requirements/requirements-x.lock", "requirements/prod/a/all.txt",
        "requirements/prod/b.TXT", "run.py.lock",
    ]  # fmt: skip
    others = ("notes.txt", "app.bom.json", "requirements/a.in", "requirements/c.lock", "docs/requirements.txt")
    for name in (*names, *others):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    (tmp_path / "requirements/loop").symlink_to("..")

    assert {str(path.relative_to(tmp_path)) for path in find_files(tmp_path)} == {*names}


@pytest.mark.parametrize("lock", [None, "uv.lock"])
def test_what_conda_installs_no_lock_file_holds(tmp_path: Path, lock: str | None) -> None:
    names = {"environment.yml", "conda-lock.yml", lock or "conda-requirements.txt"}
    for name in {*names, "conda-list.json", "conda-list.txt"}:
        (tmp_path / name).write_text("")

    found = [path.name for path in find_files(tmp_path)]

    assert (len(found), {*found}) == (len(names), names)


def test_a_lock_file_that_is_a_loop_or_points_nowhere_is_found_so_that_it_is_told(tmp_path: Path) -> None:
    (tmp_path / "uv.lock").symlink_to("uv.lock")
    (tmp_path / "pdm.lock").symlink_to("missing")

    found = find_files(tmp_path)

    assert [path.name for path in found] == ["pdm.lock", "uv.lock"]
    for path in found:
        with pytest.raises(RejectedError):
            read_file(path)


def test_an_empty_folder_has_none_and_what_is_no_folder_is_refused(tmp_path: Path) -> None:
    assert find_files(tmp_path) == ()
    (tmp_path / "file").write_text("")
    for name in ("file", "missing"):
        with pytest.raises(RejectedError):
            find_files(tmp_path / name)
