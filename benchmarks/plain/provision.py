"""The glue script that Holdtrue replaces: the same commands in the same order, checked by exit code and no more.

No retries, no gate, no report, no clean-up after a kill; keys and outputs lie in a folder while it runs.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

BIN = Path(sys.executable).parent
FLEET = Path(os.environ["PLAIN_FLEET"])


def run(*arguments: str, variables: dict[str, str] | None = None, cwd: Path | None = None) -> str:
    """Run a command to its end and return what it printed; its failure ends the script."""
    done = subprocess.run(
        arguments,
        check=False,
        cwd=cwd,
        env=os.environ | (variables or {}),
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )
    if done.returncode:
        sys.exit(f"{arguments[0]} failed with {done.returncode}:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
    return done.stdout


def main(folder: Path) -> None:
    """Provision the demo environment."""
    bao = os.environ["PLAIN_BAO"]
    login = [f"role_id={os.environ['PLAIN_ROLE_ID']}", f"secret_id={os.environ['PLAIN_SECRET_ID']}"]
    token = run(bao, "write", "-field=token", "auth/approle/login", *login).strip()
    vault = {"VAULT_TOKEN": token}
    keys = json.loads(run(bao, "kv", "get", "-format=json", "secret/holdtrue/aws", variables=vault))["data"]["data"]
    cloud = {"AWS_ACCESS_KEY_ID": keys["access_key_id"], "AWS_SECRET_ACCESS_KEY": keys["secret_access_key"]}

    project = FLEET / "pulumi" / "demo"
    run(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests", cwd=project)
    work = folder / "pulumi"
    work.mkdir()
    shutil.copy(project / "Pulumi.yaml", work)
    shutil.copy(os.environ["PLAIN_STACK_FILE"], work / "Pulumi.demo.yaml")
    stack = {"PLAIN_PROJECT": str(project), "PLAIN_WORK_DIR": str(work), "PYTHONPATH": str(project), **cloud, **vault}
    script = str(Path(__file__).parent / "pulumi_stack.py")
    run(sys.executable, script, "preview", variables=stack)
    run(sys.executable, script, "up", variables=stack)
    outputs = json.loads((work / "outputs.json").read_text())

    config = ssh_config(folder, bao, vault, outputs["hosts"])
    inventory = folder / "inventory.json"
    inventory.write_text(json.dumps({"all": {"hosts": {host["name"]: host["variables"] for host in outputs["hosts"]}}}))
    ansible = {"ANSIBLE_SSH_ARGS": f"-F {config}", "ANSIBLE_PIPELINING": "1", "ANSIBLE_HOME": str(folder / "ansible")}
    playbook = str(FLEET / "ansible" / "site.yml")
    run(str(BIN / "ansible-playbook"), "-i", str(inventory), playbook, variables=ansible)
    second = run(str(BIN / "ansible-playbook"), "-i", str(inventory), playbook, variables=ansible)
    recap = [line for line in second.splitlines() if "changed=" in line]
    if not recap or not all("changed=0" in line for line in recap):
        sys.exit(f"not idempotent:\n{second}")

    hosts = ",".join(f"ssh://{host['name']}" for host in outputs["hosts"])
    checks = str(FLEET / "checks" / "test_web.py")
    run(
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        f"--hosts={hosts}",
        f"--ssh-config={config}",
        checks,
    )
    for host in outputs["hosts"]:
        fetch(f"http://{host['address']}:{int(host['variables']['http_port'])}/health")
    if "web-1" not in show_weights(outputs["load_balancer_socket"]):
        sys.exit("HAProxy does not know web-1")
    fetch(outputs["load_balancer_url"])
    for host in outputs["hosts"]:
        run("ssh", "-F", str(config), "-O", "exit", host["name"])


def ssh_config(folder: Path, bao: str, vault: dict[str, str], hosts: list[dict[str, object]]) -> Path:
    """A signed key in a file, and connections shared between all commands."""
    key = folder / "key"
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key))
    request = [f"public_key=@{key}.pub", "valid_principals=deploy", "ttl=600s"]
    signed = run(bao, "write", "-field=signed_key", "ssh/sign/deploy", *request, variables=vault)
    (folder / "key-cert.pub").write_text(signed)
    host_ca = run(bao, "read", "-field=public_key", "ssh-host/config/ca", variables=vault).strip()
    (folder / "known_hosts").write_text(f"@cert-authority * {host_ca}\n")
    shared = (
        f"  IdentityFile {key}\n  UserKnownHostsFile {folder}/known_hosts\n  StrictHostKeyChecking yes\n"
        f"  ControlMaster auto\n  ControlPath {folder}/%C\n  ControlPersist 120\n"
    )
    config = folder / "config"
    config.write_text(
        "".join(
            f"Host {host['name']}\n  HostName {host['address']}\n  Port {int(str(host['port']).split('.')[0])}\n"
            f"  User {host['user']}\n{shared}"
            for host in hosts
        )
    )
    return config


def fetch(url: str) -> None:
    """Require an answer of 200."""
    with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - addresses come from the stack
        answer.read()


def show_weights(path: str) -> str:
    """HAProxy's own table of servers."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(path)
        connection.sendall(b"show servers state web\n")
        return connection.makefile().read()


if __name__ == "__main__":
    place = Path(tempfile.mkdtemp(prefix="plain-"))
    try:
        main(place)
    finally:
        shutil.rmtree(place)
