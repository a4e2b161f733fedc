"""What the second audit says about versions that a fix may go to, each asked about once."""

from collections.abc import Iterable, Sequence
from typing import Final

from packaging.version import Version

from holdtrue.core.fix_resolution import Audit, Wish
from holdtrue.core.version_match import read_version
from holdtrue.errors import HoldtrueError
from holdtrue.models.audit import Finding
from holdtrue.models.dependency import Pin
from holdtrue.models.osv import Certainty

_LADDER_LIMIT: Final = 16
"""Fixes of fixes of fixes: real packages need two or three."""


def names_of(finding: Finding) -> frozenset[str]:
    """Its id and aliases, which compare without regard to case."""
    return frozenset(name.casefold() for name in finding.names)


def is_certain(finding: Finding) -> bool:
    """Whether it counts: neither only possible nor tolerated."""
    return finding.certainty is Certainty.AFFECTED and not finding.tolerated


def fixes_of(finding: Finding) -> tuple[Version, ...]:
    """Versions that mend it, above its own, ascending; pre-releases only when nothing else mends it."""
    own = read_version(finding.version)
    read = (read_version(text) for text in finding.fixed_in)
    fixes = sorted({fix for fix in read if fix is not None and (own is None or fix > own)})
    wants_final = not (own and own.is_prerelease) and any(not fix.is_prerelease for fix in fixes)
    return tuple(fix for fix in fixes if not (wants_final and fix.is_prerelease))


class Judge:
    """The audit with a memory. What it could not look at has no findings, and then `failure` says why."""

    def __init__(self, audit: Audit) -> None:
        self._audit = audit
        self._findings: dict[Pin, tuple[Finding, ...]] = {}
        self._accepted: dict[str, set[str]] = {}
        self._wanted: dict[str, set[str]] = {}
        self.failure = ""

    def ask(self, pins: Iterable[Pin]) -> None:
        """Have all of them looked at, in one go."""
        unknown = sorted(set(pins) - self._findings.keys(), key=lambda pin: (pin.name, pin.version))
        if not unknown or self.failure:
            return
        try:
            answer = self._audit(unknown)
        except HoldtrueError as error:
            self.failure = error.what
            return
        found: dict[Pin, list[Finding]] = {pin: [] for pin in unknown}
        for finding in answer:
            found.get(Pin(finding.package, finding.version), []).append(finding)
        self._findings |= {pin: tuple(findings) for pin, findings in found.items()}

    def knows(self, pins: Iterable[Pin]) -> bool:
        """Whether all of them were looked at."""
        return set(pins) <= self._findings.keys()

    def findings(self, pin: Pin) -> tuple[Finding, ...]:
        """All that was found; none for what was not looked at."""
        return self._findings.get(pin, ())

    def want(self, finding: Finding) -> None:
        """Let no later version of its package have this one, not even possibly."""
        self._wanted.setdefault(finding.package, set()).update(names_of(finding))

    def accept(self, finding: Finding) -> None:
        """Let later versions of its package have this one: it is there already, and cannot be removed."""
        self._accepted.setdefault(finding.package, set()).update(names_of(finding))

    def faults(self, pin: Pin) -> tuple[Finding, ...]:
        """What a version must not have."""
        accepted, wanted = self._accepted.get(pin.name, set()), self._wanted.get(pin.name, set())
        named = ((item, names_of(item)) for item in self.findings(pin) if not item.tolerated)
        return tuple(item for item, names in named if (is_certain(item) or names & wanted) and not names & accepted)

    def find_wish(self, package: str, findings: Sequence[Finding], *, above: Wish) -> Wish:
        """The lowest version that mends these findings, each of which has a fix, and that has no fault of its own.

        Fixes of different branches make the versions between them bad again, so every candidate is looked at. Without a
        good one among them: any version from the lowest on, but not those.
        """
        base = max(min(fixes_of(finding)) for finding in findings)
        minimum = read_version(above.minimum)
        base = max(base, minimum) if minimum else base
        candidates = {base} | {fix for finding in findings for fix in fixes_of(finding) if fix > base}
        for _ in range(_LADDER_LIMIT):
            self.ask(Pin(package, str(version)) for version in candidates)
            faults = {version: self.faults(Pin(package, str(version))) for version in candidates}
            good = [version for version in candidates if not faults[version] and str(version) not in above.excluded]
            more = {fix for items in faults.values() for item in items for fix in fixes_of(item) if fix > base}
            if good:
                return Wish(str(min(good)), above.excluded)
            if more <= candidates:
                break
            candidates |= more
        return Wish(str(base), above.excluded | {str(version) for version in candidates})
