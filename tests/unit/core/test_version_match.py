"""Which versions an advisory affects, held against packaging's own specifiers and against plain counting."""

import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from holdtrue.core import version_match
from holdtrue.core.version_match import match, read_version, without_covered_versions
from holdtrue.models.dependency import Pin
from holdtrue.models.osv import AdvisoryRecord, Affected, Certainty, Event, EventKind


def _range(text: str) -> tuple[Event, ...]:
    """`introduced 0, fixed 1.0` as events."""
    parts = (part.strip().partition(" ") for part in text.split(","))
    return tuple(Event(EventKind(kind), version) for kind, _, version in parts)


def _entry(*ranges: str, versions: Sequence[str] = (), package: str = "demo") -> Affected:
    return Affected(package, tuple(_range(text) for text in ranges), tuple(versions))


def _judge(version: str, *entries: Affected) -> Certainty | None:
    found = match(Pin("demo", version), AdvisoryRecord("TEST-1", affected=entries))
    if found is not None:
        assert bool(found.doubt) is (found.certainty is Certainty.POSSIBLE)
    return found.certainty if found else None


SURE, MAYBE = Certainty.AFFECTED, Certainty.POSSIBLE


@pytest.mark.parametrize(
    ("events", "version", "expected"),
    [
        ("introduced 0", "0.dev0", SURE),
        ("introduced 0", "99!1", SURE),
        ("introduced 0, fixed 1.0", "0.9", SURE),
        ("introduced 0, fixed 1.0", "1.0", None),
        ("introduced 0, fixed 1.0", "1.0.0.0", None),
        ("introduced 0, fixed 1.0", "1.0rc1", SURE),
        ("introduced 0, fixed 1.0", "1.0.dev3", SURE),
        ("introduced 0, fixed 1.0", "1.0.post1", None),
        ("introduced 0, fixed 1.0", "1!0.1", None),
        ("introduced 1!0, fixed 1!2", "1!1", SURE),
        ("introduced 1!0, fixed 1!2", "5.0", None),
        ("introduced 0, fixed 1.0", "v0.9", SURE),
        ("introduced 0, last_affected 1.0", "1.0", SURE),
        ("introduced 0, last_affected 1.0", "1.0.post1", None),
        ("introduced 1.0, last_affected 1.0", "1.0", SURE),
        ("introduced 1.0, last_affected 1.0", "1.1", None),
        ("introduced 1.0, fixed 1.5, introduced 2.0, fixed 2.5", "1.7", None),
        ("introduced 1.0, fixed 1.5, introduced 2.0, fixed 2.5", "2.4", SURE),
        ("fixed 2.5, introduced 2.0, fixed 1.5, introduced 1.0", "2.4", SURE),
        ("fixed 2.5, introduced 2.0, fixed 1.5, introduced 1.0", "1.7", None),
        ("introduced 2.0, fixed 3.0, introduced 1.0, fixed 2.0", "2.0", SURE),  # ends where the other begins
        ("introduced 2.0, fixed 3.0, introduced 1.0, fixed 2.0", "3.0", None),
        ("introduced 0, limit 2.0", "1.9", SURE),
        ("introduced 0, limit 2.0", "2.0", None),
        ("introduced 0, limit 2.0, limit 3.0", "2.5", SURE),
        ("introduced 0, fixed 1.0, limit *", "0.5", SURE),
        ("introduced 0, fixed 1.0, limit *", "1.5", None),
    ],
)
def test_a_range(events: str, version: str, expected: Certainty | None) -> None:
    assert _judge(version, _entry(events)) is expected


@pytest.mark.parametrize(
    ("events", "version", "expected"),
    [
        ("introduced 0, fixed 0.2-n653", "0.1", MAYBE),
        ("introduced 1.0, fixed 0.2-n653", "0.1", None),
        ("introduced first, fixed 2.0", "1.0", MAYBE),
        ("introduced first, fixed 2.0", "2.0", None),
        ("introduced first, fixed 2.0", "3.0", None),
        ("introduced 5.0, fixed last", "1.0", None),
        ("introduced 0, fixed odd, introduced 2.0, fixed 3.0", "1.0", MAYBE),
        ("introduced 0, fixed odd, introduced 2.0, fixed 3.0", "2.5", SURE),
        ("introduced 0, fixed odd, introduced 2.0, fixed 3.0", "3.0", None),
        ("introduced 0, fixed 1.0, introduced odd", "0.5", SURE),
        ("introduced 0, fixed 1.0, introduced odd", "1.5", MAYBE),
        ("introduced 0, last_affected odd", "1.5", MAYBE),
        ("introduced 2.0, fixed odd, introduced 0, fixed 1.0", "0.5", MAYBE),  # out of order: it may be anywhere
        ("introduced 2.0, fixed odd, introduced 0, fixed 1.0", "1.5", None),
        ("introduced 2.0, fixed 3.0, introduced odd, fixed 1.0", "5.0", MAYBE),
        ("introduced 0, limit odd", "1.0", MAYBE),
        ("introduced 0, fixed 1.0, limit odd", "1.0", None),
        ("introduced 0, limit odd, limit 2.0", "1.0", SURE),
        ("fixed 2.0", "1.0", MAYBE),
        ("fixed 2.0", "2.0", None),
        ("last_affected 2.0", "2.0", MAYBE),
        ("introduced 1, fixed 1, fixed odd", "2.0", MAYBE),
    ],
)
def test_a_range_that_does_not_say_all_it_should(events: str, version: str, expected: Certainty | None) -> None:
    assert _judge(version, _entry(events)) is expected


