"""The report can be read back by an XML parser, whatever a host put into it."""

from xml.etree import ElementTree as ET

from hypothesis import given, settings
from hypothesis import strategies as st

from holdtrue.core.junit import render_junit
from holdtrue.models.validation import CheckOutcome, CheckResult


def _check(target: str, name: str, outcome: CheckOutcome, detail: str = "") -> CheckResult:
    return CheckResult(
        target=target, name=name, kind="testinfra", outcome=outcome, detail=detail, duration_seconds=0.25
    )


def _parse(text: str) -> ET.Element:
    return ET.fromstring(text)  # noqa: S314 - our own text


def test_each_target_is_a_suite_with_its_own_counts() -> None:
    root = _parse(
        render_junit(
            "staging",
            [
                _check("web-2", "a", CheckOutcome.PASSED),
                _check("web-1", "a", CheckOutcome.FAILED, "assert 1 == 2\nwhere 1 = x"),
                _check("web-1", "b", CheckOutcome.ERROR, "unreachable"),
                _check("web-2", "b", CheckOutcome.SKIPPED, "known"),
                _check("web-1", "c", CheckOutcome.PASSED),
            ],
        )
    )
    assert {key: root.get(key) for key in ("name", "tests", "failures", "errors", "skipped", "time")} == {
        "name": "staging", "tests": "5", "failures": "1", "errors": "1", "skipped": "1", "time": "1.250",
    }  # fmt: skip
    first, second = root.findall("testsuite")
    assert (first.get("name"), first.get("tests"), first.get("failures"), first.get("errors")) == (
        "web-1", "3", "1", "1",
    )  # fmt: skip
    assert [case.get("name") for case in second] == ["a", "b"]
    failure = first.find("testcase/failure")
    assert failure is not None
    assert (failure.get("message"), failure.text) == ("assert 1 == 2", "assert 1 == 2\nwhere 1 = x")
    assert second.find("testcase/skipped") is not None
    assert first.find("testcase/error") is not None


def test_no_checks_are_no_cases() -> None:
    root = _parse(render_junit("staging", []))
    assert (root.get("tests"), list(root)) == ("0", [])


def test_hostile_text_stays_text() -> None:
    detail = "]]><script>&amp;\x00\x1b[31m\ud800 \ufffe \u202e done"
    root = _parse(render_junit("staging", [_check('"><x', "<a&b>\x07", CheckOutcome.FAILED, detail)]))
    failure = root.find("testsuite/testcase/failure")
    assert failure is not None
    assert failure.text is not None
    assert failure.text.startswith("]]><script>&amp;")
    assert "\x1b" not in failure.text
    assert len(root.findall(".//testcase")) == 1


@settings(max_examples=50, deadline=None)
@given(st.text(), st.text(), st.sampled_from(CheckOutcome))
def test_every_text_renders(name: str, detail: str, outcome: CheckOutcome) -> None:
    text = render_junit(name, [_check(name, name, outcome, detail)])
    assert len(_parse(text).findall(".//testcase")) == 1
    text.encode()
