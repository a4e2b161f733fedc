"""SARIF: the structure that the standard asks for, and what a code scanner needs to follow a finding over time."""

import copy
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from holdtrue.core.audit_output import sarif
from holdtrue.core.audit_output.sarif import to_sarif
from holdtrue.core.audit_output.sarif_locations import SourceTree
from holdtrue.models.audit import AuditReport, AuditVerdict, InventoryCount, NotAudited, Occurrence, Severity
from tests.hostile_texts import HOSTILE_TEXTS
from tests.unit.core.audit_output_samples import (
    CRITICAL,
    INCOMPLETE,
    MINOR,
    ORDINARY,
    POSSIBLE,
    SOUND,
    WAIVED,
    hostile,
    many,
    report,
)

Json = dict[str, Any]
_URI = re.compile(r"(?!/|\.\./)[A-Za-z0-9\-._~/%!$&'()*+,;=@]+")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


def run_of(source: AuditReport) -> Json:
    log: Json = json.loads(to_sarif(source, tool_version="1.2.3"))
    assert list(faults(log)) == []
    run: Json = log["runs"][0]
    return run


def faults(log: Json) -> Iterator[str]:
    """What the schema of SARIF 2.1.0 would refuse in the parts that are used here, and broken cross-references."""
    if log["version"] != "2.1.0" or not log["$schema"].endswith("sarif-2.1.0.json"):
        yield "version"
    for run in log["runs"]:
        driver = run["tool"]["driver"]
        ids = [rule["id"] for rule in driver["rules"]]
        if len(set(ids)) != len(ids) or not driver["name"]:
            yield "rules"
        for rule in driver["rules"]:
            yield from _rule_faults(rule)
        for result in run["results"]:
            yield from _result_faults(result, ids)
        for invocation in run["invocations"]:
            yield from _invocation_faults(invocation, len(driver["notifications"]))


def _rule_faults(rule: Json) -> Iterator[str]:
    if not all(rule[key]["text"] for key in ("shortDescription", "fullDescription", "help")):
        yield "rule text"
    if not re.fullmatch(r"https?://\S+", rule.get("helpUri", "https://x")):
        yield "help URI"
    if not re.fullmatch(r"\d{1,2}\.\d", rule["properties"].get("security-severity", "0.0")):
        yield "security-severity"
    if rule["defaultConfiguration"]["level"] not in {"error", "warning", "note", "none"}:
        yield "rule level"


def _result_faults(result: Json, ids: list[str]) -> Iterator[str]:
    if ids[result["ruleIndex"]] != result["ruleId"]:
        yield "rule index"
    if result["level"] not in {"error", "warning", "note", "none"}:
        yield "level"
    if not isinstance(result["message"]["text"], str) or not result["message"]["text"]:
        yield "message"
    if not all(isinstance(value, str) for value in (*result["fingerprints"].values(),)):
        yield "fingerprint"
    if not 1 <= len(result["locations"]) <= 1000:
        yield "number of locations"
    for location in result["locations"]:
        yield from _location_faults(location)


def _location_faults(location: Json) -> Iterator[str]:
    if "physicalLocation" not in location:
        yield "no physical location, for which GitHub refuses the log"
        return
    for logical in location.get("logicalLocations", []):
        if not isinstance(logical["name"], str):
            yield "logical name"
    physical = location["physicalLocation"]
    artifact = physical["artifactLocation"]
    if not _URI.fullmatch(artifact["uri"]) or re.search("%(?![0-9A-F]{2})", artifact["uri"]):
        yield "URI"
    if artifact["uriBaseId"] != "%SRCROOT%":
        yield "URI base"
    if physical["region"]["startLine"] < 1:
        yield "line"


def _invocation_faults(invocation: Json, descriptors: int) -> Iterator[str]:
    if not isinstance(invocation["executionSuccessful"], bool):
        yield "executionSuccessful"
    if not all(_TIME.fullmatch(invocation[key]) for key in ("startTimeUtc", "endTimeUtc")):
        yield "time"
    for notification in invocation["toolExecutionNotifications"]:
        if not 0 <= notification["descriptor"]["index"] < descriptors:
            yield "descriptor"
        if notification["level"] not in {"error", "warning", "note"} or not notification["message"]["text"]:
            yield "notification"
        for location in notification.get("locations", []):
            yield from _location_faults(location)


@pytest.mark.parametrize("source", [ORDINARY, SOUND, INCOMPLETE, many(100), *map(hostile, HOSTILE_TEXTS)])
def test_every_report_is_a_valid_log(source: AuditReport) -> None:
    assert run_of(source)["tool"]["driver"]["name"] == "holdtrue"


