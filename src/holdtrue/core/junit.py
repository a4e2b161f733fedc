"""Checks as JUnit XML, for the consumers that every CI has."""

import math
import re
from collections.abc import Iterable, Sequence
from itertools import groupby
from xml.etree import ElementTree as ET

from holdtrue.models.validation import CheckOutcome, CheckResult

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 cannot hold in any form (section 2.2); it also matches ESC, so no terminal sequence gets through."""


def render_junit(environment: str, checks: Sequence[CheckResult]) -> str:
    """One `testsuite` a target, one `testcase` a check; failed, error and skipped become the elements of those names.

    Counts on every level, times in seconds, as the schema that Jenkins, GitLab and GitHub reporters read has them.
    """
    root = ET.Element("testsuites", {"name": _clean(environment), **_counts(checks)})
    for target, group in groupby(sorted(checks, key=lambda check: check.target), key=lambda check: check.target):
        members = list(group)
        suite = ET.SubElement(root, "testsuite", {"name": _clean(target), **_counts(members)})
        for check in members:
            _add_case(suite, check, f"{environment}.{target}.{check.kind}")
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _add_case(suite: ET.Element, check: CheckResult, class_name: str) -> None:
    attributes = {"classname": _clean(class_name), "name": _clean(check.name), "time": _seconds([check])}
    case = ET.SubElement(suite, "testcase", attributes)
    tag = {
        CheckOutcome.PASSED: "",
        CheckOutcome.FAILED: "failure",
        CheckOutcome.ERROR: "error",
        CheckOutcome.SKIPPED: "skipped",
    }[check.outcome]
    if tag:
        detail = _clean(check.detail)
        first_line = next(iter(detail.splitlines()), "")
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


def _clean(text: str) -> str:
    return _NOT_XML.sub("\ufffd", text)
