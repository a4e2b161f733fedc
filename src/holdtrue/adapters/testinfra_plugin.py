"""The pytest plugin beside Testinfra's own: which host a check is about, and that a lost host is not a failed check.

It runs in the pytest child. Testinfra's ssh backend raises RuntimeError(CommandResult) when ssh ends with 255
(testinfra/backend/ssh.py, run_ssh), which pytest would show as a failure of the check.
"""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Final, Protocol, cast

import pytest

from holdtrue.runtime.pytest_reporter import NAME, TARGET, CaseTimedOut, CouldNotLook

_SSH_FAILED: Final = 255
_CHAIN_LIMIT: Final = 10


class _Backend(Protocol):
    """What is used of testinfra.backend.base.BaseBackend, which publishes no types."""

    def get_hostname(self) -> str: ...
    def get_pytest_id(self) -> str: ...
    def run(self, command: str) -> object: ...


_lost: dict[str, str] = {}
"""Host name to reason. After the first loss its other checks do not each wait for a connection again."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Note on each check its host, and its name without the host's part of the parameters."""
    for item in items:
        file, _, test = item.nodeid.partition("::")
        name = f"{file.rpartition('/')[2]}::{test}"
        backend = _backend(item)
        if backend is not None:
            item.stash[TARGET] = backend.get_hostname()
            name = _without(name, backend.get_pytest_id())
        item.stash[NAME] = name


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, object, object]:
    """Do not ask a lost host again; watch for its loss."""
    backend = _backend(item)
    if backend is not None and (reason := _lost.get(backend.get_hostname())):
        raise CouldNotLook(f"not asked: {reason}")
    with _watch(backend):
        return (yield)


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Watch for the loss of the host."""
    with _watch(_backend(item)):
        return (yield)


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, object, object]:
    """Watch for the loss of the host; what the set-up found lost has nothing to take down."""
    with _watch(_backend(item)):
        return (yield)


@contextmanager
def _watch(backend: _Backend | None) -> Generator[None]:
    try:
        yield
    except CaseTimedOut:
        if backend is not None:
            _lost[backend.get_hostname()] = "an earlier check of this host did not end in time"
        raise
    except Exception as error:
        reason = _ssh_failure(error)
        if backend is None or reason is None:
            raise
        if _answers(backend, reason):
            raise CouldNotLook(f"a command ended with 255, as ssh does when it fails: {reason}") from error
        raise CouldNotLook(f"host unreachable: {reason}") from error


def _answers(backend: _Backend, reason: str) -> bool:
    """Whether the host answers after all; it counts as lost until it has answered, also when this runs out of time."""
    _lost[backend.get_hostname()] = f"host unreachable: {reason}"
    try:
        backend.run("true")
    except RuntimeError:
        return False
    del _lost[backend.get_hostname()]
    return True


def _ssh_failure(error: BaseException | None) -> str | None:
    """Ssh's last words when it, or what led to `error`, failed; None for every other exception."""
    for _ in range(_CHAIN_LIMIT):
        if error is None:
            return None
        result = error.args[0] if isinstance(error, RuntimeError) and error.args else None
        if getattr(result, "exit_status", None) == _SSH_FAILED:
            # The bytes: decoding them by Testinfra's rules may ask the host for its encoding.
            said = bytes(getattr(result, "stderr_bytes", b"")).decode(errors="replace").strip()
            return said.splitlines()[-1].strip() if said else "ssh ended with 255"
        error = error.__cause__ or error.__context__
    return None


def _backend(item: pytest.Item) -> _Backend | None:
    """The backend of the host that the check is parametrized with."""
    host = getattr(getattr(item, "callspec", None), "params", {}).get("_testinfra_host")
    return cast("_Backend | None", getattr(host, "backend", None))


def _without(name: str, host_id: str) -> str:
    """`test_x[ssh://web-1-80]` as `test_x[80]`, `test_x[ssh://web-1]` as `test_x`."""
    test, bracket, parameters = name.partition("[")
    if not bracket:
        return name
    kept = parameters.removesuffix("]").replace(host_id, "", 1).strip("-").replace("--", "-")
    return f"{test}[{kept}]" if kept else test