def test_the_control_finds_what_is_broken() -> None:
    log = json.loads(to_sarif(ORDINARY))

    def broken(*path: str | int, value: object) -> list[str]:
        changed = copy.deepcopy(log)
        *parents, last = path
        place = changed["runs"][0]
        for part in parents:
            place = place[part]
        place[last] = value
        return list(faults(changed))

    assert broken("results", 0, "ruleIndex", value=1)
    assert broken("results", 0, "level", value="critical")
    assert broken("results", 0, "message", "text", value="")
    assert broken("results", 0, "locations", 0, value={})
    assert broken("results", 0, "locations", value=[])
    artifact = ("results", 0, "locations", 0, "physicalLocation", "artifactLocation")
    assert broken(*artifact, "uri", value="a b")
    assert broken(*artifact, "uri", value="file:///a")
    assert broken(*artifact, "uri", value="../a")
    assert broken("tool", "driver", "rules", 0, "id", value="PYSEC-2026-2")
    assert broken("tool", "driver", "rules", 0, "properties", "security-severity", value="high")
    assert broken("invocations", 0, "startTimeUtc", value="today")
    assert broken("invocations", 0, "toolExecutionNotifications", 0, "descriptor", "index", value=9)


def test_a_finding_is_one_result_in_each_inventory() -> None:
    results = [item for item in run_of(ORDINARY)["results"] if item["ruleId"] == "PYSEC-2026-1"]

    assert [item["locations"] for item in results] == [
        [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": "services/shop/requirements.txt", "uriBaseId": "%SRCROOT%"},
                    "region": {"startLine": 3},
                }
            }
        ],
        [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": "services/shop/uv.lock", "uriBaseId": "%SRCROOT%"},
                    "region": {"startLine": 41},
                },
            }
        ],
        [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": "host-1%3A/usr/bin/python3", "uriBaseId": "%SRCROOT%"},
                    "region": {"startLine": 1},
                },
                "message": {"text": "/usr/lib/python3/dist-packages"},
                "logicalLocations": [
                    {
                        "name": "host-1:/usr/bin/python3",
                        "fullyQualifiedName": "host-1:/usr/bin/python3: /usr/lib/python3/dist-packages",
                        "kind": "environment",
                    }
                ],
            }
        ],
    ]


@pytest.mark.parametrize(
    ("label", "uri"),
    [
        ("a b/ü%.txt", "a%20b/%C3%BC%25.txt"),
        ("./requirements.txt", "requirements.txt"),
        ("services/../a/./uv.lock", "a/uv.lock"),
        ("..a/uv.lock", "..a/uv.lock"),
        ("c:d/#?.txt", "c%3Ad/%23%3F.txt"),
        ("/srv/app/uv.lock", "srv/app/uv.lock"),
        ("../other/uv.lock", "other/uv.lock"),
        ("..", "unknown"),
    ],
)
def test_paths_become_uris(label: str, uri: str) -> None:
    finding = CRITICAL.model_copy(update={"occurrences": (Occurrence(inventory=label, place="line 1"),)})

    (result,) = run_of(report(finding))["results"]

    assert result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == uri


@pytest.mark.parametrize(
    ("label", "uri", "is_named"),
    [
        ("uv.lock", "services/shop/uv.lock", False),
        ("../../uv.lock", "uv.lock", False),
        ("/repo/a/uv.lock", "a/uv.lock", False),
        ("../../../other/uv.lock", "other/uv.lock", True),
        ("/repository/uv.lock", "repository/uv.lock", True),
        ("/opt/venv/lib/python3.12/site-packages", "opt/venv/lib/python3.12/site-packages", True),
        ("/repo", "repo", True),
    ],
)
def test_addresses_begin_at_the_root_of_the_repository(label: str, uri: str, *, is_named: bool) -> None:
    finding = CRITICAL.model_copy(update={"occurrences": (Occurrence(inventory=label, place="line 7"),)})
    tree = SourceTree(root="/repo", folder="/repo/services/shop")

    (result,) = json.loads(to_sarif(report(finding), tree=tree))["runs"][0]["results"]

    (location,) = result["locations"]
    assert list(_location_faults(location)) == []
    assert location["physicalLocation"]["artifactLocation"]["uri"] == uri
    assert location["physicalLocation"]["region"]["startLine"] == 7
    assert ("logicalLocations" in location) is is_named


