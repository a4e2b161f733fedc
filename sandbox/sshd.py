"""An OpenSSH daemon that trusts a certificate authority for users, and shows a host certificate itself."""

import getpass
import os
import shutil
import socket
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sandbox import guardian
from sandbox.errors import SandboxError
from sandbox.keys import write_ssh_key
from sandbox.openbao import SSH_PRINCIPAL, OpenBao
from sandbox.workplace import Workplace

HOST_VARIABLE = "HOLDTRUE_SANDBOX_HOST"
ROOT_VARIABLE = "HOLDTRUE_HOST_ROOT"
SHADOW = Path("/etc/shadow")
PRIVILEGE_SEPARATION_DIRECTORY = Path("/run/sshd")


@dataclass(frozen=True, slots=True)
class SshDaemonFiles:
    """What a daemon reads; all of it lies in one directory, named as the daemon itself will see it."""

    directory: Path
    configuration: Path


def write_daemon_files(
    workplace: Workplace,
    vault: OpenBao,
    *,
    name: str,
    address: str,
    port: int,
    directory: Path,
    seen_as: Path,
    root: Path,
    home: Path | None,
) -> SshDaemonFiles:
    """Make a host key, have it signed for the host's name and address, and write the daemon's configuration.

    Args:
        workplace: Gives the marker that every session gets.
        vault: Signs the host key; its user authority is trusted.
        name: The host's name, a principal of its certificate.
        address: The address to listen on, the other principal.
        port: The port to listen on.
        directory: Where to write.
        seen_as: The same directory's path as the daemon sees it.
        root: The host's world as its sessions see it; they have it as `HOLDTRUE_HOST_ROOT`.
        home: The sessions' `HOME`, or None for the account's own.
    """
    directory.mkdir(parents=True, exist_ok=True)
    public_key = write_ssh_key(directory / "host_key")
    (directory / "host_key-cert.pub").write_text(f"{vault.sign_host_key(public_key, (name, address))}\n")
    (directory / "user_ca.pub").write_text(f"{vault.user_ca}\n")
    (directory / "principals").write_text(f"{SSH_PRINCIPAL}\n")
    variables = {guardian.MARKER_VARIABLE: workplace.marker, HOST_VARIABLE: name, ROOT_VARIABLE: str(root)}
    if home is not None:
        variables["HOME"] = str(home)
    settings = [
        f"Port {port}",
        f"ListenAddress {address}",
        f"HostKey {seen_as}/host_key",
        f"HostCertificate {seen_as}/host_key-cert.pub",
        f"TrustedUserCAKeys {seen_as}/user_ca.pub",
        f"AuthorizedPrincipalsFile {seen_as}/principals",
        # Only certificates: no plain keys, no passwords.
        "AuthorizedKeysFile none",
        "PasswordAuthentication no",
        "KbdInteractiveAuthentication no",
        "PermitRootLogin prohibit-password",
        "UsePAM no",
        "StrictModes no",
        "PidFile none",
        "PrintMotd no",
        "UseDNS no",
        "LoginGraceTime 15",
        "MaxStartups 100:30:200",
        "MaxSessions 100",
        "Subsystem sftp internal-sftp",
        # A second SetEnv line would be ignored (sshd_config(5): the first value obtained is used).
        "SetEnv " + " ".join(f"{variable}={value}" for variable, value in variables.items()),
    ]
    (directory / "sshd_config").write_text("\n".join(settings) + "\n")
    return SshDaemonFiles(directory, seen_as / "sshd_config")


def daemon_command(configuration: Path, workplace: Workplace) -> Sequence[str]:
    """Return the command of a foreground daemon that logs to stderr.

    Raises:
        SandboxError: OpenSSH's server is not installed.
    """
    program = shutil.which("sshd", path=workplace.environment()["PATH"])
    if program is None:
        raise SandboxError("sshd is not installed: `apt-get install openssh-server`, or start without hosts.")
    command = [program, "-D", "-e", "-f", str(configuration)]
    # OpenSSH 9.8 and later shut out an address after refused logins, and every client here has the same one.
    penalties = [*command[:1], "-G", "-f", "/dev/null", "-o", "PerSourcePenalties=no"]
    if subprocess.run(penalties, check=False, capture_output=True, timeout=10).returncode == 0:
        command += ["-o", "PerSourcePenalties=no"]
    return command


def unlocking(command: Sequence[str], directory: Path, *, shadow: Path = SHADOW) -> Sequence[str]:
    """Return the command so that an sshd of root lets root in although root has no password.

    Ubuntu and Debian lock root with a "!" in the shadow file, and without PAM sshd refuses a locked account even with a
    certificate. Such a daemon gets a mount namespace of its own, in which the shadow file names root unlocked.
    """
    if os.geteuid() != 0 or not _is_locked(shadow.read_text(), current_user()):
        return command
    replacement = directory / "shadow"
    replacement.touch(mode=0o600)
    replacement.write_text(f"{current_user()}:*:19000:0:99999:7:::\n")
    mount = 'mount --bind "$1" "$2" && shift 2 && exec "$@"'
    return ["unshare", "--mount", "sh", "-c", mount, "sh", str(replacement), str(shadow), *command]


def _is_locked(shadow: str, user: str) -> bool:
    return any(line.startswith(f"{user}:!") for line in shadow.splitlines())


def require_privilege_separation_directory() -> None:
    """Make sure that /run/sshd exists, which a service manager makes otherwise: an sshd of root needs it."""
    if os.geteuid() == 0:
        PRIVILEGE_SEPARATION_DIRECTORY.mkdir(mode=0o755, exist_ok=True)


def current_user() -> str:
    """Return the name of the account that a daemon without root can log in."""
    return getpass.getuser()


def greets_as_ssh(address: str, port: int) -> bool:
    """Tell whether an SSH server answers at an address."""
    try:
        with socket.create_connection((address, port), timeout=2) as connection:
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False
