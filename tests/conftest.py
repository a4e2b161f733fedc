"""What all tests share: services are watched while they run."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import TypeAlias

import pytest

from holdtrue.runtime.folder import private_folder
from holdtrue.runtime.redaction import SECRETS
from tests.service_watch import EXPECTATIONS, MARKER, watched

Watch: TypeAlias = Callable[[Path], AbstractContextManager[None]]


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        f"{MARKER}(service, pattern, reason): an error that a service logs because of this test; `*` in the service's "
        "name stands for any text, and the pattern is searched for in the log entry.",
    )


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """List what was expected of services and has not come: it may be out of date."""
    if unused := [entry for entry, has_come in config.stash.get(EXPECTATIONS, {}).items() if not has_come]:
        terminalreporter.section("expected service errors that did not occur")
        for entry in unused:
            terminalreporter.write_line(f"{entry.service}: {entry.pattern}")


@pytest.fixture(scope="session")
def watch_services(pytestconfig: pytest.Config) -> Watch:
    """Watch the logs of a folder: at the end, what held an unexpected error fails."""
    return partial(watched, config=pytestconfig)


@pytest.fixture(scope="session", autouse=True)
def private_folders() -> Iterator[Path]:
    """Where this process makes its private folders, so that a test never sees those of another run on this machine."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("HOLDTRUE_PRIVATE_FOLDERS", raising=False)
        with private_folder("ht-test") as folder:
            patch.setenv("HOLDTRUE_PRIVATE_FOLDERS", str(folder))
            yield folder


@pytest.fixture(autouse=True)
def forget_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Values of a run that is over are not known in the next test, where they might hide what leaks."""
    monkeypatch.setattr(SECRETS, "linger_seconds", 0)
