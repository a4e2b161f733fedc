"""What a path or address tells of the package behind it, without repeating the address: it may hold a credential."""

import re
from typing import Final
from urllib.parse import unquote

from packaging.utils import parse_sdist_filename, parse_wheel_filename

from holdtrue.core.lockfiles.naming import canonical_name
from holdtrue.models.dependency import Origin, Pin

_REPOSITORY: Final = re.compile(r"(?:git|hg|svn|bzr)(?:\+|://)|git@", re.IGNORECASE)
_SDIST_SUFFIXES: Final = (".tar.gz", ".zip")
_LONGEST_FILE_NAME: Final = 255
"""What file systems allow. Reading a wheel's name takes the product of its tags, so longer ones are not tried."""


def origin_of(address: str) -> Origin:
    """By its scheme; without one it is a path."""
    if _REPOSITORY.match(address):
        return Origin.VCS
    is_remote = "://" in address and not address.lower().startswith("file:")
    return Origin.URL if is_remote else Origin.LOCAL


def pin_of_file(address: str) -> Pin | None:
    """Name and version from the name of a wheel or sdist; None for any other file.

    Source: the file name conventions of the binary and source distribution formats (packaging.python.org).
    """
    file = unquote(_last_part(address))
    if len(file) > _LONGEST_FILE_NAME:
        return None
    try:
        if file.endswith(".whl"):
            name, version, _, _ = parse_wheel_filename(file)
        elif file.endswith(_SDIST_SUFFIXES):
            name, version = parse_sdist_filename(file)
        else:
            return None
    except ValueError:
        return None
    canonical = canonical_name(name)
    return Pin(canonical, str(version)) if canonical else None


def version_of_file(address: str, name: str) -> str:
    """The version in the file's name when it is a wheel or sdist of that package; else empty."""
    pin = pin_of_file(address)
    return pin.version if pin and pin.name == name else ""


def guess_name(address: str) -> str | None:
    """The `#egg=` of the address, or its last part without suffix: good for a list, not for a question."""
    return egg_name(address) or canonical_name(_last_part(address).removesuffix(".git").partition("[")[0])


def egg_name(address: str) -> str | None:
    """The name that its `#egg=` says."""
    eggs = (part[4:] for part in address.partition("#")[2].split("&") if part.startswith("egg="))
    names = (canonical_name(text.partition("[")[0]) for text in eggs)
    return next(filter(None, names), None)


def is_own_folder(path: str) -> bool:
    """Whether it is the folder of the file that names it, that is, of the project itself."""
    return path.partition("[")[0].rstrip("/") == "."


def _last_part(address: str) -> str:
    """Without host (user names and passwords stand before it), query, fragment and revision."""
    path = address.partition("://")[2].partition("/")[2] if "://" in address else address
    path = re.split(r"[?#;]", path, maxsplit=1)[0].strip()
    return path.rstrip("/").rsplit("/", 1)[-1].rsplit("\\", 1)[-1].partition("@")[0]
