"""The flows in this process on the shared sandbox: a fleet that tests may break, and all that came of a run."""

import json
import os
import re
import shutil
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from threading import Thread
from typing import Any, Final, cast
from uuid import UUID

import yaml
from prefect import Flow
from prefect.client.schemas.objects import State
from prefect.settings import (
    PREFECT_API_URL,
    PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
    PREFECT_HOME,
    temporary_settings,
)

from holdtrue.errors import BlockMissing, ResourceMissing
from holdtrue.models.outcome import FlowReport
from sandbox import Sandbox
from sandbox.deployment import BLOCK_NAME, ROOT, joined, save_blocks
from sandbox.hosts import SshHost
from sandbox.web import Answer, WebServer
from tasks.reports import load_report
from tests.integration.flow_evidence import holders, holds_secret, secret_values, texts_of

_WAIT_SECONDS: Final = 60.0

TINY_MANIFEST: Final = """\
name: tiny
infrastructure:
  project: pulumi/tiny
  stack: tiny
configuration:
  playbook: ansible/tiny.yml
  timeout_seconds: 60
validation:
  suites: [checks/tiny/test_tiny.py]
  timeout_seconds: 60
traffic:
  socket: "{load_balancer_socket}"
  backend: web
  steps: [50, 100]
  bake_seconds: 0.1
  probes:
    - name: front
      url: "{load_balancer_url}/"
      attempts: 1
credentials:
  vault: demo
  aws: demo
  ssh: demo
  pulumi: demo
audit:
  requirements: [app/requirements.txt]
  worker: false
"""

STACK_FILES: Final = {"tiny": "tiny/tiny.json", "cloud": "demo/demo.json"}
"""Where Pulumi's file backend keeps the stacks of the environments."""

TINY_PROGRAM: Final = """\
import json
from pathlib import Path

import pulumi
from pulumi.dynamic import CreateResult, Resource, ResourceProvider


class NoteProvider(ResourceProvider):
    def create(self, props):
        return CreateResult(props["text"], props)


class Note(Resource, module="tiny", name="Note"):
    def __init__(self, text):
        super().__init__(NoteProvider(), text, {"text": text})


for text in json.loads(Path("notes.json").read_text()):
    Note(text)
for name, value in json.loads(Path("outputs.json").read_text()).items():
    pulumi.export(name, value)
"""

TINY_PLAYBOOK: Final = """\
- name: Keep one file
  hosts: all
  gather_facts: false
  vars:
    ansible_remote_tmp: "{{ root }}/.ansible/tmp"
  tasks:
    - name: Write the file
      ansible.builtin.copy:
        content: tiny
        dest: "{{ root }}/tiny.txt"
        mode: "0644"
"""

IDLE_PLAYBOOK: Final = """\
- name: Ask nothing of the hosts
  hosts: all
  gather_facts: false
  tasks:
    - name: Say so
      ansible.builtin.debug:
        msg: nothing
"""
"""For runs that are about what comes after the playbook."""

TINY_CHECK: Final = """\
def test_the_file_is_there(host):
    assert host.run('cat "$HOLDTRUE_HOST_ROOT/tiny.txt"').stdout == "tiny"
"""


@dataclass(frozen=True, slots=True)
class EndedRun:
    """One finished run of a flow."""

    id: UUID
    name: str
    type: str
    message: str
    result: Any
    """The report, as Prefect keeps it; None for a flow that is not of this project."""


