from datetime import UTC, datetime

import pytest

from holdtrue.core.render import audit_line, cell, provision_sections, table
from holdtrue.core.render_drift import environment_page
from holdtrue.models.audit import AuditCounts, NotAudited
from holdtrue.models.configuration import ConfigurationRun
from holdtrue.models.drift import DriftVerdict, EnvironmentDrift
from holdtrue.models.environment import DriftLayer
from holdtrue.models.report import ProvisionReport
from tests.unit.core.test_audit_comparison import finding, report


def test_a_long_cell_is_cut_visibly() -> None:
    shown = cell("x" * 10_000 + " cause")
    assert " … " in shown
    assert shown.endswith(" cause")


def test_a_long_table_says_how_much_is_left_out() -> None:
    assert "500 more rows" in table(("a",), ((number,) for number in range(1000)))


def test_the_line_of_an_audit_names_what_counts_and_what_is_missing() -> None:
    gaps = tuple(
        NotAudited(name=f"line {number}", reason=f"because {number}", inventory="a.txt") for number in range(9)
    )
    found = report(finding("PYSEC-1"), finding("PYSEC-2", package="demo-b", tolerated="low"), gaps=gaps).model_copy(
        update={"counts": AuditCounts(audited=7, not_audited=9, findings=1, tolerated=1)}
    )

    line = audit_line(found)

    assert line.startswith("incomplete, 1 finding: demo-a 1.0, 1 tolerated; 7 packages audited, 9 not audited (")
    assert "a.txt line 0: because 0" in line
    assert "and 4 more" in line
    assert "demo-b" not in line


def test_the_line_of_an_audit_stays_one_line_whatever_was_found() -> None:
    found = report(*(finding("PYSEC-1", package=f"demo-{number}") for number in range(500)))

    assert len(audit_line(found)) < 500
    assert "and 490 more" in audit_line(found)


@pytest.mark.parametrize(("selection", "named"), [("with the tags web_1", True), ("", False)])
def test_the_pages_name_the_tags_that_tasks_were_selected_by(selection: str, *, named: bool) -> None:
    run = ConfigurationRun(check=False, hosts=(), results=(), selection=selection)
    report = ProvisionReport(environment="demo", configured=run, started_at=datetime.now(UTC), duration_seconds=1)
    assert ("web" in provision_sections(report)) is named
    selections = {DriftLayer.CONFIGURATION: f"tasks {selection}"} if selection else {}
    drift = EnvironmentDrift(environment="demo", verdict=DriftVerdict.IN_SYNC, checked=1, selections=selections)
    assert ("web" in environment_page(drift)) is named
