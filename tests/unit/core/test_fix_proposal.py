"""The search for a fix, and the files with it, without a resolver and an index."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.version import Version

from holdtrue.core.fix_lines import change_line, index_options, requirement_text, split_lines
from holdtrue.core.fix_patch import make_patch
from holdtrue.core.fix_proposal import Limits, decline, propose
from holdtrue.core.fix_report import summary_lines
from holdtrue.core.fix_requirements import (
    assign_releases,
    preference_lines,
    read_releases,
    rewrite_lines,
    source_lines,
)
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


# The search


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


# The files


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("demo==1.0", "demo==2.0"),
        ("demo == 1.0\r\n", "demo == 2.0\r\n"),
        ("\ufeffDemo_A[x, y]===1.0 ; os_name=='nt'  # ==1.0\n", "\ufeffDemo_A[x, y]===2.0 ; os_name=='nt'  # ==1.0\n"),
        ("demo>=0.5,==1.0,<3\n", "demo>=0.5,==2.0,<3\n"),
        ("demo==1.0 --hash=sha256:aa\n", "demo==2.0 --hash=sha256:01 --hash=sha256:02\n"),
        (
            "demo==1.0 \\\n    --hash=sha256:aa # why\n",
            "demo==2.0 \\\n    --hash=sha256:01 \\\n    --hash=sha256:02 # why\n",
        ),
        (
            "demo==1.0 \\\r\n  --hash=sha256:aa \\\r\n  --hash=sha256:bb\r\n",
            "demo==2.0 \\\r\n  --hash=sha256:01 \\\r\n  --hash=sha256:02\r\n",
        ),
    ],
)
def test_a_changed_line_keeps_all_but_version_and_hashes(line: str, expected: str) -> None:
    (read,) = split_lines(line)

    assert change_line(read, "2.0", ["sha256:01", "sha256:02"]) == expected


@pytest.mark.parametrize(
    "line",
    [
        "demo>=1",
        "demo==1.*",
        "demo",
        "# demo==1.0",
        "-r x.txt",
        "-e .",
        "demo @ https://h.example/demo-1.0.tar.gz",
        "?",
    ],
)
def test_what_is_no_pin_is_never_changed(line: str) -> None:
    (read,) = split_lines(line)

    assert read.pin is None
    with pytest.raises(ValueError, match="pins nothing"):
        change_line(read, "2.0", ())


TEXTS = st.lists(
    st.sampled_from(
        ["a==1.0", "b == 2", "\\", "\n", "\r\n", "#", " --hash=sha256:00", ";", ",", "\ufeff", "\x0c", " ", "==", "[x]"]
    ),
    max_size=12,
).map("".join) | st.text(max_size=60)


@settings(deadline=None, max_examples=200)
@given(TEXTS)
def test_cutting_a_text_loses_nothing_and_no_change_changes_nothing(text: str) -> None:
    lines = split_lines(text)

    assert "".join(line.raw for line in lines) == text
    assert rewrite_lines(lines, {}, {}) == text
    for line in lines:
        if line.pin and line.version_at:
            assert Version(line.raw[slice(*line.version_at)]) == Version(line.pin.version)


GIT = "git+https://h.example/g.git#egg=g"


def test_the_question_to_uv_loosens_pins_only() -> None:
    text = (
        "-i https://user:pw@h.example/\n--pre\n--find-links wheels\n-r more.txt\n--require-hashes\n"
        "A[x]==1.0,<4 --hash=sha256:00\nb==1.0+cpu ; os_name=='nt'\nc>=3 # why\nd==2rc1\n-e ./here\n.[dev]\n-e git+https://h.example/g.git#egg=g\ne==5\n"
    )
    lines = split_lines(text)
    wishes = {"a": Wish("2.0", frozenset({"2.1"})), "e": Wish(exact="5")}

    assert index_options(lines, "/base") == (["-i https://user:pw@h.example/", "--find-links /base/wheels"], True)
    assert source_lines(lines, wishes, is_near=True) == [
        "A[x]<4,!=2.1,>=2.0", 'b>=1.0 ; os_name == "nt"', "c>=3", "d>=2rc1", GIT, "e==5",
    ]  # fmt: skip
    assert source_lines(lines, {}, is_near=False) == ["A[x]<4", 'b ; os_name == "nt"', "c>=3", "d>=2rc1", GIT, "e"]
    assert preference_lines(lines, wishes) == ["a==2.0", 'b==1.0+cpu ; os_name == "nt"', "d==2rc1", "e==5"]


def test_a_continued_requirement_is_one_line_to_uv() -> None:
    (line,) = split_lines("demo>=1, \\\n  <2 --hash=sha256:00 # why\n")

    assert requirement_text(line) == "demo>=1,   <2"


def test_more_versions_than_pins_are_no_solution() -> None:
    lines = split_lines("a==1\n")
    releases = read_releases("a==2 ; os_name == 'nt'\na==3 ; os_name != 'nt'\n")

    assert isinstance(assign_releases([lines], releases, frozenset()), NoSolution)


def test_a_pin_with_hashes_does_not_go_to_a_version_without() -> None:
    lines = split_lines("a==1 --hash=sha256:00\n")
    assigned = assign_releases([lines], read_releases("a==2\n"), frozenset())

    assert not isinstance(assigned, NoSolution)
    assert isinstance(rewrite_lines(lines, assigned, {}), NoSolution)


def test_added_packages_stand_in_order_with_the_files_line_ends() -> None:
    lines = split_lines("b==1 --hash=sha256:00\r\nd==1 --hash=sha256:00")
    added = read_releases("a==1 --hash=sha256:01\nc==1 --hash=sha256:02\n    # via b\nz==1\n")

    assert rewrite_lines(lines, {}, added) == (
        "a==1 --hash=sha256:01\r\nb==1 --hash=sha256:00\r\nc==1 --hash=sha256:02\r\nd==1 --hash=sha256:00\r\nz==1\r\n"
    )


def test_a_patch_keeps_line_ends_and_says_where_the_last_one_is_missing() -> None:
    patch = make_patch([FileChange("a.txt", "x\r\ny", "x\r\nz"), FileChange("b.txt", "same", "same")])

    assert patch == (
        "--- a/a.txt\n+++ b/a.txt\n@@ -1,2 +1,2 @@\n x\r\n"
        "-y\n\\ No newline at end of file\n+z\n\\ No newline at end of file\n"
    )


# What people read


def test_the_summary_is_harmless_and_complete() -> None:
    pin = Pin("a", "1")
    declined = decline("app", [finding(pin, "X\x1b[31m\n::error::")], "poetry.lock")
    full = FixProposal(
        project="app",
        bumps=(
            Bump(package="a", from_version="1", to_version="2", removes=("X",)),
            Bump(package="b", from_version="1", to_version="2"),
            Bump(package="c", from_version="", to_version="2"),
            Bump(package="d", from_version="1", to_version=""),
        ),
        introduced=declined.unfixed,
        doubt="it failed",
        is_bounded=True,
        notes=("a note",),
    )

    assert all(line.isprintable() and "\x1b" not in line for line in summary_lines(declined))
    assert "nothing to propose" in summary_lines(declined)[0]
    assert len(summary_lines(full)) == 9
    assert "not verified" in summary_lines(full)[0]
