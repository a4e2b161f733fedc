"""The services that the integration tests share: started once, restored around each test that changes them."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from holdtrue.adapters.ledger import open_ledger
from holdtrue.models.credentials import SshAccess
from holdtrue.models.host import Host
from holdtrue.models.ledger import Ledger
from sandbox import Sandbox, SandboxOptions
from sandbox.login import SshLogin
from tests.integration.host_access import access_to, hosts_of
from tests.longest_first import start_longest_first

pytest.register_assert_rewrite("tests.integration.flow_evidence", "tests.integration.flow_stage")

_LONGEST = (
    "test_canary.py",
    "test_flow_worker.py",
    "test_flow_worker_lost.py",
    "test_ansible_playbooks.py",
    "test_mixed_fleet.py",
    "test_ansible_variables.py",
    "test_flow_variables.py",
    "test_pulumi.py",
    "test_pulumi_references.py",
    "test_credential_hygiene.py",
    "test_cli_audit_arguments.py",
    "test_cli_preflight.py",
    "test_blocks.py",
    "test_cli_audit_failure_table.py",
    "test_credential_scope.py",
    "test_least_privilege.py",
)

if TYPE_CHECKING:
    from tests.conftest import Watch
    from tests.integration.flow_stage import Fleet, Stage


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    start_longest_first(items, Path(__file__).parent, _LONGEST)


@pytest.fixture(scope="session")
def sandbox(watch_services: "Watch") -> Iterator[Sandbox]:
    """Every service but the worker. OpenBao keeps its data when it is stopped."""
    with Sandbox(SandboxOptions(durable_vault=True)) as services, watch_services(services.log_directory):
        yield services


@pytest.fixture
def clean_sandbox(sandbox: Sandbox) -> Iterator[Sandbox]:
    """The shared services with nothing in them of the test before, and nothing of this one after it."""
    sandbox.restore()
    yield sandbox
    sandbox.restore()


@pytest.fixture
def hosts(clean_sandbox: Sandbox) -> list[Host]:
    return hosts_of(clean_sandbox)


@pytest.fixture
def access(clean_sandbox: Sandbox, hosts: list[Host]) -> Iterator[SshAccess]:
    """A way to the hosts, all of which answer."""
    with access_to(clean_sandbox, hosts) as opened:
        yield opened


@pytest.fixture(scope="session")
def ssh_login(sandbox: Sandbox) -> SshLogin:
    """A signed key for the shared hosts."""
    return SshLogin(sandbox.directory / "login", sandbox.openbao)


@pytest.fixture(scope="session")
def flow_fleet(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> "Fleet":
    """One folder for the whole session: the state remembers the path of a program."""
    from tests.integration.flow_stage import make_fleet  # noqa: PLC0415 - imports Prefect, which only flows need

    return make_fleet(tmp_path_factory.mktemp("fleet"), sandbox)


@pytest.fixture(scope="module")
def joined_stage(sandbox: Sandbox, flow_fleet: "Fleet") -> "Iterator[Stage]":
    """This process as a client of the sandbox, for one module."""
    from tests.integration.flow_stage import open_stage  # noqa: PLC0415

    with open_stage(sandbox, flow_fleet) as stage:
        yield stage


@pytest.fixture
def stage(joined_stage: "Stage") -> "Stage":
    """The shipped fleet, unedited, with its hosts serving."""
    from tests.integration.flow_stage import provide_baseline  # noqa: PLC0415

    joined_stage.fleet.reset()
    provide_baseline(joined_stage)
    return joined_stage


@pytest.fixture
def untouched(stage: "Stage") -> Iterator[None]:
    """Fails the test that leaves traffic, state, tokens, processes or folders other than they were."""
    from tests.integration.flow_evidence import nothing_left  # noqa: PLC0415

    with nothing_left(stage.sandbox):
        yield


@pytest.fixture
def untouched_but_state(stage: "Stage") -> Iterator[None]:
    """The same after an apply, which writes the state."""
    from tests.integration.flow_evidence import nothing_left  # noqa: PLC0415

    with nothing_left(stage.sandbox, state_may_change=True):
        yield


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger_url(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An empty ledger in either database, known to this process and its children."""
    if request.param == "sqlite":
        address = f"sqlite:///{tmp_path}/ledger.db"
        monkeypatch.setenv("HOLDTRUE_LEDGER_URL", address)
        yield address
        return
    sandbox: Sandbox = request.getfixturevalue("sandbox")
    name = f"locks_{uuid4().hex[:8]}"
    sandbox.postgres.execute(f"CREATE DATABASE {name}")
    address = sandbox.postgres.url(name).get_secret_value()
    monkeypatch.setenv("HOLDTRUE_LEDGER_URL", address)
    yield address
    sandbox.postgres.start()
    sandbox.postgres.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def ledger(ledger_url: str) -> Ledger:
    return open_ledger(ledger_url)


@pytest.fixture
def sqlite_ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    """For what is the same in both databases."""
    address = f"sqlite:///{tmp_path}/ledger.db"
    monkeypatch.setenv("HOLDTRUE_LEDGER_URL", address)
    return open_ledger(address)
