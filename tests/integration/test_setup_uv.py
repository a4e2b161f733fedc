import os
import stat
from pathlib import Path

import pytest

from tools.console import SetupFailedError
from tools.uv_program import OLDEST_UV, PRIVATE_UV, obtain_uv

# Stands in for a Python whose pip installs uv; `{pip}` and `{venv}` say whether it has these modules.
_PYTHON = """#!/bin/sh
[ "$2" = venv ] && {{ [ "{venv}" = yes ] || exit 1; mkdir -p "$3/bin"; cp "$0" "$3/bin/python"; exit 0; }}
[ "$2" = pip ] || exit 1
[ "{pip}" = yes ] || exit 1
target=$(dirname "$(dirname "$0")")
[ "$5" = --target ] && target="$6"
mkdir -p "$target/bin"
printf '#!/bin/sh\\necho "uv {version}"\\n' > "$target/bin/uv"
chmod 755 "$target/bin/uv"
"""


def _script(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def _python(folder: Path, *, venv: str = "yes", pip: str = "yes") -> Path:
    return _script(folder / "bin/python3", _PYTHON.format(venv=venv, pip=pip, version=PRIVATE_UV))


def _uv(folder: Path, version: str) -> Path:
    return _script(folder / "uv", f'#!/bin/sh\necho "uv {version}"\n')


def test_the_uv_on_path_is_used(tmp_path: Path) -> None:
    own = _uv(tmp_path / "path", str(OLDEST_UV))

    assert obtain_uv(search_path=str(own.parent), cache=tmp_path / "cache", python=Path("/none")) == own


@pytest.mark.parametrize("version", [None, "0.4.30", "broken"])
def test_a_private_uv_replaces_one_that_is_missing_old_or_broken(tmp_path: Path, version: str | None) -> None:
    if version is not None:
        _uv(tmp_path / "path", version)

    uv = obtain_uv(search_path=str(tmp_path / "path"), cache=tmp_path / "cache", python=_python(tmp_path / "py"))

    assert uv.is_relative_to(tmp_path / "cache")
    assert os.access(uv, os.X_OK)


def test_the_private_uv_is_installed_once(tmp_path: Path) -> None:
    first = obtain_uv(search_path="", cache=tmp_path / "cache", python=_python(tmp_path / "py"))

    assert obtain_uv(search_path="", cache=tmp_path / "cache", python=Path("/none")) == first


def test_a_python_without_venv_installs_with_its_pip(tmp_path: Path) -> None:
    python = _python(tmp_path / "py", venv="no")

    assert os.access(obtain_uv(search_path="", cache=tmp_path / "cache", python=python), os.X_OK)


def test_without_any_way_to_install_it_the_user_is_told_and_nothing_stays(tmp_path: Path) -> None:
    python = _python(tmp_path / "py", venv="no", pip="no")

    with pytest.raises(SetupFailedError, match="python3-venv"):
        obtain_uv(search_path="", cache=tmp_path / "cache", python=python)

    assert not (tmp_path / "cache/uv" / PRIVATE_UV).exists()
