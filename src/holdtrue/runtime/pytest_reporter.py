"""The plugin inside the pytest child: one JSON line for every case as it ends, and a limit on how long each may take.

Lines, told apart by `kind`: `collected` (a case that will run), `uncollected` (a file or folder that could not be
imported, or skipped itself), `empty` (a file without a case to run), `notice` (what pytest says of its configuration),
`case` (a case that ended) and `end` (the session ended in order, so nothing is missing).
It imports nothing but pytest, because its import time is part of every run.
"""

import json
import re
import signal
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Final, TextIO

import pytest

_DETAIL_CHARACTERS: Final = 2_000
"""Keeps a line far below the reader's limit and a detail readable."""
_BEGINNING: Final = 600
"""So many of them are kept of the beginning; the end is where a tool says what went wrong."""

_EXCEPTION: Final = re.compile(r"^E   (\S.*)$", re.MULTILINE)
"""The exception in a traceback of pytest's; details of a SyntaxError before it are indented further."""
_PLACE: Final = re.compile(r"^([^\s/.].*:\d+): in ", re.MULTILINE)
"""A line of the tests' own: the paths of others are absolute, or lead out of the folder."""
_SYNTAX_PLACE: Final = re.compile(r'^E     File "(.+)", line (\d+)$', re.MULTILINE)

TARGET: Final = pytest.StashKey[str]()
"""Set on an item by a plugin: what the case is about, where one test is run for several things."""

NAME: Final = pytest.StashKey[str]()
"""Set on an item by a plugin: the case's name without its target; the node id otherwise."""

_RAISED: Final = pytest.StashKey[BaseException]()
_FAILED_AT: Final = pytest.StashKey[str]()


class CouldNotLook(BaseException):
    """Raised in a case by a plugin: what was to be checked could not be seen, so the case is an error, not a failure.

    Not an Exception, so that a check's own `except Exception` does not turn it into an answer.
    """


class CaseTimedOut(CouldNotLook):
    """A case ran longer than it may."""


