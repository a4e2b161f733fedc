"""The services that the integration tests share: started once, restored around each test that changes them."""

from collections.abc import Iterator

import pytest

from sandbox import Sandbox, SandboxOptions
from sandbox.login import SshLogin


@pytest.fixture(scope="session")
def sandbox() -> Iterator[Sandbox]:
    """Every service but the worker. OpenBao keeps its data when it is stopped."""
    with Sandbox(SandboxOptions(durable_vault=True)) as services:
        yield services


@pytest.fixture
def clean_sandbox(sandbox: Sandbox) -> Iterator[Sandbox]:
    """The shared services with nothing in them of the test before, and nothing of this one after it."""
    sandbox.restore()
    yield sandbox
    sandbox.restore()


@pytest.fixture(scope="session")
def ssh_login(sandbox: Sandbox) -> SshLogin:
    """A signed key for the shared hosts."""
    return SshLogin(sandbox.directory / "login", sandbox.openbao)
