"""Logging in to a sandbox's hosts as a strict SSH client would: with a signed key, trusting the host authority only."""

import subprocess
from pathlib import Path

from sandbox.hosts import SshHost
from sandbox.keys import write_ssh_key
from sandbox.openbao import OpenBao

CERTIFICATE_TTL_SECONDS = 600


class SshLogin:
    """A key pair in a directory of its own, signed by OpenBao for the principal `deploy` unless `signed` is false."""

    def __init__(self, directory: Path, vault: OpenBao, *, signed: bool = True) -> None:
        self._directory = directory
        self._key = directory / "id"
        directory.mkdir(mode=0o700)
        public_key = write_ssh_key(self._key)
        if signed:
            certificate = vault.sign_user_key(public_key, ttl_seconds=CERTIFICATE_TTL_SECONDS)
            (directory / "id-cert.pub").write_text(f"{certificate}\n")

    def command(self, host: SshHost) -> tuple[str, ...]:
        """Return the ssh command for a host; the remote command is to be added."""
        known_hosts = self._directory / "known_hosts"
        known_hosts.write_text(f"{host.host_ca_line}\n")
        settings = {
            "BatchMode": "yes",
            "ConnectTimeout": "10",
            "GlobalKnownHostsFile": "/dev/null",
            "IdentitiesOnly": "yes",
            "IdentityAgent": "none",
            "StrictHostKeyChecking": "yes",
            "UserKnownHostsFile": str(known_hosts),
        }
        options = [part for name, value in settings.items() for part in ("-o", f"{name}={value}")]
        target = ["-i", str(self._key), "-p", str(host.port), f"{host.user}@{host.address}"]
        return ("ssh", "-F", "/dev/null", *options, *target)

    def run(self, host: SshHost, command: str, *, timeout_seconds: float = 30) -> "subprocess.CompletedProcess[str]":
        """Run a shell command in a host; ssh's own failures have the exit code 255."""
        argv = [*self.command(host), command]
        return subprocess.run(
            argv, check=False, capture_output=True, text=True, timeout=timeout_seconds, stdin=subprocess.DEVNULL
        )
