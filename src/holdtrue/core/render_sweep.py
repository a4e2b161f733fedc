"""A sweep's report: a row for each lease that had to be revoked and each folder, and one line for all other leases."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from holdtrue.core.neutral import for_markdown, for_terminal
from holdtrue.core.render import count, table
from holdtrue.models.sweep import FolderOutcome, SweepOutcome, SweepReport, SweptFolder, SweptLease

_ORDER: Final = (SweepOutcome.FAILED, SweepOutcome.LOST, SweepOutcome.REVOKED)
"""What may still live, and so needs a person, stands above what is revoked."""

_RUNS_SHOWN: Final = 5
_NOTE_LIMIT: Final = 1_000
_PATH_LIMIT: Final = 400
_FOLDERS_LEFT_SHOWN: Final = 20


def sweep_line(report: SweepReport) -> str:
    """`1 failed, 3 revoked of 2 dead runs; 12 need no action (ended, or end by themselves); 4 live runs untouched`."""
    outcomes = Counter(lease.outcome for lease in _to_revoke(report))
    found = ", ".join(f"{number} {outcome}" for outcome, number in outcomes.items())
    parts = [f"{found} of {count(report.dead_runs, 'dead run')}" if found else "nothing left to revoke"]
    needing_nobody = sum(lease.outcome.needs_nobody for lease in report.leases)
    if needing_nobody:
        parts.append(f"{needing_nobody} need no action (ended, or end by themselves)")
    swept = [f"{len(folders)} {kind}" for kind in FolderOutcome if (folders := report.folders_of(kind))]
    if swept:
        parts.append(f"private folders: {', '.join(swept)}")
    return "; ".join((*parts, f"{count(report.live_runs, 'live run')} untouched"))


def sweep_lines(report: SweepReport) -> tuple[str, ...]:
    """One line for each lease that had to be revoked and for each private folder, and one for all other leases."""
    revoked = (
        f"{lease.outcome} | {lease.kind} | {lease.path} | {lease.reference or 'unknown'} | run {_run(lease)} | "
        f"{lease.detail}"
        for lease in _to_revoke(report)
    )
    return (*revoked, *_folder_lines(report), *_notes(report))


def sweep_sections(report: SweepReport) -> str:
    """Every lease that had to be revoked and every private folder, and what became of it; other leases in one line."""
    rows = [
        (
            lease.outcome,
            lease.kind,
            lease.path,
            lease.reference,
            _run(lease),
            lease.host,
            lease.expires_at.isoformat(timespec="seconds") if lease.expires_at else "unknown",
            lease.detail,
        )
        for lease in _to_revoke(report)
    ]
    headings = ("Outcome", "Kind", "Issued by", "Accessor, lease or serial", "Run", "Host", "Expires", "Detail")
    tables = [table(headings, rows)] if rows else []
    if report.folders:
        folders = [(folder.outcome, _path(folder), folder.detail) for folder in report.folders]
        tables.append(table(("Outcome", "Private folder", "Detail"), folders))
    notes = (for_markdown(note, _NOTE_LIMIT) for note in _notes(report))
    return "\n\n".join((*tables, *notes)) + "\n"


def _folder_lines(report: SweepReport) -> list[str]:
    """Any user of the machine can create folders that are left alone, so only the first of them get a line."""
    left = report.folders_of(FolderOutcome.LEFT)
    shown = (*report.folders_of(FolderOutcome.REMOVED), *left[:_FOLDERS_LEFT_SHOWN])
    lines = [f"{folder.outcome} | private folder | {_path(folder)} | {folder.detail}" for folder in shown]
    more = len(left) - _FOLDERS_LEFT_SHOWN
    return [*lines, f"{count(more, 'more private folder')} left alone: see the report"] if more > 0 else lines


def _path(folder: SweptFolder) -> str:
    """The path on one line, whatever characters it contains."""
    return for_terminal(folder.path, _PATH_LIMIT)


def _to_revoke(report: SweepReport) -> list[SweptLease]:
    return [lease for outcome in _ORDER for lease in report.of(outcome)]


def _notes(report: SweepReport) -> list[str]:
    """A line on all that needs nobody, and one on a ledger that could not be written; either only if needed."""
    notes = []
    living, gone = report.of(SweepOutcome.IRREVOCABLE), report.of(SweepOutcome.GONE)
    parts = [f"nobody can revoke {_kinds(living)}, {_ends(living, report.started_at)}"] if living else []
    parts += [f"{_kinds(gone)} had ended before this sweep"] if gone else []
    if parts:
        runs = [*dict.fromkeys(_run(lease) for lease in (*living, *gone))]
        more = f" and {len(runs) - _RUNS_SHOWN} more" if len(runs) > _RUNS_SHOWN else ""
        notes.append(f"Nothing to do: {'; '.join(parts)}. Held by {', '.join(runs[:_RUNS_SHOWN])}{more}.")
    if report.ledger_failure:
        notes.append(
            f"The ledger did not take all of this, so the next sweep reports it again: {report.ledger_failure}"
        )
    return notes


def _kinds(leases: Sequence[SweptLease]) -> str:
    kinds = Counter(lease.kind for lease in leases)
    return ", ".join(count(number, kind) for kind, number in sorted(kinds.items()))


def _ends(leases: Sequence[SweptLease], now: datetime) -> str:
    known = [lease.expires_at for lease in leases if lease.expires_at is not None]
    verb = "ended" if known and max(known) <= now else "ends"
    last = [f"the last of which {verb} at {max(known).isoformat(timespec='seconds')}"] if known else []
    unknown = len(leases) - len(known)
    return ", ".join((*last, *([f"{unknown} of them at an unknown time"] if unknown else [])))


def _run(lease: SweptLease) -> str:
    return f"{lease.run_name} ({lease.run})" if lease.run_name else lease.run or "outside a flow"
