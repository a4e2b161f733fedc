"""Reports as markdown for people, and as the one line that goes into a state message."""

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from pydantic import JsonValue

from holdtrue.core.approval_text import approval_rows
from holdtrue.core.audit_output.phrases import gap_lines
from holdtrue.core.excerpt import excerpt
from holdtrue.core.neutral import for_markdown
from holdtrue.models.audit import AuditReport
from holdtrue.models.audit_changes import EnvironmentAudit
from holdtrue.models.configuration import ConfigurationRun, TaskOutcome
from holdtrue.models.outcome import RunOutcome, StageRecord
from holdtrue.models.preflight import PreflightReport
from holdtrue.models.report import ProgramTests, ProvisionReport, ValidationReport
from holdtrue.models.stack import ApplyResult, Plan, PropertyChange, ResourceChange, StackOutputs
from holdtrue.models.validation import CheckOutcome, Verdict

CELL_LIMIT: Final = 400
_ROW_LIMIT: Final = 500
_GAPS_SHOWN: Final = 5
_PACKAGES_SHOWN: Final = 10
_GAP_LIMIT: Final = 300
_LINE_LIMIT: Final = 2_000


def cell(value: object) -> str:
    """One table cell from any text, which loses its middle when it is long."""
    return for_markdown(excerpt(str(value), CELL_LIMIT), CELL_LIMIT)


def table(headings: Sequence[str], rows: Iterable[Sequence[object]], *, limit: int = _ROW_LIMIT) -> str:
    """A markdown table, cut at `limit` rows with a line that says how many are left out."""
    listed = list(rows)
    lines = [f"| {' | '.join(headings)} |", f"|{'---|' * len(headings)}"]
    lines += [f"| {' | '.join(cell(value) for value in row)} |" for row in listed[:limit]]
    if len(listed) > limit:
        lines.append(f"\n{len(listed) - limit} more rows are left out.")
    return "\n".join(lines)


def section(title: str, body: str) -> str:
    """One part of a page, with its heading."""
    return f"## {for_markdown(title)}\n\n{body}\n"


def report_page(title: str, outcome: RunOutcome, sections: str) -> str:
    """A run's page: what happened and what to do, then the details, and the stages at the end."""
    told = "\n".join(_prose(line) for line in outcome.line.splitlines())
    parts = [f"# {for_markdown(title)}: {for_markdown(outcome.state)}", told]
    if outcome.where:
        parts.append(f"Where: {_prose(outcome.where)}")
    if outcome.next_step:
        parts.append(f"**Next:** {_prose(outcome.next_step)}")
    parts += [sections] if sections else []
    parts.append(section("Stages", stages_table(outcome.stages) if outcome.stages else "No stage started."))
    return "\n\n".join(parts)


def _prose(line: str) -> str:
    """A line of ours with other people's words in it; it may be a list item."""
    bullet = "- " if line.startswith("- ") else ""
    return bullet + for_markdown(line.removeprefix(bullet), _LINE_LIMIT)


def stages_table(stages: Sequence[StageRecord]) -> str:
    """The stages of a run, in order; a column that has nothing in it is left out."""
    columns: dict[str, list[str]] = {
        "Stage": [stage.name for stage in stages],
        "Environment": [stage.environment for stage in stages],
        "Outcome": [stage.outcome for stage in stages],
        "Seconds": [f"{stage.duration_seconds:.1f}" for stage in stages],
        "Summary": [stage.summary for stage in stages],
    }
    filled = {heading: values for heading, values in columns.items() if any(values)}
    return table(tuple(filled), zip(*filled.values(), strict=True))


def changes_table(changes: Sequence[ResourceChange]) -> str:
    """Resource changes with the names of the properties that change."""
    return table(
        ("Operation", "Resource", "Type", "Properties"),
        (
            (change.operation, change.name, change.type, ", ".join(item.path for item in change.changes))
            for change in changes
        ),
    )


PLAN_HEADINGS: Final = ("Operation", "Resource", "Type", "Property", "Before", "After")


