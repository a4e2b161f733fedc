"""What pip-audit answered, held against what it was asked: matches, or the reason why a pin was not judged."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from packaging.utils import canonicalize_name

from holdtrue.adapters.pip_audit_source.command import Dependency, Vulnerability
from holdtrue.core.osv_record import parse_record
from holdtrue.core.version_match import match, read_version
from holdtrue.models.dependency import Pin
from holdtrue.models.osv import Match


@dataclass(frozen=True, slots=True)
class Answer:
    """Matches by pin (an empty tuple: asked, nothing known), and the reason for each pin that was not judged."""

    matches: Mapping[Pin, tuple[Match, ...]] = field(default_factory=dict)
    reasons: Mapping[Pin, str] = field(default_factory=dict)

    def joined(self, other: "Answer") -> "Answer":
        """Both; where both give a reason, the other's."""
        return Answer({**self.matches, **other.matches}, {**self.reasons, **other.reasons})

    def reported(self, pin: Pin) -> frozenset[str]:
        """Every id and alias that it reports for the pin."""
        advisories = [item.advisory for item in self.matches.get(pin, ())]
        return frozenset(name for advisory in advisories for name in (advisory.id, *advisory.aliases))


def read_dependencies(asked: Sequence[Pin], dependencies: Sequence[Dependency]) -> Answer:
    """Every pin that was asked about has matches, was skipped with a reason, or is missing, which is a reason too."""
    found: dict[Pin, tuple[Vulnerability, ...]] = {}
    skipped: dict[str, str] = {}
    for item in dependencies:
        name = canonicalize_name(item.name)
        if item.skip_reason is not None:
            skipped[name] = item.skip_reason
        elif item.version is not None:
            found[Pin(name, str(read_version(item.version) or item.version))] = item.vulns
    reasons = {
        pin: f"pip-audit skipped it: {skipped[pin.name]}" if pin.name in skipped else "pip-audit did not report on it"
        for pin in asked
        if pin not in found
    }
    return Answer({pin: _to_matches(pin, found[pin]) for pin in asked if pin in found}, reasons)


def _to_matches(pin: Pin, vulnerabilities: Sequence[Vulnerability]) -> tuple[Match, ...]:
    found = (match(pin, parse_record(_to_osv(pin, item))) for item in vulnerabilities)
    return tuple(item for item in found if item is not None)


def _to_osv(pin: Pin, item: Vulnerability) -> object:
    """As a record that lists this version and names each fix, so that the fixes below the version are left out."""
    affected = {
        "package": {"ecosystem": "PyPI", "name": pin.name},
        "versions": [pin.version],
        "ranges": [{"type": "ECOSYSTEM", "events": [{"fixed": fix} for fix in item.fix_versions]}],
    }
    return {"id": item.id, "aliases": list(item.aliases), "summary": item.description, "affected": [affected]}
