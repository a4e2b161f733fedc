"""The report for code scanners: SARIF 2.1.0 (OASIS, errata 01), and what GitHub's code scanning reads of it.

One result for each finding in each inventory: a scanner shows only the first place of a result, and so each keeps its
fingerprint when other inventories come and go.
"""

import hashlib
import json
import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any, Final
from urllib.parse import quote

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
from holdtrue.core.audit_output.text import for_sarif, json_text, one_line, web_link
from holdtrue.models.audit import AuditReport, AuditVerdict, Finding, Occurrence, Severity
from holdtrue.models.osv import Certainty

_SCHEMA: Final = "https://json.schemastore.org/sarif-2.1.0.json"
_MESSAGE_LIMIT: Final = 1_000
_ID_LIMIT: Final = 100
_PATH_LIMIT: Final = 4_096
_LINE: Final = re.compile(r"line ([1-9][0-9]{0,8})")
_NO_FILES: Final = {"installed": "environment", "host": "environment", "project": "folder"}
"""The kinds of inventories that are no files, and what each is."""

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

_Json = dict[str, Any]


def to_sarif(report: AuditReport, *, tool_version: str = "") -> str:
    """A log with one run. Tolerated findings are suppressed results; an audit with gaps was not executed successfully.

    Files are relative to `%SRCROOT%` where their labels are. Environments, hosts, folders and files above that root are
    logical locations.
    """
    findings = by_severity(report.findings)
    groups: dict[str, list[Finding]] = {}
    for finding in findings:
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
        ],
    }
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "invocations": [_invocation(report, kinds)],
        "results": [item for finding in findings for item in _results(finding, indexes[_rule_id(finding)], kinds)],
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


def _results(finding: Finding, rule_index: int, kinds: Mapping[str, str]) -> Iterator[_Json]:
    groups: dict[str, list[Occurrence]] = {}
    for occurrence in finding.occurrences:
        groups.setdefault(occurrence.inventory, []).append(occurrence)
    for inventory, occurrences in groups.items() or [("", [])]:
        identity = json.dumps([finding.package, finding.version, finding.id, inventory])
        fingerprint = hashlib.sha256(identity.encode()).hexdigest()
        yield {
            "ruleId": _rule_id(finding),
            "ruleIndex": rule_index,
            "level": _LEVELS[finding.severity],
            "message": {"text": for_sarif(_message(finding, occurrences), _MESSAGE_LIMIT)},
            "locations": [_location(item.inventory, item.place, kinds) for item in occurrences],
            "fingerprints": {"holdtrue/v1": fingerprint},
            # The only one that GitHub reads; without it an alert would be a new one whenever its line moves.
            "partialFingerprints": {"primaryLocationLineHash": f"{fingerprint[:16]}:1"},
            "suppressions": _suppressions(finding),
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


def _suppressions(finding: Finding) -> list[_Json]:
    """An empty list says that it is not suppressed; no list would leave that open (3.27.23)."""
    if not finding.tolerated:
        return []
    return [
        {"kind": "external", "status": "accepted", "justification": one_line(tolerance_text(finding), _MESSAGE_LIMIT)}
    ]


def _location(inventory: str, place: str, kinds: Mapping[str, str]) -> _Json:
    """A file where it is known to be one that a scanner can show; a name otherwise."""
    line = _LINE.fullmatch(place)
    path = posixpath.normpath(inventory[:_PATH_LIMIT])
    named = _named(kinds.get(inventory, ""), path, has_line=line is not None)
    if named:
        label = one_line(inventory)
        name = f"{label}: {one_line(place)}" if place else label
        return {"logicalLocations": [{"name": label, "fullyQualifiedName": name, "kind": named}]}
    region = {"region": {"startLine": int(line.group(1))}} if line else {}
    described = {"message": {"text": for_sarif(place)}} if place and not line else {}
    return {"physicalLocation": {"artifactLocation": _artifact(path), **region}, **described}


def _named(kind: str, path: str, *, has_line: bool) -> str:
    """What it is, if it has no address: no file, nobody knows, or a file above the sources' root."""
    if kind in _NO_FILES:
        return _NO_FILES[kind]
    if not kind and not has_line:
        return "environment"
    return "file" if path == ".." or path.startswith("../") else ""


def _artifact(path: str) -> _Json:
    """A path as a URI: relative to the sources' root, unless it is absolute."""
    quoted = quote(path.encode(errors="replace"))
    return {"uri": f"file://{quoted}"} if path.startswith("/") else {"uri": quoted, "uriBaseId": "%SRCROOT%"}


def _invocation(report: AuditReport, kinds: Mapping[str, str]) -> _Json:
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
                _notification(gap, "note" if report.verdict is AuditVerdict.CLEAN else "error", kinds)
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
        ],
    }


def _notification(gap: GapLine, level: str, kinds: Mapping[str, str]) -> _Json:
    return {
        "descriptor": {"id": "not-audited", "index": 0},
        "level": level,
        "message": {"text": for_sarif(f"{gap.what} was not audited: {gap.reason}", _MESSAGE_LIMIT)},
        **({"locations": [_location(gap.inventory, "", kinds)]} if gap.inventory else {}),
    }