@pytest.mark.parametrize(
    ("kind", "place", "uri", "line"),
    [
        ("requirements", "base/common.txt line 12", "app/base/common.txt", 12),
        ("requirements", "../shared/my line 3.txt line 4", "shared/my%20line%203.txt", 4),
        ("requirements", "/etc/common.txt line 2", "etc/common.txt", 2),
        ("requirements", "resolved by uv", "app/x", 1),
        ("installed", "demo_a-1.0.dist-info", "app/x/demo_a-1.0.dist-info/METADATA", 1),
        ("installed", "demo_a.egg-info", "app/x/demo_a.egg-info", 1),
        ("installed", "vendored in pip", "app/x", 1),
        ("installed", "../../x.dist-info", "app/x", 1),
        ("installed", "line 3", "app/x", 1),
    ],
)
def test_a_place_is_a_line_of_a_file(kind: str, place: str, uri: str, line: int) -> None:
    finding = CRITICAL.model_copy(update={"occurrences": (Occurrence(inventory="app/x", place=place),)})
    count = InventoryCount(label="app/x", kind=kind, audited=1, not_audited=0, findings=1)

    (result,) = run_of(report(finding).model_copy(update={"inventories": (count,)}))["results"]

    physical = result["locations"][0]["physicalLocation"]
    assert (physical["artifactLocation"]["uri"], physical["region"]["startLine"]) == (uri, line)


@pytest.mark.parametrize(("kind", "what"), [("project", "folder"), ("host", "environment"), ("uv.lock", None)])
def test_a_gap_of_a_folder_or_host_has_its_name_too(kind: str, what: str | None) -> None:
    gap = NotAudited(name="thing", reason="could not be read", inventory="services/shop")
    count = InventoryCount(label="services/shop", kind=kind, audited=0, not_audited=1, findings=0)
    source = report(verdict=AuditVerdict.INCOMPLETE, not_audited=(gap,)).model_copy(update={"inventories": (count,)})

    (notification,) = run_of(source)["invocations"][0]["toolExecutionNotifications"]

    (location,) = notification["locations"]
    assert location["physicalLocation"]["artifactLocation"]["uri"] == "services/shop"
    assert [item["kind"] for item in location.get("logicalLocations", [])] == ([what] if what else [])


def test_what_has_no_line_is_at_the_first() -> None:
    places = ("line 0", "line 99999999999999999999", "line x", "")
    finding = CRITICAL.model_copy(
        update={"occurrences": tuple(Occurrence(inventory="a.lock", place=place) for place in places)}
    )
    source = report(finding)
    known = source.model_copy(
        update={"inventories": (InventoryCount(label="a.lock", kind="uv.lock", audited=1, not_audited=0, findings=1),)}
    )

    (in_file,), (somewhere,) = run_of(known)["results"], run_of(source)["results"]

    for item in (*in_file["locations"], *somewhere["locations"]):
        assert item["physicalLocation"]["region"] == {"startLine": 1}


def test_levels_follow_the_severity_and_unknown_is_a_warning() -> None:
    findings = [
        MINOR.model_copy(update={"severity": severity, "id": f"X-{severity}", "tolerated": ""}) for severity in Severity
    ]

    levels = {item["ruleId"]: item["level"] for item in run_of(report(*findings))["results"]}

    assert levels == {
        "X-critical": "error",
        "X-high": "error",
        "X-unknown": "warning",
        "X-medium": "warning",
        "X-low": "note",
        "X-none": "note",
    }


def test_a_rule_tells_the_score_and_the_other_names_of_its_advisory() -> None:
    rules = {rule["id"]: rule for rule in run_of(ORDINARY)["tool"]["driver"]["rules"]}

    assert rules["PYSEC-2026-1"]["properties"]["security-severity"] == "9.8"
    assert rules["PYSEC-2026-1"]["properties"]["aliases"] == ["CVE-2026-0001", "GHSA-aaaa-bbbb-cccc"]
    assert rules["PYSEC-2026-1"]["helpUri"] == "https://advisories.example/PYSEC-2026-1"
    (low,) = run_of(report(MINOR.model_copy(update={"tolerated": "", "score": None})))["tool"]["driver"]["rules"]
    assert low["properties"]["security-severity"] == "0.1", "a word without a score: its least one"
    assert "security-severity" not in rules["GHSA-dddd-eeee-ffff"]["properties"], "unknown has no number"


def test_one_advisory_of_two_packages_is_one_rule_with_the_graver_score() -> None:
    other = CRITICAL.model_copy(update={"package": "another", "score": 5.0, "severity": Severity.MEDIUM})

    run = run_of(report(other, CRITICAL))

    (rule,) = run["tool"]["driver"]["rules"]
    assert rule["properties"]["security-severity"] == "9.8"
    assert rule["defaultConfiguration"]["level"] == "error"
    assert {item["ruleIndex"] for item in run["results"]} == {0}


