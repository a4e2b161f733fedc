"""What a person reads of a sweep: what had to be revoked by itself, the rest in one line."""

from datetime import UTC, datetime, timedelta

import pytest

from holdtrue.core.render_sweep import sweep_line, sweep_lines, sweep_sections
from holdtrue.models.lease import LeaseKind
from holdtrue.models.sweep import FolderOutcome, SweepOutcome, SweepReport, SweptFolder, SweptLease

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def swept(
    outcome: SweepOutcome,
    *,
    kind: LeaseKind = LeaseKind.TOKEN,
    run: str = "killed",
    reference: str = "an-accessor",
    expires_at: datetime | None = NOW,
) -> SweptLease:
    return SweptLease(
        run=f"id-of-{run}",
        run_name=run,
        host="worker-1",
        kind=kind,
        server="https://vault",
        path="auth/approle/login",
        reference=reference,
        expires_at=expires_at,
        outcome=outcome,
        detail="why",
    )


def report(*leases: SweptLease, dead_runs: int = 0, ledger_failure: str = "") -> SweepReport:
    return SweepReport(
        leases=leases,
        dead_runs=dead_runs,
        live_runs=4,
        ledger_failure=ledger_failure,
        started_at=NOW,
        duration_seconds=1,
    )


def rows(sections: str) -> list[str]:
    """The first cell of each row of the table."""
    cells = [line.split("|")[1].strip() for line in sections.splitlines() if line.startswith("|")]
    return cells[2:]


def test_what_had_to_be_revoked_is_listed_and_the_rest_is_one_line() -> None:
    ends = [NOW + timedelta(hours=hours) for hours in range(1, 31)]
    certificates = [
        swept(SweepOutcome.IRREVOCABLE, kind=LeaseKind.SSH_CERTIFICATE, run=f"run-{number}", expires_at=end)
        for number, end in enumerate(ends)
    ]
    sessions = [swept(SweepOutcome.GONE, kind=LeaseKind.AWS_SESSION, run="run-30") for _ in range(3)]
    told = report(*certificates, swept(SweepOutcome.REVOKED), *sessions, dead_runs=1)
    sections = sweep_sections(told)
    assert rows(sections) == ["revoked"]
    (line,) = [line for line in sections.splitlines() if "ssh" in line]
    assert "30 ssh" in line
    assert "3 aws" in line
    assert ends[-1].date().isoformat() in line.replace("\\", "")
    assert "run-0" in line.replace("\\", "")
    assert "26 more" in line
    assert len(sweep_lines(told)) == 2
    assert "1 revoked of 1 dead run" in sweep_line(told)
    assert "33" in sweep_line(told)


def test_what_may_still_live_stands_above_what_was_revoked() -> None:
    outcomes = (SweepOutcome.REVOKED, SweepOutcome.LOST, SweepOutcome.FAILED, SweepOutcome.REVOKED)
    told = report(*(swept(outcome) for outcome in outcomes), dead_runs=2)
    assert rows(sweep_sections(told)) == ["failed", "lost", "revoked", "revoked"]
    assert [line.split(" ")[0] for line in sweep_lines(told)] == ["failed", "lost", "revoked", "revoked"]


def test_a_sweep_that_found_nothing_lists_nothing() -> None:
    told = report()
    assert rows(sweep_sections(told)) == []
    assert sweep_lines(told) == ()
    assert "nothing left" in sweep_line(told)
    assert "4 live runs" in sweep_line(told)


def test_what_only_ended_by_itself_is_no_dead_run() -> None:
    told = report(swept(SweepOutcome.IRREVOCABLE, kind=LeaseKind.SSH_CERTIFICATE))
    assert rows(sweep_sections(told)) == []
    assert "dead run" not in sweep_line(told)
    assert "nothing left to revoke" in sweep_line(told)


@pytest.mark.parametrize(("end", "words"), [(timedelta(seconds=-9), "ended at"), (timedelta(hours=1), "ends at")])
def test_an_end_that_is_past_is_told_as_past(end: timedelta, words: str) -> None:
    told = report(swept(SweepOutcome.IRREVOCABLE, kind=LeaseKind.AWS_SESSION, expires_at=NOW + end))
    (line,) = sweep_lines(told)
    assert f"{words} {(NOW + end).isoformat(timespec='seconds')}" in line


def test_folders_are_told_one_by_one_and_their_names_are_no_markup() -> None:
    removed = SweptFolder(path="/mem/holdtrue-pulumi-x", outcome=FolderOutcome.REMOVED, detail="process 7 is gone")
    hostile = SweptFolder(path="/mem/ht-\x1b[31m\n# head <b>", outcome=FolderOutcome.LEFT, detail="a link")
    told = report().model_copy(update={"folders": (removed, hostile)})
    assert rows(sweep_sections(told)) == ["removed", "left alone"]
    assert "private folders: 1 removed, 1 left alone" in sweep_line(told)
    lines = sweep_lines(told)
    assert lines[0] == "removed | private folder | /mem/holdtrue-pulumi-x | process 7 is gone"
    assert len(lines) == 2
    for text in (*lines, *sweep_sections(told).splitlines()):
        assert text.isprintable()
        assert not text.startswith("# head")
    assert "<b>" not in sweep_sections(told)


def test_folders_that_another_user_makes_do_not_flood_the_log() -> None:
    removed = SweptFolder(path="/mem/ht-z", outcome=FolderOutcome.REMOVED, detail="process 7 is gone")
    left = [SweptFolder(path=f"/mem/ht-{n}", outcome=FolderOutcome.LEFT, detail="user 7") for n in range(5000)]
    lines = sweep_lines(report().model_copy(update={"folders": (*left, removed)}))
    assert "/mem/ht-z" in lines[0]
    assert len(lines) == 22
    assert "4980 more" in lines[-1]


def test_an_end_that_nobody_knows_is_told_as_unknown() -> None:
    told = report(swept(SweepOutcome.IRREVOCABLE, kind=LeaseKind.AWS_SESSION, reference="", expires_at=None))
    (line,) = sweep_lines(told)
    assert "unknown" in line


def test_a_ledger_that_could_not_be_written_is_told() -> None:
    told = report(swept(SweepOutcome.REVOKED), dead_runs=1, ledger_failure="the ledger does not answer: why")
    assert "the ledger does not answer: why" in sweep_sections(told)
    assert "the ledger does not answer: why" in sweep_lines(told)[-1]


def test_the_name_of_a_run_is_no_markup() -> None:
    hostile = swept(SweepOutcome.IRREVOCABLE, kind=LeaseKind.SSH_CERTIFICATE, run="<b>x</b>\n# head | [y](http://evil)")
    sections = sweep_sections(report(hostile))
    assert "<b>" not in sections
    assert "\n# head" not in sections
    assert "[y](" not in sections