def plan_rows(changes: Iterable[ResourceChange]) -> Iterator[Sequence[object]]:
    """Planned changes with the values of their properties, one row per property; secrets are placeholders in them."""
    for change in changes:
        for item in change.changes or (PropertyChange(path=""),):
            yield change.operation, change.name, change.type, item.path, _value(item.before), _value(item.after)


def _value(value: JsonValue) -> str:
    return "" if value is None else json.dumps(value, ensure_ascii=False)


def checks_table(verdict: Verdict) -> str:
    """Every check, those that did not pass first."""
    ordered = sorted(verdict.checks, key=lambda check: (check.outcome is CheckOutcome.PASSED, check.target, check.name))
    return table(
        ("Outcome", "Target", "Kind", "Check", "Detail"),
        ((check.outcome, check.target, check.kind, check.name, check.detail) for check in ordered),
    )


def count(number: int, noun: str) -> str:
    """`1 host`, `2 hosts`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def preflight_lines(report: PreflightReport) -> str:
    """Each broken prerequisite on a line of its own."""
    return "\n".join(
        f"- {item.name}: {item.detail}" + (f" Next: {item.next_step}" if item.next_step else "")
        for item in report.broken
    )


def provision_line(report: ProvisionReport) -> str:
    """One line of outcome of a provision that reached its end."""
    resources = report.applied or ApplyResult(changes=(), unchanged=0, outputs=StackOutputs(values={}))
    passed = _passed(report.verdict) if report.verdict is not None else "no check was made"
    untested = _untested(report.program_tests)
    if not report.changed:
        return (
            f"{report.environment}: no changes; {count(resources.unchanged, 'resource')} and "
            f"{count(len(report.hosts), 'host')} are as declared, {passed}{untested}"
        )
    moved = "traffic moved" if report.traffic is not None and report.traffic.moved else "traffic stayed"
    tasks = report.configured.changed if report.configured is not None else ()
    return (
        f"{report.environment}: {count(len(resources.changes), 'resource')} and "
        f"{count(len(tasks), 'host task')} changed, second run changed 0, {passed}, {moved}{untested}"
    )


def _untested(tests: ProgramTests | None) -> str:
    return (
        f"; the program has no tests ({' '.join(tests.none_because.split())})" if tests and tests.none_because else ""
    )


def without_tests(reason: str) -> str:
    """The line about a program that has no unit tests."""
    return f"The program has no unit tests. The manifest gives the reason: {for_markdown(reason, CELL_LIMIT)}"


def _passed(verdict: Verdict) -> str:
    passed = sum(check.outcome is CheckOutcome.PASSED for check in verdict.checks)
    return f"{passed} of {len(verdict.checks)} checks passed"


def provision_sections(report: ProvisionReport) -> str:
    """What a provision did, for a person; of one that failed, what it had done by then."""
    sections = []
    if report.program_tests is not None and report.program_tests.none_because:
        sections.append(section("Program tests", without_tests(report.program_tests.none_because)))
    if report.audit is not None:
        sections.append(section("Dependencies", _dependencies(report.audit)))
    if report.approval is not None:
        sections.append(section("Approval", table(("Approval", ""), approval_rows(report.approval))))
    if report.applied is not None:
        sections.append(section("Infrastructure", _applied(report.applied)))
    elif report.plan is not None:
        sections.append(section("Plan", _plan(report.plan)))
    if report.configured is not None:
        sections.append(section("Configuration", _configuration(report.configured)))
    if report.verified is not None and (report.verified.changed or report.verified.lost_handlers):
        sections.append(section("Second configuration run", _configuration(report.verified)))
    if report.verdict is not None:
        sections.append(section("Validation", checks_table(report.verdict)))
    if report.traffic is not None:
        steps = table(
            ("Percent", "Weights", "Probes"),
            (
                (step.percent, _weights(step.weights), ", ".join(check.outcome for check in step.checks))
                for step in report.traffic.steps
            ),
        )
        ends = f"Before: {_weights(report.traffic.before)}. After: {_weights(report.traffic.after)}."
        idle = "".join(
            f" {name} got no request: it was {state}." for name, state in report.traffic.out_of_service.items()
        )
        taken = steps if report.traffic.steps else "No steps were needed."
        sections.append(section("Traffic", f"{for_markdown(f'{ends}{idle}', _LINE_LIMIT)}\n\n{taken}"))
    return "\n".join(sections)


def _applied(applied: ApplyResult) -> str:
    parts = [changes_table(applied.changes) if applied.changes else "No changes."]
    parts += [for_markdown(note, CELL_LIMIT) for note in applied.notes]
    return "\n\n".join(parts)


def _plan(plan: Plan) -> str:
    if not plan.changes:
        return "The plan has no changes."
    return (
        f"Nothing of it was applied. Its digest is `{plan.digest}`.\n\n{table(PLAN_HEADINGS, plan_rows(plan.changes))}"
    )


def _configuration(run: ConfigurationRun) -> str:
    selected = f"Only tasks {for_markdown(run.selection, CELL_LIMIT)} were run.\n\n" if run.selection else ""
    return f"{selected}{_results(run)}"


def _results(run: ConfigurationRun) -> str:
    told = [result for result in run.results if result.outcome is not TaskOutcome.SKIPPED]
    messages = any(result.message for result in told)
    headings = ("Host", "Task", "Outcome", *(("Message",) if messages else ()))
    rows = ((result.host, result.task, result.outcome, *((result.message,) if messages else ())) for result in told)
    parts = [table(headings, rows) if told else "No changes."]
    if run.lost_handlers:
        lost = ((item.host, item.handler, "failed" if item.failed else "never began") for item in run.lost_handlers)
        parts.append("Handlers that were notified and have not run:\n\n" + table(("Host", "Handler", "Outcome"), lost))
    if run.untouched:
        untouched = ((item.host, item.reason) for item in run.untouched)
        parts.append("Hosts on which no task ran:\n\n" + table(("Host", "Reason"), untouched))
    return "\n\n".join(parts)


def _dependencies(audit: EnvironmentAudit) -> str:
    return "\n".join(for_markdown(line, CELL_LIMIT) for line in (audit.line, *audit.notes))


def _weights(weights: dict[str, int]) -> str:
    return ", ".join(f"{name}={weight}" for name, weight in sorted(weights.items()))


def validation_line(report: ValidationReport) -> str:
    """One line of outcome."""
    reasons = f": {report.verdict.reasons[0]}" if report.verdict.reasons else ""
    return f"{report.environment}: {report.verdict.outcome}, {_passed(report.verdict)}{reasons}"


def validation_sections(report: ValidationReport) -> str:
    """What a validation saw, for a person."""
    untested = section("Program tests", without_tests(report.without_tests)) if report.without_tests else ""
    return untested + section("Checks", checks_table(report.verdict) if report.verdict.checks else "No check was made.")


def gap_list(gaps: Iterable[str]) -> str:
    """The first gaps of a line, each short enough that the others are seen too."""
    whole = dict.fromkeys(" ".join(gap.split()) for gap in gaps)
    named = [excerpt(gap, _GAP_LIMIT) for gap in whole]
    more = f"; and {len(named) - _GAPS_SHOWN} more" if len(named) > _GAPS_SHOWN else ""
    return f" ({'; '.join(named[:_GAPS_SHOWN])}{more})" if named else ""


def audit_line(report: AuditReport) -> str:
    """One line of outcome; names the vulnerable packages, and what was not audited with the first reasons."""
    packages = [*dict.fromkeys(f"{item.package} {item.version}" for item in report.counting)]
    more = f" and {len(packages) - _PACKAGES_SHOWN} more" if len(packages) > _PACKAGES_SHOWN else ""
    named = f": {', '.join(packages[:_PACKAGES_SHOWN])}{more}" if packages else ""
    tolerated = f", {report.counts.tolerated} tolerated" if report.counts.tolerated else ""
    gaps = (
        " ".join(filter(None, (gap.inventory, gap.what))) + f": {gap.reason}" for gap in gap_lines(report.not_audited)
    )
    return (
        f"{report.verdict}, {count(report.counts.findings, 'finding')}{named}{tolerated}; "
        f"{count(report.counts.audited, 'package')} audited, {report.counts.not_audited} not audited{gap_list(gaps)}"
    )
