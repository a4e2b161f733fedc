"""A fleet of three environments, none of which looks like the shipped one.

- `network` is what others build on. Its playbook takes a role and a collection from `requirements.yml`.
- `app` reads an output of `network`. Its hosts have lists and mappings among their variables.
- `jobs` has a program without tests whose export differs from what its preview said, variables and a secret of its
  own, and a task that check mode skips.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from sandbox import Sandbox
from sandbox.deployment import ROOT
from sandbox.hosts import SshHost
from tests.integration.flow_stage import Fleet

NAMES: Final = ("network", "app", "jobs")
TOKEN: Final = "{{ not-a-template }} %and $HOME 'either'"
TOKEN_BLOCK: Final = "jobs-token"
REASON: Final = "two notes, and nothing to decide"

_MANIFEST: Final = """\
name: {name}
infrastructure:
  project: pulumi/{name}
  stack: live
{infrastructure}configuration:
  playbook: ansible/{name}/site.yml
  timeout_seconds: 60
{configuration}validation:
  suites: [checks/{name}/test_{name}.py]
  timeout_seconds: 60
credentials:
  vault: demo
  aws: demo
  ssh: demo
  pulumi: demo
policy:
  max_changes: 20
audit:
  requirements: [{requirements}]
  worker: false
  internal: [our-*]
{rest}"""

_BLOCK: Final = f"""
  - type: vault-secret
    name: {TOKEN_BLOCK}
    vault: demo
    path: holdtrue/jobs
    field: token
"""

_NOTES: Final = """\
import json
from pathlib import Path

import pulumi
from pulumi.dynamic import CreateResult, Resource, ResourceProvider


class NoteProvider(ResourceProvider):
    def create(self, props):
        return CreateResult(props["text"], {"text": props["text"], "stamp": "made"})


class Note(Resource, module="notes", name="Note"):
    text: pulumi.Output[str]
    stamp: pulumi.Output[str]

    def __init__(self, name, text, opts=None):
        super().__init__(NoteProvider(), name, {"text": text, "stamp": None}, opts)


pulumi.export("hosts", json.loads(Path("hosts.json").read_text()))
"""

_NETWORK: Final = """\
network = Note("network", "10.20.0.0/16")
pulumi.export("range", network.text)
"""

_APP: Final = """\
network = pulumi.StackReference("organization/network/live")
address = Note("address", network.get_output("range").apply(lambda range: f"inside {range}"))
pulumi.export("address", address.text)
"""

_JOBS: Final = """\
import time

Note("queue", pulumi.Config().require("queue"))
pulumi.export("provisioned_at", time.time())
"""

_ROLE_TASKS: Final = """\
- name: Write what the role is for
  ansible.builtin.copy:
    content: "{{ purpose }}"
    dest: "{{ root }}/network-role.txt"
    mode: "0644"
"""

_COLLECTION_TASKS: Final = _ROLE_TASKS.replace("network-role", "network-collection")

_NETWORK_PLAYBOOK: Final = """\
- name: Take everything from elsewhere
  hosts: all
  gather_facts: false
  vars:
    ansible_remote_tmp: "{{ root }}/.ansible/tmp"
    purpose: routing
  roles:
    - bookkeeper
    - invented.ledgers.stamp
"""

_APP_PLAYBOOK: Final = """\
- name: Write what the host's variables say
  hosts: all
  gather_facts: false
  vars:
    ansible_remote_tmp: "{{ root }}/.ansible/tmp"
  tasks:
    - name: Write each port
      ansible.builtin.copy:
        content: "{{ listeners[item].port }} {{ listeners[item].names | join('+') }}"
        dest: "{{ root }}/app-{{ item }}.txt"
        mode: "0644"
      loop: "{{ listeners | sort }}"
"""

_JOBS_PLAYBOOK: Final = """\
- name: Write what the manifest gives
  hosts: all
  gather_facts: false
  vars:
    ansible_remote_tmp: "{{ root }}/.ansible/tmp"
  tasks:
    - name: Ask for the kernel
      ansible.builtin.command: uname -r
      changed_when: false
    - name: Write the token
      ansible.builtin.copy:
        content: "{{ token }}"
        dest: "{{ root }}/jobs-token.txt"
        mode: "0600"
    - name: Write the queues
      ansible.builtin.copy:
        content: "{{ queues | to_json }}"
        dest: "{{ root }}/jobs-queues.txt"
        mode: "0644"
"""

_LOCK: Final = """\
lock-version = "1.0"
created-by = "a tool"

[[packages]]
name = "demo-nothing-known"
version = "2.0"
"""

_CHECK: Final = """\
def test_the_files_are_there(host):
    for name in {names}:
        assert host.run(f'test -s "$HOLDTRUE_HOST_ROOT/{{name}}"').rc == 0
