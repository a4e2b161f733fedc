"""However its owner ends, a sandbox leaves no process, no directory and no network device."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from sandbox import HostKind, Sandbox, SandboxError, SandboxOptions, Service, guardian
from sandbox.daemon import accepts_connections
from sandbox.hosts import RootlessHost
from sandbox.login import SshLogin
from sandbox.workplace import Workplace
from tests.conftest import Watch

# Starts a daemon in a host over SSH, as a playbook may, and leaves a session open; then does nothing until it is ended.
OWNER = """
import json, subprocess, sys, time
from sandbox import HostKind, Sandbox, SandboxOptions, Service
from sandbox.login import SshLogin
chosen = frozenset({Service.OPENBAO, Service.HOSTS, Service.LOAD_BALANCER, Service.OTLP})
with Sandbox(SandboxOptions(services=chosen, hosts=HostKind(sys.argv[1]))) as sandbox:
    login = SshLogin(sandbox.directory / "login", sandbox.openbao)
    for host in sandbox.hosts:
        login.run(host, "nohup setsid sleep 300 >/dev/null 2>&1 </dev/null &")
        subprocess.Popen([*login.command(host), "sleep 301"], start_new_session=True)
    time.sleep(1)
    print(json.dumps({"marker": sandbox.marker, "directory": str(sandbox.directory)}), flush=True)
    time.sleep(120)
