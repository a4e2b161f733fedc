"""What is installed on real hosts, over their own SSH daemons."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from holdtrue.adapters.inventory_hosts import HostInventory, list_hosts
from holdtrue.models.credentials import SshAccess
from holdtrue.models.dependency import Dependency, Origin
from sandbox import Sandbox
from sandbox.hosts import SshHost
from tests.integration.host_access import access_to, hosts_of

_PACKAGES = "app/venv/lib/python3.12/site-packages"


@pytest.fixture
def access(clean_sandbox: Sandbox) -> Iterator[SshAccess]:
    with access_to(clean_sandbox, hosts_of(clean_sandbox)) as opened:
        yield opened


def _install(host: SshHost, name: str, version: str, direct_url: str = "") -> None:
    place = host.world / _PACKAGES / f"{name}-{version}.dist-info"
    place.mkdir(parents=True)
    (place / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n\nText.\n")
    (place / "INSTALLER").write_text("pip\n")
    if direct_url:
        (place / "direct_url.json").write_text(direct_url)


def _ask(
    access: SshAccess, sandbox: Sandbox, roots: Sequence[Path], timeout_seconds: float = 60
) -> list[HostInventory]:
    return [
        *list_hosts(
            [host.name for host in sandbox.hosts],
            config=access.config,
            environment={"SSH_AUTH_SOCK": str(access.agent_socket)},
            roots=[*map(str, roots)],
            timeout_seconds=timeout_seconds,
        )
    ]


def _found(answer: HostInventory) -> dict[str, Dependency]:
    return {item.name: item for inventory in answer.inventories for item in inventory.dependencies}


def test_every_host_tells_its_own_packages_and_keeps_nothing(clean_sandbox: Sandbox, access: SshAccess) -> None:
    first, second = clean_sandbox.hosts[:2]
    _install(first, "vulnerable-demo", "1.0")
    _install(first, "cloned", "2.0", '{"url": "https://h.example/x", "vcs_info": {"vcs": "git"}}')
    _install(second, "other", "3.0")
    before = {host.name: sorted(host.world.rglob("*")) for host in clean_sandbox.hosts}

    answers = _ask(access, clean_sandbox, [first.root, second.root])

    found = {
        answer.host: {item.name: (item.version, item.origin) for item in _found(answer).values()} for answer in answers
    }
    # Rootless hosts share this machine's file system, so that each may see the other's world as well.
    assert (
        found[first.name].items()
        >= {
            "vulnerable-demo": ("1.0", Origin.INDEX),
            "cloned": ("2.0", Origin.VCS),
        }.items()
    )
    assert found[second.name]["other"] == ("3.0", Origin.INDEX)
    labels = {inventory.label for answer in answers for inventory in answer.inventories}
    assert {f"{host.name}:{host.root / _PACKAGES}" for host in (first, second)} <= labels
    assert [answer.failure for answer in answers] == [""] * len(clean_sandbox.hosts)
    assert {host.name: sorted(host.world.rglob("*")) for host in clean_sandbox.hosts} == before
    assert [host.processes() for host in clean_sandbox.hosts] == [()] * len(clean_sandbox.hosts)


def test_a_host_that_is_down_or_hangs_is_a_failure_and_the_others_are_kept(
    clean_sandbox: Sandbox, access: SshAccess
) -> None:
    down, up = clean_sandbox.hosts[:2]
    _install(up, "vulnerable-demo", "1.0")
    down.stop()

    answers = {answer.host: answer for answer in _ask(access, clean_sandbox, [up.root])}

    assert answers[down.name].failure
    assert answers[down.name].inventories == ()
    assert answers[up.name].failure == ""
    assert _found(answers[up.name])["vulnerable-demo"].version == "1.0"

    down.start()
    down.pause()

    answers = {answer.host: answer for answer in _ask(access, clean_sandbox, [up.root], timeout_seconds=8)}

    assert answers[down.name].failure
    assert "vulnerable-demo" in _found(answers[up.name])


def test_connections_that_were_open_before_are_used_and_stay_open(clean_sandbox: Sandbox, access: SshAccess) -> None:
    host = clean_sandbox.hosts[0]
    _install(host, "demo", "1.0")
    masters = access.config.parent / "m"
    before = {path.name: path.stat().st_ino for path in masters.iterdir()}

    (answer, *_) = _ask(access, clean_sandbox, [host.root])

    assert "demo" in _found(answer)
    assert len(before) == len(clean_sandbox.hosts)
    assert {path.name: path.stat().st_ino for path in masters.iterdir()} == before
