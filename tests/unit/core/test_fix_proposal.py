"""The search for a fix, without a resolver and an index."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.version import Version

from holdtrue.core.fix_proposal import Limits, propose
from holdtrue.core.fix_resolution import FileChange, NoSolution, Resolution, Wish
from holdtrue.errors import ServiceUnreachable
from holdtrue.models.audit import Finding
from holdtrue.models.dependency import Pin
from holdtrue.models.fix import Bump, FixProposal, Obstacle
from holdtrue.models.osv import Certainty

Versions = Mapping[str, str]


def always(_: Versions) -> bool:
    return True


@dataclass
class Project:
    """Tries every set of versions: nearest first, as the promise of the seam says, or else the newest."""

    before: dict[str, str]
    index: dict[str, Sequence[str]]
    fits: Callable[[Versions], bool] = always
    restless: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    wishes: list[Mapping[str, Wish]] = field(default_factory=list)

    @property
    def pins(self) -> frozenset[Pin]:
        return frozenset(Pin(name, version) for name, version in self.before.items())

    def resolve(self, wishes: Mapping[str, Wish], *, is_near: bool) -> Resolution | NoSolution:
        self.wishes.append(wishes)
        fitting = [versions for versions in self._choices(wishes, is_near=is_near) if self.fits(versions)]
        if not fitting:
            return NoSolution("nothing fits")
        best = min(fitting, key=self._distance)
        return Resolution(frozenset(Pin(name, version) for name, version in best.items()), "")

    def _choices(self, wishes: Mapping[str, Wish], *, is_near: bool) -> Iterator[dict[str, str]]:
        good = [
            [v for v in self.index[name] if self._is_good(name, v, wishes, is_near=is_near)] for name in self.before
        ]
        return (dict(zip(self.before, versions, strict=True)) for versions in product(*good))

    def _is_good(self, name: str, version: str, wishes: Mapping[str, Wish], *, is_near: bool) -> bool:
        wish = wishes.get(name, Wish())
        if wish.exact:
            return version == wish.exact
        if name in self.restless and version == self.before[name] and wishes:
            return False
        lowest = [*([self.before[name]] if is_near else []), *([wish.minimum] if wish.minimum else [])]
        return version not in wish.excluded and all(Version(version) >= Version(low) for low in lowest)

    def _distance(self, versions: Versions) -> tuple[int, list[Version]]:
        moved = [name for name in versions if versions[name] != self.before[name]]
        return len(moved), [Version(versions[name]) for name in versions]

    def rewrite(self, resolution: Resolution) -> tuple[FileChange, ...] | NoSolution:
        def text(pins: frozenset[Pin]) -> str:
            return "".join(f"{pin.name}=={pin.version}\n" for pin in sorted(pins, key=lambda pin: pin.name))

        return (FileChange("pins.txt", text(self.pins), text(resolution.pins)),)


class Lock(Project):
    """As uv.lock is: near by is the version wished for itself, and elsewhere the newest."""

    def _is_good(self, name: str, version: str, wishes: Mapping[str, Wish], *, is_near: bool) -> bool:
        wish = wishes.get(name, Wish())
        is_there = not is_near or not wish.minimum or version == wish.minimum
        return is_there and super()._is_good(name, version, wishes, is_near=is_near)

    def _distance(self, versions: Versions) -> tuple[int, list[Version]]:
        moved, ascending = super()._distance(versions)
        return moved, [Version(str(10 - version.major)) for version in ascending]


def finding(pin: Pin, name: str, *fixed_in: str, doubt: str = "", tolerated: str = "") -> Finding:
    return Finding(
        package=pin.name,
        version=pin.version,
        id=name,
        certainty=Certainty.POSSIBLE if doubt else Certainty.AFFECTED,
        doubt=doubt,
        tolerated=tolerated,
        fixed_in=fixed_in,
        sources=("osv",),
    )


def auditor(bad: Mapping[str, Mapping[str, Sequence[str]]]) -> Callable[[Sequence[Pin]], list[Finding]]:
    """From package and id to the versions that have it, the last entry being its fix, or empty for none."""

    def audit(pins: Sequence[Pin]) -> list[Finding]:
        return [
            finding(
                pin, name, *([versions[-1]] if versions[-1] and Version(versions[-1]) > Version(pin.version) else [])
            )
            for pin in pins
            for name, versions in bad.get(pin.name, {}).items()
            if pin.version in versions[:-1]
        ]

    return audit


def run(project: Project, bad: Mapping[str, Mapping[str, Sequence[str]]], limits: Limits = Limits()) -> FixProposal:  # noqa: B008 - frozen
    audit = auditor(bad)
    return propose("app", project, audit(sorted(project.pins, key=lambda pin: pin.name)), audit, limits=limits)


def moves(proposal: FixProposal) -> dict[str, str]:
    return {bump.package: bump.to_version for bump in proposal.bumps}


def test_nothing_to_fix_is_nothing_to_propose() -> None:
    project = Project({"a": "1"}, {"a": "12"})

    assert run(project, {}) == FixProposal(project="app")
    assert project.wishes == []


def test_a_package_that_moved_needlessly_is_put_back() -> None:
    project = Project({"a": "1", "b": "1", "c": "1"}, {"a": "12", "b": "12", "c": "12"}, restless=("b", "c"))

    proposal = run(project, {"a": {"X": ["1", "2"]}})

    assert moves(proposal) == {"a": "2"}
    assert proposal.is_verified


def test_one_of_two_movers_is_put_back_when_the_other_must_move() -> None:
    project = Project(
        {"a": "1", "b": "1", "c": "1"},
        {"a": "12", "b": "12", "c": "12"},
        fits=lambda versions: versions["a"] == "1" or versions["b"] == "2",
        restless=("c",),
    )

    assert moves(run(project, {"a": {"X": ["1", "2"]}})) == {"a": "2", "b": "2"}


def test_what_cannot_go_to_its_fix_sends_nothing_else_to_the_newest() -> None:
    names = "abcdef"
    project = Lock(dict.fromkeys(names, "1"), {**dict.fromkeys(names, "123"), "e": "13"})

    proposal = run(project, {name: {f"X-{name}": ["1", "2"]} for name in names})

    assert moves(proposal) == dict.fromkeys(names, "2") | {"e": "3"}
    assert proposal.is_verified
    assert proposal.resolver_runs < 12


def test_what_moved_needlessly_is_put_back_where_another_cannot_go_to_its_fix() -> None:
    project = Lock(dict.fromkeys("abc", "1"), {"a": "13", "b": "12", "c": "12"}, restless=("c",))

    assert moves(run(project, {"a": {"X": ["1", "2"]}, "b": {"Y": ["1", "2"]}})) == {"a": "3", "b": "2"}


def test_the_culprit_of_a_conflict_is_found_among_many() -> None:
    names = "abcdefgh"
    project = Project(dict.fromkeys(names, "1"), dict.fromkeys(names, "12"), fits=lambda versions: versions["f"] == "1")

    proposal = run(project, {name: {f"X-{name}": ["1", "2"]} for name in names})

    assert moves(proposal) == dict.fromkeys("abcdegh", "2")
    assert [(item.id, item.obstacle, item.detail) for item in proposal.unfixed] == [
        ("X-f", Obstacle.NO_SOLUTION, "nothing fits")
    ]


def test_the_easier_of_two_findings_is_mended_when_the_harder_cannot_be() -> None:
    project = Project({"a": "1"}, {"a": "123"}, fits=lambda versions: versions["a"] != "3")

    proposal = run(project, {"a": {"EASY": ["1", "2"], "HARD": ["1", "2", "3"]}})

    assert proposal.bumps == (Bump(package="a", from_version="1", to_version="2", removes=("EASY",)),)
    assert [item.id for item in proposal.unfixed] == ["HARD"]
    assert proposal.is_verified


def test_a_finding_without_a_fix_does_not_keep_others_from_going() -> None:
    proposal = run(Project({"a": "1"}, {"a": "12"}), {"a": {"X": ["1", "2"], "NEVER": ["1", "2", ""]}})

    assert moves(proposal) == {"a": "2"}
    assert [(item.id, item.obstacle) for item in proposal.unfixed] == [("NEVER", Obstacle.NO_FIX)]
    assert proposal.is_verified


def test_a_fix_is_not_bought_with_a_finding_that_nothing_mends() -> None:
    project = Project({"a": "1", "b": "1"}, {"a": "12", "b": "12"}, fits=lambda v: v["a"] == v["b"])

    proposal = run(project, {"a": {"X": ["1", "2"]}, "b": {"Y": ["2", ""]}})

    assert (proposal.bumps, proposal.patch) == ((), "")
    assert [(item.id, item.obstacle) for item in proposal.unfixed] == [("X", Obstacle.NO_SOLUTION)]


def test_a_search_that_is_cut_off_tells_what_it_would_bring_in() -> None:
    project = Project({"a": "1", "b": "1"}, {"a": "12", "b": "12"}, fits=lambda v: v["a"] == v["b"])

    proposal = run(project, {"a": {"X": ["1", "2"]}, "b": {"Y": ["2", ""]}}, Limits(rounds=1))

    assert [item.id for item in proposal.introduced] == ["Y"]
    assert (proposal.is_verified, proposal.is_bounded) == (False, True)
    assert proposal.doubt


def test_what_is_not_sure_not_listed_or_tolerated_is_not_fixed() -> None:
    pin = Pin("a", "1")
    findings = [
        finding(pin, "DOUBT", "2", doubt="odd"),
        finding(Pin("z", "1"), "ELSEWHERE", "2"),
        finding(pin, "ODD", "not-a-version"),
        finding(pin, "WAIVED", "2", tolerated="a waiver"),
    ]

    proposal = propose("app", Project({"a": "1"}, {"a": "12"}), findings, auditor({}))

    assert [(item.id, item.obstacle) for item in proposal.unfixed] == [
        ("DOUBT", Obstacle.POSSIBLE),
        ("ELSEWHERE", Obstacle.NOT_LISTED),
        ("ODD", Obstacle.NO_FIX),
    ]


@pytest.mark.parametrize("answers", [0, 1, 2])
def test_an_audit_that_fails_leaves_the_proposal_unverified(answers: int) -> None:
    calls: list[int] = []

    def audit(pins: Sequence[Pin]) -> list[Finding]:
        calls.append(len(pins))
        if len(calls) > answers:
            raise ServiceUnreachable("no answer", where="s3cr3t")
        return auditor(bad)(pins)

    # The version that is wished for is not there, so the result is asked about by itself.
    bad = {"a": {"X": ["1", "2"]}}
    project = Project({"a": "1"}, {"a": "13"})
    proposal = propose("app", project, [finding(Pin("a", "1"), "X", "2")], audit)

    assert moves(proposal) == {"a": "3"}
    assert not proposal.is_verified
    assert "no answer" in proposal.doubt


def test_a_fix_that_may_not_mend_it_is_not_taken_for_one() -> None:
    def audit(pins: Sequence[Pin]) -> list[Finding]:
        states = {"1": "", "2": "the range cannot be read"}
        return [finding(pin, "X", "3", doubt=states[pin.version]) for pin in pins if pin.version in states]

    pin = Pin("a", "1")
    proposal = propose("app", Project({"a": "1"}, {"a": "123"}), [finding(pin, "X", "2", "3")], audit)

    assert moves(proposal) == {"a": "3"}


def test_pre_releases_are_for_those_who_have_one() -> None:
    found = finding(Pin("a", "1"), "X", "2rc1", "2")
    audit = auditor({})

    assert moves(propose("app", Project({"a": "1"}, {"a": ("1", "2rc1", "2")}), [found], audit)) == {"a": "2"}
    found = finding(Pin("a", "1rc1"), "X", "2rc1", "2")
    assert moves(propose("app", Project({"a": "1rc1"}, {"a": ("1rc1", "2rc1", "2")}), [found], audit)) == {"a": "2rc1"}


@pytest.mark.parametrize("digits", [120, 5_000])
def test_a_fix_with_a_number_that_nobody_reads_is_passed_over(digits: int) -> None:
    project, pin = Project({"a": "1"}, {"a": "12"}), Pin("a", "1")

    proposal = propose("app", project, [finding(pin, "X", "2", "9" * digits)], auditor({}))
    alone = propose("app", project, [finding(pin, "X", "9" * digits)], auditor({}))

    assert moves(proposal) == {"a": "2"}
    assert [item.obstacle for item in alone.unfixed] == [Obstacle.NO_FIX]


NAMES = "abc"
ADVISORIES = st.dictionaries(
    st.sampled_from(NAMES),
    st.dictionaries(
        st.sampled_from(["X", "Y"]),
        st.tuples(st.sets(st.sampled_from("1234"), min_size=1), st.sampled_from(["", "2", "3", "4"])).map(
            lambda pair: [*sorted(pair[0] - {pair[1]}), pair[1]]
        ),
    ),
)


@settings(deadline=None, max_examples=80)
@given(bad=ADVISORIES, forbidden=st.sets(st.tuples(*[st.sampled_from("1234")] * 3), max_size=40))
def test_every_finding_is_removed_or_told_and_what_is_verified_holds(
    bad: dict[str, dict[str, list[str]]], forbidden: set[tuple[str, ...]]
) -> None:
    project = Project(
        dict.fromkeys(NAMES, "1"),
        dict.fromkeys(NAMES, "1234"),
        fits=lambda versions: tuple(versions.values()) not in forbidden - {("1", "1", "1")},
    )
    audit = auditor(bad)
    before = audit([Pin(name, "1") for name in NAMES])

    proposal = run(project, bad)

    after = {**project.before, **moves(proposal)}
    found = {(item.package, item.id) for item in audit([Pin(*pair) for pair in after.items()])}
    had = {(item.package, item.id) for item in before}
    removed = {(bump.package, name) for bump in proposal.bumps for name in bump.removes}
    left = {(item.package, item.id) for item in proposal.unfixed}
    assert (removed | left, removed & left) == (had, set())
    assert project.fits(after)
    assert found & had == left
    assert (found - had == set()) == (proposal.is_verified or not proposal.bumps)