@dataclass(frozen=True, slots=True)
class Fleet:
    """The fleet that the flows of this process see.

    `demo` is the shipped example; `tiny` is quick and needs nothing of AWS; `cloud` is `tiny` with the example's
    program.
    """

    root: Path
    template: Path

    def reset(self) -> None:
        """Undo every edit; the path stays, because Pulumi keeps it in the state with the code of dynamic providers."""
        shutil.rmtree(self.root, ignore_errors=True)
        shutil.copytree(self.template, self.root)

    def write(self, path: str, text: str) -> Path:
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        return target

    def replace(self, path: str, old: str, new: str) -> None:
        text = (self.root / path).read_text()
        assert old in text, f"{path} has no {old!r}"
        self.write(path, text.replace(old, new))

    def edit_manifest(self, name: str, **sections: object) -> None:
        """Replace whole sections of an environment's manifest; mappings are merged into what is there."""
        path = f"environments/{name}.yaml"
        manifest = yaml.safe_load((self.root / path).read_text())
        for section, value in sections.items():
            known = manifest.get(section)
            manifest[section] = known | value if isinstance(known, dict) and isinstance(value, dict) else value
        self.write(path, yaml.safe_dump(manifest, sort_keys=False))


@dataclass(frozen=True, slots=True)
class Stage:
    """Where the flows of this process run."""

    sandbox: Sandbox
    fleet: Fleet

    def run(self, flow: Flow[..., Any], *args: object, **kwargs: object) -> EndedRun:
        """Run a flow in this process to its end."""
        state: State[Any] = cast("Callable[..., Any]", flow)(*args, return_state=True, **kwargs)
        assert state.state_details.flow_run_id is not None
        return EndedRun(
            id=state.state_details.flow_run_id,
            name=state.name or "",
            type=state.type.value,
            message=state.message or "",
            result=_report_of(state.state_details.flow_run_id),
        )

    def texts(self, run: EndedRun) -> dict[str, str]:
        """Everything that is kept of a run, and every span that has left this machine so far."""
        spans = b"".join(self.sandbox.otlp.payloads()).decode(errors="replace")
        return texts_of(run.id, self.sandbox.directory / "reports") | {"spans": spans}

    def require(self, run: EndedRun, state_name: str, *named: str) -> None:
        """Assert how a run ended, that its message says all of `named` and what to do next, and no secret anywhere."""
        assert run.name == state_name, run.message
        assert run.result is not None, "Prefect keeps no report of it"
        assert [text for text in named if text not in run.message] == [], run.message
        if run.type == "FAILED":
            assert re.search(r"Next: \S.{8}", run.message), run.message
        self.require_no_secret(self.texts(run), state_name)

    def require_no_secret(self, texts: dict[str, str], known: str) -> None:
        """Assert that a search that finds `known` finds no secret."""
        assert holders(texts, holds_secret(secret_values(self.sandbox))) == []
        assert holders(texts, lambda text: known in text), f"the search does not see {known}"


def _report_of(run_id: UUID) -> FlowReport | None:
    try:
        return load_report(run_id)
    except ResourceMissing:
        return None


@contextmanager
def open_stage(sandbox: Sandbox, fleet: Fleet) -> Iterator[Stage]:
    """Make this process a client of the sandbox with blocks saved, without a second's wait at the end of each run."""
    settings = {
        PREFECT_API_URL: sandbox.prefect.api_url,
        PREFECT_HOME: sandbox.prefect.home,
        PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None,
    }
    with joined(sandbox, {"HOLDTRUE_FLEET": str(fleet.root)}), temporary_settings(settings):
        if not _blocks_are_saved():
            save_blocks(sandbox)
        with ExitStack() as serving:
            for host in sandbox.hosts:
                serving.callback(serve_as(host).stop)
            yield Stage(sandbox, fleet)


def serve_as(host: SshHost) -> WebServer:
    """The host's web service: it answers everything with the host's name."""
    if (host.world / "srv").exists():  # The example service that another module has left on this port.
        host.wipe()
    return WebServer(host.http_port, lambda _: Answer(HTTPStatus.OK, "text/plain", host.name.encode()))


def _blocks_are_saved() -> bool:
    from blocks.loading import load_block  # noqa: PLC0415 - registers the block types
    from blocks.pulumi import PulumiBackend  # noqa: PLC0415

    try:
        load_block(PulumiBackend, BLOCK_NAME)
    except BlockMissing:
        return False
    return True


