"""`holdtrue audit`: where its report goes, in every format, and that the documentation knows of each."""

import re
from pathlib import Path

import pytest

from holdtrue.adapters.audit_inputs import read_waivers
from tests.integration.audit_desk import (
    BAD_INPUT,
    FORMATS,
    VULNERABLE,
    Desk,
    Ended,
    desk,
    names_the_finding,
    shared_desk,
)
from tests.integration.osv_fault_server import advisory

__all__ = ["desk", "shared_desk"]


@pytest.fixture(scope="module")
def by_form(shared_desk: Desk) -> dict[str, Ended]:
    """A run for each, which writes a file of that name."""
    arguments = ("-r", "requirements.txt", "--osv-db", "dump.jsonl", "--internal", "x")
    ended = shared_desk.run_together(*((*arguments, "--format", form, "--output", form) for form in FORMATS))
    return dict(zip(FORMATS, ended, strict=True))


@pytest.mark.parametrize("form", FORMATS)
def test_each_output_can_be_read_from_a_file(shared_desk: Desk, by_form: dict[str, Ended], form: str) -> None:
    ended = by_form[form]

    assert (ended.code, ended.out) == (VULNERABLE, "")
    assert names_the_finding(form, (shared_desk.folder / form).read_text())


def test_a_report_that_does_not_fit_replaces_nothing(desk: Desk) -> None:
    for number in range(700):
        desk.file(f"project/requirements/{number}.txt", "demo-a==1.0\n")
    former = desk.file("report", "the report of an earlier run\n")
    desk.limit_files(64 << 10)

    ended = desk.run("--project", "project", "--osv-db", "dump.jsonl", "--json", "--output", "report")

    assert (ended.code, ended.out, "report" in ended.err) == (BAD_INPUT, "", True)
    assert former.read_text() == "the report of an earlier run\n"
    assert desk.left_behind() == []


def test_a_reader_that_has_seen_enough_is_no_error(desk: Desk) -> None:
    desk.dump(*(advisory("demo-a", f"PYSEC-2099-{number}") for number in range(2000)))
    with desk.start("-r", "requirements.txt", "--osv-db", "dump.jsonl") as child:
        assert child.stdout is not None
        assert child.stderr is not None
        first = child.stdout.readline()
        child.stdout.close()
        err = child.stderr.read()

    assert first.startswith("vulnerable: 2000 findings")
    assert (child.returncode, err) == (VULNERABLE, "")


def test_the_documentation_names_what_there_is(desk: Desk) -> None:
    page = (Path(__file__).parents[2] / "docs" / "audit.md").read_text()
    known = desk.run("--help").out
    options = re.findall(r"`(--[a-z-]+)", page.partition("## Beside pip-audit")[0])
    waivers = re.search(r"# audit-waivers\.yaml\n(.*?)```", page, re.DOTALL)
    assert waivers is not None
    (waiver,) = read_waivers(desk.file("audit-waivers.yaml", waivers.group(1)))

    assert len(options) > 15
    assert [option for option in options if option not in known] == []
    assert [form for form in FORMATS if f"`{form}`" not in page and f"--format {form}" not in page] == []
    assert waiver.owner == "platform team"