def test_fingerprints_stay_when_lines_move_and_differ_between_findings() -> None:
    moved = CRITICAL.model_copy(
        update={
            "summary": "Told anew.",
            "occurrences": tuple(item.model_copy(update={"place": "line 99"}) for item in CRITICAL.occurrences),
        }
    )

    before, after = (run_of(report(finding, POSSIBLE))["results"] for finding in (CRITICAL, moved))

    assert [item["fingerprints"] for item in before] == [item["fingerprints"] for item in after]
    assert [item["partialFingerprints"] for item in before] == [item["partialFingerprints"] for item in after]
    assert len({str(item["fingerprints"]) for item in before}) == len(before) == 4


def test_a_tolerated_finding_is_no_result_but_a_note_with_its_reason() -> None:
    run = run_of(ORDINARY)

    assert {item["ruleId"] for item in run["results"]} == {"PYSEC-2026-1", "GHSA-dddd-eeee-ffff"}
    assert {rule["id"] for rule in run["tool"]["driver"]["rules"]} == {"PYSEC-2026-1", "GHSA-dddd-eeee-ffff"}
    notes = [
        item["message"]["text"]
        for item in run["invocations"][0]["toolExecutionNotifications"]
        if item["descriptor"]["id"] == "tolerated"
    ]
    assert len(notes) == 2
    assert any("PYSEC-2026-3" in text and "severity below medium" in text for text in notes)
    assert any("PYSEC-2026-2" in text and "waived by platform team until 2026-12-31" in text for text in notes)


def test_more_results_than_a_scanner_takes_are_left_out_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sarif, "_MOST_RESULTS", 2)
    monkeypatch.setattr(sarif, "_MOST_LOCATIONS", 1)
    twice = CRITICAL.occurrences[0].model_copy(update={"place": "line 9"})
    critical = CRITICAL.model_copy(
        update={"occurrences": (*CRITICAL.occurrences[:1], twice, *CRITICAL.occurrences[1:])}
    )

    run = run_of(report(critical, POSSIBLE))

    assert [(item["ruleId"], len(item["locations"])) for item in run["results"]] == [("PYSEC-2026-1", 1)] * 2
    (notification,) = run["invocations"][0]["toolExecutionNotifications"]
    assert (notification["descriptor"]["id"], notification["message"]["text"][0]) == ("left-out", "2")


def test_an_audit_with_gaps_was_not_executed_successfully_and_says_what_is_missing() -> None:
    (invocation,) = run_of(ORDINARY)["invocations"]

    assert invocation["executionSuccessful"] is False
    texts = {item["message"]["text"]: item["level"] for item in invocation["toolExecutionNotifications"]}
    assert texts["demo-fork 0.3 was not audited: installed from a repository"] == "error"
    assert texts["pypi was not audited: refused the connection"] == "error"
    assert [level for text, level in texts.items() if text.startswith("expired")] == ["warning"]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (SOUND, True),
        (report(CRITICAL), True),
        (report(WAIVED, verdict=AuditVerdict.CLEAN), True),
        (INCOMPLETE, False),
        (report(verdict=AuditVerdict.INCOMPLETE), False),
        (report(CRITICAL, not_audited=(NotAudited(name="x", reason="y"),)), False),
    ],
)
def test_execution_succeeded_only_when_all_was_looked_at(source: AuditReport, expected: object) -> None:
    assert run_of(source)["invocations"][0]["executionSuccessful"] is expected


def test_a_gap_that_leaves_the_audit_clean_is_a_note() -> None:
    source = report(verdict=AuditVerdict.CLEAN, not_audited=(NotAudited(name="holdtrue", reason="local project"),))

    (invocation,) = run_of(source)["invocations"]

    assert [item["level"] for item in invocation["toolExecutionNotifications"]] == ["note"]
    assert invocation["executionSuccessful"] is True


def test_a_finding_without_a_place_is_still_a_result() -> None:
    (result,) = run_of(report(CRITICAL.model_copy(update={"occurrences": ()})))["results"]

    assert len(result["locations"]) == 1, "GitHub refuses a log with a result that has none"


def test_possible_findings_say_so() -> None:
    (result,) = run_of(report(POSSIBLE))["results"]

    assert "may be affected" in result["message"]["text"]
    assert "installed from a repository" in result["message"]["text"]
    assert result["properties"]["certainty"] == "possible"
