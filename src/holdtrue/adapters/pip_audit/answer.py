"""What pip-audit answered, held against what it was asked: found, or the reason why a package was not judged."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from packaging.utils import canonicalize_name
from packaging.version import Version

from holdtrue.adapters.pip_audit.command import Dependency, Vulnerability
from holdtrue.adapters.pip_audit.source import Named
from holdtrue.core.requirements import Pin, normalise_version
from holdtrue.models.advisory import Advisory

_SUMMARY_LENGTH: Final = 300


@dataclass(frozen=True, slots=True)
class Answer:
    """Findings by pin (an empty tuple: asked, nothing known), and the reason for each pin that was not fully judged."""

    found: Mapping[Pin, tuple[Vulnerability, ...]] = field(default_factory=dict)
    reasons: Mapping[Pin, str] = field(default_factory=dict)

    def joined(self, other: "Answer") -> "Answer":
        """Both; where both give a reason, the other's."""
        return Answer({**self.found, **other.found}, {**self.reasons, **other.reasons})


def read_dependencies(asked: Sequence[Pin], dependencies: Sequence[Dependency]) -> Answer:
    """Every pin that was asked about is found, skipped with a reason, or missing, which is a reason too."""
    found: dict[Pin, tuple[Vulnerability, ...]] = {}
    skipped: dict[str, str] = {}
    for item in dependencies:
        name = canonicalize_name(item.name)
        if item.skip_reason is not None:
            skipped[name] = item.skip_reason
        elif item.version is not None:
            found[Pin(name, normalise_version(item.version) or item.version)] = item.vulns
    reasons = {
        pin: f"pip-audit skipped it: {skipped[pin.name]}" if pin.name in skipped else "pip-audit did not report on it"
        for pin in asked
        if pin not in found
    }
    return Answer({pin: found[pin] for pin in asked if pin in found}, reasons)


def unreported_ids(answer: Answer, pin: Pin, named: Named) -> frozenset[str]:
    """Ids that the source names for the pin and that pip-audit reported under no name."""
    return named.ids - {name for item in answer.found.get(pin, ()) for name in (item.id, *item.aliases)}


def to_advisory(pin: Pin, item: Vulnerability, found_in: str) -> Advisory:
    """One finding; `fixed_in` keeps the versions above the installed one."""
    return Advisory(
        package=pin.name,
        version=pin.version,
        id=item.id,
        aliases=item.aliases,
        fixed_in=tuple(text for text in item.fix_versions if _is_above(text, pin.version)),
        summary=" ".join(item.description.split())[:_SUMMARY_LENGTH],
        found_in=(found_in,),
    )


def _is_above(fix: str, installed: str) -> bool:
    """True also for what PEP 440 cannot compare: the reader decides."""
    return normalise_version(fix) is None or Version(fix) > Version(installed)