"""

_PROGRAM_TEST: Final = "def test_sum() -> None:\n    assert 1 + 1 == 2\n"


def write_mixed_fleet(root: Path, sandbox: Sandbox) -> Fleet:
    """Write the three environments below `root`, and install what `requirements.yml` of the first one names."""
    fleet = Fleet(root=root, template=root)
    fleet.write("blocks.yaml", (ROOT / "fleet/blocks.yaml").read_text() + _BLOCK)
    _write_environments(fleet)
    one, two = sandbox.hosts
    _write_program(fleet, "network", _NETWORK, [_host(one)])
    _write_program(fleet, "app", _APP, [_host(two, listeners=LISTENERS)])
    _write_program(fleet, "jobs", _JOBS, [_host(one), _host(two)])
    fleet.write("pulumi/network/tests/test_network.py", _PROGRAM_TEST)
    fleet.write("pulumi/app/tests/test_app.py", _PROGRAM_TEST)
    fleet.write("pulumi/jobs/Pulumi.live.yaml", "config:\n  jobs:queue: mail\n")
    for name, playbook in (("network", _NETWORK_PLAYBOOK), ("app", _APP_PLAYBOOK), ("jobs", _JOBS_PLAYBOOK)):
        fleet.write(f"ansible/{name}/site.yml", playbook)
        fleet.write(f"checks/{name}/test_{name}.py", _CHECK.format(names=FILES[name]))
    fleet.write("app/requirements.txt", "our-own-library==1.0\ndemo-yamlish==1.0.0\n")
    fleet.write("network/pylock.toml", _LOCK)
    _install_requirements(fleet, root.parent / "published")
    return fleet


LISTENERS: Final[dict[str, dict[str, Any]]] = {
    "http": {"port": 8080, "names": ["web", "www"]},
    "metrics": {"port": 9090, "names": ["numbers"]},
}
QUEUES: Final = [{"name": "mail", "workers": 2}, {"name": "{{ literal }}", "workers": 1}]

FILES: Final = {
    "network": ["network-role.txt", "network-collection.txt"],
    "app": ["app-http.txt", "app-metrics.txt"],
    "jobs": ["jobs-token.txt", "jobs-queues.txt"],
}


def keep_token(sandbox: Sandbox) -> None:
    """Keep the token of `jobs` in Vault."""
    sandbox.openbao.client().secrets.kv.v2.create_or_update_secret(
        "holdtrue/jobs", {"token": TOKEN}, mount_point="secret"
    )


def _write_environments(fleet: Fleet) -> None:
    empty = {"infrastructure": "", "configuration": "", "rest": "", "requirements": ""}
    fleet.write(
        "environments/network.yaml",
        _MANIFEST.format(**empty | {"name": "network", "requirements": "network/pylock.toml"}),
    )
    fleet.write(
        "environments/app.yaml", _MANIFEST.format(**empty | {"name": "app", "requirements": "app/requirements.txt"})
    )
    fleet.write(
        "environments/jobs.yaml",
        _MANIFEST.format(
            name="jobs",
            infrastructure=f"  without_tests: {REASON}\n",
            configuration=f"  variables: {json.dumps({'queues': QUEUES})}\n  secrets: {{token: {TOKEN_BLOCK}}}\n",
            requirements="",
            rest="""\
drift:
  ignore:
    - layer: configuration
      target: "*"
      field: Ask for the kernel
      reason: It only reads, and check mode does not run commands
      owner: jobs team
      expires: 2099-01-01
""",
        ),
    )


def _write_program(fleet: Fleet, name: str, program: str, hosts: list[dict[str, Any]]) -> None:
    fleet.write(f"pulumi/{name}/Pulumi.yaml", f"name: {name}\nruntime: python\n")
    fleet.write(f"pulumi/{name}/__main__.py", _NOTES + program)
    fleet.write(f"pulumi/{name}/hosts.json", json.dumps(hosts))


def _host(host: SshHost, **variables: object) -> dict[str, Any]:
    own = {"root": str(host.root), "ansible_python_interpreter": host.python}
    return {
        "name": host.name,
        "address": host.address,
        "port": host.port,
        "user": host.user,
        "variables": own | variables,
    }


def _install_requirements(fleet: Fleet, published: Path) -> None:
    """Publish a role and a collection as archives, name them in `requirements.yml`, and install them from there."""
    role, collection = published / "bookkeeper", published / "invented"
    _write(
        role / "meta/main.yml",
        "galaxy_info:\n  author: us\n  description: notes\n  license: MIT\n  min_ansible_version: '2.16'\n",
    )
    _write(role / "tasks/main.yml", _ROLE_TASKS)
    _write(
        collection / "galaxy.yml",
        "namespace: invented\nname: ledgers\nversion: 1.2.0\nreadme: README.md\nauthors: [us]\n",
    )
    _write(collection / "README.md", "Stamps.\n")
    _write(collection / "roles/stamp/tasks/main.yml", _COLLECTION_TASKS)
    _run("tar", "-czf", str(published / "bookkeeper.tar.gz"), "-C", str(published), "bookkeeper")
    galaxy = str(Path(sys.executable).parent / "ansible-galaxy")
    _run(galaxy, "collection", "build", str(collection), "--output-path", str(published))
    project = fleet.root / "ansible/network"
    archive = published / "invented-ledgers-1.2.0.tar.gz"
    _write(
        project / "requirements.yml",
        f"roles:\n  - name: bookkeeper\n    src: file://{published}/bookkeeper.tar.gz\n"
        f"collections:\n  - name: {archive}\n    type: file\n",
    )
    _run(galaxy, "role", "install", "-r", str(project / "requirements.yml"), "-p", str(project / "roles"))
    _run(galaxy, "collection", "install", "-r", str(project / "requirements.yml"), "-p", str(project / "collections"))


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, timeout=120)
