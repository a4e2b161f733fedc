"""What is installed here: interpreters, environments whose programs are not run, and file systems of containers."""

import os
import sys
import time
from pathlib import Path

import pytest

from holdtrue.adapters.inventory.installed import list_environment, list_root, list_venv
from holdtrue.errors import RejectedError, ToolMissing
from holdtrue.models.dependency import Dependency, Inventory, Origin
from holdtrue.runtime import package_probe


def _install(folder: Path, name: str = "demo", version: str = "1.0", **files: str) -> Path:
    metadata = folder / f"{name}-{version}.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n\nA description.\n")
    for file, text in files.items():
        (metadata / file.replace("_json", ".json")).write_text(text)
    return metadata


def _venv(folder: Path, configuration: str = "home = /usr/bin\ninclude-system-site-packages = false\n") -> Path:
    packages = folder / "lib/python3.12/site-packages"
    packages.mkdir(parents=True)
    (folder / "pyvenv.cfg").write_text(configuration)
    return packages


def _dependencies(*inventories: Inventory) -> dict[str, Dependency]:
    return {item.name: item for inventory in inventories for item in inventory.dependencies}


def test_an_environment_is_listed_without_its_python(tmp_path: Path) -> None:
    packages = _venv(tmp_path)
    _install(packages, "Demo_A", INSTALLER="pip\n", REQUESTED="")
    _install(packages, "cloned", direct_url_json='{"url": "https://h.example", "vcs_info": {}}')

    (inventory,) = list_venv(tmp_path)

    assert (inventory.label, inventory.kind, inventory.gaps) == (str(packages), "installed", ())
    found = _dependencies(inventory)
    assert (found["demo-a"].origin, found["demo-a"].is_direct) == (Origin.INDEX, True)
    assert found["cloned"].origin is Origin.VCS


def test_a_second_name_of_a_folder_is_no_second_folder(tmp_path: Path) -> None:
    _install(_venv(tmp_path))
    (tmp_path / "lib64").symlink_to("lib")

    assert len(list_venv(tmp_path)) == 1


@pytest.mark.parametrize("inner", ["Lib/site-packages", "lib64/python3.9/site-packages", "lib/pypy3.10/site-packages"])
def test_other_layouts(tmp_path: Path, inner: str) -> None:
    _install(tmp_path / inner)

    assert _dependencies(*list_venv(tmp_path)).keys() == {"demo"}


@pytest.mark.parametrize(
    ("line", "is_gap"),
    [
        ("include-system-site-packages = true", True),
        ("Include-System-Site-Packages=True", True),
        ("", True),
        ("include-system-site-packages = false", False),
    ],
)
def test_packages_of_the_base_python_are_a_gap(tmp_path: Path, line: str, *, is_gap: bool) -> None:
    _install(_venv(tmp_path, f"home = /usr/bin\n{line}\n"))

    (inventory,) = list_venv(tmp_path)

    assert [gap.name for gap in inventory.gaps] == ["pyvenv.cfg"] * is_gap


def test_an_empty_environment_says_so(tmp_path: Path) -> None:
    _venv(tmp_path)

    (inventory,) = list_venv(tmp_path)

    assert inventory.dependencies == ()
    assert len(inventory.gaps) == 1


def test_what_is_no_environment_is_refused(tmp_path: Path) -> None:
    (tmp_path / "lib").mkdir()

    for folder in (tmp_path, tmp_path / "missing", Path("/etc/passwd")):
        with pytest.raises(RejectedError):
            list_venv(folder)


