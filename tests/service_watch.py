"""Fails a session whose services logged an error that nobody expected, and names the test that ran meanwhile."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from sandbox.service_logs import EXPECTED, ExpectedError, LoggedError, advice, describe, errors_in

MARKER: Final = "expected_service_errors"
EXPECTATIONS: Final = pytest.StashKey[dict[ExpectedError, bool]]()
"""What was expected of the services of this session, and whether any of them logged it."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """What was written from the start of one test on."""

    test: str
    expected: tuple[ExpectedError, ...]
    sizes: Mapping[Path, int]
    """How long each log was then."""


class ServiceWatch:
    """A plugin that remembers how long the logs of a folder were when each test began."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stretches: list[Stretch] = []

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Begin a stretch before the test's fixtures do something."""
        self.begin(item)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_call(self, item: pytest.Item) -> None:
        """Begin a stretch for the test whose fixtures started the services."""
        if not self._stretches:
            self.begin(item)

    def begin(self, item: pytest.Item) -> None:
        """Note that a test begins; the first one has everything that was written before, too."""
        sizes = {path: path.stat().st_size for path in self._folder.glob("*.log")} if self._stretches else {}
        self._stretches.append(Stretch(item.nodeid, expected_by(item), sizes))

    def unexpected(self) -> tuple[list[str], dict[ExpectedError, bool]]:
        """Return the errors that nobody expected, in words, and of what was expected whether it came."""
        declared = (*EXPECTED, *(entry for stretch in self._stretches for entry in stretch.expected))
        came = {entry: False for entry in declared if self._has(entry)}
        found = []
        for error in errors_in(self._folder):
            stretch = self._during(error)
            covering = [entry for entry in (*EXPECTED, *stretch.expected) if entry.covers(error)]
            came.update(dict.fromkeys(covering, True))
            if not covering:
                found.append(describe(error, stretch.test))
        return found, came

    def _during(self, error: LoggedError) -> Stretch:
        began_before = [stretch for stretch in self._stretches if stretch.sizes.get(error.path, 0) <= error.offset]
        return began_before[-1] if began_before else Stretch("", (), {})

    def _has(self, entry: ExpectedError) -> bool:
        return any(entry.names(path.stem) for path in self._folder.glob("*.log"))


def expected_by(item: pytest.Item) -> tuple[ExpectedError, ...]:
    """What a test says that services will log, by its own markers and those of its module."""
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
