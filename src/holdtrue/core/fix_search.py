"""The search: as few changed packages as remove the findings, still resolve, and have no findings of their own.

1. Each vulnerable package gets a wish: the lowest version that mends its findings.
2. Groups of wishes that do not resolve together are halved until the culprit is alone; it then gives up the finding
   that needs the highest version, and in the end itself.
   Where one can only go elsewhere, the others are held to the version of their wish as far as that goes.
3. What moved is audited; a faulty version is replaced by its own fix or excluded, and the search goes back to 2.
4. Packages that moved without a finding are put back wherever the rest still resolves.

Resolver runs and rounds are bounded. Nothing here knows a file format.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from holdtrue.core.fix_judge import Judge, fixes_of
from holdtrue.core.fix_resolution import FixableProject, NoSolution, Resolution, Wish
from holdtrue.models.audit import Finding
from holdtrue.models.dependency import Pin
from holdtrue.models.fix import Obstacle

_NOT_TRIED: Final = "the bound on the number of resolver runs was reached"


@dataclass(frozen=True, slots=True)
class Limits:
    """How long to search."""

    resolver_runs: int = 60
    rounds: int = 12


@dataclass(frozen=True, slots=True)
class GivenUp:
    """A finding that could be fixed by a version, but not here."""

    finding: Finding
    obstacle: Obstacle
    detail: str


class _BoundReached(Exception):
    """No error: the search ends with what it has."""


@dataclass(slots=True)
class Search:
    """One search; `targets` are the findings to remove, by package, each with a fix."""

    project: FixableProject
    judge: Judge
    targets: dict[str, list[Finding]]
    limits: Limits
    given_up: list[GivenUp] = field(default_factory=list)
    runs: int = 0
    is_bounded: bool = False
    _wishes: dict[str, Wish] = field(default_factory=dict)
    _followers: dict[str, Wish] = field(default_factory=dict)
    _asked: dict[tuple[frozenset[tuple[str, Wish]], bool], Resolution | NoSolution] = field(default_factory=dict)
    _fulfilled: Mapping[str, Wish] = field(default_factory=dict)
    """The wishes of the last solution, and whether it is one near by."""
    _is_near: bool = True

    def start(self) -> Resolution | None:
        """What the project resolves to as it stands; None when it does not, or not within the bound."""
        try:
            answer = self._run({}, is_near=True)
        except _BoundReached:
            return None
        return answer if isinstance(answer, Resolution) else None

    def run(self) -> Resolution | None:
        """The best set of versions, or None when nothing helps. It may be faulty when the bound was reached."""
        self._wishes = {name: self.judge.find_wish(name, found, above=Wish()) for name, found in self.targets.items()}
        solution: Resolution | None = None
        for _ in range(self.limits.rounds):
            solution = self._solve_most()
            if solution is None:
                return None
            self.judge.ask(self.changed(solution))
            if self.is_bounded:
                return solution
            faulty = [pin for pin in self.changed(solution) if self.judge.faults(pin)]
            if not faulty:
                return self._put_back(solution)
            for pin in faulty:
                self._tighten(pin)
        self.is_bounded = True
        return solution

    def changed(self, solution: Resolution) -> list[Pin]:
        """What it has and the project has not."""
        return sorted(solution.pins - self.project.pins, key=lambda pin: (pin.name, pin.version))

    def _solve_most(self) -> Resolution | None:
        """Fulfil as many wishes as go together."""
        self._check_followers()
        kept = dict(self._followers)
        solution: Resolution | None = None
        groups = deque([sorted(self._wishes)] if self._wishes else [])
        while groups:
            group = groups.popleft()
            try:
                answer = self._solve(kept | {name: self._wishes[name] for name in group})
            except _BoundReached:
                for name in (name for rest in (group, *groups) for name in rest):
                    self._give_up(name, self.targets[name], Obstacle.NOT_TRIED, _NOT_TRIED)
                break
            if isinstance(answer, Resolution):
                kept |= {name: self._wishes[name] for name in group}
                solution = answer
            elif len(group) > 1:
                middle = len(group) // 2
                groups.extendleft((group[middle:], group[:middle]))
            elif self._weaken(group[0], answer.reason):
                groups.appendleft(group)
        return solution and self._draw_near(kept, solution)

    def _draw_near(self, wishes: Mapping[str, Wish], solution: Resolution) -> Resolution:
        """One package that cannot have the version wished for must not send all others to the newest."""
        self._fulfilled = wishes
        self._is_near = isinstance(self._run(wishes, is_near=True), Resolution)
        away = [
            name
            for name, wish in wishes.items()
            if wish.minimum and wish.minimum not in wish.excluded and Pin(name, wish.minimum) not in solution.pins
        ]
        groups = deque([away] if away and not self._is_near else [])
        while groups:
            group = groups.popleft()
            nearer = {**self._fulfilled, **{name: Wish(exact=wishes[name].minimum) for name in group}}
            try:
                answer = self._run(nearer, is_near=False)
            except _BoundReached:
                break
            if isinstance(answer, Resolution):
                self._fulfilled, solution = nearer, answer
            elif len(group) > 1:
                middle = len(group) // 2
                groups.extendleft((group[middle:], group[:middle]))
        return solution

    def _check_followers(self) -> None:
        """Packages that only follow others must not be asked for what cannot be had: then they just avoid versions."""
        if any(wish.minimum for wish in self._followers.values()):
            try:
                possible = isinstance(self._solve(self._followers), Resolution)
            except _BoundReached:
                possible = False
            if not possible:
                self._followers = {name: Wish(excluded=wish.excluded) for name, wish in self._followers.items()}

    def _weaken(self, package: str, reason: str) -> bool:
        """Give up the finding that needs the highest version; whether others are left to try."""
        findings = self.targets[package]
        hardest = max(findings, key=lambda item: min(fixes_of(item)))
        self._give_up(package, [hardest], Obstacle.NO_SOLUTION, reason)
        if package not in self.targets:
            return False
        self._wishes[package] = self.judge.find_wish(package, self.targets[package], above=Wish())
        return True

    def _give_up(self, package: str, findings: Sequence[Finding], obstacle: Obstacle, detail: str) -> None:
        self.given_up += (GivenUp(finding, obstacle, detail) for finding in findings)
        for finding in findings:
            self.judge.accept(finding)
        left = [finding for finding in self.targets[package] if finding not in findings]
        if left:
            self.targets[package] = left
        else:
            del self.targets[package], self._wishes[package]

    def _tighten(self, pin: Pin) -> None:
        """Ask for a version without the faults of this one, or for any other one."""
        wishes = self._wishes if pin.name in self._wishes else self._followers
        wish = wishes.get(pin.name, Wish())
        without = Wish(wish.minimum, wish.excluded | {pin.version})
        fixable = [item for item in self.judge.faults(pin) if fixes_of(item)]
        wishes[pin.name] = self.judge.find_wish(pin.name, fixable, above=without) if fixable else without

    def _put_back(self, solution: Resolution) -> Resolution:
        """Leave where it is what moved needlessly: all of it at once, or else one after the other."""
        versions: dict[str, list[str]] = {}
        for pin in self.project.pins:
            versions.setdefault(pin.name, []).append(pin.version)
        moved = sorted({pin.name for pin in self.changed(solution)} - self._wishes.keys())
        moved = [name for name in moved if len(versions.get(name, ())) == 1]
        wishes = dict(self._fulfilled)
        for names in ([moved] if len(moved) > 1 else []) + [[name] for name in moved]:
            kept = {name: Wish(exact=versions[name][0]) for name in names}
            try:
                answer = self._run(wishes | kept, is_near=self._is_near)
            except _BoundReached:
                break
            if isinstance(answer, Resolution) and self._is_smaller(answer, solution):
                solution, wishes = answer, wishes | kept
        return solution

    def _is_smaller(self, answer: Resolution, solution: Resolution) -> bool:
        changed = self.changed(answer)
        if len(changed) >= len(self.changed(solution)):
            return False
        self.judge.ask(changed)
        return self.judge.knows(changed) and not any(map(self.judge.faults, changed))

    def _solve(self, wishes: Mapping[str, Wish]) -> Resolution | NoSolution:
        """Near by, or else anywhere."""
        answer = self._run(wishes, is_near=True)
        return answer if isinstance(answer, Resolution) else self._run(wishes, is_near=False)

    def _run(self, wishes: Mapping[str, Wish], *, is_near: bool) -> Resolution | NoSolution:
        key = (frozenset(wishes.items()), is_near)
        if key not in self._asked:
            if self.runs >= self.limits.resolver_runs:
                self.is_bounded = True
                raise _BoundReached
            self.runs += 1
            self._asked[key] = self.project.resolve(wishes, is_near=is_near)
        return self._asked[key]
