"""SSH hosts that are isolated from this machine and from each other by Linux namespaces; needs root.

Each host has its own network (an address on a bridge), processes, mounts (a writable overlay of this machine's root
file system), host name and IPC. All of it but the bridge belongs to the host's first process and vanishes with it; the
guardian deletes the bridge.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from sandbox import guardian
from sandbox.errors import SandboxError
from sandbox.guardian import FoundProcess
from sandbox.hosts import SshHost
from sandbox.openbao import SSH_PRINCIPAL, OpenBao
from sandbox.sshd import daemon_command, write_daemon_files
from sandbox.workplace import Workplace

HTTP_PORT = 8080
SSH_PORT = 22
BOOT_SECONDS = 15.0
FIRST_ADDRESS = 11
ACCOUNT_ID = 7077
SETTINGS = Path("/etc/holdtrue-sandbox")
WORLD = Path("/srv/holdtrue")
SYSTEM_PYTHON = Path("/usr/bin/python3")

# Run as process 1 of the new namespaces with the arguments NAME, DIRECTORY, ADDRESS. It waits for a line on stdin, the
# sign that its network interface is there. The overlay's upper side is a tmpfs: on the lower side's own file system it
# would overlap with it.
BOOT = f"""
set -eu
name=$1 directory=$2 address=$3
hostname "$name"
mount -t tmpfs -o size=2g,mode=755 tmpfs "$directory/world"
mkdir "$directory/world/upper" "$directory/world/work" "$directory/world/merged"
root=$directory/world/merged
mount -t overlay -o "lowerdir=/,upperdir=$directory/world/upper,workdir=$directory/world/work" overlay "$root"
mkdir -p "$root{SETTINGS}"
cp -p "$directory"/ssh/* "$root{SETTINGS}/"
for folder in tmp run; do mount -t tmpfs -o mode=1777 tmpfs "$root/$folder"; done
chmod 755 "$root/run"
mount -t proc proc "$root/proc"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
for device in null zero full random urandom tty; do
  touch "$root/dev/$device"; mount --bind "/dev/$device" "$root/dev/$device"
done
mkdir "$root/dev/pts" "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666,mode=0620 devpts "$root/dev/pts"
mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
mkdir "$root/run/sshd" "$root/run/old"
cd "$root"
pivot_root . run/old
umount -l /run/old
rmdir /run/old
echo '{SSH_PRINCIPAL}:x:{ACCOUNT_ID}:{ACCOUNT_ID}::/home/{SSH_PRINCIPAL}:/bin/sh' >> /etc/passwd
echo '{SSH_PRINCIPAL}:x:{ACCOUNT_ID}:' >> /etc/group
# Without PAM an account with a "!" password counts as locked.
echo '{SSH_PRINCIPAL}:*:19000:0:99999:7:::' >> /etc/shadow
mkdir -p /home/{SSH_PRINCIPAL} {WORLD}
chown {ACCOUNT_ID}:{ACCOUNT_ID} /home/{SSH_PRINCIPAL} {WORLD}
echo "$name" > /etc/hostname
printf '127.0.0.1 localhost\\n%s %s\\n' "$address" "$name" > /etc/hosts
read -r _
ip link set lo up
ip address add "$address/24" dev eth0
ip link set eth0 up
sleep infinity &
echo booted
# A shell that waits also reaps the orphans of this process namespace.
wait
"""


class HostNetwork:
    """The bridge that joins a sandbox's hosts with this machine, on the first free 10.77.N.0/24."""

    def __init__(self, workplace: Workplace) -> None:
        require_root()
        self.bridge = guardian.bridge_name(workplace.marker)
        used = _run(["ip", "-o", "-4", "address", "show"])
        prefixes = (f"10.77.{octet}." for octet in range(256))
        # Another sandbox may have chosen one and not have put an address on it yet.
        self.prefix = next(prefix for prefix in prefixes if prefix not in used and workplace.reserve(f"net/{prefix}"))
        _run(["ip", "link", "add", self.bridge, "type", "bridge"])
        _run(["ip", "address", "add", f"{self.prefix}1/24", "dev", self.bridge])
        _run(["ip", "link", "set", self.bridge, "up"])

    def attach(self, pid: int, number: int) -> None:
        """Give the network namespace of a process an `eth0` on the bridge."""
        outside = f"{self.bridge}.{number}"
        _run(["ip", "link", "add", outside, "type", "veth", "peer", "name", "eth0", "netns", str(pid)])
        _run(["ip", "link", "set", outside, "master", self.bridge, "up"])


class IsolatedHost(SshHost):
    """A host in namespaces of its own. Sessions log in as `deploy`, which has no rights over the rest of the host."""

    def __init__(self, workplace: Workplace, vault: OpenBao, network: HostNetwork, number: int) -> None:
        super().__init__(workplace)
        self.name = f"web-{number}"
        self.address = f"{network.prefix}{FIRST_ADDRESS + number - 1}"
        self.port = SSH_PORT
        self.http_port = HTTP_PORT
        self.user = SSH_PRINCIPAL
        self.root = WORLD
        # The caller's virtual environment may lie where `deploy` cannot read.
        self.python = str(SYSTEM_PYTHON) if SYSTEM_PYTHON.exists() else sys.executable
        self.host_ca_line = f"@cert-authority * {vault.host_ca}"
        directory = workplace.directory / "hosts" / self.name
        (directory / "world").mkdir(parents=True)
        write_daemon_files(
            workplace,
            vault,
            name=self.name,
            address=self.address,
            port=self.port,
            directory=directory / "ssh",
            seen_as=SETTINGS,
            root=WORLD,
            home=None,
        )
        self._first_pid = self._boot(directory, network, number)
        self._own_pids = frozenset({self._first_pid, *_children(self._first_pid)})
        self._namespace = _process_namespace(self._first_pid)
        self.start()

    @property
    def world(self) -> Path:
        """The world's directory, through the first process' root."""
        return Path(f"/proc/{self._first_pid}/root{self.root}")

    def _boot(self, directory: Path, network: HostNetwork, number: int) -> int:
        """Start the host's first process and return its id."""
        go = directory / "go"
        os.mkfifo(go, mode=0o600)
        (directory / "boot.sh").write_text(BOOT)
        daemon = self._workplace.launch(
            f"{self.name}-boot",
            # Opened for reading and writing, so that neither end waits for the other.
            [
                *("sh", "-c", f'exec unshare --net --mount --pid --uts --ipc --fork --kill-child sh "$@" 0<>"{go}"'),
                *("sh", directory / "boot.sh", self.name, directory, self.address),
            ],
        )
        daemon.wait_ready(lambda: bool(_children(daemon.pid)), BOOT_SECONDS)
        first_pid = _children(daemon.pid)[0]
        network.attach(first_pid, number)
        go.write_text("\n")
        daemon.wait_ready(lambda: "booted" in daemon.log_tail().splitlines(), BOOT_SECONDS)
        return first_pid

    def _command(self) -> list[str]:
        enter = ["nsenter", "--target", str(self._first_pid), "--net", "--mount", "--pid", "--uts", "--ipc", "--wd=/"]
        return [*enter, *daemon_command(SETTINGS / "sshd_config", self._workplace)]

    def _holds(self, found: FoundProcess) -> bool:
        return found.pid not in self._own_pids and _process_namespace(found.pid) == self._namespace


def require_root() -> None:
    """Check that isolated hosts can be made.

    Raises:
        SandboxError: The caller is not root, or a program is missing.
    """
    missing = [name for name in ("ip", "unshare", "nsenter", "pivot_root") if shutil.which(name) is None]
    if os.geteuid() != 0 or missing:
        reason = f"{', '.join(missing)} to be installed" if missing else "root"
        raise SandboxError(f"Isolated hosts need {reason}; use rootless hosts instead.")


def _children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def _process_namespace(pid: int) -> str:
    try:
        return str(Path(f"/proc/{pid}/ns/pid").readlink())
    except OSError:
        return ""


def _run(argv: Sequence[str]) -> str:
    result = subprocess.run(argv, check=False, capture_output=True, text=True, timeout=10)
    if result.returncode != 0:
        raise SandboxError(f"`{' '.join(argv)}` failed: {result.stderr.strip()}")
    return result.stdout
