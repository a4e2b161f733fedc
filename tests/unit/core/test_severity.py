"""Severity from vectors and words."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdtrue.core.severity import Rating, gravest, is_below, rate
from holdtrue.models.audit import Severity

V2_HIGH = "AV:N/AC:L/Au:N/C:P/I:P/A:P"
V3_CRITICAL = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"
V30_MEDIUM = "CVSS:3.0/AV:N/AC:L/PR:N/UI:N/S:U/C:L/I:N/A:N"
V3_NONE = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:N"
V4_LOW = "CVSS:4.0/AV:L/AC:H/AT:P/PR:H/UI:A/VC:L/VI:N/VA:N/SC:N/SI:N/SA:N"
V4_CRITICAL = "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N"


@pytest.mark.parametrize(
    ("vector", "severity", "score"),
    [
        (V2_HIGH, "high", 7.5),
        (f"CVSS:2.0/{V2_HIGH}", "high", 7.5),
        (f"({V2_HIGH})", "high", 7.5),
        (V3_CRITICAL, "critical", 9.8),
        (f" {V3_CRITICAL}\n", "critical", 9.8),
        (V30_MEDIUM, "medium", 5.3),
        (V3_NONE, "none", 0.0),
        (V4_LOW, "low", 1.0),
        (V4_CRITICAL, "critical", 9.3),
    ],
)
def test_a_vector_of_any_version(vector: str, severity: str, score: float) -> None:
    rating = rate([vector])

    assert (rating.severity, rating.score) == (severity, score)
    assert rating.vector == vector.strip()


@pytest.mark.parametrize(
    ("vectors", "decides"),
    [
        ((V3_CRITICAL, V4_LOW), V4_LOW),
        ((V2_HIGH, V30_MEDIUM), V30_MEDIUM),
        ((V30_MEDIUM, V3_CRITICAL), V3_CRITICAL),
        ((V4_LOW, V4_CRITICAL), V4_CRITICAL),
        (("CVSS:4.0/rubbish", V2_HIGH), V2_HIGH),
        ((V3_NONE,), V3_NONE),
    ],
)
def test_the_newest_generation_decides_and_in_it_the_highest_score(vectors: tuple[str, ...], decides: str) -> None:
    assert rate(vectors).vector == decides
    assert rate(reversed(vectors)).vector == decides


@pytest.mark.parametrize(
    ("words", "severity"),
    [
        (("MODERATE",), Severity.MEDIUM),
        ((" Low ",), Severity.LOW),
        (("LOW", "critical", "HIGH"), Severity.CRITICAL),
        (("", "whatever", "UNKNOWN"), Severity.UNKNOWN),
        (("whatever", "NONE"), Severity.NONE),
    ],
)
def test_the_highest_word_that_is_known(words: tuple[str, ...], severity: Severity) -> None:
    assert rate((), words) == Rating(severity)


def test_a_readable_vector_outweighs_words_and_an_unreadable_one_does_not() -> None:
    assert rate([V30_MEDIUM], ["CRITICAL"]).severity is Severity.MEDIUM
    assert rate(["CVSS:3.1/AV:N"], ["CRITICAL"]) == Rating(Severity.CRITICAL)


@pytest.mark.parametrize("vector", ["", "CVSS:3.1/", "CVSS:5.0/AV:N", "9.8", V3_CRITICAL + "/", "AV:N" * 100_000])
def test_nothing_readable_is_unknown(vector: str) -> None:
    assert rate([vector]) == Rating(Severity.UNKNOWN)


@pytest.mark.parametrize(
    ("records", "severity", "score"),
    [
        ([((V3_CRITICAL,), ""), ((V4_LOW,), "")], "critical", 9.8),
        ([((V3_CRITICAL, V4_LOW), ""), ((V30_MEDIUM,), "")], "medium", 5.3),
        ([((V30_MEDIUM,), ""), ((), "HIGH")], "high", None),
        ([((V2_HIGH,), ""), ((), "HIGH")], "high", 7.5),
        ([((V3_NONE,), ""), ((), "")], "none", 0.0),
        ([((), ""), ((), "whatever")], "unknown", None),
        ([], "unknown", None),
    ],
)
def test_of_several_records_the_gravest_decides_whatever_its_generation(
    records: list[tuple[tuple[str, ...], str]], severity: str, score: float | None
) -> None:
    for order in (records, records[::-1]):
        rating = gravest(rate(vectors, [word]) for vectors, word in order)

        assert (rating.severity, rating.score) == (severity, score)


def test_unknown_is_below_nothing() -> None:
    assert not any(is_below(Severity.UNKNOWN, threshold) for threshold in Severity)
    assert not any(is_below(severity, Severity.UNKNOWN) for severity in Severity)


def test_the_others_are_in_order() -> None:
    order = [Severity.NONE, Severity.LOW, Severity.MEDIUM, Severity.HIGH, Severity.CRITICAL]

    assert [(a, b) for a in order for b in order if is_below(a, b)] == [
        (a, b) for index, a in enumerate(order) for b in order[index + 1 :]
    ]


@settings(deadline=None, max_examples=200)
@given(st.lists(st.one_of(st.text(max_size=80), st.sampled_from([V2_HIGH, V3_CRITICAL, V4_LOW])), max_size=4))
def test_any_text_is_read_without_an_exception(vectors: list[str]) -> None:
    rate(vectors, vectors)