class Reporter:
    """Writes results to `stream`; `case_timeout_seconds` bounds set-up, call and teardown each, 0 is no limit."""

    def __init__(self, stream: TextIO, case_timeout_seconds: float) -> None:
        self._stream = stream
        self._timeout_seconds = case_timeout_seconds
        self._reports: dict[str, list[pytest.TestReport]] = {}
        self._items: dict[str, pytest.Item] = {}
        self._files: dict[str, bool] = {}
        """Whether the file has had a case that was deselected."""

    def pytest_warning_recorded(self, warning_message: warnings.WarningMessage, when: str) -> None:
        """Tell what pytest says of its configuration, such as a setting of a plugin that is not there."""
        if when == "config":
            self._emit("notice", text=_shortened(str(warning_message.message)))

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Tell of what could not be collected; pytest itself only counts it."""
        if not report.passed:
            detail = _import_failure(str(report.longrepr).strip()) if report.failed else _detail(report)
            self._emit("uncollected", node_id=report.nodeid, skipped=report.skipped, detail=_shortened(detail))
        elif report.nodeid.endswith(".py"):
            self._files.setdefault(report.nodeid, False)

    def pytest_deselected(self, items: list[pytest.Item]) -> None:
        """Note the files of cases that somebody has deselected."""
        self._files.update({_file_of(item.nodeid): True for item in items})

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Announce every case, so that the reader knows which ones never ended."""
        for item in session.items:
            self._items[item.nodeid] = item
            stash = item.stash
            self._emit(
                "collected",
                node_id=item.nodeid,
                target=stash.get(TARGET, ""),
                name=stash.get(NAME, item.nodeid),
            )
        used = {_file_of(item.nodeid) for item in session.items}
        for file, was_deselected in self._files.items():
            if file not in used:
                self._emit("empty", node_id=file, deselected=was_deselected)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Generator[None, object, object]:
        """Bound the set-up."""
        with self._limit(item):
            return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, object, object]:
        """Bound the test itself."""
        with self._limit(item):
            return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> Generator[None, object, object]:
        """Bound the teardown."""
        with self._limit(item):
            return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Keep what a report drops: the exception itself and the last line of the user's own code."""
        report = yield
        if call.excinfo is not None and (report.failed or isinstance(call.excinfo.value, CouldNotLook)):
            item.stash.setdefault(_RAISED, call.excinfo.value)
            item.stash.setdefault(_FAILED_AT, _own_line(call.excinfo, item.config.rootpath))
        return report

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Gather the phases, and subtests, of one case."""
        self._reports.setdefault(report.nodeid, []).append(report)

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        """Judge the case from all its phases and send it."""
        reports = self._reports.pop(nodeid, [])
        stash = self._items[nodeid].stash
        outcome, detail = _judge(reports, stash.get(_RAISED, None))
        self._emit(
            "case",
            node_id=nodeid,
            outcome=outcome,
            where=stash.get(_FAILED_AT, ""),
            detail=_shortened(detail),
            duration_seconds=sum(report.duration for report in reports),
        )

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self) -> None:
        """Say that the session came to its end: a process that left early (os._exit) must not pass for a good one."""
        self._emit("end")

    def _emit(self, kind: str, **fields: object) -> None:
        self._stream.write(json.dumps({"kind": kind, **fields}) + "\n")
        self._stream.flush()

    @contextmanager
    def _limit(self, item: pytest.Item) -> Generator[None]:
        def expire(_number: int, _frame: FrameType | None) -> None:
            item.stash[_RAISED] = CaseTimedOut(f"did not end within {self._timeout_seconds:g} s")
            raise item.stash[_RAISED]

        previous = signal.signal(signal.SIGALRM, expire)
        signal.setitimer(signal.ITIMER_REAL, self._timeout_seconds)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, previous)


def _judge(reports: list[pytest.TestReport], raised: BaseException | None) -> tuple[str, str]:
    """Outcome and detail of a case from its phases: not having looked outweighs failing, and that a skip."""
    if isinstance(raised, CouldNotLook):
        return "error", str(raised)
    for report in reports:
        if report.failed:
            return "failed" if report.when == "call" else "error", _detail(report)
    for report in reports:
        if report.skipped:
            return "skipped", _detail(report)
    return "passed", ""


def _detail(report: pytest.TestReport | pytest.CollectReport) -> str:
    """What happened: the assertion for a failure, the reason for a skip, the end of the traceback for a broken file."""
    expected_failure: str | None = getattr(report, "wasxfail", None)
    if expected_failure is not None:
        return f"expected failure: {expected_failure}"
    match report.longrepr:
        case (_, _, str() as reason):
            return reason.removeprefix("Skipped: ")
        case None:
            return ""
        case representation:
            crash = getattr(representation, "reprcrash", None)
            if crash is None:
                return str(representation).strip()
            return str(crash.message).removeprefix("AssertionError: ")


def _import_failure(traceback: str) -> str:
    """The traceback of a file that cannot be imported, after a line with its exception and where it was raised."""
    exceptions, places = _EXCEPTION.findall(traceback), _PLACE.findall(traceback)
    if not exceptions:
        return traceback
    places += [f"{Path(file).name}:{line}" for file, line in _SYNTAX_PLACE.findall(traceback)]
    return f"{f'{places[-1]}: ' if places else ''}{exceptions[0]}\n{traceback}"


def _shortened(text: str) -> str:
    if len(text) <= _DETAIL_CHARACTERS:
        return text
    return f"{text[:_BEGINNING]} … {text[_BEGINNING - _DETAIL_CHARACTERS + 3 :]}"


def _file_of(node_id: str) -> str:
    return node_id.partition("::")[0]


def _own_line(raised: pytest.ExceptionInfo[BaseException], root: Path) -> str:
    """`file:line` of the innermost frame below the root folder, where the user can do something about it."""
    own = [entry for entry in raised.traceback if Path(entry.path).is_relative_to(root)]
    if not own:
        return ""
    return f"{Path(own[-1].path).relative_to(root)}:{own[-1].lineno + 1}"