def make_fleet(folder: Path, sandbox: Sandbox) -> Fleet:
    """The shipped fleet and the tiny environment, below `folder`."""
    template = folder / "template"
    shutil.copytree(ROOT / "fleet", template, ignore=shutil.ignore_patterns("__pycache__", ".*"))
    fleet = Fleet(root=folder / "fleet", template=template)
    tiny = Fleet(root=template, template=template)
    tiny.write("environments/tiny.yaml", TINY_MANIFEST)
    tiny.write("environments/cloud.yaml", TINY_MANIFEST)
    tiny.replace("environments/cloud.yaml", "name: tiny", "name: cloud")
    tiny.edit_manifest("cloud", infrastructure={"project": "pulumi/demo", "stack": "demo"})
    tiny.write("pulumi/tiny/Pulumi.yaml", "name: tiny\nruntime: python\n")
    tiny.write("pulumi/tiny/__main__.py", TINY_PROGRAM)
    tiny.write("pulumi/tiny/notes.json", '["kept", "spare"]')
    tiny.write("pulumi/tiny/outputs.json", _outputs(sandbox))
    tiny.write("pulumi/tiny/tests/test_tiny.py", "def test_sum() -> None:\n    assert 1 + 1 == 2\n")
    tiny.write("ansible/tiny.yml", TINY_PLAYBOOK)
    tiny.write("checks/tiny/test_tiny.py", TINY_CHECK)
    fleet.reset()
    return fleet


def _outputs(sandbox: Sandbox) -> str:
    hosts = [
        {
            "name": host.name,
            "address": host.address,
            "port": host.port,
            "user": host.user,
            "variables": {"root": str(host.root), "ansible_python_interpreter": host.python},
        }
        for host in sandbox.hosts
    ]
    balancer = sandbox.load_balancer
    return json.dumps(
        {"hosts": hosts, "load_balancer_socket": str(balancer.socket_path), "load_balancer_url": balancer.url}
    )


def provide_baseline(stage: Stage, environment: str = "tiny") -> None:
    """Provision where that has not been done, or where another module has wiped the hosts since."""
    from flows.provision import provision  # noqa: PLC0415 - only what needs the baseline pays for it

    configured = all((host.world / "tiny.txt").exists() for host in stage.sandbox.hosts)
    state = stage.sandbox.state_directory / ".pulumi/stacks" / STACK_FILES[environment]
    if not (configured and state.exists()):
        run = stage.run(provision, environment)
        assert run.type == "COMPLETED", run.message


def free_port() -> int:
    """A loopback port that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def on_signal(folder: Path, act: Callable[[], None]) -> Iterator[str]:
    """Do something exactly when a tool is there: yields a shell command that asks for it and waits until it is done."""
    asked, done, over = folder / "asked", folder / "done", folder / "over"

    def watch() -> None:
        while not asked.exists():
            if over.exists():
                return
            time.sleep(0.02)
        act()
        done.touch()

    thread = Thread(target=watch)
    thread.start()
    try:
        yield f"touch {asked}; until [ -e {done} ]; do sleep 0.05; done"
    finally:
        over.touch()
        thread.join(_WAIT_SECONDS)


@contextmanager
def other_python(folder: Path, leave_out: str) -> Iterator[Path]:
    """Run the body as another virtual environment with the same packages, whose folder of programs lacks one.

    Tools are looked for beside the interpreter and on PATH, so both have to be without it.
    """
    programs = Path(sys.executable).parent
    other = folder / "python" / "bin"
    other.mkdir(parents=True)
    for program in programs.iterdir():
        if program.name != leave_out:
            (other / program.name).symlink_to(program)
    (other.parent / "pyvenv.cfg").write_text((programs.parent / "pyvenv.cfg").read_text())
    (other.parent / "lib").symlink_to(programs.parent / "lib")
    with ExitStack() as undo:
        undo.callback(setattr, sys, "executable", sys.executable)
        undo.callback(os.environ.__setitem__, "PATH", os.environ["PATH"])
        sys.executable = str(other / "python")
        os.environ["PATH"] = os.pathsep.join([str(other), "/usr/bin", "/bin"])
        yield other
