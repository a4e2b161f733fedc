"""A pytest plugin for CI (`-p tools.required_tests`): a test that was skipped did not run, so the session fails.

An expected failure (`xfail`) did run and is left alone.
"""

from __future__ import annotations

import pytest

_NOT_RUN = pytest.StashKey[list[str]]()


def pytest_configure(config: pytest.Config) -> None:
    """Start with an empty list of tests that did not run."""
    config.stash[_NOT_RUN] = []
    config.pluginmanager.register(_Recorder(config.stash[_NOT_RUN]))


class _Recorder:
    def __init__(self, not_run: list[str]) -> None:
        self._not_run = not_run

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.skipped and not hasattr(report, "wasxfail"):
            self._not_run.append(report.nodeid)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.skipped:
            self._not_run.append(report.nodeid)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Turn success into failure when anything was skipped."""
    if session.config.stash[_NOT_RUN] and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Name the tests that did not run."""
    if config.stash[_NOT_RUN]:
        terminalreporter.section("required tests that did not run")
        for name in config.stash[_NOT_RUN]:
            terminalreporter.line(name)
