"""The example checks against the service that the example playbook installs."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from holdtrue.adapters.ansible import AnsibleConfigurator
from holdtrue.adapters.testinfra import TestinfraChecks
from holdtrue.models.credentials import SshAccess
from holdtrue.models.host import Host
from holdtrue.models.validation import CheckOutcome, CheckResult
from sandbox import HostKind, Sandbox, SandboxOptions, Service
from sandbox.login import SshLogin
from tests.conftest import Watch
from tests.integration.host_access import access_to, hosts_of

_FLEET = Path(__file__).parents[2] / "fleet"


# Isolated hosts need root; without it the rootless ones are all there is, and nothing is skipped.
_KINDS = [HostKind.ROOTLESS, *([HostKind.ISOLATED] if os.geteuid() == 0 else [])]


@pytest.fixture(params=_KINDS)
def machines(request: pytest.FixtureRequest, watch_services: Watch) -> Iterator[Sandbox]:
    """Services with hosts of the kind: the shared ones, or isolated ones of this test's own."""
    if request.param is HostKind.ROOTLESS:
        yield request.getfixturevalue("clean_sandbox")
        return
    chosen = frozenset({Service.OPENBAO, Service.HOSTS})
    with (
        Sandbox(SandboxOptions(services=chosen, hosts=HostKind.ISOLATED)) as isolated,
        watch_services(isolated.log_directory),
    ):
        yield isolated


@pytest.fixture
def hosts(machines: Sandbox) -> list[Host]:
    return hosts_of(machines)


@pytest.fixture
def access(machines: Sandbox, hosts: list[Host]) -> Iterator[SshAccess]:
    with access_to(machines, hosts) as opened:
        yield opened


def test_the_example_checks_hold_and_see_what_breaks(
    machines: Sandbox, hosts: list[Host], access: SshAccess, tmp_path: Path
) -> None:
    def run() -> tuple[CheckResult, ...]:
        checks = TestinfraChecks(suites=[_FLEET / "checks" / "test_web.py"], access=access, timeout_seconds=90)
        return checks.run(hosts)

    def not_passed() -> set[tuple[str, str]]:
        return {
            (result.target, result.name.partition("::")[2])
            for result in run()
            if result.outcome is not CheckOutcome.PASSED
        }

    assert len(not_passed()) == 2 * 6, "nothing is installed yet"
    AnsibleConfigurator(
        playbook=_FLEET / "ansible" / "site.yml", hosts=hosts, access=access, timeout_seconds=180
    ).apply()
    assert not_passed() == set()
    assert len(run()) == 2 * 6

    login = SshLogin(tmp_path / "login", machines.openbao)
    first, second = machines.hosts
    home = f"{first.root}/srv/web"
    login.run(first, f"chmod 644 {home}/config.json")
    assert not_passed() == {("web-1", "test_configuration_is_not_for_everyone")}
    login.run(second, f"{second.root}/srv/web/service_ctl stop")
    assert {host for host, _ in not_passed()} == {"web-1", "web-2"}
    assert ("web-2", "test_service_runs") in not_passed()
