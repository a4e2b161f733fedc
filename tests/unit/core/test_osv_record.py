"""Reading OSV records: what is odd is read or set aside, and never hides an affected version."""

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdtrue.core.osv_record import NotAnAdvisory, parse_record, read_moment, worst_rating
from holdtrue.core.version_match import match
from holdtrue.models.dependency import Pin
from holdtrue.models.osv import AdvisoryRecord, Affected, Certainty, Event, EventKind


def _affected(**fields: object) -> dict[str, object]:
    return {"package": {"ecosystem": "PyPI", "name": "demo"}, **fields}


def _events(*events: object) -> dict[str, object]:
    return _affected(ranges=[{"type": "ECOSYSTEM", "events": list(events)}])


def test_a_whole_record() -> None:
    raw = {
        "schema_version": "1.7.0",
        "id": "TEST-2024-1",
        "modified": "2024-03-01T00:00:00Z",
        "published": "2024-02-01T12:30:00+02:00",
        "aliases": ["CVE-0000-1"],
        "summary": "A flaw\n in demo",
        "severity": [{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:N/A:N"}],
        "database_specific": {"severity": "HIGH"},
        "references": [{"type": "FIX", "url": "https://host.example/fix"}, {"type": "WEB", "url": "https://a.example"}],
        "affected": [
            {
                "package": {"ecosystem": "PyPI", "name": "Demo_Kit"},
                "ranges": [
                    {"type": "GIT", "events": [{"introduced": "0"}]},
                    {"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "1.2"}]},
                ],
                "versions": ["1.0", "1.1"],
                "severity": [{"type": "CVSS_V2", "score": "AV:N/AC:L/Au:N/C:P/I:N/A:N"}],
            },
            {"package": {"ecosystem": "npm", "name": "demo-kit"}, "versions": ["1.0"]},
        ],
    }

    assert parse_record(raw) == AdvisoryRecord(
        id="TEST-2024-1",
        aliases=("CVE-0000-1",),
        modified="2024-03-01T00:00:00Z",
        published=datetime(2024, 2, 1, 10, 30, tzinfo=UTC),
        summary="A flaw in demo",
        vectors=("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:N/A:N",),
        rating="HIGH",
        affected=(
            Affected(
                "demo-kit",
                ((Event(EventKind.INTRODUCED, "0"), Event(EventKind.FIXED, "1.2")),),
                ("1.0", "1.1"),
                ("AV:N/AC:L/Au:N/C:P/I:N/A:N",),
            ),
        ),
        link="https://a.example",
    )


def test_a_record_with_an_id_alone_is_one() -> None:
    assert parse_record({"id": "TEST-1"}) == AdvisoryRecord(id="TEST-1", link="https://osv.dev/vulnerability/TEST-1")


@pytest.mark.parametrize("raw", [None, [], "TEST-1", 1, {}, {"id": None}, {"id": 7}, {"id": " "}, [{"id": "TEST-1"}]])
def test_what_has_no_id_is_no_advisory(raw: object) -> None:
    with pytest.raises(NotAnAdvisory):
        parse_record(raw)


@pytest.mark.parametrize(
    "text",
    [
        "2024-02-01T00:00:00Z",
        "2024-02-01t00:00:00z",
        "2024-02-01T00:00:00+00:00",
        "2024-02-01T00:00:00-00:00",
        "2024-02-01 02:30:00+02:30",
        "2024-02-01T00:00:00.0Z",
        "2024-02-01T00:00:00.000000000Z",
    ],
)
def test_every_form_of_rfc_3339_is_read(text: str) -> None:
    assert read_moment(text) == datetime(2024, 2, 1, tzinfo=UTC)


def test_a_leap_second_is_the_one_before() -> None:
    assert read_moment("2016-12-31T23:59:60Z") == datetime(2016, 12, 31, 23, 59, 59, tzinfo=UTC)


@pytest.mark.parametrize("value", [None, 5, "", "yesterday", "2024-13-01T00:00:00Z", "0001-01-01T00:00:00+05:00"])
def test_what_is_no_time_is_none(value: object) -> None:
    assert read_moment(value) is None


@pytest.mark.parametrize(
    ("withdrawn", "expected"),
    [
        ("2024-02-01T00:00:00Z", True),
        ("0001-01-01T00:00:00Z", False),  # a Go program's time that is not set
        ("", False),
        ("soon", False),
        (None, False),
        (False, False),
    ],
)
def test_only_a_time_withdraws(withdrawn: object, *, expected: bool) -> None:
    assert (parse_record({"id": "TEST-1", "withdrawn": withdrawn}).withdrawn is not None) is expected


def test_aliases_are_those_of_the_same_flaw() -> None:
    raw = {
        "id": "TEST-1",
        "aliases": ["CVE-2", "TEST-1", "CVE-1", "CVE-2", 5, ""],
        "upstream": ["GHSA-1", "CVE-1"],
        "related": ["CVE-9"],
    }

    assert parse_record(raw).aliases == ("CVE-2", "CVE-1")


@pytest.mark.parametrize(
    ("package", "expected"),
    [
        ({"ecosystem": "PyPI", "name": "Demo.Kit__x"}, "demo-kit-x"),
        ({"ecosystem": "PyPI:mirror", "name": "demo"}, "demo"),
        ({"ecosystem": "pypi", "name": " demo "}, "demo"),
    ],
)
def test_pypi_packages_are_kept_under_their_normalised_name(package: object, expected: str) -> None:
    assert [entry.package for entry in parse_record({"id": "T", "affected": [{"package": package}]}).affected] == [
        expected
    ]


@pytest.mark.parametrize(
    "package",
    [{"ecosystem": "npm", "name": "demo"}, {"ecosystem": "PyPIx", "name": "demo"}, {"name": "demo"}, "demo", None, {}],
)
def test_other_packages_are_left_out(package: object) -> None:
    assert parse_record({"id": "T", "affected": [{"package": package, "versions": ["1.0"]}]}).affected == ()


@pytest.mark.parametrize(
    "affected",
    [
        _events({"introduced": 1.1}),
        _events({"introduced": ["1.0"]}),
        _events({"introduced": "0"}, {"fixed": None}),
        _events("1.0"),
        _events({"since": "1.0"}),
        _events(),
        _affected(ranges="all"),
        _affected(ranges=[["introduced", "0"]]),
        _affected(ranges=[{"type": "ECOSYSTEM"}]),
        _affected(versions=[1.1]),
        _affected(versions=[None], ranges=[]),
        _affected(versions={"1.0": True}),
    ],
)
def test_a_broken_description_of_versions_leaves_every_version_possible(affected: object) -> None:
    found = match(Pin("demo", "7.0"), parse_record({"id": "TEST-1", "affected": [affected]}))

    assert found is not None
    assert found.certainty is Certainty.POSSIBLE
    assert found.doubt


def test_what_is_broken_in_one_entry_does_not_touch_the_next() -> None:
    raw = {"id": "TEST-1", "affected": ["?", 3, _events({"introduced": "0"}, {"fixed": "2.0"})]}

    found = match(Pin("demo", "1.0"), parse_record(raw))

    assert found is not None
    assert found.certainty is Certainty.AFFECTED


def test_whole_numbers_are_versions_and_one_object_may_hold_several_events() -> None:
    (entry,) = parse_record({"id": "T", "affected": [_events({"introduced": 0, "fixed": 3})]}).affected

    assert entry.ranges == ((Event(EventKind.INTRODUCED, "0"), Event(EventKind.FIXED, "3")),)


def test_numbers_too_long_to_print_are_not_printed() -> None:
    found = match(Pin("demo", "1.0"), parse_record({"id": "T", "affected": [_events({"introduced": 10**5000})]}))

    assert found is not None
    assert found.certainty is Certainty.POSSIBLE


def test_a_range_of_an_unknown_or_missing_type_is_read() -> None:
    raw = {"id": "T", "affected": [_affected(ranges=[{"events": [{"introduced": "0"}]}, {"type": 7, "events": []}])]}

    assert len(parse_record(raw).affected[0].ranges) == 2


def test_only_cvss_scores_are_vectors() -> None:
    severity = [
        {"type": "Ubuntu", "score": "medium"},
        {"type": "CVSS_V4", "score": "CVSS:4.0/AV:N"},
        {"type": "CVSS_V4", "score": "CVSS:4.0/AV:N"},
        {"type": "CVSS_V3", "score": 9.8},
        {"score": "CVSS:3.1/AV:N"},
        "CVSS:3.1/AV:N",
    ]

    assert parse_record({"id": "T", "severity": severity}).vectors == ("CVSS:4.0/AV:N",)


@pytest.mark.parametrize(
    ("fields", "rating"),
    [
        ({"database_specific": {"severity": "LOW"}, "affected": [_affected(database_specific={"severity": "HIGH"})]},
         "LOW"),
        ({"affected": [_affected(ecosystem_specific={"severity": "MODERATE"})]}, "MODERATE"),
        ({"affected": [_affected(database_specific={"severity": "LOW"}),
                       _affected(ecosystem_specific={"severity": "CRITICAL"})]}, "CRITICAL"),
        ({"database_specific": {"severity": ["HIGH"]}}, ""),
        ({"database_specific": "HIGH"}, ""),
    ],
)  # fmt: skip
def test_the_database_s_own_word(fields: dict[str, object], rating: str) -> None:
    assert parse_record({"id": "T", **fields}).rating == rating


def test_the_gravest_of_several_words() -> None:
    assert worst_rating(["low", "Critical", "HIGH"]) == "Critical"
    assert worst_rating(["strange", "LOW"]) == "LOW"
    assert worst_rating([]) == ""


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "file:///etc/passwd",
        "https://osv.dev@evil.example/",
        "https://host.example/a b",
        "https://host.example/\x1b[31m",
        "https://host.example/<script>",
        "",
        5,
    ],
)
def test_a_link_that_is_no_plain_web_address_is_replaced(url: object) -> None:
    raw = {"id": "a/b c", "references": [{"type": "ADVISORY", "url": url}, {"type": "ADVISORY"}, "x"]}

    assert parse_record(raw).link == "https://osv.dev/vulnerability/a%2Fb%20c"


def test_texts_can_be_encoded_afterwards() -> None:
    record = parse_record({"id": "T\ud800", "summary": "\udfff", "affected": [_affected(versions=["1\ud800"])]})

    assert repr(record).encode() == repr(record).encode("utf-8", "strict")
    assert record.affected[0].versions[0].encode()


def test_without_a_summary_the_details_are_cut_to_one() -> None:
    summary = parse_record({"id": "T", "details": "long " * 1000}).summary

    assert summary.startswith("long long")
    assert len(summary) == 300


_KEYS = st.sampled_from(["type", "events", "introduced", "fixed", "limit", "score", "severity", "url", "?"])
_JSON = st.recursive(
    st.sampled_from([None, True, 0, -1, 1.5, float("nan"), 10**40, "", "1.0", "\ud800", "ECOSYSTEM"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=3),
    max_leaves=6,
)
_FIELDS = (
    "modified", "published", "withdrawn", "aliases", "upstream", "summary", "details", "severity", "affected",
    "references", "database_specific",
)  # fmt: skip
_ENTRY_FIELDS = ("ranges", "versions", "severity", "ecosystem_specific", "database_specific")


@settings(deadline=None, max_examples=200)
@given(
    st.dictionaries(st.sampled_from(_FIELDS), _JSON, max_size=3),
    st.lists(st.dictionaries(st.sampled_from(_ENTRY_FIELDS), _JSON, max_size=3), max_size=2),
)
def test_any_json_with_an_id_is_read_and_matched(fields: dict[str, object], entries: list[dict[str, object]]) -> None:
    record = parse_record({"id": "T", "affected": [_affected(**entry) for entry in entries], **fields})

    match(Pin("demo", "1.0"), record)
    assert record.id == "T"