def test_the_doubt_names_what_cannot_be_read_and_cuts_it() -> None:
    unreadable = "0.2-\x1b[31m" + "x" * 1000
    record = AdvisoryRecord("TEST-1", affected=(_entry(f"introduced 0, fixed {unreadable}"),))

    found = match(Pin("demo", "0.1"), record)

    assert found is not None
    assert "0.2-" in found.doubt
    assert "\x1b" not in found.doubt
    assert len(found.doubt) < 200


@pytest.mark.parametrize(
    ("version", "expected"),
    [("1.0", SURE), ("1.0.0", SURE), ("1.0+cpu", SURE), ("1.1", None), ("1.0.post1", None), ("", None)],
)
def test_a_listed_version(version: str, expected: Certainty | None) -> None:
    assert _judge(version, _entry(versions=["1.0", "3.0"])) is expected


@pytest.mark.parametrize(
    ("version", "expected"),
    [("1.0", SURE), ("2.0.0-final", SURE), ("2.0.0", MAYBE), ("1.1", MAYBE), ("odd", MAYBE)],
)
def test_a_listed_version_that_cannot_be_read_may_be_any(version: str, expected: Certainty | None) -> None:
    assert _judge(version, _entry(versions=["1.0", "2.0.0-final"])) is expected
    assert _judge("1.1", _entry("introduced 0, fixed 1.0", versions=["2.0.0-final"])) is None, "the range says it all"
    assert _judge("0.1.25", _entry(versions=["demo==0.1.25", "demo==0.1.24"])) is MAYBE


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ("introduced 0, fixed 1.0", None),
        ("introduced 0, fixed 1.0.1", SURE),
        ("introduced 1.0, fixed 2.0", SURE),
        ("introduced 0, last_affected 1.0", SURE),
        ("introduced 0, last_affected 0.9", None),
        ("introduced 0, fixed 1.0+cpu", None),
        ("introduced 0, fixed 1.0+zzz", SURE),
    ],
)
def test_a_local_version_is_a_build_of_its_public_one(events: str, expected: Certainty | None) -> None:
    assert _judge("1.0+cpu", _entry(events)) is expected


def test_a_listed_build_is_not_the_public_version() -> None:
    assert _judge("1.0", _entry(versions=["1.0+cpu"])) is None


def test_entries_about_one_package_are_united() -> None:
    entries = (
        _entry("introduced 0, fixed odd"),
        _entry("introduced 3.0, fixed 3.1"),
        _entry(versions=["2.0"]),
        _entry("introduced 0", package="other"),
    )

    assert _judge("3.0", *entries) is SURE
    assert _judge("2.0", *entries) is SURE
    assert _judge("1.0", *entries) is MAYBE
    assert _judge("1.0", *entries[1:]) is None


def test_a_list_decides_what_an_unreadable_range_leaves_open() -> None:
    assert _judge("0.1", _entry("introduced 0, fixed odd", versions=["0.1"])) is SURE


def test_an_entry_without_ranges_and_versions_is_possible() -> None:
    assert _judge("1.0", _entry()) is MAYBE
    assert _judge("odd", _entry()) is MAYBE


def test_a_version_that_cannot_be_compared_is_possible_within_ranges_and_equal_by_text() -> None:
    assert _judge("nineteen", _entry("introduced 5.0, fixed 6.0")) is MAYBE
    assert _judge("nineteen", _entry("introduced 5.0, fixed 6.0", versions=["nineteen"])) is SURE
    assert _judge("nineteen", _entry(versions=["2.0", "1.0"])) is None


def test_an_advisory_stands_until_it_is_withdrawn() -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)

    assert AdvisoryRecord("TEST-1").stands(at)
    assert not AdvisoryRecord("TEST-1", withdrawn=at).stands(at)
    assert AdvisoryRecord("TEST-1", withdrawn=at).stands(at - timedelta(seconds=1)), "not yet"


