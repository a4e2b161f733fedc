"""Package URLs (https://github.com/package-url/purl-spec), as far as they tell about PyPI packages."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

from holdtrue.core.lockfiles.naming import canonical_name
from holdtrue.core.lockfiles.own_packages import PYPI, index_name
from holdtrue.models.dependency import Origin

_TYPE: Final = re.compile(r"pkg:/*([a-z0-9.+-]+)/(.*)", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class PypiPackage:
    """A PyPI package of a package URL.

    Attributes:
        name: As PEP 503 writes it.
        version: As it stands there, decoded; empty when it has none.
        origin: By its qualifiers.
        reason: Why its version does not identify its code; empty when it does.
        index: The index that it is from; PyPI where the URL names none.
    """

    name: str
    version: str
    origin: Origin = Origin.INDEX
    reason: str = ""
    index: str = PYPI


def read_purl_type(purl: str) -> str:
    """Its type in lower case, such as `pypi` or `deb`; empty when it is no package URL."""
    found = _TYPE.fullmatch(purl.strip())
    return found[1].lower() if found else ""


def parse_pypi_purl(purl: str) -> PypiPackage | None:
    """What a URL of type `pypi` names; None when it cannot be read."""
    found = _TYPE.fullmatch(purl.strip())
    if found is None:
        return None
    rest, _, query = found[2].partition("#")[0].partition("?")
    path, _, version = rest.strip("/").partition("@")
    name = canonical_name(unquote(path))
    if name is None:
        return None
    qualifiers = {key.lower(): unquote(value) for key, _, value in (part.partition("=") for part in query.split("&"))}
    origin, reason = _classify(qualifiers)
    index = index_name(qualifiers.get("repository_url", "")) or PYPI
    return PypiPackage(name, unquote(version).strip(), origin, reason, index)


def _classify(qualifiers: Mapping[str, str]) -> tuple[Origin, str]:
    """By the qualifiers that tell where it came from; their values may hold credentials and are not repeated."""
    if qualifiers.get("vcs_url"):
        return Origin.VCS, "from a repository: its version number does not identify the code"
    if address := qualifiers.get("download_url", ""):
        if address.lower().startswith("file:"):
            return Origin.LOCAL, "from a file of some machine: its version number does not identify the code"
        return Origin.URL, "from an address: its version number does not identify the code"
    return Origin.INDEX, ""
