"""Hand-made wheels on this machine, so that environments are made by the real uv without a network.

`pulumi` is a wheel of that name that lets its environment see this one's packages, pytest among them.
"""

import sysconfig
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest


def write_wheel(folder: Path, name: str, release: str, files: dict[str, str]) -> None:
    information = f"{name}-{release}.dist-info"
    content = {
        **files,
        f"{information}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {release}\n",
        f"{information}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    rows = "".join(f"{path},,\n" for path in [*content, f"{information}/RECORD"])
    folder.mkdir(exist_ok=True)
    with zipfile.ZipFile(folder / f"{name}-{release}-py3-none-any.whl", "w") as archive:
        for path, text in [*content.items(), (f"{information}/RECORD", rows)]:
            archive.writestr(path, text)


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only source of packages, for uv with a cache of its own."""
    folder = tmp_path / "wheels"
    borrowed = sysconfig.get_path("purelib") + "\n"
    write_wheel(folder, "pulumi", version("pulumi"), {"borrowed.pth": borrowed})
    write_wheel(folder, "pytest", version("pytest"), {})
    write_wheel(folder, "pulumi", "3.100.0", {"old.py": ""})
    for release in ("1.0", "2.0"):
        write_wheel(folder, "palette", release, {"palette.py": f"COLOUR = 'blue {release}'\n"})
    for name, value in {"UV_FIND_LINKS": str(folder), "UV_OFFLINE": "1", "UV_CACHE_DIR": str(tmp_path / "uv")}.items():
        monkeypatch.setenv(name, value)
    return folder
