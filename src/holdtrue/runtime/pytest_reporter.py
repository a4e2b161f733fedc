"""The plugin inside the pytest child: one JSON line for every case as it ends, and a limit on how long each may take.

Lines, told apart by `kind`: `collected` (a case that will run), `uncollected` (a file or folder that could not be
imported, or skipped itself), `case` (a case that ended) and `end` (the session ended in order, so nothing is missing).
It imports nothing but pytest, because its import time is part of every run.
"""

import json
import signal
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Final, TextIO

import pytest

_DETAIL_CHARACTERS: Final = 2_000
"""Keeps a line far below the reader's limit and a detail readable."""

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

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Tell of what could not be collected; pytest itself only counts it."""
        if not report.passed:
            self._emit(
                "uncollected",
                node_id=report.nodeid,
                skipped=report.skipped,
                detail=_detail(report)[-_DETAIL_CHARACTERS:],
            )

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
            detail=detail[:_DETAIL_CHARACTERS],
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
                return str(representation).strip()[-_DETAIL_CHARACTERS:]
            return str(crash.message).removeprefix("AssertionError: ")


def _own_line(raised: pytest.ExceptionInfo[BaseException], root: Path) -> str:
    """`file:line` of the innermost frame below the root folder, where the user can do something about it."""
    own = [entry for entry in raised.traceback if Path(entry.path).is_relative_to(root)]
    if not own:
        return ""
    return f"{Path(own[-1].path).relative_to(root)}:{own[-1].lineno + 1}"
