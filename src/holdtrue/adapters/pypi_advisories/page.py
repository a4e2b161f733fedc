"""The JSON page of one version: which vulnerabilities does the index know?

Format: https://docs.pypi.org/api/json/, "Known vulnerabilities". Each is brought into the shape of an OSV record, which
it was made from, so that it is read and judged like one.
"""

from dataclasses import dataclass

from packaging.utils import canonicalize_name

from holdtrue.core.osv_record import NotAnAdvisory, parse_record
from holdtrue.core.version_match import match, read_version
from holdtrue.models.dependency import Pin
from holdtrue.models.osv import Match


class NotAVersionPage(ValueError):
    """It is no page about that version, or says nothing about vulnerabilities."""


@dataclass(frozen=True, slots=True)
class VersionPage:
    """What the index knows of a version.

    Attributes:
        matches: All of them, those that were withdrawn too.
        unreadable: How many entries cannot be read.
    """

    matches: tuple[Match, ...]
    unreadable: int


def read_page(pin: Pin, document: object) -> VersionPage:
    """The vulnerabilities of the pin.

    Raises:
        NotAVersionPage: it is none, is about another version, or has no list of vulnerabilities.
    """
    if not isinstance(document, dict):
        raise NotAVersionPage("its page is no JSON object")
    if not _is_about(pin, document.get("info")):
        raise NotAVersionPage("its page is about another package or version")
    entries = document.get("vulnerabilities")
    if not isinstance(entries, list):
        raise NotAVersionPage("its page has no list of vulnerabilities")
    matches: list[Match] = []
    unreadable = 0
    for entry in entries:
        try:
            found = match(pin, parse_record(_to_osv(pin, entry)))
        except NotAnAdvisory:
            unreadable += 1
            continue
        if found is not None:
            matches.append(found)
    return VersionPage(tuple(matches), unreadable)


def _is_about(pin: Pin, info: object) -> bool:
    """False only where the page says that it is about something else."""
    if not isinstance(info, dict):
        return True
    name, version = info.get("name"), info.get("version")
    if isinstance(name, str) and canonicalize_name(name) != pin.name:
        return False
    theirs, ours = read_version(version) if isinstance(version, str) else None, read_version(pin.version)
    return theirs is None or ours is None or theirs == ours


def _to_osv(pin: Pin, entry: object) -> object:
    """The entry as a record that lists this version and names each fix."""
    if not isinstance(entry, dict):
        return entry
    fixes = entry.get("fixed_in")
    events = [{"fixed": fix} for fix in fixes if isinstance(fix, str)] if isinstance(fixes, list) else []
    affected = {
        "package": {"ecosystem": "PyPI", "name": pin.name},
        "versions": [pin.version],
        "ranges": [{"type": "ECOSYSTEM", "events": events}],
    }
    copied = {key: entry.get(key) for key in ("id", "aliases", "summary", "details", "withdrawn")}
    return copied | {"references": [{"type": "WEB", "url": entry.get("link")}], "affected": [affected]}