def test_broken_metadata_are_never_dropped(tmp_path: Path) -> None:
    packages = _venv(tmp_path)
    (packages / "half_gone-1.0.dist-info").mkdir()
    (packages / "no_version-2.0.dist-info").mkdir()
    (packages / "no_version-2.0.dist-info/METADATA").write_text("Name: no-version\n")
    (packages / "binary-3.0.dist-info").mkdir()
    (packages / "binary-3.0.dist-info/METADATA").write_bytes(b"\x00\xff\xfe" * 100)
    (packages / "folder-4.0.dist-info/METADATA").mkdir(parents=True)
    (packages / "nameless.dist-info").mkdir()
    (packages / "loop-5.0.dist-info").symlink_to("loop-5.0.dist-info")
    (packages / "old.egg-info").write_text("Metadata-Version: 1.0\nName: old\nVersion: 0.1\n")
    (packages / "older-0.2.egg-info").mkdir()
    (packages / "older-0.2.egg-info/PKG-INFO").write_text("Name: older\nVersion: 0.2\n")
    for folder in ("mixed-0.3-py3.12.egg-info", "both-0.4.egg-info", "packed-0.5-py3.12.egg/EGG-INFO"):
        (packages / folder).mkdir(parents=True)
    (packages / "mixed-0.3-py3.12.egg-info/METADATA").write_text("Name: mixed\nVersion: 0.3\n")
    (packages / "both-0.4.egg-info/METADATA").write_text("Name: both\nVersion: 0.4\n")
    (packages / "both-0.4.egg-info/PKG-INFO").write_text("Name: both\nVersion: 0.1\n")
    (packages / "packed-0.5-py3.12.egg/EGG-INFO/METADATA").write_text("Name: packed\nVersion: 0.5\n")
    (packages / "egg-0.3-py3.12.egg/EGG-INFO").mkdir(parents=True)
    (packages / "egg-0.3-py3.12.egg/EGG-INFO/PKG-INFO").write_text("Name: egg\nVersion: 0.3\n")
    (packages / "zipped-0.4-py3.12.egg").write_bytes(b"PK")
    (packages / "mine.egg-link").write_text("/src/mine\n.")
    (packages / "more.pth").write_text("/elsewhere\n")
    (packages / "long.pth").write_text("#" * 100_000)

    (inventory,) = list_venv(tmp_path)

    found = {name: (item.version, bool(item.reason)) for name, item in _dependencies(inventory).items()}
    assert found == {
        "half-gone": ("1.0", True),
        "no-version": ("2.0", True),
        "binary": ("3.0", True),
        "folder": ("4.0", True),
        "loop": ("5.0", True),
        "old": ("0.1", False),
        "older": ("0.2", False),
        "mixed": ("0.3", False),
        "both": ("0.4", False),
        "packed": ("0.5", False),
        "egg": ("0.3", False),
        "zipped": ("0.4", True),
        "mine": ("", True),
    }
    assert {gap.name for gap in inventory.gaps} == {"nameless.dist-info", "more.pth", "long.pth"}


def test_a_pipe_in_place_of_metadata_does_not_block(tmp_path: Path) -> None:
    metadata = _install(_venv(tmp_path))
    (metadata / "METADATA").unlink()
    os.mkfifo(metadata / "METADATA")
    os.mkfifo(metadata / "direct_url.json")

    (inventory,) = list_venv(tmp_path)

    (found,) = inventory.dependencies
    assert found.origin is not Origin.INDEX
    assert found.reason


def test_a_name_that_is_no_utf8_can_be_written(tmp_path: Path) -> None:
    packages = os.fsencode(_venv(tmp_path))
    os.mkdir(packages + b"/d\xe9mo-1.0.dist-info")  # noqa: PTH102 - bytes

    (inventory,) = list_venv(tmp_path)

    assert inventory.gaps
    repr(inventory).encode()


def test_copies_that_installers_carry(tmp_path: Path) -> None:
    packages = _venv(tmp_path)
    _install(packages, "pip", "25.0")
    _install(packages / "setuptools/_vendor", "wheel", "0.43.0")
    (packages / "pip/_vendor").mkdir(parents=True)
    (packages / "pip/_vendor/vendor.txt").write_text("urllib3==1.26.20\n")

    (inventory,) = list_venv(tmp_path)

    assert {name: item.place for name, item in _dependencies(inventory).items() if item.chain} == {
        "urllib3": "vendored in pip",
        "wheel": "vendored in setuptools",
    }


def test_copies_of_which_no_list_is_kept_are_a_gap(tmp_path: Path) -> None:
    packages = _venv(tmp_path)
    copies = packages / "pip/_vendor"
    (copies / "__pycache__").mkdir(parents=True)
    (copies / "__init__.py").touch()
    assert [gap.name for gap in list_venv(tmp_path)[0].gaps] == [str(packages)], "a distribution took them out"

    (copies / "requests").mkdir()
    assert [gap.name for gap in list_venv(tmp_path)[0].gaps] == ["pip's vendor.txt"]

    (copies / "vendor.txt").write_text("requests==2.22.0\n")
    assert [item.name for item in list_venv(tmp_path)[0].dependencies] == ["requests"]
    assert list_venv(tmp_path)[0].gaps == ()


