"""How a playbook run failed, as a HoldtrueError."""

import re
from collections.abc import Sequence
from pathlib import Path

from holdtrue.adapters.ansible.events import Ended
from holdtrue.adapters.ansible.record import RunRecord
from holdtrue.errors import ConfigurationFailed, HoldtrueError, HostUnreachable, ResourceMissing, UnavailableError
from holdtrue.models.configuration import TaskOutcome, TaskResult

_NAMED_FAILURES = 5
_REPORT_LINES = 12
_ORIGIN = re.compile(r"^Origin: (?P<place>.+?:\d+)(?::\d+)?$", re.MULTILINE)
"""Where ansible-core 2.19 and later saw the error: file, line and column."""
_ERROR_START = re.compile(r"^(?:\[ERROR\]:|ERROR!) *", re.MULTILINE)
_INTERRUPTED = 99
"""Exit code of ansible-playbook after SIGINT (cli/__init__.py)."""


def find_failure(record: RunRecord, *, hosts: Sequence[str], playbook: str, error_tail: str) -> HoldtrueError | None:
    """The error to raise for a run that ended, or None when every host in `hosts` succeeded.

    In check mode a host that cannot be reached is not an error but part of the result, unless it kept Ansible from
    reaching other hosts. A host in a play on which no task ran is part of the result too.
    """
    if record.ended is None:
        return UnavailableError(
            f"ansible-runner ended without a result: {_last(error_tail) or 'no output'}",
            where=playbook,
            next_step="look for an out-of-memory kill or a full disk on the worker, then run again",
        )
    if record.statistics is None:
        failure: HoldtrueError | None = _not_run(record, record.ended, playbook)
    else:
        failure = _host_failure(record, record.ended, hosts=hosts, playbook=playbook)
    if failure is not None and not record.check and (lost := record.handlers.lost):
        named = "; ".join(str(handler) for handler in lost[:_NAMED_FAILURES])
        more = f"; and {len(lost) - _NAMED_FAILURES} more" if len(lost) > _NAMED_FAILURES else ""
        failure.what += f". Handlers that were notified and have not run: {named}{more}"
    return failure


def _host_failure(record: RunRecord, ended: Ended, *, hosts: Sequence[str], playbook: str) -> HoldtrueError | None:
    failed = [summary.host for summary in record.summaries() if summary.failed]
    if failed:
        return _tasks_failed(record.results, failed, playbook)
    unreachable = [summary.host for summary in record.summaries() if summary.unreachable]
    if unreachable and not record.check:
        return _unreachable(record.results, unreachable)
    seen = {summary.host for summary in record.summaries()}
    if unplayed := sorted(host for host in set(hosts) - seen if not record.plays.includes(host)):
        if unreachable:
            return _unreachable(record.results, unreachable, unplayed)
        return ConfigurationFailed(
            f"no play ran on {', '.join(unplayed)}",
            where=playbook,
            next_step="change `hosts:` of a play, or the groups in the stack's outputs, until every host is in a play",
        )
    if ended.exit_code and not unreachable:
        return ConfigurationFailed(
            f"ansible-playbook ended with exit code {ended.exit_code}: {_last(record.text) or 'no output'}",
            where=playbook,
            next_step="look at the run's log; if it does not name the cause, run the playbook by hand with `-v`",
        )
    return None


def _not_run(record: RunRecord, ended: Ended, playbook: str) -> HoldtrueError:
    """The error of a run without statistics: bad syntax, unknown module, missing role, or an end by signal."""
    if ended.status == "canceled" or ended.exit_code == _INTERRUPTED:
        return UnavailableError("ansible-playbook was interrupted", where=playbook, next_step="run again")
    report, where = playbook_error(record.text, playbook)
    return ConfigurationFailed(
        f"the playbook cannot run: {report or f'exit code {ended.exit_code}, no output'}",
        where=where,
        next_step="correct the playbook; `ansible-playbook --syntax-check` shows the same error",
    )


def playbook_missing(playbook: Path) -> ResourceMissing:
    """The error to raise before a run."""
    return ResourceMissing(
        "the playbook does not exist",
        where=str(playbook),
        next_step="correct `configuration.playbook` in the manifest: a path below the fleet folder",
    )


def playbook_error(text: str, playbook: str) -> tuple[str, str]:
    """Ansible's report of what is wrong with a playbook, and the place."""
    origins = _ORIGIN.findall(text)
    return _error_report(text), origins[0] if origins else playbook


def _tasks_failed(results: Sequence[TaskResult], failed: Sequence[str], playbook: str) -> HoldtrueError:
    # The last failure of a host is the one that ended it: earlier ones were rescued.
    last = {result.host: result for result in results if result.outcome is TaskOutcome.FAILED}
    lines = [f"{host}: task '{last[host].task}' failed: {last[host].message}" for host in failed if host in last]
    more = f"; and {len(failed) - _NAMED_FAILURES} more hosts" if len(failed) > _NAMED_FAILURES else ""
    return ConfigurationFailed(
        "; ".join(lines[:_NAMED_FAILURES]) + more if lines else f"tasks failed on {', '.join(failed)}",
        where=playbook,
        next_step="correct the task or the host, then run again; an idempotent playbook repeats nothing",
    )


def _unreachable(results: Sequence[TaskResult], hosts: Sequence[str], unplayed: Sequence[str] = ()) -> HoldtrueError:
    """`unplayed` are hosts that Ansible did not get to: a batch of only unreachable hosts ends its play."""
    reasons = {result.host: result.message for result in results if result.outcome is TaskOutcome.UNREACHABLE}
    behind = (
        f"; Ansible did not get to {', '.join(unplayed)}, because the whole batch before was unreachable"
        if unplayed
        else ""
    )
    return HostUnreachable(
        "; ".join(f"{host}: {reasons.get(host) or 'no reason given'}" for host in hosts[:_NAMED_FAILURES]) + behind,
        where=f"{len(hosts)} unreachable: {', '.join(hosts)}",
        next_step="check that these hosts are up, that their sshd trusts the CA of the manifest's `credentials.ssh`,"
        " and that the run's certificate has not expired",
    )


def _error_report(text: str) -> str:
    """The text from the first error on, without the warnings before it."""
    match = _ERROR_START.search(text)
    if match is None:
        return _last(text)
    lines = [line.rstrip() for line in text[match.end() :].splitlines() if line.strip()]
    return "\n".join(lines[:_REPORT_LINES])


def _last(text: str) -> str:
    return " / ".join(line.strip() for line in text.splitlines()[-5:] if line.strip())
