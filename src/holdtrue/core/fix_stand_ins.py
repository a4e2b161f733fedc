"""What a uv.lock knows of packages from repositories and addresses, in the form that spares uv to fetch them.

With `[[tool.uv.dependency-metadata]]` for a package that is locked to one commit or archive, uv resolves without a look
at it (uv 0.13; integration tests guard it). It also writes that into the lock, from where it is taken out again.
"""

import json
import re
import tomllib
from collections.abc import Iterator
from typing import Any, Final

_FETCHED: Final = ("git", "url")
_WRITTEN: Final = re.compile(r"^\[\[manifest\.dependency-metadata\]\]\n(?:[a-z-]+ = .*\n)+\n?", re.MULTILINE)
_EMPTY_MANIFEST: Final = re.compile(r"^\[manifest\]\n(?=\n|\[)\n?", re.MULTILINE)


def fetched_packages(lock: str) -> list[dict[str, Any]]:
    """The packages of the lock that uv fetches from a repository or address; none where it says of some what they need.

    What a project tells uv by itself is not to be mixed with stand-ins.
    """
    try:
        document = tomllib.loads(lock)
    except (ValueError, RecursionError):
        return []
    manifest, packages = document.get("manifest", {}), document.get("package")
    if not isinstance(packages, list) or not isinstance(manifest, dict) or "dependency-metadata" in manifest:
        return []
    found = (item for item in packages if isinstance(item, dict) and isinstance(item.get("source"), dict))
    return [item for item in found if any(kind in item["source"] for kind in _FETCHED)]


def stand_ins(packages: list[dict[str, Any]]) -> str:
    """Tables to append to pyproject.toml."""
    return "".join(
        "\n[[tool.uv.dependency-metadata]]\n"
        f"name = {json.dumps(item['name'])}\n"
        + (f"version = {json.dumps(item['version'])}\n" if "version" in item else "")
        + f"requires-dist = {json.dumps([*_needs(item)])}\n"
        + f"provides-extra = {json.dumps([*item.get('optional-dependencies', {})])}\n"
        for item in packages
    )


def without_stand_ins(lock: str) -> str:
    """The lock as uv writes it without them."""
    return _EMPTY_MANIFEST.sub("", _WRITTEN.sub("", lock))


def _needs(package: dict[str, Any]) -> Iterator[str]:
    yield from (_requirement(need, "") for need in package.get("dependencies", ()))
    for extra, needs in package.get("optional-dependencies", {}).items():
        yield from (_requirement(need, extra) for need in needs)


def _requirement(need: dict[str, Any], extra: str) -> str:
    extras = f"[{','.join(need['extra'])}]" if need.get("extra") else ""
    markers = [need.get("marker", ""), f"extra == '{extra}'" if extra else ""]
    marker = " and ".join(f"({text})" for text in markers if text)
    return f"{need['name']}{extras}{f' ; {marker}' if marker else ''}"
