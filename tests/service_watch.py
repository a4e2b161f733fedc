"""Fails a session whose services logged an unexpected error, and names the test that was running."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from sandbox.service_logs import EXPECTED, ExpectedError, LoggedError, advice, describe, errors_in

MARKER: Final = "expected_service_errors"
EXPECTATIONS: Final = pytest.StashKey[dict[ExpectedError, bool]]()
"""The errors that were expected in this session, and whether each was logged."""


@dataclass(frozen=True, slots=True)
class Period:
    """The time from the start of one test to the start of the next."""

    test: str
    expected: tuple[ExpectedError, ...]
    sizes: Mapping[Path, int]
    """The size of each log when the test started, in bytes."""


class ServiceWatch:
    """A plugin that remembers the sizes of a folder's logs at the start of each test."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._periods: list[Period] = []

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Begin a period before the fixtures of the test are set up."""
        self.begin(item)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_call(self, item: pytest.Item) -> None:
        """Begin a period for the test whose fixtures started the services."""
        if not self._periods:
            self.begin(item)

    def begin(self, item: pytest.Item) -> None:
        """Note that a test begins; the first one has everything that was written before, too."""
        sizes = {path: path.stat().st_size for path in self._folder.glob("*.log")} if self._periods else {}
        self._periods.append(Period(item.nodeid, expected_by(item), sizes))

    def unexpected(self) -> tuple[list[str], dict[ExpectedError, bool]]:
        """Return a description of each unexpected error, and for each expected one whether it was logged."""
        declared = (*EXPECTED, *(entry for period in self._periods for entry in period.expected))
        came = {entry: False for entry in declared if self._has(entry)}
        found = []
        for error in errors_in(self._folder):
            period = self._during(error)
            covering = [entry for entry in (*EXPECTED, *period.expected) if entry.covers(error)]
            came.update(dict.fromkeys(covering, True))
            if not covering:
                found.append(describe(error, period.test))
        return found, came

    def _during(self, error: LoggedError) -> Period:
        began_before = [period for period in self._periods if period.sizes.get(error.path, 0) <= error.offset]
        return began_before[-1] if began_before else Period("", (), {})

    def _has(self, entry: ExpectedError) -> bool:
        return any(entry.names(path.stem) for path in self._folder.glob("*.log"))


def expected_by(item: pytest.Item) -> tuple[ExpectedError, ...]:
    """Return the errors that the markers of a test and of its module declare."""
    return tuple(ExpectedError(*marker.args, **marker.kwargs) for marker in item.iter_markers(MARKER))


@contextmanager
def watched(folder: Path, config: pytest.Config) -> Iterator[None]:
    """Fail when a log of the folder holds an unexpected error at the end of the body."""
    watch = ServiceWatch(folder)
    name = config.pluginmanager.register(watch)
    try:
        yield
    finally:
        config.pluginmanager.unregister(name=name)
    found, came = watch.unexpected()
    all_came = config.stash.setdefault(EXPECTATIONS, {})
    for entry, has_come in came.items():
        all_came[entry] = has_come or all_came.get(entry, False)
    if found:
        pytest.fail("\n".join([*found, advice()]), pytrace=False)