def test_names_are_compared_in_their_normal_form() -> None:
    record = AdvisoryRecord("TEST-1", affected=(_entry("introduced 0", package="demo-kit"),))

    assert match(Pin("Demo_Kit", "1.0"), record) is not None
    assert match(Pin("demokit", "1.0"), record) is None


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("1.0", ("1.5", "2.5", "1!0", "soon")),
        ("2.0", ("2.5", "1!0", "soon")),
        ("1.0+cpu", ("1.5", "2.5", "1!0", "soon")),
        ("odd", ("0.9", "1.5", "2.5", "1!0", "soon")),
    ],
)
def test_fixes_of_all_entries_above_the_version(version: str, expected: tuple[str, ...]) -> None:
    entries = (
        _entry("introduced 0, fixed soon", "introduced 0, fixed 2.5"),
        _entry("introduced 0, fixed 1.5, introduced 2.0, fixed 2.5.0", "introduced 0, fixed 0.9"),
        _entry("introduced 1!0, fixed 1!0"),
        _entry("introduced 0, fixed 7.0", package="other"),
    )

    found = match(Pin("demo", version), AdvisoryRecord("TEST-1", affected=entries))

    assert found is not None
    assert found.fixed_in == expected


@pytest.mark.parametrize("version", ["9" * 1_000_000, "1." * 500_000 + "1", "1.0+" + "a" * 1_000_000, "1" * 5000])
def test_a_version_of_a_million_characters_is_none(version: str) -> None:
    assert read_version(version) is None
    assert _judge(version, _entry("introduced 0, fixed 1.0")) is MAYBE
    assert _judge("1.0", _entry(f"introduced 0, fixed {version}")) is MAYBE
    assert _judge("1.0", _entry(versions=[version])) is MAYBE


def test_a_long_run_of_digits_is_no_number() -> None:
    assert read_version("1" * 100) is not None
    assert read_version("1" * 101) is None


def test_as_many_unreadable_events_cost_little() -> None:
    events = ", ".join(["introduced 0", *(f"fixed x{number}" for number in range(20_000))])
    started_at = time.process_time()

    assert _judge("1.0", _entry(events)) is MAYBE
    # A look back from each to the first would take more than 4.
    assert time.process_time() - started_at < 2


def test_ten_thousand_advisories_read_each_version_once() -> None:
    records = [
        AdvisoryRecord(f"TEST-{number}", affected=(_entry(f"introduced 0, fixed {number % 50}.0", versions=["0.5"]),))
        for number in range(10_000)
    ]
    version_match._read_version.cache_clear()

    found = [item for record in records if (item := match(Pin("demo", "7.5"), record))]

    assert len(found) == 10_000 // 50 * 42
    assert version_match._read_version.cache_info().misses <= 52


_NUMBERS = st.integers(0, 3)
_POOL = [
    f"{epoch}{release}{rest}"
    for epoch in ("", "1!")
    for release in ("0.0", "0.1", "1", "1.0.1", "1.2", "2.0", "3")
    for rest in ("", "", ".dev0", "a1", "rc2.dev0", "rc2", ".post1.dev0", ".post1")
]
_VERSIONS = st.sampled_from(_POOL)
_LOCALS = st.sampled_from(["", "", "+cpu", "+1.zz"])
_INSTALLED = st.sampled_from([*_POOL, *(f"{version}+cpu" for version in _POOL), "odd"])


@st.composite
def _intervals(draw: st.DrawFn) -> list[tuple[str, str, bool]]:
    """Ascending, not overlapping: from, to, and whether `to` is the last affected one."""
    bounds = sorted(draw(st.lists(_VERSIONS, min_size=2, max_size=8, unique_by=Version)), key=Version)
    bounds[0] = draw(st.sampled_from(["0", bounds[0]]))
    return [(start, end, draw(st.booleans())) for start, end in zip(bounds[::2], bounds[1::2], strict=False)]


@st.composite
def _shuffled(draw: st.DrawFn) -> tuple[list[tuple[str, str, bool]], tuple[Event, ...]]:
    intervals = draw(_intervals())
    return intervals, tuple(draw(st.permutations(_to_events(intervals))))


def _holds(interval: tuple[str, str, bool], version: Version) -> bool:
    start, end, is_inclusive = Version(interval[0]), Version(interval[1]), interval[2]
    if interval[0] != "0" and version < start:
        return False
    return Version(version.public) <= end if is_inclusive else version < end


def _to_events(intervals: Sequence[tuple[str, str, bool]]) -> list[Event]:
    return [
        event
        for start, end, is_inclusive in intervals
        for event in (
            Event(EventKind.INTRODUCED, start),
            Event(EventKind.LAST_AFFECTED if is_inclusive else EventKind.FIXED, end),
        )
    ]


