"""Which adapter implements each seam: the only module that connects references and adapters.

Adapters are imported when a tool is asked for, so that an audit does not pay for Pulumi.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Protocol, TypeVar

from holdtrue.credentials.reference import CredentialReference
from holdtrue.credentials.scope import current_scope
from holdtrue.models.base import Progress, ProgressLevel, ProgressSink, ignore_progress
from holdtrue.models.configuration import Configurator
from holdtrue.models.credentials import HostAccess, SshAccess
from holdtrue.models.dependency import Gap, Inventory
from holdtrue.models.environment import Environment, Traffic
from holdtrue.models.host import Host
from holdtrue.models.osv import AdvisorySource
from holdtrue.models.preflight import Prerequisite
from holdtrue.models.program import ProgramPackages
from holdtrue.models.report import ProgramTests
from holdtrue.models.stack import StackEngine
from holdtrue.models.traffic import TrafficSwitch
from holdtrue.models.validation import CheckResult, HostChecks, Prober
from holdtrue.runtime.interpreter import own_python
from holdtrue.settings import in_home, load_settings

R = TypeVar("R", bound=CredentialReference)


class ReferenceLoader(Protocol):
    """Finds credential references, in Prefect's blocks or in the fleet's own documents."""

    def __call__(self, kind: type[R], name: str, /) -> R:
        """The reference of this kind saved as `name`.

        Raises:
            BlockMissing: there is none.
            RejectedError: its document does not fit the kind.
        """


@dataclass(frozen=True, slots=True)
class Toolbox:
    """One factory for each seam."""

    stack_engine: Callable[[Environment], AbstractContextManager[StackEngine]]
    program_packages: Callable[[Environment], ProgramPackages]
    program_tests: Callable[[Environment, ProgressSink], ProgramTests]
    host_access: Callable[[Environment, Sequence[Host]], AbstractContextManager[SshAccess]]
    reach: Callable[[HostAccess], tuple[CheckResult, ...]]
    configurator: Callable[[Environment, HostAccess], Configurator]
    configuration_prerequisites: Callable[[Environment, Sequence[Host]], tuple[Prerequisite, ...]]
    host_checks: Callable[[Environment, SshAccess], HostChecks]
    prober: Callable[[], Prober]
    traffic_switch: Callable[[Traffic, str], TrafficSwitch]
    advisory_sources: Callable[[], tuple[AdvisorySource, ...]]
    host_inventories: Callable[[Environment, HostAccess], tuple[Inventory, ...]]


def real_tools(load: ReferenceLoader) -> Toolbox:
    """The adapters, with the credentials that `load` finds."""
    return Toolbox(
        stack_engine=partial(_stack_engine, load),
        program_packages=_program_packages,
        program_tests=_program_tests,
        host_access=partial(_host_access, load),
        reach=_reach,
        configurator=partial(_configurator, load),
        configuration_prerequisites=_configuration_prerequisites,
        host_checks=_host_checks,
        prober=_prober,
        traffic_switch=_traffic_switch,
        advisory_sources=_advisory_sources,
        host_inventories=_host_inventories,
    )


def _fleet() -> Path:
    return load_settings().fleet.expanduser().resolve()


@contextmanager
def _stack_engine(load: ReferenceLoader, environment: Environment) -> Iterator[StackEngine]:
    from holdtrue.adapters.pulumi.engine import PulumiEngine  # noqa: PLC0415
    from holdtrue.adapters.pulumi.identity import PlanBinding  # noqa: PLC0415
    from holdtrue.credentials.aws import VaultAwsCredentials  # noqa: PLC0415
    from holdtrue.credentials.pulumi import PulumiBackend  # noqa: PLC0415

    limit = environment.infrastructure.timeout_seconds
    cloud = load(VaultAwsCredentials, environment.credentials.aws).environment(minimum_seconds=limit)
    yield PulumiEngine(
        project=_fleet() / environment.infrastructure.project,
        stack=environment.infrastructure.stack,
        access=load(PulumiBackend, environment.credentials.pulumi).open(cloud, operation_seconds=limit),
        timeout_seconds=limit,
        update_plan=environment.infrastructure.update_plan,
        # A function, because only a preview needs the key, and with it the ledger.
        binding=PlanBinding(environment.name, cache(lambda: current_scope().ledger().approvals.key(environment.name))),
        python=partial(_program_python, environment),
    )


def _program_tests(environment: Environment, on_progress: ProgressSink) -> ProgramTests:
    from holdtrue.adapters.program_tests import run_program_tests  # noqa: PLC0415

    if reason := environment.infrastructure.without_tests:
        on_progress(Progress(message=f"the program has no tests: {reason}", level=ProgressLevel.WARNING))
        return ProgramTests(passed=0, none_because=reason)
    return run_program_tests(
        _fleet() / environment.infrastructure.tests_path,
        project=_fleet() / environment.infrastructure.project,
        timeout_seconds=environment.infrastructure.timeout_seconds,
        python=_program_python(environment, on_progress),
        on_progress=on_progress,
    )


def _program_packages(environment: Environment) -> ProgramPackages:
    from holdtrue.adapters.pulumi.packages import program_packages  # noqa: PLC0415

    return program_packages(_fleet() / environment.infrastructure.project)


def _program_python(environment: Environment, on_progress: ProgressSink = ignore_progress) -> Path:
    """The interpreter for the program and its tests; its environment is created if there is none."""
    from holdtrue.adapters.pulumi.packages import require_usable  # noqa: PLC0415
    from holdtrue.adapters.uv_resolver import EnvironmentMaker  # noqa: PLC0415

    packages = _program_packages(environment)
    if packages.environment is not None:
        return require_usable(packages.environment / "bin" / "python", packages)
    if packages.named_in is None:
        return own_python()
    cache = in_home(load_settings().cache, setting="HOLDTRUE_CACHE") / "programs"
    maker = EnvironmentMaker(cache, environment.infrastructure.timeout_seconds, on_progress)
    return require_usable(maker.python_for(packages.named_in), packages)


@contextmanager
def _host_access(load: ReferenceLoader, environment: Environment, hosts: Sequence[Host]) -> Iterator[SshAccess]:
    from holdtrue.adapters.ssh import open_ssh_access  # noqa: PLC0415
    from holdtrue.credentials.ssh import VaultSshCertificates  # noqa: PLC0415

    certificates = load(VaultSshCertificates, environment.credentials.ssh)
    with open_ssh_access(hosts, certificates.issue(), certificates.host_ca_lines()) as access:
        yield access


def _reach(access: HostAccess) -> tuple[CheckResult, ...]:
    from holdtrue.adapters.ssh import reach  # noqa: PLC0415

    return reach(access.ssh, access.hosts, load_settings().connect_timeout_seconds)


def _configurator(load: ReferenceLoader, environment: Environment, access: HostAccess) -> Configurator:
    from holdtrue.adapters.ansible import AnsibleConfigurator, TaskSelection  # noqa: PLC0415
    from holdtrue.credentials.vault import VaultSecret  # noqa: PLC0415

    declared = environment.configuration
    return AnsibleConfigurator(
        playbook=_fleet() / declared.playbook,
        hosts=access.hosts,
        access=access.ssh,
        timeout_seconds=declared.timeout_seconds,
        variables=declared.variables,
        secrets={name: load(VaultSecret, block).get() for name, block in declared.secrets.items()},
        selection=TaskSelection(tags=declared.tags, skip_tags=declared.skip_tags),
    )


def _configuration_prerequisites(environment: Environment, hosts: Sequence[Host]) -> tuple[Prerequisite, ...]:
    from holdtrue.adapters.ansible import PlaybookQuestions  # noqa: PLC0415

    questions = PlaybookQuestions(
        playbook=_fleet() / environment.configuration.playbook,
        root=_fleet(),
        timeout_seconds=environment.configuration.timeout_seconds,
        variables=environment.configuration.variables,
    )
    return questions.ask(hosts)


def _host_checks(environment: Environment, access: SshAccess) -> HostChecks:
    from holdtrue.adapters.testinfra import TestinfraChecks  # noqa: PLC0415

    return TestinfraChecks(
        suites=[_fleet() / suite for suite in environment.validation.suites],
        access=access,
        timeout_seconds=environment.validation.timeout_seconds,
        boundary=_fleet(),
    )


def _prober() -> Prober:
    from holdtrue.adapters.http import HttpProber  # noqa: PLC0415

    return HttpProber()


def _traffic_switch(traffic: Traffic, socket: str) -> TrafficSwitch:
    from holdtrue.adapters.haproxy import HaproxySwitch  # noqa: PLC0415

    return HaproxySwitch(socket=Path(socket), backend=traffic.backend)


def _advisory_sources() -> tuple[AdvisorySource, ...]:
    from holdtrue.auditing import advisory_sources  # noqa: PLC0415

    return advisory_sources(load_settings())


def _host_inventories(environment: Environment, access: HostAccess) -> tuple[Inventory, ...]:
    """Inventories labelled `environment/hosts/host:folder`; that of a silent host has a gap that says why."""
    from holdtrue.adapters.inventory_hosts import STANDARD_ROOTS, list_hosts  # noqa: PLC0415

    answers = list_hosts(
        access.names,
        config=access.ssh.config,
        environment={"SSH_AUTH_SOCK": str(access.ssh.agent_socket)},
        roots=environment.audit.host_roots or STANDARD_ROOTS,
        timeout_seconds=load_settings().audit_timeout_seconds,
    )
    return tuple(
        replace(inventory, label=f"{environment.name}/hosts/{inventory.label}")
        for answer in answers
        for inventory in (*answer.inventories, *_silent(answer.host, answer.failure))
    )


def _silent(host: str, failure: str) -> tuple[Inventory, ...]:
    return (Inventory(host, "host", (), (Gap(host, failure),)),) if failure else ()