"""
END_SECONDS = 10


def wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + END_SECONDS
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@dataclass(frozen=True, slots=True)
class RunningOwner:
    process: "subprocess.Popen[str]"
    marker: str
    directory: Path

    def remains(self) -> frozenset[guardian.FoundProcess]:
        return guardian.marked_processes(self.marker, self.directory)

    def wait_until_nothing_remains(self) -> None:
        folders = (self.directory, guardian.private_folders(self.directory))
        wait_until(lambda: not self.remains() and not any(folder.exists() for folder in folders))


@contextmanager
def running_owner(kind: HostKind) -> Iterator[RunningOwner]:
    process = subprocess.Popen(
        # Tests that run in the background hand down an ignored SIGINT, which Python then leaves ignored.
        ["env", "--default-signal=INT", sys.executable, "-c", OWNER, kind],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout
    try:
        said = json.loads(process.stdout.readline())
        yield RunningOwner(process, said["marker"], Path(said["directory"]))
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_nothing_is_left_when_the_owner_is_ended(number: signal.Signals) -> None:
    with running_owner(HostKind.ROOTLESS) as owner:
        before = owner.remains()
        names = [found.name for found in before]
        # The positive control: what must go is seen while it is there.
        assert guardian.private_folders(owner.directory).exists()
        assert {"bao", "haproxy", "sshd", "sleep"} <= set(names)
        assert names.count("sleep") == 4
        owner.process.send_signal(number)
        owner.wait_until_nothing_remains()
        assert [found for found in before if guardian.is_alive(found)] == []


def test_nothing_is_left_of_isolated_hosts_when_the_owner_is_killed() -> None:
    if os.geteuid() != 0:
        with pytest.raises(SandboxError, match="root"):
            Sandbox(SandboxOptions(hosts=HostKind.ISOLATED)).start()
        return
    with running_owner(HostKind.ISOLATED) as owner:
        before = owner.remains()
        bridge = Path("/sys/class/net", guardian.bridge_name(owner.marker))
        assert bridge.exists()
        assert [found.name for found in before].count("sleep") >= 4
        owner.process.kill()
        owner.wait_until_nothing_remains()
        assert not bridge.exists()
        assert [found for found in before if guardian.is_alive(found)] == []
        assert str(owner.directory) not in Path("/proc/mounts").read_text()


def test_stop_leaves_nothing_and_a_second_stop_finds_nothing() -> None:
    sandbox = Sandbox(SandboxOptions(services=frozenset({Service.OPENBAO, Service.OTLP})))
    sandbox.start()
    marker, directory = sandbox.marker, sandbox.directory
    before = guardian.marked_processes(marker, directory)
    private_folders = sandbox.private_folders
    (private_folders / "of-a-killed-run").mkdir()
    assert [found.name for found in before] == ["bao"]
    sandbox.stop()
    assert guardian.marked_processes(marker, directory) == frozenset()
    assert not directory.exists()
    assert not private_folders.exists()
    sandbox.stop()
    with pytest.raises(SandboxError):
        _ = sandbox.directory


def test_failed_start_says_why_and_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    places: list[Workplace] = []

    def start_nothing(host: RootlessHost) -> list[str]:
        places.append(host._workplace)
        return ["sh", "-c", "echo no such luck; exit 7"]

    monkeypatch.setattr(RootlessHost, "_command", start_nothing)
    sandbox = Sandbox(SandboxOptions(services=frozenset({Service.OPENBAO, Service.HOSTS, Service.AWS})))
    with pytest.raises(SandboxError, match=r"(?s)web-1 .* 7 .*no such luck"):
        sandbox.start()
    assert guardian.marked_processes(places[0].marker, places[0].directory) == frozenset()
    assert not places[0].directory.exists()


def test_missing_program_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sandbox.load_balancer.shutil.which", lambda *_, **__: None)
    with pytest.raises(SandboxError, match="haproxy"):
        Sandbox(SandboxOptions(services=frozenset({Service.LOAD_BALANCER}))).start()


def test_sweep_ends_a_process_that_ignores_sigterm_and_lost_its_marker() -> None:
    workplace = Workplace()
    try:
        stubborn = "trap '' TERM; env -i sleep 100 & while :; do sleep 1; done"
        workplace.launch("stubborn", ["sh", "-c", stubborn])
        wait_until(lambda: len(guardian.marked_processes(workplace.marker, workplace.directory)) >= 3)
        found = guardian.marked_processes(workplace.marker, workplace.directory)
        assert any(guardian.MARKER_VARIABLE not in one.environment for one in found)
        assert guardian.sweep(workplace.marker, workplace.directory) == ()
        assert [one for one in found if guardian.is_alive(one)] == []
    finally:
        workplace.close()


def test_sandboxes_beside_each_other_share_no_port_and_no_network() -> None:
    first, second = Workplace(), Workplace()
    try:
        network = f"net/{first.marker}"
        assert first.reserve(network)
        assert not second.reserve(network)
        assert second.reserve(f"{network}.")
        ports = [place.free_port() for place in (first, second) for _ in range(200)]
        assert len(set(ports)) == len(ports)
        first.close()
        assert second.reserve(network), "what a sandbox had is free when it has ended"
    finally:
        first.close()
        second.close()


def test_killed_guardian_is_replaced_by_the_owner() -> None:
    workplace = Workplace()
    workplace.launch("sleeper", ["sleep", "100"])
    workplace._guardian.kill()
    workplace._guardian.wait()
    workplace.close()
    assert guardian.marked_processes(workplace.marker, workplace.directory) == frozenset()
    assert not workplace.directory.exists()


def test_command_line_prints_addresses_and_ends_on_sigterm() -> None:
    argv = [sys.executable, "-m", "sandbox", "up", "--json", "--without", "prefect", "aws"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        assert process.stdout
        places = json.loads(process.stdout.readline())
        assert {"openbao", "load balancer", "otlp", "osv", "web-1", "web-2"} <= set(places)
        process.terminate()
        assert process.wait(END_SECONDS) == 0
    assert not Path(places["directory"]).exists()


def test_command_line_refuses_hosts_without_their_authority() -> None:
    argv = [sys.executable, "-m", "sandbox", "up", "--without", "openbao"]
    refused = subprocess.run(argv, check=False, capture_output=True, text=True, timeout=30)
    assert refused.returncode == 2
    assert "openbao" in refused.stderr


def test_isolated_hosts_share_nothing_with_each_other_or_this_machine(watch_services: Watch) -> None:
    if os.geteuid() != 0:
        with pytest.raises(SandboxError, match="root"):
            Sandbox(SandboxOptions(hosts=HostKind.ISOLATED)).start()
        return
    chosen = frozenset({Service.OPENBAO, Service.HOSTS, Service.LOAD_BALANCER})
    options = SandboxOptions(services=chosen, hosts=HostKind.ISOLATED)
    with Sandbox(options) as sandbox, watch_services(sandbox.log_directory):
        first, second = sandbox.hosts
        login = SshLogin(sandbox.directory / "login", sandbox.openbao)
        assert first.address != second.address
        assert login.run(first, "hostname; id -un").stdout == "web-1\ndeploy\n"
        assert login.run(second, "hostname").stdout == "web-2\n"
        assert login.run(first, f"echo here > {first.root}/file").returncode == 0
        assert login.run(second, f"cat {second.root}/file").returncode != 0
        assert not (first.root / "file").exists()
        assert (first.world / "file").read_text() == "here\n"
        processes = login.run(first, "ls -d /proc/[0-9]*").stdout.split()
        assert len(processes) < 15
        assert not login.run(first, f"ls {sandbox.directory}").stdout
        assert login.run(first, f"{first.python} -c 'print(1)'").stdout == "1\n"
        serve = f"cd {first.root} && nohup {first.python} -m http.server {first.http_port} >/dev/null 2>&1 </dev/null &"
        assert login.run(first, serve).returncode == 0
        assert sandbox.load_balancer.command("set server web/web-1 weight 1; set server web/standby weight 0") == ""
        wait_until(lambda: accepts_connections(first.address, first.http_port))
        assert requests.get(f"{sandbox.load_balancer.url}/file", timeout=END_SECONDS).text == "here\n"
        refused = SshLogin(sandbox.directory / "unsigned", sandbox.openbao, signed=False).run(first, "true")
        assert refused.returncode == 255
        assert login.run(first, "nohup sleep 60 >/dev/null 2>&1 </dev/null &").returncode == 0
        assert sorted(found.name for found in first.processes()) == ["python3", "sleep"]
        first.wipe()
        assert (first.processes(), list(first.world.iterdir())) == ((), [])
        first.stop()
        assert login.run(first, "true").returncode == 255
        first.start()
        assert login.run(first, "true").returncode == 0
