"""The events of a playbook run, collected as they come and evaluated at the end."""

import re
from collections import Counter, deque
from collections.abc import Iterable
from typing import assert_never

from holdtrue.adapters.ansible.events import (
    AnsibleEvent,
    Ended,
    HandlerNotified,
    ModuleResult,
    PlayStarted,
    Prompted,
    Statistics,
    TaskEnded,
    TaskNamed,
    TaskStarted,
    Text,
)
from holdtrue.adapters.ansible.handlers import HandlerRecord
from holdtrue.adapters.ansible.plays import PlayRecord
from holdtrue.adapters.ansible.selection import ALL_TASKS, TaskSelection
from holdtrue.errors import ConfigurationFailed
from holdtrue.models.base import Progress, ProgressLevel, ProgressSink
from holdtrue.models.configuration import (
    ConfigurationRun,
    HandlerSink,
    HostSummary,
    TaskOutcome,
    TaskResult,
    ignore_handlers,
)

_TEXT_LINES = 200
_NAMED_ITEMS = 5
_BY_FILE = re.compile(r"^skipped, since |matching (?:creates|removes) option")
"""Messages of ansible-core's modules when `creates` or `removes` made them skip (script, unarchive)."""
_LEVELS = {
    TaskOutcome.OK: ProgressLevel.INFO,
    TaskOutcome.CHANGED: ProgressLevel.INFO,
    TaskOutcome.SKIPPED: ProgressLevel.WARNING,
    TaskOutcome.FAILED: ProgressLevel.ERROR,
    TaskOutcome.UNREACHABLE: ProgressLevel.ERROR,
}


class RunRecord:
    """Takes events in their order; `results` are those that are not simply ok.

    A task whose `when` is false is neither a result nor unchecked: the playbook decided that it does not apply. A task
    that was skipped because it cannot run in check mode is a SKIPPED result: it was not checked.
    """

    def __init__(
        self,
        on_progress: ProgressSink,
        on_handler: HandlerSink = ignore_handlers,
        *,
        check: bool = False,
        selection: TaskSelection = ALL_TASKS,
    ) -> None:
        self.check = check
        self._selection = selection
        self._not_looked_at: Counter[str] = Counter()
        """Tasks by host that Ansible counts as ok although check mode could not judge them."""
        self.results: list[TaskResult] = []
        self.plays = PlayRecord(selection)
        self.handlers = HandlerRecord(on_handler)
        self.statistics: Statistics | None = None
        self.ended: Ended | None = None
        self._texts: deque[str] = deque(maxlen=_TEXT_LINES)
        self._running: dict[str, str] = {}
        self._announced = ""
        self._on_progress = on_progress

    @property
    def text(self) -> str:
        """The last lines that belong to no task."""
        return "\n".join(self._texts)

    @property
    def running(self) -> tuple[str, ...]:
        """`host (task)` for every host whose task has begun and not ended."""
        return tuple(f"{host} ({task})" for host, task in sorted(self._running.items()))

    def take(self, event: AnsibleEvent) -> None:
        """Record one event, and report progress that a person wants to see.

        Raises:
            ConfigurationFailed: the playbook asks a question, and would wait for an answer for ever.
        """
        match event:
            case TaskEnded():
                self._running.pop(event.host, None)
                self._take_result(event)
            case TaskNamed():
                self.plays.announce(event)
                self._take_name(event.task)
            case PlayStarted():
                self.plays.begin(event.hosts)
            case HandlerNotified():
                self.handlers.notify(event)
            case TaskStarted():
                self._running[event.host] = event.task
            case Statistics():
                self.statistics = event
            case Prompted():
                raise ConfigurationFailed(
                    f"the playbook asks for '{event.variable}', but a run is not interactive",
                    where="vars_prompt",
                    next_step=f"set {event.variable} in the manifest: in `configuration.variables`, or for a secret in"
                    " `configuration.secrets`",
                )
            case Text():
                self._texts.extend(event.text.splitlines())
            case Ended():
                self.ended = event
                self._tell_untouched()
            case _:
                assert_never(event)

    def run(self) -> ConfigurationRun:
        """The result so far. Counts exist only once Ansible has sent its statistics."""
        return ConfigurationRun(
            check=self.check,
            selection=str(self._selection),
            hosts=self.summaries(),
            results=tuple(self.results),
            untouched=self.plays.untouched() if self.statistics is not None else (),
            lost_handlers=() if self.check else self.handlers.lost,
        )

    def summaries(self) -> tuple[HostSummary, ...]:
        """Ansible's own counts for each host, ordered by name."""
        counts = self.statistics
        if counts is None:
            return ()
        return tuple(
            HostSummary(
                host=host,
                ok=counts.ok.get(host, 0) - self._not_looked_at[host],
                changed=counts.changed.get(host, 0),
                failed=counts.failures.get(host, 0),
                skipped=counts.skipped.get(host, 0) + self._not_looked_at[host],
                unreachable=counts.dark.get(host, 0) > 0,
            )
            for host in sorted(counts.processed.keys() | counts.dark.keys())
        )

    def _take_name(self, task: str) -> None:
        # `meta` tasks, and every task under the free strategy, are announced once a host.
        if task != self._announced:
            self._announced = task
            self._on_progress(Progress(message=f"task | {task}"))

    def _tell_untouched(self) -> None:
        for untouched in self.plays.untouched() if self.statistics is not None else ():
            message = f"{untouched.host} | not touched | {untouched.reason}"
            self._on_progress(Progress(message=message, level=ProgressLevel.WARNING))

    def _take_result(self, event: TaskEnded) -> None:
        outcome = TaskOutcome.SKIPPED if self.check and _is_unjudged(event) else _outcome(event)
        self.plays.note(event)
        self.handlers.note(event, outcome, self.plays.hosts)
        if outcome is TaskOutcome.OK:
            return
        result = TaskResult(
            host=event.host,
            task=event.task,
            module=event.module,
            outcome=outcome,
            message=_explained(event, outcome),
            diffs=event.result.diffs,
        )
        self.results.append(result)
        if outcome is TaskOutcome.SKIPPED and self.check:
            self._not_looked_at[event.host] += event.event != "runner_on_skipped"
            self.results += [_not_reached(event, name) for name in event.rescue]
        detail = f" | {result.message}" if outcome is not TaskOutcome.CHANGED and result.message else ""
        message = f"{event.host} | {outcome.value} | {event.task}{detail}"
        self._on_progress(Progress(message=message, level=_LEVELS[outcome]))


