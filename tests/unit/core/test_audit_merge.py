"""Merging what sources say about what inventories hold."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta, timezone
from itertools import permutations
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdtrue.core.audit_finding import CLASS_REASONS
from holdtrue.core.audit_merge import Merged, merge, pins_to_ask
from holdtrue.core.lockfiles import mark_internal
from holdtrue.models.audit import Finding, NotAudited, Severity
from holdtrue.models.dependency import IDENTIFIED, Dependency, Gap, Inventory, Origin, Pin
from holdtrue.models.osv import AdvisoryRecord, Affected, Certainty, Event, EventKind, Match, SourceAnswer

DEMO = Pin("demo-a", "1.0")
LONG_AGO = datetime(2001, 1, 1, tzinfo=UTC)
NOT_ASKED = {Origin.INTERNAL, Origin.LOCAL, Origin.EDITABLE}
HIGH = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:N/A:N"
CRITICAL_3 = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"
NONE_4 = "CVSS:4.0/AV:P/AC:H/AT:P/PR:H/UI:A/VC:N/VI:N/VA:N/SC:N/SI:N/SA:N"
LOW = "CVSS:3.1/AV:L/AC:H/PR:H/UI:R/S:U/C:L/I:N/A:N"


def match(name: str, *aliases: str, fixed_in: Sequence[str] = (), doubt: str = "", **more: Any) -> Match:
    return Match(
        AdvisoryRecord(name, aliases, **more),
        certainty=Certainty.POSSIBLE if doubt else Certainty.AFFECTED,
        doubt=doubt,
        fixed_in=tuple(fixed_in),
    )


def answer(*matches: Match, pin: Pin = DEMO, **more: Any) -> SourceAnswer:
    return SourceAnswer(matches={pin: matches} if matches else {}, **more)


def inventory(*dependencies: Dependency, label: str = "app.txt", gaps: Sequence[Gap] = ()) -> Inventory:
    return Inventory(label, "requirements", dependencies or (Dependency("demo-a", "1.0"),), tuple(gaps))


def merged(*matches: Match, other: Sequence[Match] | None = None) -> Merged:
    answers = [("osv", answer(*matches))] + ([("pypi", answer(*other))] if other is not None else [])
    return merge([inventory()], answers)


def only(result: Merged) -> Finding:
    (finding,) = result.findings
    return finding


def counts(result: Merged) -> list[tuple[int, int]]:
    return [(item.audited, item.not_audited) for item in result.inventories]


def listed(result: Merged) -> list[tuple[str, str]]:
    return [(item.name, item.reason) for item in result.not_audited]


# What is asked


def test_every_package_version_is_asked_about_once() -> None:
    first = inventory(Dependency("demo-a", "1.0"), Dependency("demo-a", "2.0"), Dependency("demo-b", ""))
    second = inventory(Dependency("demo-a", "1.0", Origin.DISTRO), Dependency("demo-c", "2004d", Origin.VCS))

    assert pins_to_ask([first, second]) == (Pin("demo-a", "1.0"), Pin("demo-a", "2.0"), Pin("demo-c", "2004d"))


def test_nobody_is_asked_about_an_internal_name_wherever_it_was_installed_from() -> None:
    marked = mark_internal(
        inventory(Dependency("acme-core", "1.0", Origin.VCS), Dependency("demo-a", "1.0")), ["acme-*"]
    )

    assert pins_to_ask([marked]) == (DEMO,)


# Aliases


def test_findings_that_share_a_name_only_through_a_third_are_one_in_any_order() -> None:
    found = [
        match("GHSA-x", fixed_in=("2.0",)),
        match("CVE-1", "GHSA-x", "PYSEC-1", fixed_in=("1.10",)),
        match("PYSEC-1", fixed_in=("1.9", "not-a-version"), summary="what it is"),
        match("OTHER-7", "ghsa-X"),
    ]

    results = [merged(*order).findings for order in permutations(found)]

    assert all(result == results[0] for result in results)
    (finding,) = results[0]
    assert (finding.id, finding.aliases) == ("PYSEC-1", ("CVE-1", "GHSA-x", "OTHER-7"))
    assert finding.fixed_in == ("1.9", "1.10", "2.0", "not-a-version")
    assert finding.summary == "what it is"


def test_a_cycle_of_aliases_is_one_finding() -> None:
    finding = only(merged(match("A-1", "A-2"), match("A-2", "A-3"), match("A-3", "A-1", "A-3")))

    assert (finding.id, finding.aliases) == ("A-1", ("A-2", "A-3"))


def test_the_same_advisory_on_other_versions_and_packages_stays_apart() -> None:
    pins = [Pin("demo-a", "1.0"), Pin("demo-a", "1.10"), Pin("demo-a", "1.9"), Pin("demo-b", "1.0")]
    held = inventory(*(Dependency(pin.name, pin.version) for pin in pins))

    result = merge([held], [("osv", SourceAnswer({pin: (match("PYSEC-1"),) for pin in pins}))])

    assert [(item.package, item.version) for item in result.findings] == [
        ("demo-a", "1.0"), ("demo-a", "1.9"), ("demo-a", "1.10"), ("demo-b", "1.0"),
    ]  # fmt: skip


def test_advisories_without_any_name_are_a_finding_too() -> None:
    result = merged(match("", summary="one"), match("PYSEC-1"), match("", summary="two", vectors=(HIGH,)))

    assert [(item.id, item.summary) for item in result.findings] == [("PYSEC-1", ""), ("unnamed", "one")]
    assert result.findings[1].severity is Severity.HIGH


def test_a_withdrawn_advisory_makes_no_finding_and_joins_none() -> None:
    result = merged(
        match("GHSA-x", "CVE-1", "CVE-2", withdrawn=LONG_AGO), match("PYSEC-1", "CVE-1"), match("PYSEC-2", "CVE-2")
    )

    assert [item.id for item in result.findings] == ["PYSEC-1", "PYSEC-2"]
    assert merged(match("GHSA-x", withdrawn=LONG_AGO)).findings == ()


def test_a_withdrawal_counts_from_its_day_on() -> None:
    day = datetime(2030, 6, 1, tzinfo=UTC)
    answers = [("osv", answer(match("PYSEC-1", withdrawn=day)))]
    held = [inventory(Dependency("demo-a", "1.0"))]

    assert [item.id for item in merge(held, answers, at=day - timedelta(days=1)).findings] == ["PYSEC-1"]
    assert merge(held, answers, at=day).findings == ()


# What a finding says


def test_severity_comes_from_a_vector_of_any_alias() -> None:
    finding = only(merged(match("PYSEC-1", "CVE-1"), other=[match("GHSA-x", "CVE-1", vectors=("junk", HIGH))]))

    assert (finding.severity, finding.score, finding.vector) == (Severity.HIGH, 7.5, HIGH)


def test_severity_of_an_affected_entry_counts_for_its_package_alone() -> None:
    affected = (Affected("demo-a", vectors=(LOW,)), Affected("demo-b", vectors=(HIGH,)))

    assert only(merged(match("PYSEC-1", affected=affected))).vector == LOW


def test_without_anything_readable_the_severity_is_unknown_and_that_of_malware_critical() -> None:
    assert only(merged(match("PYSEC-1", vectors=("junk",), rating="odd"))).severity is Severity.UNKNOWN
    assert only(merged(match("GHSA-x", "MAL-2099-1"))).severity is Severity.CRITICAL
    assert only(merged(match("MAL-2099-1", rating="LOW"))).severity is Severity.LOW


@pytest.mark.parametrize("split", [False, True])
def test_a_newer_generation_of_another_record_or_source_hides_no_graver_severity(*, split: bool) -> None:
    three, four = match("GHSA-x", "CVE-1", vectors=(CRITICAL_3,)), match("PYSEC-1", "CVE-1", vectors=(NONE_4,))
    found = [merged(three, other=[four]), merged(four, other=[three])] if split else [merged(three, four)]

    assert {(only(item).severity, only(item).score) for item in found} == {(Severity.CRITICAL, 9.8)}
    assert only(merged(match("GHSA-x", vectors=(CRITICAL_3, NONE_4)))).severity is Severity.NONE


INTRODUCED = Event(EventKind.INTRODUCED, "0")


@pytest.mark.parametrize(
    ("affected", "may_be_mended"),
    [
        ((), False),
        ((Affected("demo-a", ((INTRODUCED,),), ("1.0", "1.1")),), False),
        ((Affected("demo-a", ((INTRODUCED, Event(EventKind.LAST_AFFECTED, "1.5")),)),), True),
        ((Affected("demo-a", ((INTRODUCED, Event(EventKind.LIMIT, "1.5")),)),), True),
        ((Affected("demo-a", versions=("1.0",)),), True),
        ((Affected("demo-b", versions=("1.0",)), Affected("demo-a", ((INTRODUCED,),))), False),
    ],
)
def test_whether_a_version_may_mend_it_though_none_is_named(
    affected: tuple[Affected, ...],
    may_be_mended: bool,  # noqa: FBT001 - a column
) -> None:
    open_ended = match("GHSA-x", "PYSEC-1", affected=(Affected("demo-a", ((INTRODUCED,),)),))

    assert only(merged(match("PYSEC-1", affected=affected))).may_be_mended is may_be_mended
    assert only(merged(open_ended, other=[match("PYSEC-1", affected=affected)])).may_be_mended is may_be_mended
    assert not only(merged(match("PYSEC-1", affected=affected, fixed_in=("2.0",)))).may_be_mended


def test_a_fix_version_of_more_digits_than_python_reads_comes_last() -> None:
    assert only(merged(match("A-1", fixed_in=("9" * 5000, "2.0")))).fixed_in == ("2.0", "9" * 5000)


def test_fix_versions_are_united_and_spellings_of_one_version_are_one() -> None:
    finding = only(merged(match("A-1", fixed_in=("2.0.0", "1!1.0")), match("A-1", fixed_in=("2.0", "2.0.post1"))))

    assert finding.fixed_in == ("2.0", "2.0.post1", "1!1.0")


def test_the_earliest_publication_stands_whatever_its_time_zone() -> None:
    east = datetime(2030, 1, 1, 5, tzinfo=timezone(timedelta(hours=6)))
    finding = only(merged(match("A-1", published=east), match("A-1", published=datetime(2030, 1, 1))))  # noqa: DTZ001

    assert finding.published == east


def test_sure_when_any_source_is_sure() -> None:
    doubtful = match("A-1", doubt="its range cannot be read")

    assert only(merged(doubtful, other=[match("A-1")])).certainty is Certainty.AFFECTED
    finding = only(merged(doubtful, other=[doubtful]))
    assert (finding.certainty, finding.doubt) == (Certainty.POSSIBLE, "its range cannot be read")


@pytest.mark.parametrize("origin", sorted(set(Origin) - IDENTIFIED - NOT_ASKED))
def test_an_origin_that_does_not_identify_the_code_makes_it_possible_and_is_not_audited(origin: Origin) -> None:
    held = inventory(Dependency("demo-a", "1.0", origin, reason="its own reason"), Dependency("demo-b", "1.0", origin))

    result = merge([held], [("osv", answer(match("A-1")))])

    finding = only(result)
    assert (finding.certainty, finding.doubt) == (Certainty.POSSIBLE, CLASS_REASONS[origin])
    assert [(item.name, item.reason, item.origin) for item in result.not_audited] == [
        ("demo-a", "its own reason", origin), ("demo-b", CLASS_REASONS[origin], origin),
    ]  # fmt: skip
    assert counts(result) == [(0, 2)]


@pytest.mark.parametrize("origin", sorted(NOT_ASKED))
def test_nobody_is_asked_about_ones_own_packages_and_they_are_not_audited(origin: Origin) -> None:
    held = inventory(Dependency("demo-a", "1.0", origin))

    result = merge([held], [("osv", answer(match("A-1")))])

    assert (pins_to_ask([held]), result.findings) == ((), ())
    assert [(item.name, item.reason) for item in result.not_audited] == [("demo-a", CLASS_REASONS[origin])]
    assert counts(result) == [(0, 1)]


def test_a_package_of_ones_own_is_no_place_of_a_finding_on_its_namesake() -> None:
    own, theirs = inventory(Dependency("demo-a", "1.0", Origin.EDITABLE)), inventory(label="other.txt")

    result = merge([own, theirs], [("osv", answer(match("MAL-1")))])

    assert [item.inventory for item in only(result).occurrences] == ["other.txt"]
    assert counts(result) == [(0, 1), (1, 0)]


def test_in_an_index_and_a_distribution_it_is_sure_with_both_places() -> None:
    held = [
        inventory(Dependency("demo-a", "1.0", Origin.DISTRO, place="/usr/lib"), label="host"),
        inventory(Dependency("demo-a", "1.0", place="line 3", chain=("app",), is_direct=False)),
    ]

    finding = only(merge(held, [("osv", answer(match("A-1")))]))

    assert finding.certainty is Certainty.AFFECTED
    assert [(item.inventory, item.place, item.chain, item.is_direct, item.origin) for item in finding.occurrences] == [
        ("app.txt", "line 3", ("app",), False, Origin.INDEX), ("host", "/usr/lib", (), None, Origin.DISTRO),
    ]  # fmt: skip


# Sources


def test_sources_that_agree() -> None:
    finding = only(merged(match("A-1", fixed_in=("2.0",)), other=[match("A-1", fixed_in=("2.0.0",), vectors=(HIGH,))]))

    assert finding.sources == ("osv", "pypi")
    assert finding.disagreement == ""


@pytest.mark.parametrize(
    ("first", "second", "told"),
    [
        ([match("A-1")], [], ["pypi does not report it"]),
        ([], [match("A-1")], ["osv does not report it"]),
        ([match("A-1", fixed_in=("2.0",))], [match("A-1")], ["osv 2.0", "pypi none"]),
        ([match("A-1", vectors=(HIGH,))], [match("A-1", vectors=(LOW,))], ["osv high", "pypi low"]),
    ],
)
def test_sources_that_disagree(first: list[Match], second: list[Match], told: list[str]) -> None:
    text = only(merged(*first, other=second)).disagreement

    assert all(part in text for part in told)


@pytest.mark.parametrize(
    "silent",
    [
        "it is down",
        SourceAnswer(unanswered={DEMO: "timed out"}),
        SourceAnswer(snapshot_at=datetime(2020, 1, 1, tzinfo=UTC)),
    ],
)
def test_a_source_that_did_not_answer_does_not_disagree(silent: SourceAnswer | str) -> None:
    result = merge(
        [inventory()],
        [("osv", answer(match("A-1"))), ("pypi", silent)],
        oldest_snapshot=datetime(2029, 1, 1, tzinfo=UTC),
    )

    assert only(result).disagreement == ""


# What was not audited


def test_everything_answered() -> None:
    result = merge(
        [inventory(), inventory(Dependency("demo-b", "1.0"), label="b.txt")],
        [("osv", answer(match("A-1"))), ("pypi", answer())],
        locations={"osv": "https://osv.example"},
    )

    assert counts(result) == [(1, 0), (1, 0)]
    assert result.not_audited == ()
    assert [item.findings for item in result.inventories] == [1, 0]
    assert [(item.name, item.location, item.failure) for item in result.sources] == [
        ("osv", "https://osv.example", ""), ("pypi", "", ""),
    ]  # fmt: skip
    assert result.unique == 2


def many(number: int = 50) -> Inventory:
    return inventory(*(Dependency(f"demo-{index}", "1.0") for index in range(number)))


def all_unanswered(reason: str, number: int = 50) -> SourceAnswer:
    return SourceAnswer(unanswered={Pin(f"demo-{index}", "1.0"): reason for index in range(number)})


@pytest.mark.parametrize("failure", ["timed out", all_unanswered("timed out")])
def test_a_source_that_failed_wholly_is_one_entry_and_its_packages_are_counted(failure: SourceAnswer | str) -> None:
    result = merge([many(), many()], [("osv", failure)])

    assert result.not_audited == (NotAudited(name="osv", reason="timed out"),)
    assert counts(result) == [(0, 50), (0, 50)]
    assert result.sources[0].failure == "timed out"


@pytest.mark.parametrize("failure", ["timed out", all_unanswered("timed out")])
def test_what_another_source_answered_is_audited_beside_one_that_failed(failure: SourceAnswer | str) -> None:
    result = merge([many()], [("osv", failure), ("pypi", answer(match("A-1"), pin=Pin("demo-0", "1.0")))])

    assert listed(result) == [("osv", "timed out")]
    assert counts(result) == [(50, 0)]
    assert only(result).sources == ("pypi",)


def test_a_failure_without_a_text_is_still_one() -> None:
    result = merge([inventory()], [("osv", "")])

    assert result.sources[0].failure
    assert counts(result) == [(0, 1)]


def test_old_data_are_a_failure_and_their_findings_stay() -> None:
    taken_at = datetime(2024, 10, 10)  # noqa: DTZ001 - a source that tells no zone
    answers = [("osv-db", answer(match("A-1"), snapshot_at=taken_at))]

    old = merge([inventory()], answers, oldest_snapshot=datetime(2029, 1, 1, tzinfo=UTC))
    fresh = merge([inventory()], answers, oldest_snapshot=datetime(2024, 10, 10, tzinfo=UTC))

    assert only(old).id == only(fresh).id == "A-1"
    assert (counts(old), counts(fresh)) == ([(0, 1)], [(1, 0)])
    assert [item.name for item in old.not_audited] == ["osv-db"]
    assert "2024-10-10" in old.sources[0].failure
    assert (fresh.not_audited, fresh.sources[0].failure) == ((), "")


def test_a_live_source_is_never_too_old() -> None:
    result = merge([inventory()], [("osv", answer())], oldest_snapshot=datetime(2029, 1, 1, tzinfo=UTC))

    assert counts(result) == [(1, 0)]


def test_one_source_that_left_a_pin_unanswered_makes_it_not_audited_and_its_finding_stays() -> None:
    held = [inventory(Dependency("demo-a", "1.0"), Dependency("demo-b", "1.0"))]
    partial = answer(match("A-1"), unanswered={DEMO: "one advisory could not be read"})

    result = merge(held, [("osv", partial), ("pypi", answer())])

    assert result.not_audited == (
        NotAudited(name="demo-a", version="1.0", reason="osv: one advisory could not be read", inventory="app.txt"),
    )
    assert counts(result) == [(1, 1)]
    assert only(result).id == "A-1"


def test_an_unanswered_pin_of_many_inventories_is_one_entry_and_counts_in_each() -> None:
    held = [inventory(Dependency("demo-a", "1.0"), Dependency("demo-b", "1.0"), label=f"{n}.txt") for n in range(3)]

    result = merge(held, [("osv", SourceAnswer(unanswered={DEMO: ""}))])

    assert [(item.name, item.inventory) for item in result.not_audited] == [("demo-a", "")]
    assert counts(result) == [(1, 1)] * 3


def test_dependencies_and_parts_that_cannot_be_judged_are_listed_for_their_inventory() -> None:
    held = inventory(
        Dependency("demo-a", "", reason="not pinned"), Dependency("demo-b", ""), Dependency("demo-c", "1.0"),
        gaps=[Gap("line 3", "not a requirement"), Gap("line 3", "not a requirement")],
    )  # fmt: skip

    result = merge([held], [("osv", answer())])

    assert listed(result) == [
        ("demo-a", "not pinned"), ("demo-b", "its version is not known"), ("line 3", "not a requirement"),
    ]  # fmt: skip
    assert {item.inventory for item in result.not_audited} == {"app.txt"}
    assert counts(result) == [(1, 3)]


def test_one_package_under_several_markers_counts_once_and_has_each_place() -> None:
    held = inventory(Dependency("demo-a", "1.0", place="line 1"), Dependency("demo-a", "1.0", place="line 2"))

    result = merge([held], [("osv", answer(match("A-1")))])

    assert counts(result) == [(1, 0)]
    assert [item.place for item in only(result).occurrences] == ["line 1", "line 2"]


def test_nothing_is_listed_as_nothing() -> None:
    assert [item.name for item in merge([], []).not_audited] == ["inventories", "sources"]
    empty = merge([Inventory("empty.txt", "requirements", ())], [("osv", answer())])
    assert listed(empty) == [("empty.txt", "holds no packages")]
    assert counts(empty) == [(0, 0)]
    unread = merge([Inventory("bad.txt", "requirements", (), (Gap("bad.txt", "no text"),))], [("osv", answer())])
    assert listed(unread) == [("bad.txt", "no text")]
    assert counts(unread) == [(0, 1)]


def test_ten_thousand_advisories_for_one_package() -> None:
    matches = tuple(match(f"GHSA-{index}", f"CVE-{index // 2}") for index in range(10_000))

    assert len(merged(*matches).findings) == 5_000


# Properties

NAMES = [f"{prefix}-{index}" for prefix in ("PYSEC", "CVE", "GHSA", "X") for index in range(4)]
PINS = [Pin("demo-a", "1.0"), Pin("demo-a", "2.0"), Pin("demo-b", "odd version")]


@st.composite
def matches(draw: st.DrawFn) -> Match:
    return match(
        draw(st.sampled_from(["", *NAMES])),
        *draw(st.lists(st.sampled_from(NAMES), max_size=3)),
        fixed_in=draw(st.lists(st.sampled_from(["1.0", "2.0", "2.0.0", "junk"]), max_size=2)),
        doubt=draw(st.sampled_from(["", "", "unreadable"])),
        withdrawn=draw(st.sampled_from([None, None, LONG_AGO])),
        vectors=tuple(draw(st.lists(st.sampled_from([HIGH, LOW, "junk"]), max_size=2))),
        published=draw(st.sampled_from([None, datetime(2030, 1, 1, tzinfo=UTC), datetime(2029, 1, 1)])),  # noqa: DTZ001
    )


ANSWERS = st.builds(
    lambda matches, unanswered: SourceAnswer({pin: tuple(items) for pin, items in matches.items()}, unanswered),
    st.dictionaries(st.sampled_from(PINS), st.lists(matches(), max_size=6)),
    st.dictionaries(st.sampled_from(PINS), st.just("timed out"), max_size=2),
)
DEPENDENCIES = st.builds(
    lambda pin, origin, place: Dependency(pin.name, pin.version, origin, place),
    st.sampled_from(PINS),
    st.sampled_from(Origin),
    st.sampled_from(["", "line 1", "line 2"]),
)
INVENTORIES = st.lists(
    st.builds(
        lambda label, dependencies: Inventory(label, "requirements", tuple(dependencies)),
        st.sampled_from(["a.txt", "b.txt"]),
        st.lists(DEPENDENCIES, max_size=4),
    ),
    max_size=3,
)


def names(items: Iterable[Match]) -> list[frozenset[str]]:
    return [frozenset({item.advisory.id, *item.advisory.aliases} - {""}) or frozenset({"unnamed"}) for item in items]


@settings(deadline=None, max_examples=50)
@given(INVENTORIES, st.dictionaries(st.sampled_from(["osv", "pypi", "dump"]), ANSWERS), st.integers())
def test_findings_do_not_depend_on_any_order(
    inventories: list[Inventory], answers: Mapping[str, SourceAnswer], seed: int
) -> None:
    random = Random(seed)  # noqa: S311 - it only shuffles

    def shuffled(items: Iterable[Any]) -> tuple[Any, ...]:
        return tuple(random.sample(known := list(items), len(known)))

    other = [
        (name, SourceAnswer({pin: shuffled(items) for pin, items in told.matches.items()}, told.unanswered))
        for name, told in shuffled(answers.items())
    ]

    one, two = merge(inventories, list(answers.items())), merge(shuffled(inventories), other)

    assert one.findings == two.findings
    assert set(one.not_audited) == set(two.not_audited)
    assert sorted(counts(one)) == sorted(counts(two))


@settings(deadline=None, max_examples=50)
@given(ANSWERS, st.lists(DEPENDENCIES, min_size=1, max_size=4))
def test_every_match_that_stands_is_in_exactly_one_finding_of_its_pin(
    told: SourceAnswer, dependencies: list[Dependency]
) -> None:
    result = merge([inventory(*dependencies)], [("osv", told)])

    for pin in pins_to_ask([inventory(*dependencies)]):
        found = [item for item in result.findings if (item.package, item.version) == (pin.name, pin.version)]
        standing = [item for item in told.matches.get(pin, ()) if item.advisory.withdrawn is None]
        for item in names(standing):
            (related,) = [one for one in found if item & {one.id, *one.aliases}]
            assert item <= {related.id, *related.aliases}


@settings(deadline=None, max_examples=50)
@given(INVENTORIES, ANSWERS)
def test_saying_it_twice_changes_no_finding(inventories: list[Inventory], told: SourceAnswer) -> None:
    twice = SourceAnswer({pin: items * 2 for pin, items in told.matches.items()}, told.unanswered)

    assert merge(inventories, [("osv", told)]).findings == merge(inventories * 2, [("osv", twice)]).findings


@settings(deadline=None, max_examples=50)
@given(INVENTORIES, ANSWERS)
def test_every_package_is_counted_as_audited_or_not(inventories: list[Inventory], told: SourceAnswer) -> None:
    result = merge(inventories, [("osv", told)])

    for held, count in zip(inventories, result.inventories, strict=True):
        packages = {(item.name, item.version, item.origin) for item in held.dependencies}
        assert count.audited + count.not_audited == len(packages)
