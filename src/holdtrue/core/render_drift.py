"""A drift check's report: what differs, what was not checked, and which rules applied."""

from datetime import date

from holdtrue.core.neutral import for_markdown
from holdtrue.core.render import CELL_LIMIT, count, gap_list, section, table, without_tests
from holdtrue.models.drift import DriftReport, EnvironmentDrift, NotChecked
from holdtrue.models.environment import DriftIgnore


def drift_line(report: DriftReport) -> str:
    """One line of outcome; names every drifted target, and what was not checked with the first reasons."""
    findings = [finding for item in report.environments for finding in item.findings]
    gaps_of_all = ((drift.environment, item) for drift in report.environments for item in drift.not_checked)
    # An environment that could not be checked at all comes before parts of others.
    unknown = sorted(gaps_of_all, key=lambda gap: gap[1].layer is not None)
    checked = sum(item.checked for item in report.environments)
    targets = dict.fromkeys(_short(finding.target) for finding in findings)
    named = f": {', '.join(targets)}" if targets else ""
    gaps = (f"{environment}{_place(item)}: {item.reason}" for environment, item in unknown)
    accepted = sum(len(item.accepted) for item in report.environments)
    expired = sum(len(item.expired_rules) for item in report.environments)
    return (
        f"{report.verdict}, {count(len(findings), 'difference')}{named}; {checked} looked at, "
        f"{len(unknown)} not checked{gap_list(gaps)}"
        + (f"; {count(accepted, 'gap')} accepted by rule" if accepted else "")
        + (f"; {count(expired, 'rule')} in drift.ignore expired" if expired else "")
    )


def _place(item: NotChecked) -> str:
    return "" if item.layer is None else f" {item.layer} of {_short(item.target)}"


def _short(target: str) -> str:
    return target.rsplit("::", 1)[-1]


def drift_sections(report: DriftReport) -> str:
    """What drifted, for a person."""
    return "\n".join(_environment_drift(item) for item in report.environments)


def environment_page(drift: EnvironmentDrift) -> str:
    """The page of one environment of several."""
    return f"# drift {for_markdown(drift.environment)}: {drift.verdict}\n\n{_environment_drift(drift)}"


def _environment_drift(drift: EnvironmentDrift) -> str:
    parts = [f"Verdict: **{drift.verdict}**, {drift.checked} things looked at."]
    parts += [without_tests(drift.without_tests)] if drift.without_tests else []
    parts += [
        f"Of the {layer} only {for_markdown(selection, CELL_LIMIT)} were looked at, as the manifest says."
        for layer, selection in drift.selections.items()
    ]
    headings = ("Layer", "Target", "Field", "Difference")
    if drift.findings:
        parts.append(table(headings, ((f.layer, _short(f.target), f.field, f.summary) for f in drift.findings)))
    if drift.not_checked:
        rows = ((item.layer or "all", _short(item.target), item.field, item.reason) for item in drift.not_checked)
        parts.append("Not checked:\n\n" + table(("Layer", "Target", "Field", "Reason"), rows))
    if drift.accepted:
        accepted = (
            (item.gap.layer, _short(item.gap.target), item.gap.field, item.gap.reason, *_terms(item.rule))
            for item in drift.accepted
        )
        named = ("Layer", "Target", "Field", "Not checked because", "Accepted because", "Owner", "Until")
        parts.append("Not checked, and accepted by rule:\n\n" + table(named, accepted))
    if drift.ignored:
        rows_ignored = ((f.layer, _short(f.target), f.field, f.summary) for f in drift.ignored)
        parts.append("Ignored by rule:\n\n" + table(headings, rows_ignored))
    if drift.unmanaged:
        rows_unmanaged = ((f.layer, _short(f.target), f.field, f.summary) for f in drift.unmanaged)
        parts.append("Not managed by the program:\n\n" + table(headings, rows_unmanaged))
    for title, rules in (("Expired rules", drift.expired_rules), ("Rules that matched nothing", drift.unused_rules)):
        if rules:
            rule_rows = ((rule.layer, rule.target, rule.field, *_terms(rule)) for rule in rules)
            parts.append(f"{title}:\n\n" + table(("Layer", "Target", "Field", "Reason", "Owner", "Expires"), rule_rows))
    return section(f"Environment {drift.environment}", "\n\n".join(parts))


def _terms(rule: DriftIgnore) -> tuple[str, str, date]:
    return rule.reason, rule.owner, rule.expires
