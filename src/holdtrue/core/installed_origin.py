"""How an installed distribution came to be, by what its installer left behind.

Sources: PyPA specification "Recording installed projects" (INSTALLER, REQUESTED), PEP 610 (direct_url.json), and
Debian's Python policy (dist-packages).
"""

import json
import re
from typing import Final
from urllib.parse import unquote, urlsplit

from holdtrue.models.dependency import Origin

CONDA_REASON: Final = "a conda package, built from other sources or patched: no advisory about PyPI is sure to hold"

_DISTRO_REASON: Final = "patched by the operating system's distribution without a new version number"
_SYSTEM_FOLDER: Final = re.compile(r"(?:/usr)?/lib(?:32|64)?/python[0-9.]+/(?:dist|site)-packages/?")
_DEBIAN: Final = "dist-packages"
_DISTRO_INSTALLERS: Final = frozenset(
    {"debian", "dpkg", "apt", "rpm", "dnf", "yum", "zypper", "apk", "pacman", "portage"}
)
_INDEX_INSTALLERS: Final = frozenset({"pip", "uv", "poetry", "pdm", "pipenv", "hatch"})


def classify(*, folder: str, installer: str, direct_url: str | None) -> tuple[Origin, str]:
    """How it is installed, and why its version does not identify its code; empty when it does.

    `folder` is the package folder as its own machine sees it, `installer` the text of INSTALLER, and `direct_url` that
    of direct_url.json.
    """
    if direct_url is not None:
        return _read_direct_url(direct_url)
    name = _first_word(installer)
    if name == "conda":
        return Origin.CONDA, CONDA_REASON
    is_system = _SYSTEM_FOLDER.fullmatch(folder) is not None
    # Debian keeps pip out of dist-packages below /usr/lib; elsewhere pip and the distribution share site-packages.
    if name in _DISTRO_INSTALLERS or (is_system and (_DEBIAN in folder or name not in _INDEX_INSTALLERS)):
        return Origin.DISTRO, _DISTRO_REASON
    return Origin.INDEX, ""


def _read_direct_url(text: str) -> tuple[Origin, str]:
    match _parse_json(text):
        case {"vcs_info": dict()}:
            return Origin.VCS, "installed from a repository: its version number does not identify the code"
        case {"dir_info": {"editable": True}}:
            return Origin.EDITABLE, "an editable project: no source knows its code"
        case {"dir_info": dict()}:
            return Origin.LOCAL, "built from a folder of that machine: no source knows its code"
        case {"url": str(url)} if url.lower().startswith("file:"):
            return Origin.LOCAL, "installed from a file of that machine: its version number does not identify the code"
        case {"url": str()}:
            return Origin.URL, "installed from an address: its version number does not identify the code"
        case _:
            return Origin.URL, "its direct_url.json cannot be read, so that its origin is unknown"


def editable_path(direct_url: str) -> str:
    """The folder of an editable project; empty when it is none."""
    match _parse_json(direct_url):
        case {"url": str(url), "dir_info": {"editable": True}}:
            try:
                return unquote(urlsplit(url).path)
            except ValueError:
                return ""
        case _:
            return ""


def tells_requested(installer: str) -> bool:
    """Whether the file REQUESTED says what a person asked for: uv 0.13 writes it into whatever it installs."""
    return _first_word(installer) == "pip"


def _parse_json(text: str) -> object:
    """What it holds; None when it is no JSON."""
    try:
        parsed: object = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return parsed


def _first_word(text: str) -> str:
    return next(iter(text.lower().split()), "")
