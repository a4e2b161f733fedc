"""Reading waivers, and which findings they speak of."""

from contextlib import suppress
from datetime import date
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdtrue.core.waivers import covers, is_expired, parse_waivers, speaks_of
from holdtrue.errors import RejectedError
from holdtrue.models.audit import Finding, Occurrence, Waiver

GOOD = {"id": "CVE-2099-1", "reason": "not reachable", "owner": "somebody", "expires": "2030-12-31"}
FINDING = Finding(package="demo-a", version="1.5", id="PYSEC-1", aliases=("CVE-2099-1", "GHSA-x"), sources=("osv",))


def waiver(**more: str) -> Waiver:
    return Waiver.model_validate({**GOOD, **more})


@pytest.mark.parametrize("document", [[GOOD], {"waivers": [GOOD]}])
def test_a_list_and_a_mapping_with_one_are_read(document: Any) -> None:
    assert parse_waivers(document, where="w.yaml") == (
        Waiver(id="CVE-2099-1", reason="not reachable", owner="somebody", expires=date(2030, 12, 31)),
    )


def test_a_date_as_yaml_reads_it_is_read() -> None:
    document: Any = [{**GOOD, "expires": date(2030, 12, 31)}]

    assert parse_waivers(document, where="w.yaml")[0].expires == date(2030, 12, 31)


def test_blanks_around_a_text_are_no_part_of_it() -> None:
    (read,) = parse_waivers([{**GOOD, "id": " CVE-2099-1 ", "owner": "\tsomebody\n"}], where="w.yaml")

    assert (read.id, read.owner) == ("CVE-2099-1", "somebody")


def test_no_waivers_are_fine() -> None:
    assert parse_waivers([], where="w.yaml") == ()


@pytest.mark.parametrize(
    ("document", "named"),
    [
        (None, "list"),
        ("CVE-2099-1", "list"),
        ({}, "list"),
        ({"waiver": [GOOD]}, "waiver"),
        ({"waivers": [GOOD], "more": 1}, "more"),
        ({"waivers": {}}, "list"),
        ([GOOD, "CVE-2099-1"], "waivers[1]"),
        ([{**GOOD, "owner": ""}], "waivers[0].owner"),
        ([{**GOOD, "owner": " \u00a0"}], "waivers[0].owner"),
        ([{**GOOD, "reason": "     "}], "waivers[0].reason"),
        ([{**GOOD, "reason": " x  "}], "waivers[0].reason"),
        ([{**GOOD, "id": " "}], "waivers[0].id"),
        ([GOOD, {**GOOD, "vex": "not_affected"}], "waivers[1].vex"),
        ([GOOD, {**GOOD, "aliases": ["CVE-2099-2"]}], "waivers[1].aliases"),
        ([GOOD, {key: value for key, value in GOOD.items() if key != "expires"}], "waivers[1].expires"),
        ([{**GOOD, "expires": "tomorrow"}], "waivers[0].expires"),
        ([{**GOOD, "reason": "x"}], "waivers[0].reason"),
        ([{**GOOD, "comment": "x"}], "waivers[0].comment"),
        ([{**GOOD, "version": 1.1}], "waivers[0].version"),
        ([GOOD, {**GOOD, "version": "<two"}], "waivers[1].version"),
        ([{}] * 9, "31 more"),
    ],
)
def test_a_wrong_document_is_refused_by_index_and_field(document: Any, named: str) -> None:
    with pytest.raises(RejectedError) as refused:
        parse_waivers(document, where="w.yaml")

    assert named in refused.value.what
    assert refused.value.where == "w.yaml"


def test_a_refusal_does_not_repeat_values() -> None:
    with pytest.raises(RejectedError) as refused:
        parse_waivers([{**GOOD, "expires": "s3cr3t-value"}], where="w.yaml")

    assert "s3cr3t-value" not in str(refused.value)


@pytest.mark.parametrize(
    ("more", "speaks"),
    [
        ({}, True),
        ({"id": "PYSEC-1"}, True),
        ({"id": "ghsa-X"}, True),
        ({"id": "CVE-2099-10"}, False),
        ({"id": "*"}, False),
        ({"package": "Demo_A"}, True),
        ({"package": "demo"}, False),
        ({"version": "1.5"}, True),
        ({"version": "1.5.0"}, True),
        ({"version": "1.50"}, False),
        ({"version": "<2"}, True),
        ({"version": ">=1,<1.5"}, False),
        ({"version": "==1.*"}, True),
        ({"version": "~=1.4"}, True),
        ({"version": "<two"}, False),
        ({"version": "whatever"}, False),
        ({"version": "9" * 5000}, False),
        ({"version": "<" + "9" * 5000}, False),
    ],
)
def test_what_a_waiver_speaks_of(more: dict[str, str], speaks: bool) -> None:  # noqa: FBT001 - a table's column
    assert speaks_of(waiver(**more), FINDING) is speaks


@pytest.mark.parametrize(("version", "speaks"), [("2004d", True), ("*", True), ("2004e", False), (">=0", False)])
def test_a_version_that_is_none_of_pep_440_is_compared_as_text(version: str, speaks: bool) -> None:  # noqa: FBT001
    odd = FINDING.model_copy(update={"version": "2004d"})

    assert speaks_of(waiver(version=version), odd) is speaks


def test_a_specifier_takes_in_prereleases() -> None:
    assert speaks_of(waiver(version="<2"), FINDING.model_copy(update={"version": "1.9rc1"}))


@pytest.mark.parametrize(
    ("pattern", "label", "covered"),
    [
        ("*", "anything", True),
        ("prod-*", "prod-1", True),
        ("prod-*", "dev-1", False),
        ("Prod-1", "prod-1", False),
        ("host[1]", "host[1]", True),
        ("host[1]", "host1", True),
    ],
)
def test_which_places_a_waiver_covers(pattern: str, label: str, covered: bool) -> None:  # noqa: FBT001
    assert covers(waiver(inventory=pattern), Occurrence(inventory=label)) is covered


def test_the_last_day_still_holds() -> None:
    assert [is_expired(waiver(), date(2030, 12, day)) for day in (30, 31)] == [False, False]
    assert is_expired(waiver(), date(2031, 1, 1))


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=9)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from([*GOOD, "version", "waivers", "odd"]), inner, max_size=5),
    ),
    max_leaves=12,
)


@settings(deadline=None, max_examples=150)
@given(JSON)
def test_any_document_is_read_or_refused(document: Any) -> None:
    with suppress(RejectedError):
        parse_waivers(document, where="w.yaml")
