"""Checks as JUnit XML, for the consumers that every CI has."""

import math
from collections.abc import Iterable, Sequence
from itertools import groupby
from xml.etree import ElementTree as ET

from holdtrue.core.neutral import for_terminal, several_lines
from holdtrue.models.validation import CheckOutcome, CheckResult

_NAME_LIMIT = 1_000
_DETAIL_LIMIT = 100_000


def render_junit(environment: str, checks: Sequence[CheckResult]) -> str:
    """One `testsuite` a target, one `testcase` a check; failed, error and skipped become the elements of those names.

    Counts on every level, times in seconds, as the schema that Jenkins, GitLab and GitHub reporters read has them.
    Texts are neutral, because reporters print them. XML 1.0 can hold every character that is left.
    """
    root = ET.Element("testsuites", {"name": _name(environment), **_counts(checks)})
    for target, group in groupby(sorted(checks, key=lambda check: check.target), key=lambda check: check.target):
        members = list(group)
        suite = ET.SubElement(root, "testsuite", {"name": _name(target), **_counts(members)})
        for check in members:
            _add_case(suite, check, f"{environment}.{target}.{check.kind}")
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _add_case(suite: ET.Element, check: CheckResult, class_name: str) -> None:
    attributes = {"classname": _name(class_name), "name": _name(check.name), "time": _seconds([check])}
    case = ET.SubElement(suite, "testcase", attributes)
    tag = {
        CheckOutcome.PASSED: "",
        CheckOutcome.FAILED: "failure",
        CheckOutcome.ERROR: "error",
        CheckOutcome.SKIPPED: "skipped",
    }[check.outcome]
    if tag:
        detail = several_lines(check.detail, _DETAIL_LIMIT)
        first_line = detail.partition("\n")[0]
        ET.SubElement(case, tag, {"message": first_line}).text = detail


def _counts(checks: Sequence[CheckResult]) -> dict[str, str]:
    def count(outcome: CheckOutcome) -> str:
        return str(sum(check.outcome is outcome for check in checks))

    return {
        "tests": str(len(checks)),
        "failures": count(CheckOutcome.FAILED),
        "errors": count(CheckOutcome.ERROR),
        "skipped": count(CheckOutcome.SKIPPED),
        "time": _seconds(checks),
    }


def _seconds(checks: Iterable[CheckResult]) -> str:
    return f"{math.fsum(check.duration_seconds for check in checks):.3f}"


def _name(text: str) -> str:
    return for_terminal(text, _NAME_LIMIT)
