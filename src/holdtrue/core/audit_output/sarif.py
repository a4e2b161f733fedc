"""The report for code scanners: SARIF 2.1.0 (OASIS, errata 01), and what GitHub's code scanning reads of it.

One result for each finding in each inventory: a scanner shows only the first place of a result, and so each keeps its
fingerprint when other inventories come and go.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from itertools import islice
from typing import Any, Final

from holdtrue.core.audit_output.phrases import (
    GapLine,
    by_severity,
    fixes_text,
    gap_lines,
    gravest,
    remarks,
    severity_text,
    tolerance_text,
    utc,
    waiver_text,
)
from holdtrue.core.audit_output.sarif_locations import SourceTree, location
from holdtrue.core.neutral import for_sarif, json_text, one_line, web_link
from holdtrue.models.audit import AuditReport, AuditVerdict, Finding, Occurrence, Severity
from holdtrue.models.osv import Certainty

_SCHEMA: Final = "https://json.schemastore.org/sarif-2.1.0.json"
_MESSAGE_LIMIT: Final = 1_000
_ID_LIMIT: Final = 100
_MOST_RESULTS: Final = 25_000
_MOST_LOCATIONS: Final = 1_000
"""What GitHub takes of a run and of a result; it refuses a log with more."""

_LEVELS: Final = {
    Severity.CRITICAL: "error",
    Severity.HIGH: "error",
    Severity.UNKNOWN: "warning",
    Severity.MEDIUM: "warning",
    Severity.LOW: "note",
    Severity.NONE: "note",
}
_LEAST_SCORES: Final = {Severity.CRITICAL: 9.0, Severity.HIGH: 7.0, Severity.MEDIUM: 4.0, Severity.LOW: 0.1}
"""Where the CVSS words begin: for a finding with a word and no score, as `security-severity` takes numbers only."""

_WHOLE_TREE: Final = SourceTree()

_Json = dict[str, Any]
_Held = tuple[Finding, str, Sequence[Occurrence]]
"""A finding in one inventory, by its label."""


def to_sarif(report: AuditReport, *, tool_version: str = "", tree: SourceTree = _WHOLE_TREE) -> str:
    """A log with one run, whose `executionSuccessful` is false if the audit has gaps.

    Results are the findings that count, and no others: GitHub does not read suppressions, and would open an alert for
    each of the others. What is tolerated is a notification.
    """
    held = [*_held(by_severity(report.counting))]
    groups: dict[str, list[Finding]] = {}
    for finding, _, _ in held[:_MOST_RESULTS]:
        groups.setdefault(_rule_id(finding), []).append(finding)
    indexes = {rule_id: index for index, rule_id in enumerate(groups)}
    kinds = {item.label: item.kind for item in report.inventories}
    driver = {
        "name": "holdtrue",
        **({"version": tool_version} if tool_version else {}),
        "rules": [_rule(rule_id, group) for rule_id, group in groups.items()],
        "notifications": [
            {"id": "not-audited", "shortDescription": {"text": "Something could not be audited"}},
            {"id": "waiver", "shortDescription": {"text": "A waiver has expired or matches nothing"}},
            {"id": "tolerated", "shortDescription": {"text": "A finding that the policy or a waiver lets pass"}},
            {"id": "left-out", "shortDescription": {"text": "There are more results than a log may have"}},
        ],
    }
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "invocations": [_invocation(report, kinds, tree, left_out=max(0, len(held) - _MOST_RESULTS))],
        "results": [_result(item, indexes[_rule_id(item[0])], kinds, tree) for item in held[:_MOST_RESULTS]],
    }
    return json_text({"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]})


def _rule_id(finding: Finding) -> str:
    return one_line(finding.id, _ID_LIMIT)


def _rule(rule_id: str, findings: Sequence[Finding]) -> _Json:
    summary = next((finding.summary for finding in findings if finding.summary), "")
    link = next(filter(None, (web_link(finding.link) for finding in findings)), "")
    aliases = list(dict.fromkeys(one_line(alias, _ID_LIMIT) for finding in findings for alias in finding.aliases))
    title = for_sarif(f"{rule_id}: {summary or 'known vulnerability'}")
    named = f"Also known as {', '.join(aliases)}." if aliases else ""
    score = _score(findings)
    return {
        "id": rule_id,
        "shortDescription": {"text": title},
        "fullDescription": {"text": title},
        "help": {"text": for_sarif(" ".join(filter(None, (f"{rule_id}. {summary}", named, link))), _MESSAGE_LIMIT)},
        **({"helpUri": link} if link else {}),
        "defaultConfiguration": {"level": _LEVELS[gravest(findings)]},
        "properties": {
            "tags": ["security", "vulnerability"],
            **({"security-severity": f"{score:.1f}"} if score is not None else {}),
            "aliases": aliases,
        },
    }


def _score(findings: Iterable[Finding]) -> float | None:
    scores = (
        finding.score if finding.score is not None else _LEAST_SCORES.get(finding.severity) for finding in findings
    )
    return max((score for score in scores if score is not None), default=None)


def _held(findings: Iterable[Finding]) -> Iterator[_Held]:
    for finding in findings:
        groups: dict[str, list[Occurrence]] = {}
        for occurrence in finding.occurrences:
            groups.setdefault(occurrence.inventory, []).append(occurrence)
        yield from ((finding, inventory, occurrences) for inventory, occurrences in groups.items())
        if not groups:
            yield finding, "", ()


def _result(held: _Held, rule_index: int, kinds: Mapping[str, str], tree: SourceTree) -> _Json:
    finding, inventory, occurrences = held
    identity = json.dumps([finding.package, finding.version, finding.id, inventory])
    fingerprint = hashlib.sha256(identity.encode()).hexdigest()
    places = [item.place for item in islice(occurrences, _MOST_LOCATIONS)] or [""]
    return {
        "ruleId": _rule_id(finding),
        "ruleIndex": rule_index,
        "level": _LEVELS[finding.severity],
        "message": {"text": for_sarif(_message(finding, occurrences), _MESSAGE_LIMIT)},
        "locations": [location(inventory, place, kinds, tree) for place in places],
        "fingerprints": {"holdtrue/v1": fingerprint},
        # The only one that GitHub reads; without it an alert would be a new one whenever its line moves.
        "partialFingerprints": {"primaryLocationLineHash": f"{fingerprint[:16]}:1"},
        "properties": {
            "package": one_line(finding.package),
            "version": one_line(finding.version),
            "severity": finding.severity,
            "certainty": finding.certainty,
            "fixedIn": [one_line(version) for version in finding.fixed_in],
            "sources": [one_line(source) for source in finding.sources],
        },
    }


def _message(finding: Finding, occurrences: Sequence[Occurrence]) -> str:
    verb = "may be" if finding.certainty is Certainty.POSSIBLE else "is"
    chain = next((item.chain for item in occurrences if item.chain), ())
    parts = (
        f"{finding.package} {finding.version} {verb} affected by {finding.id} ({severity_text(finding)})",
        f"fixed in: {fixes_text(finding)}" if finding.fixed_in else "no fix known",
        f"brought in by {' > '.join(chain)}" if chain else "",
        *remarks(finding),
        finding.summary,
    )
    return "; ".join(filter(None, parts))


def _invocation(report: AuditReport, kinds: Mapping[str, str], tree: SourceTree, *, left_out: int) -> _Json:
    started_at = utc(report.started_at)
    ended_at = started_at + timedelta(seconds=report.duration_seconds)
    looked_at_all = report.verdict is AuditVerdict.CLEAN or (
        report.verdict is AuditVerdict.VULNERABLE and all(item.tolerated for item in report.not_audited)
    )
    return {
        "executionSuccessful": looked_at_all,
        "startTimeUtc": started_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "endTimeUtc": ended_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "toolExecutionNotifications": [
            *(
                _notification(gap, "note" if report.verdict is AuditVerdict.CLEAN else "error", kinds, tree)
                for gap in gap_lines(report.not_audited)
            ),
            *(
                {
                    "descriptor": {"id": "waiver", "index": 1},
                    "level": "warning" if use.state == "expired" else "note",
                    "message": {"text": for_sarif(waiver_text(use), _MESSAGE_LIMIT)},
                }
                for use in report.waivers
                if use.state != "used"
            ),
            *(
                {
                    "descriptor": {"id": "tolerated", "index": 2},
                    "level": "note",
                    "message": {"text": for_sarif(_tolerated_text(finding), _MESSAGE_LIMIT)},
                }
                for finding in by_severity(finding for finding in report.findings if finding.tolerated)
            ),
            *([_left_out(left_out)] if left_out else []),
        ],
    }


def _tolerated_text(finding: Finding) -> str:
    places = ", ".join(dict.fromkeys(item.inventory for item in finding.occurrences))
    return f"{finding.package} {finding.version} {finding.id} is tolerated ({tolerance_text(finding)}) in {places}"


def _left_out(number: int) -> _Json:
    return {
        "descriptor": {"id": "left-out", "index": 3},
        "level": "error",
        "message": {"text": f"{number} more results are not in this log, the least severe: audit fewer things at once"},
    }


def _notification(gap: GapLine, level: str, kinds: Mapping[str, str], tree: SourceTree) -> _Json:
    return {
        "descriptor": {"id": "not-audited", "index": 0},
        "level": level,
        "message": {"text": for_sarif(f"{gap.what} was not audited: {gap.reason}", _MESSAGE_LIMIT)},
        **({"locations": [location(gap.inventory, "", kinds, tree)]} if gap.inventory else {}),
    }