def test_copies_inside_of_copies(tmp_path: Path) -> None:
    copies = _venv(tmp_path) / "pipenv/vendor"
    (copies / "pythonfinder/_vendor").mkdir(parents=True)
    (copies / "vendor.txt").write_text("pythonfinder==1.3.2\n")
    (copies / "pythonfinder/_vendor/vendor.txt").write_text("pep514tools==0.1.0\n")

    (inventory,) = list_venv(tmp_path)

    assert {item.name: item.version for item in inventory.dependencies} == {
        "pythonfinder": "1.3.2", "pep514tools": "0.1.0",
    }  # fmt: skip


def test_metadata_are_found_in_capitals_too(tmp_path: Path) -> None:
    packages = _venv(tmp_path)
    _install(packages, "demo").rename(packages / "demo-1.0.DIST-INFO")
    (packages / "OLD-0.1.EGG-INFO").write_text("Metadata-Version: 1.0\nName: old\nVersion: 0.1\n")
    (packages / "broken-0.2.Dist-Info").mkdir()

    (inventory,) = list_venv(tmp_path)

    assert {item.name: item.version for item in inventory.dependencies} == {
        "demo": "1.0", "old": "0.1", "broken": "0.2",
    }  # fmt: skip
    assert inventory.gaps == ()
    assert {item.label for item in list_root(tmp_path)} == {inventory.label}


def test_a_folder_of_packages_is_known_by_metadata_in_capitals_too(tmp_path: Path) -> None:
    _install(tmp_path / "opt/app").rename(tmp_path / "opt/app/demo-1.0.DIST-INFO")

    assert _dependencies(*list_root(tmp_path)).keys() == {"demo"}


def test_three_hundred_packages_take_no_time(tmp_path: Path) -> None:
    packages = _venv(tmp_path)
    for number in range(300):
        metadata = _install(packages, f"demo{number}", INSTALLER="pip\n")
        requires = "".join(f"Requires-Dist: demo{other}>=1; python_version > '3'\n" for other in range(10))
        header = f"Metadata-Version: 2.1\nName: demo{number}\nVersion: 1.0\n{requires}"
        (metadata / "METADATA").write_text(f"{header}\n{'A long description.' * 1_000}")
    began = time.process_time()

    (inventory,) = list_venv(tmp_path)

    # Alone it takes 0.03 s; the machine of the tests is shared.
    assert time.process_time() - began < 0.15
    assert len(inventory.dependencies) == 300


def test_this_interpreter_shows_its_packages() -> None:
    inventories = list_environment(Path(sys.executable))

    assert {"pytest", "holdtrue"} <= _dependencies(*inventories).keys()
    assert all(Path(inventory.label).is_dir() for inventory in inventories)
    assert _dependencies(*inventories)["holdtrue"].origin is Origin.EDITABLE


def test_an_interpreter_without_packages_is_one_empty_inventory(tmp_path: Path) -> None:
    (tmp_path / "pyvenv.cfg").write_text(
        f"home = {Path(sys.base_prefix) / 'bin'}\ninclude-system-site-packages = false\n"
    )
    python = tmp_path / "bin/python"
    python.parent.mkdir()
    python.symlink_to(Path(sys.base_prefix) / "bin/python3")

    (inventory,) = list_environment(python)

    assert (inventory.label, inventory.dependencies, len(inventory.gaps)) == (str(python), (), 1)


def test_what_is_no_interpreter_is_refused(tmp_path: Path) -> None:
    talker = tmp_path / "talker"
    talker.write_text("#!/bin/sh\necho '{\"a\": 1}'\n")
    talker.chmod(0o755)

    with pytest.raises(ToolMissing):
        list_environment(tmp_path / "python")
    for program in (Path("/bin/true"), Path("/bin/false"), Path("/bin/echo"), talker):
        with pytest.raises(RejectedError):
            list_environment(program)


