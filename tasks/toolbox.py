"""Where tasks get their tools: the real adapters by default, fakes in tests.

Adapters and blocks are imported when a tool is asked for, so that an audit does not pay for Pulumi.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

from holdtrue.models.advisory import DependencyAuditor
from holdtrue.models.base import ProgressSink
from holdtrue.models.configuration import Configurator
from holdtrue.models.credentials import HostAccess, SshAccess
from holdtrue.models.environment import Environment, Traffic
from holdtrue.models.host import Host
from holdtrue.models.preflight import Prerequisite
from holdtrue.models.report import ProgramTests
from holdtrue.models.stack import StackEngine
from holdtrue.models.traffic import TrafficSwitch
from holdtrue.models.validation import CheckResult, HostChecks, Prober
from holdtrue.settings import load_settings


def _fleet() -> Path:
    return load_settings().fleet.expanduser().resolve()


@contextmanager
def _stack_engine(environment: Environment) -> Iterator[StackEngine]:
    from blocks.aws import VaultAwsCredentials  # noqa: PLC0415
    from blocks.loading import load_block  # noqa: PLC0415
    from blocks.pulumi import PulumiBackend  # noqa: PLC0415
    from holdtrue.adapters.pulumi.engine import PulumiEngine  # noqa: PLC0415

    cloud = load_block(VaultAwsCredentials, environment.credentials.aws).environment()
    with load_block(PulumiBackend, environment.credentials.pulumi).open(cloud) as access:
        yield PulumiEngine(
            project=_fleet() / environment.infrastructure.project,
            stack=environment.infrastructure.stack,
            access=access,
            timeout_seconds=environment.infrastructure.timeout_seconds,
        )


def _program_tests(environment: Environment, on_progress: ProgressSink) -> ProgramTests:
    from holdtrue.adapters.program_tests import run_program_tests  # noqa: PLC0415

    return run_program_tests(
        _fleet() / environment.infrastructure.tests_path,
        project=_fleet() / environment.infrastructure.project,
        timeout_seconds=environment.infrastructure.timeout_seconds,
        on_progress=on_progress,
    )


@contextmanager
def _host_access(environment: Environment, hosts: Sequence[Host]) -> Iterator[SshAccess]:
    from blocks.loading import load_block  # noqa: PLC0415
    from blocks.ssh import VaultSshCertificates  # noqa: PLC0415
    from holdtrue.adapters.ssh import open_ssh_access  # noqa: PLC0415

    certificates = load_block(VaultSshCertificates, environment.credentials.ssh)
    with open_ssh_access(hosts, certificates.issue(), certificates.host_ca_lines()) as access:
        yield access


def _reach(access: HostAccess) -> tuple[CheckResult, ...]:
    from holdtrue.adapters.ssh import reach  # noqa: PLC0415

    return reach(access.ssh, access.hosts, load_settings().connect_timeout_seconds)


def _configurator(environment: Environment, access: HostAccess) -> Configurator:
    from holdtrue.adapters.ansible import AnsibleConfigurator  # noqa: PLC0415

    return AnsibleConfigurator(
        playbook=_fleet() / environment.configuration.playbook,
        hosts=access.hosts,
        access=access.ssh,
        timeout_seconds=environment.configuration.timeout_seconds,
    )


def _host_checks(environment: Environment, access: SshAccess) -> HostChecks:
    from holdtrue.adapters.testinfra import TestinfraChecks  # noqa: PLC0415

    return TestinfraChecks(
        suites=[_fleet() / suite for suite in environment.validation.suites],
        access=access,
        timeout_seconds=environment.validation.timeout_seconds,
    )


def _prober() -> Prober:
    from holdtrue.adapters.http import HttpProber  # noqa: PLC0415

    return HttpProber()


def _traffic_switch(traffic: Traffic, socket: str) -> TrafficSwitch:
    from holdtrue.adapters.haproxy import HaproxySwitch  # noqa: PLC0415

    return HaproxySwitch(socket=Path(socket), backend=traffic.backend)


def _auditor() -> DependencyAuditor:
    from holdtrue.adapters.pip_audit import PipAudit  # noqa: PLC0415

    settings = load_settings()
    return PipAudit(osv_url=str(settings.osv_url).rstrip("/"), timeout_seconds=settings.audit_timeout_seconds)


@dataclass(frozen=True, slots=True)
class Toolbox:
    """One factory a seam."""

    prerequisites: Callable[[Environment], tuple[Prerequisite, ...]] | None = None
    """None asks the real chain, which itself goes through the other tools."""
    stack_engine: Callable[[Environment], AbstractContextManager[StackEngine]] = _stack_engine
    program_tests: Callable[[Environment, ProgressSink], ProgramTests] = _program_tests
    host_access: Callable[[Environment, Sequence[Host]], AbstractContextManager[SshAccess]] = _host_access
    reach: Callable[[HostAccess], tuple[CheckResult, ...]] = _reach
    configurator: Callable[[Environment, HostAccess], Configurator] = _configurator
    host_checks: Callable[[Environment, SshAccess], HostChecks] = _host_checks
    prober: Callable[[], Prober] = _prober
    traffic_switch: Callable[[Traffic, str], TrafficSwitch] = _traffic_switch
    auditor: Callable[[], DependencyAuditor] = _auditor


_current: ContextVar[Toolbox | None] = ContextVar("holdtrue_toolbox", default=None)


def toolbox() -> Toolbox:
    """The tools of this run."""
    return _current.get() or Toolbox()


@contextmanager
def use_toolbox(tools: Toolbox) -> Iterator[None]:
    """Run what is inside with these tools."""
    token = _current.set(tools)
    try:
        yield
    finally:
        _current.reset(token)