def _explained(event: TaskEnded, outcome: TaskOutcome) -> str:
    message = _message(event.result)
    if outcome is not TaskOutcome.SKIPPED:
        return message
    if event.event == "runner_on_failed":
        return f"failed in check mode, and its failure is ignored: {message}"
    if event.result.unfinished:
        return "runs in the background, and nobody waits for its end"
    return message or "does not run in check mode"


def _not_reached(event: TaskEnded, task: str) -> TaskResult:
    message = f"runs when '{event.task}' fails, which check mode cannot tell"
    return TaskResult(host=event.host, task=task, outcome=TaskOutcome.SKIPPED, message=message)


def _outcome(event: TaskEnded) -> TaskOutcome:
    """Counted as Ansible counts (plugins/strategy/__init__.py, 2.19): an ignored failure is ok, or changed."""
    match event.event:
        case "runner_on_unreachable":
            return TaskOutcome.UNREACHABLE
        case "runner_on_failed" if not event.ignored:
            return TaskOutcome.FAILED
        case "runner_on_skipped":
            return TaskOutcome.SKIPPED if _was_not_looked_at(event.result) else TaskOutcome.OK
        case _ if event.result.changed:
            return TaskOutcome.CHANGED
        case _ if any(_was_not_looked_at(item) for item in event.result.items):
            return TaskOutcome.SKIPPED
        case _:
            return TaskOutcome.OK


def _is_unjudged(event: TaskEnded) -> bool:
    """Tell whether check mode says nothing about a task that Ansible counts as ok.

    A failure that is ignored may only mean that check mode did not run an earlier task. A task in the background goes
    on after it was counted.
    """
    failed_unheeded = event.event == "runner_on_failed" and event.ignored
    return failed_unheeded or (event.event == "runner_on_ok" and _is_unfinished(event.result))


def _is_unfinished(result: ModuleResult) -> bool:
    return result.unfinished or any(map(_is_unfinished, result.items))


def _was_not_looked_at(result: ModuleResult) -> bool:
    """Skipped for a reason other than a condition, an empty loop, `creates` or `removes`.

    A loop counts as not looked at if one of its items was not.
    """
    if result.items:
        return any(_was_not_looked_at(item) for item in result.items)
    return result.skipped and not (result.skip_reason or result.skipped_reason or _BY_FILE.search(result.msg))


def _message(result: ModuleResult) -> str:
    if result.items:
        return _loop_message(result)
    words = result.censored or result.msg or result.reason
    output = (
        ""
        if result.censored
        else _last_lines(
            result.stderr or result.module_stderr or (result.stdout or result.module_stdout if result.failed else "")
        )
    )
    code = f" (exit code {result.rc})" if result.rc else ""
    return f"{words}{code}{': ' if output and words else ''}{output}" if result.failed else words


def _loop_message(result: ModuleResult) -> str:
    failed = [item for item in result.items if item.failed]
    changed = [item for item in result.items if item.changed]
    if failed:
        parts = (f"{item.label}: {_message(item)}" for item in failed[:_NAMED_ITEMS])
        return f"{len(failed)} of {result.item_count} items failed: {_join(parts, len(failed))}"
    if changed:
        names = (item.label for item in changed[:_NAMED_ITEMS])
        return f"{len(changed)} of {result.item_count} items changed: {_join(names, len(changed))}"
    return next((item.msg for item in result.items if item.msg), result.msg)


def _join(parts: Iterable[str], count: int) -> str:
    return ", ".join(part for part in parts if part) + (" and more" if count > _NAMED_ITEMS else "")


def _last_lines(text: str, lines: int = 5) -> str:
    return " / ".join(line.strip() for line in text.strip().splitlines()[-lines:] if line.strip())
