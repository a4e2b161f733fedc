"""Prefect's test server once a session, and flows whose every tool is a fake."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from prefect.settings import (
    PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
    PREFECT_HOME,
    PREFECT_SERVER_ANALYTICS_ENABLED,
    temporary_settings,
)
from prefect.testing import utilities

from holdtrue.errors import RejectedError
from holdtrue.models.configuration import ConfigurationRun, HostSummary
from holdtrue.models.credentials import HostAccess, SshAccess
from holdtrue.models.dependency import Inventory
from holdtrue.models.preflight import Prerequisite, PrerequisiteOutcome
from holdtrue.models.program import ProgramPackages
from holdtrue.models.report import ProgramTests
from holdtrue.models.stack import StackOutputs
from holdtrue.models.validation import CheckOutcome, CheckResult
from holdtrue.testing import (
    FakeAdvisorySource,
    FakeConfigurator,
    FakeHostChecks,
    FakeProber,
    FakeStackEngine,
    FakeTrafficSwitch,
)
from holdtrue.toolbox import Toolbox
from sandbox.prefect_database import keep_as_template, start_from_template
from tasks.toolbox import use_toolbox
from tests.conftest import Watch

FLEET = Path(__file__).parents[2] / "fleet"
NAMES = ("web-1", "web-2")
OUTPUTS = StackOutputs(
    values={
        "hosts": [
            {"name": name, "address": "10.0.0.1", "port": 22, "user": "deploy", "variables": {"http_port": 80}}
            for name in NAMES
        ],
        "load_balancer_socket": "/run/lb.sock",
        "load_balancer_url": "http://lb",
    }
)
CONFIGURED = ConfigurationRun(
    check=True,
    hosts=tuple(HostSummary(host=name, ok=3, changed=0, failed=0, skipped=0) for name in NAMES),
    results=(),
)


@contextmanager
def migrated_test_harness() -> Iterator[None]:
    """Prefect's test harness on a database that has its tables: making them takes most of the server's start."""
    databases: list[Path] = []
    from_template: list[bool] = []

    def make_folder() -> str:
        folder = tempfile.mkdtemp()
        databases.append(Path(folder, "prefect-test.db"))
        from_template.append(start_from_template(databases[0]))
        return folder

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(utilities, "mkdtemp", make_folder)
        with utilities.prefect_test_harness(server_startup_timeout=180):
            if not from_template[0]:
                keep_as_template(databases[0])
            yield


@pytest.fixture(scope="session", autouse=True)
def prefect_server(tmp_path_factory: pytest.TempPathFactory, watch_services: Watch) -> Iterator[None]:
    folder = tmp_path_factory.mktemp("log")
    settings = {PREFECT_HOME: tmp_path_factory.mktemp("prefect"), PREFECT_SERVER_ANALYTICS_ENABLED: False}
    with watch_services(folder), temporary_settings(settings), ExitStack() as running:
        with children_write_to(folder / "prefect.log"):
            running.enter_context(migrated_test_harness())
        # Heartbeats make the end of every flow run wait for a thread that sleeps in whole seconds.
        running.enter_context(temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}))
        yield


@contextmanager
def children_write_to(path: Path) -> Iterator[None]:
    """Processes that are started inside write to a file: the harness's server writes where this process does."""
    with path.open("ab") as log, ExitStack() as undo:
        for descriptor in (1, 2):
            saved = os.dup(descriptor)
            undo.callback(os.close, saved)
            undo.callback(os.dup2, saved, descriptor)
            os.dup2(log.fileno(), descriptor)
        yield


@pytest.fixture(autouse=True)
def fleet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the example fleet that a test may spoil."""
    copied = tmp_path / "fleet"
    shutil.copytree(FLEET, copied, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setenv("HOLDTRUE_FLEET", str(copied))
    monkeypatch.setenv("HOLDTRUE_REPORTS", str(tmp_path / "reports"))
    monkeypatch.setenv("HOLDTRUE_LEDGER_URL", f"sqlite:///{tmp_path / 'ledger.db'}")
    return copied


@dataclass
class FakeTools:
    """One fake a seam; replace an attribute to change the answer."""

    engine: FakeStackEngine = field(default_factory=lambda: FakeStackEngine(stack_outputs=(OUTPUTS,)))
    configurator: FakeConfigurator = field(default_factory=lambda: FakeConfigurator((CONFIGURED,), (CONFIGURED,)))
    checks: FakeHostChecks = field(default_factory=FakeHostChecks)
    prober: FakeProber = field(default_factory=FakeProber)
    switch: FakeTrafficSwitch = field(
        default_factory=lambda: FakeTrafficSwitch({"standby": 100, "web-1": 0, "web-2": 0})
    )
    advisories: tuple[FakeAdvisorySource, ...] | RejectedError = field(default_factory=lambda: (FakeAdvisorySource(),))
    host_inventories: tuple[Inventory, ...] = ()
    program_tests: Callable[[], ProgramTests] = lambda: ProgramTests(passed=3)
    prerequisites: tuple[Prerequisite, ...] = (Prerequisite(name="all", outcome=PrerequisiteOutcome.OK),)
    unreachable: frozenset[str] = frozenset()
    open_engines: int = 0
    open_accesses: int = 0

    def toolbox(self) -> Toolbox:
        return Toolbox(
            stack_engine=lambda _: self._engine(),
            program_packages=lambda _: ProgramPackages(),
            program_tests=lambda _environment, _on_progress: self.program_tests(),
            host_access=lambda _environment, _hosts: self._access(),
            reach=self._reach,
            configurator=lambda _environment, _access: self.configurator,
            configuration_prerequisites=lambda _environment, _hosts: (),
            host_checks=lambda _environment, _access: self.checks,
            prober=lambda: self.prober,
            traffic_switch=lambda _traffic, _socket: self.switch,
            advisory_sources=self._sources,
            host_inventories=lambda _environment, _access: self.host_inventories,
        )

    def _sources(self) -> tuple[FakeAdvisorySource, ...]:
        if isinstance(self.advisories, RejectedError):
            raise self.advisories
        return self.advisories

    @contextmanager
    def _engine(self) -> Iterator[FakeStackEngine]:
        self.open_engines += 1
        try:
            yield self.engine
        finally:
            self.open_engines -= 1

    @contextmanager
    def _access(self) -> Iterator[SshAccess]:
        self.open_accesses += 1
        try:
            yield SshAccess(config=Path("config"), agent_socket=Path("agent"))
        finally:
            self.open_accesses -= 1

    def _reach(self, access: HostAccess) -> tuple[CheckResult, ...]:
        return tuple(
            CheckResult(
                target=name,
                name="reachable",
                kind="ssh",
                outcome=CheckOutcome.ERROR if name in self.unreachable else CheckOutcome.PASSED,
                detail="connection refused" if name in self.unreachable else "",
            )
            for name in access.names
        )


@pytest.fixture
def tools() -> Iterator[FakeTools]:
    """The fakes that flows use inside this test; every engine and access must be closed after it."""
    fakes = FakeTools()
    with use_toolbox(fakes.toolbox(), lambda _: fakes.prerequisites):
        yield fakes
    assert (fakes.open_engines, fakes.open_accesses) == (0, 0)
