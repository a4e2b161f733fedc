"""The few programs of the system that the demo and the tests start: found, installed on Debian as root, or named."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tools.child import run_child
from tools.console import SetupFailedError, say

_SYSTEM_FOLDERS = ("/usr/local/sbin", "/usr/sbin", "/sbin")
_APT_TIMEOUT_SECONDS = 900.0
_SYSTEMCTL_TIMEOUT_SECONDS = 60.0
_FORBID_START = "#!/bin/sh\n# 101 = 'action forbidden by policy' (invoke-rc.d(8)).\nexit 101\n"


@dataclass(frozen=True, slots=True)
class Prerequisite:
    """One program, the Debian package that holds it, and the service (if any) which that package would start."""

    command: str
    package: str
    service: str | None = None
    only_root: bool = False


PREREQUISITES = (
    Prerequisite("sshd", "openssh-server", service="ssh"),
    Prerequisite("ssh", "openssh-client"),
    Prerequisite("haproxy", "haproxy", service="haproxy"),
    Prerequisite("ip", "iproute2", only_root=True),
)
"""`ip` serves the isolated hosts (network namespaces), which only root can make; others use user-level hosts."""


@dataclass(frozen=True, slots=True)
class Machine:
    """What decides how a missing program is obtained. `root_folder` is `/` but in tests."""

    is_root: bool
    search_path: str
    root_folder: Path = Path("/")

    @property
    def full_search_path(self) -> str:
        """The PATH plus the folders of system programs, which Debian leaves out of the PATH of ordinary users."""
        return os.pathsep.join((self.search_path, *(str(self.root_folder / f[1:]) for f in _SYSTEM_FOLDERS)))

    @property
    def is_debian(self) -> bool:
        """Tell whether os-release(5) names Debian or a distribution derived from it."""
        try:
            text = (self.root_folder / "etc/os-release").read_text(encoding="utf-8")
        except OSError:
            return False
        pairs = (line.partition("=") for line in text.splitlines())
        names = [value.strip("\"'") for key, _, value in pairs if key in {"ID", "ID_LIKE"}]
        return "debian" in " ".join(names).split()

    def find(self, command: str) -> str | None:
        """Give the path of a program, or None."""
        return shutil.which(command, path=self.full_search_path)


def find_missing(machine: Machine) -> tuple[Prerequisite, ...]:
    """List the prerequisites that this machine lacks, in the order of `PREREQUISITES`."""
    wanted = (item for item in PREREQUISITES if machine.is_root or not item.only_root)
    return tuple(item for item in wanted if machine.find(item.command) is None)


def ensure_prerequisites(machine: Machine) -> None:
    """Install what is missing with apt-get where that is possible without asking anybody.

    Raises:
        SetupFailedError: something is missing and cannot be installed from here; the text names package and command.
    """
    missing = find_missing(machine)
    if not missing:
        return
    apt = machine.find("apt-get")
    packages = [item.package for item in missing]
    if not (machine.is_root and machine.is_debian and apt):
        raise SetupFailedError(_advice(missing))
    say(f"installing {', '.join(packages)} with apt-get; their services stay stopped")
    with _services_stay_stopped(machine.root_folder / "usr/sbin/policy-rc.d"):
        _apt_install(apt, packages)
    _leave_services_disabled(machine, missing)
    still_missing = find_missing(machine)
    if still_missing:
        raise SetupFailedError(f"after apt-get install: {_advice(still_missing)}")


def _advice(missing: Sequence[Prerequisite]) -> str:
    commands = ", ".join(item.command for item in missing)
    packages = " ".join(item.package for item in missing)
    return (
        f"missing on this machine: {commands}; on Debian or Ubuntu run `sudo apt-get install -y {packages}`, "
        f"elsewhere install your system's OpenSSH, HAProxy and iproute2 packages, then repeat"
    )


def _apt_install(apt: str, packages: Sequence[str]) -> None:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    patient = ("-o", "DPkg::Lock::Timeout=300")
    install = ("install", "-y", "-q", "--no-install-recommends", *packages)
    # A failed update is not the end: one dead third-party source fails it while the lists of Debian are good.
    for arguments, required in ((("update", "-q"), False), (install, True)):
        result = run_child((apt, *patient, *arguments), timeout_seconds=_APT_TIMEOUT_SECONDS, environment=environment)
        if required and not result.succeeded:
            raise SetupFailedError(
                f"`apt-get install {' '.join(packages)}` failed; install them, then repeat. It said:\n{result.tail()}"
            )


@contextmanager
def _services_stay_stopped(policy: Path) -> Iterator[None]:
    """Keep dpkg from starting daemons: nobody who runs `make setup` asked for an SSH server on port 22."""
    if policy.exists():
        yield
        return
    policy.write_text(_FORBID_START, encoding="utf-8")
    policy.chmod(0o755)
    try:
        yield
    finally:
        policy.unlink(missing_ok=True)


def _leave_services_disabled(machine: Machine, installed: Sequence[Prerequisite]) -> None:
    """Keep the services from starting at the next boot, where systemd runs."""
    systemctl = machine.find("systemctl")
    if systemctl is None or not (machine.root_folder / "run/systemd/system").is_dir():
        return
    for item in installed:
        if item.service is not None:
            run_child((systemctl, "disable", item.service), timeout_seconds=_SYSTEMCTL_TIMEOUT_SECONDS)