@settings(deadline=None, max_examples=200)
@given(_shuffled(), _VERSIONS, _LOCALS)
def test_events_in_any_order_mean_the_intervals_they_were_made_of(
    made: tuple[list[tuple[str, str, bool]], tuple[Event, ...]], version: str, local: str
) -> None:
    intervals, events = made
    expected = any(_holds(interval, Version(version + local)) for interval in intervals)

    assert (_judge(version + local, Affected("demo", (events,))) is SURE) is expected


@settings(deadline=None, max_examples=200)
@given(
    st.lists(st.tuples(_NUMBERS, _NUMBERS), min_size=2, max_size=6, unique=True).map(sorted),
    st.tuples(_NUMBERS, _NUMBERS, _NUMBERS),
)
def test_final_versions_are_judged_as_packaging_s_specifiers_do(
    bounds: list[tuple[int, int]], release: tuple[int, int, int]
) -> None:
    texts = [".".join(map(str, bound)) for bound in bounds]
    pairs = list(zip(texts[::2], texts[1::2], strict=False))
    version = ".".join(map(str, release))
    specifiers = [SpecifierSet(f">={start},<{end}", prereleases=True) for start, end in pairs]
    entry = _entry(*(f"introduced {start}, fixed {end}" for start, end in pairs))
    joined = _entry(",".join(f"introduced {start}, fixed {end}" for start, end in pairs))

    expected = SURE if any(version in specifier for specifier in specifiers) else None

    assert _judge(version, entry) is expected
    assert _judge(version, joined) is expected


@settings(deadline=None, max_examples=200)
@example([("0", "0.0a1", False), ("0.0", "3.dev0", True)], [(3, EventKind.FIXED)], "3.dev0")
@given(_intervals(), st.lists(st.tuples(st.integers(0, 8), st.sampled_from(EventKind)), max_size=3), _VERSIONS)
def test_what_cannot_be_read_never_clears_a_version_that_the_rest_affects(
    intervals: list[tuple[str, str, bool]], unreadable: list[tuple[int, EventKind]], version: str
) -> None:
    events = _to_events(intervals)
    readable = _judge(version, Affected("demo", (tuple(events),)))
    for index, kind in unreadable:
        events.insert(index, Event(kind, "not a version"))
    judged = _judge(version, Affected("demo", (tuple(events),)))

    if readable is SURE:
        assert judged is not None
    if judged is SURE:
        assert readable is SURE


@settings(deadline=None, max_examples=200)
@given(_intervals(), st.integers(0, 8), _VERSIONS, _VERSIONS)
def test_an_unreadable_event_leaves_open_all_that_any_version_between_its_neighbours_would_decide(
    intervals: list[tuple[str, str, bool]], index: int, lost: str, version: str
) -> None:
    events = _to_events(intervals)
    where = min(index, len(events) - 1)
    before = Version(events[where - 1].version) if where else None
    after = Version(events[where + 1].version) if where + 1 < len(events) else None
    if (before and Version(lost) <= before) or (after and Version(lost) >= after):
        lost = events[where].version
    truth = _judge(
        version, Affected("demo", ((*events[:where], Event(events[where].kind, lost), *events[where + 1 :]),))
    )
    events[where] = Event(events[where].kind, "lost")
    judged = _judge(version, Affected("demo", (tuple(events),)))

    assert judged in {truth, MAYBE}


@settings(deadline=None, max_examples=200)
@given(
    _intervals(),
    st.lists(_INSTALLED, max_size=6),
    _INSTALLED,
    st.sampled_from(["", "odd", "1.0+x"]),
)
def test_versions_that_ranges_hold_anyway_may_be_left_out(
    intervals: list[tuple[str, str, bool]], versions: list[str], version: str, extra: str
) -> None:
    events = [*_to_events(intervals), *([Event(EventKind.FIXED, extra)] if extra else [])]
    record = AdvisoryRecord("TEST-1", affected=(Affected("demo", (tuple(events),), tuple(versions)),))

    full = match(Pin("demo", version), record)
    slim = match(Pin("demo", version), without_covered_versions(record))

    assert (full and (full.certainty, full.doubt, full.fixed_in)) == (
        slim and (slim.certainty, slim.doubt, slim.fixed_in)
    )


def test_a_list_that_the_range_holds_is_left_out() -> None:
    record = AdvisoryRecord("T", affected=(_entry("introduced 0, fixed 2.0", versions=["1.0", "2.5", "odd"]),))

    assert without_covered_versions(record).affected[0].versions == ("2.5", "odd")