def test_the_file_system_of_a_container(tmp_path: Path) -> None:
    _install(tmp_path / "usr/lib/python3/dist-packages", "patched")
    _install(tmp_path / "usr/local/lib/python3.12/site-packages", "plain")
    _install(tmp_path / "app/venv/lib/python3.12/site-packages", "inner")
    _install(tmp_path / "var/task", "target")
    _install(tmp_path / "root/.cache/uv/archive-v0/x", "cached")
    _install(tmp_path / "proc/1/root/usr/lib/python3/dist-packages", "outside")
    (tmp_path / "usr/local/lib/python3.11/dist-packages").mkdir(parents=True)

    inventories = list_root(tmp_path)

    found = _dependencies(*inventories)
    assert {name: item.origin for name, item in found.items()} == {
        "patched": Origin.DISTRO,
        "plain": Origin.INDEX,
        "inner": Origin.INDEX,
        "target": Origin.INDEX,
    }
    assert {inventory.label.removeprefix(str(tmp_path)) for inventory in inventories} == {
        "/usr/lib/python3/dist-packages",
        "/usr/local/lib/python3.12/site-packages",
        "/app/venv/lib/python3.12/site-packages",
        "/var/task",
    }
    assert not any(inventory.gaps for inventory in inventories)


def test_no_link_leads_out_of_a_container(tmp_path: Path) -> None:
    outside = _install(tmp_path / "outside/lib/python3.12/site-packages", "outside")
    secret = tmp_path / "secret"
    secret.write_text("Name: s3cr3t\nVersion: 1.0\n")
    root = tmp_path / "root"
    packages = root / "lib/python3.12/site-packages"
    metadata = _install(packages)
    (metadata / "INSTALLER").symlink_to(secret)
    (metadata / "direct_url.json").symlink_to(secret)
    (packages / "whole-2.0.dist-info").symlink_to(outside)
    (packages / "file-3.0.dist-info").mkdir()
    (packages / "file-3.0.dist-info/METADATA").symlink_to(secret)
    (packages / "list.pth").symlink_to(secret)
    (packages / "pip").symlink_to(outside.parent)
    (packages / "egg-4.0-py3.12.egg").mkdir()
    (packages / "egg-4.0-py3.12.egg/EGG-INFO").symlink_to(outside)
    (outside.parent / "_vendor").mkdir()
    (outside.parent / "_vendor/vendor.txt").write_text("outside==1.0\n")
    (root / "opt").symlink_to(tmp_path / "outside")
    (root / "loop").symlink_to(root)

    (inventory,) = list_root(root)

    assert {name: bool(item.reason) for name, item in _dependencies(inventory).items()} == {
        "demo": True,
        "whole": True,
        "file": True,
        "egg": True,
    }
    assert [gap.name for gap in inventory.gaps] == ["list.pth"]
    assert "s3cr3t" not in repr(inventory)


def test_a_container_without_packages_says_so(tmp_path: Path) -> None:
    (inventory,) = list_root(tmp_path)

    assert (inventory.label, inventory.dependencies, len(inventory.gaps)) == (str(tmp_path), (), 1)


def test_what_is_no_folder_is_no_container(tmp_path: Path) -> None:
    with pytest.raises(RejectedError):
        list_root(tmp_path / "missing")


@pytest.mark.parametrize("limit", ["_MOST_FOLDERS", "_MOST_PACKAGE_FOLDERS"])
def test_a_search_that_ends_early_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str) -> None:
    monkeypatch.setattr(package_probe, limit, 2)
    for number in range(5):
        _install(tmp_path / f"{number}/lib/python3.12/site-packages")

    gaps = [gap for inventory in list_root(tmp_path) for gap in inventory.gaps]

    assert any("ended early" in gap.reason for gap in gaps)


def test_a_folder_that_cannot_be_searched_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Permissions do not stop root, as which the tests may run.
    _install(tmp_path / "lib/python3.12/site-packages")
    (tmp_path / "private").mkdir()
    scan = os.scandir

    def refusing(path: str) -> object:
        if path.endswith("private"):
            raise PermissionError(13, "Permission denied")
        return scan(path)

    monkeypatch.setattr(os, "scandir", refusing)

    *_, last = list_root(tmp_path)

    assert last.label == str(tmp_path)
    assert last.gaps[0].name == str(tmp_path / "private")


def test_a_package_folder_that_cannot_be_listed_is_a_gap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _install(_venv(tmp_path))

    scan = os.scandir

    def refusing(path: str) -> object:
        if str(path).endswith("site-packages"):
            raise PermissionError(13, "Permission denied")
        return scan(path)

    monkeypatch.setattr(os, "scandir", refusing)

    (inventory,) = list_venv(tmp_path)

    assert inventory.dependencies == ()
    assert len(inventory.gaps) == 1
