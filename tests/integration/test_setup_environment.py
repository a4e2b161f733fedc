import sys
from pathlib import Path

import pytest

from tools.console import SetupFailedError
from tools.machine_cache import cache_folder, link_atomically, search_path_without
from tools.setup import STAMP, compile_sources, drop_moved_environment, sync


def _environment(checkout: Path, *, stamped_for: Path | None) -> Path:
    venv = checkout / ".venv"
    venv.mkdir(parents=True)
    if stamped_for is not None:
        (venv / STAMP).write_text(f"{stamped_for}\n", encoding="utf-8")
    return venv


def test_the_environment_of_a_moved_checkout_is_dropped(tmp_path: Path) -> None:
    venv = _environment(tmp_path, stamped_for=tmp_path / "elsewhere")

    drop_moved_environment(tmp_path)

    assert not venv.exists()


@pytest.mark.parametrize("stamped", [True, False])
def test_an_environment_in_its_place_is_kept(tmp_path: Path, *, stamped: bool) -> None:
    venv = _environment(tmp_path, stamped_for=tmp_path if stamped else None)

    drop_moved_environment(tmp_path)

    assert venv.exists()


def test_a_failed_installation_is_a_failure(tmp_path: Path) -> None:
    uv = tmp_path / "uv"
    uv.write_text("#!/bin/sh\nexit 2\n", encoding="utf-8")
    uv.chmod(0o755)

    with pytest.raises(SetupFailedError):
        sync(tmp_path, uv)


def test_the_installation_takes_the_lock_file_and_its_own_environment_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VIRTUAL_ENV", "/somebody/elses")
    uv = tmp_path / "uv"
    uv.write_text('#!/bin/sh\n{ echo "$*"; env; } > seen\n', encoding="utf-8")
    uv.chmod(0o755)

    sync(tmp_path, uv)

    seen = (tmp_path / "seen").read_text(encoding="utf-8").splitlines()
    assert "--frozen" in seen[0]
    assert "--compile-bytecode" in seen[0]
    assert f"UV_PROJECT_ENVIRONMENT={tmp_path}/.venv" in seen
    assert "UV_PYTHON_DOWNLOADS=never" in seen
    assert not any(line.startswith("VIRTUAL_ENV=") for line in seen)


def _checkout_with_sources(folder: Path, source: str) -> Path:
    (folder / ".venv/bin").mkdir(parents=True)
    (folder / ".venv/bin/python").symlink_to(sys.executable)
    for package in ("src/holdtrue", "blocks", "tasks", "flows", "sandbox"):
        (folder / package).mkdir(parents=True)
        (folder / package / "module.py").write_text(source, encoding="utf-8")
    return folder


def test_the_checkouts_own_packages_are_compiled_where_python_may_write_no_bytecode(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    checkout = _checkout_with_sources(tmp_path, "pass\n")

    compile_sources(checkout)

    compiled = {path.parent.parent.name for path in checkout.rglob("__pycache__/module.*.pyc")}
    assert compiled == {"holdtrue", "blocks", "tasks", "flows", "sandbox"}


def test_sources_that_cannot_be_compiled_do_not_end_the_setup(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    compile_sources(_checkout_with_sources(tmp_path, "def broken(:\n"))

    assert "could not be compiled" in capsys.readouterr().out


def test_the_cache_follows_the_xdg_rules(tmp_path: Path) -> None:
    assert cache_folder({"HOME": str(tmp_path)}) == tmp_path / ".cache/holdtrue"
    assert cache_folder({"HOME": str(tmp_path), "XDG_CACHE_HOME": "relative"}) == tmp_path / ".cache/holdtrue"
    assert cache_folder({"HOME": "/none", "XDG_CACHE_HOME": str(tmp_path / "x")}) == tmp_path / "x/holdtrue"


def test_a_cache_that_cannot_be_made_is_a_clear_failure(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")

    with pytest.raises(SetupFailedError, match="XDG_CACHE_HOME"):
        cache_folder({"HOME": str(tmp_path / "file")})


def test_a_link_is_replaced_even_when_it_points_nowhere(tmp_path: Path) -> None:
    link = tmp_path / "bin/tool"
    for target in ("gone", "there"):
        link_atomically(tmp_path / target, link)

    assert link.readlink() == tmp_path / "there"
    assert [path.name for path in link.parent.iterdir()] == ["tool"]


def test_the_environments_own_programs_are_not_taken_for_the_users(tmp_path: Path) -> None:
    (tmp_path / "alias").symlink_to(tmp_path / "venv")

    assert search_path_without(tmp_path / "venv", f"{tmp_path}/venv:/usr/bin::{tmp_path}/alias") == "/usr/bin"
