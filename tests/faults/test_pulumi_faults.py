"""Every failure of the Pulumi adapter, provoked on the real CLI.

Most tests use a tiny project whose cloud is a folder: a resource is a file, and what is in the file makes the provider
slow, or its read fail.
"""

import json
import random
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from pydantic import SecretStr

from holdtrue.adapters.pulumi.engine import PulumiEngine
from holdtrue.errors import (
    AccessDenied,
    ProgramFailed,
    ResourceMissing,
    ServiceNotReady,
    ServiceUnreachable,
    StackLocked,
    ToolMissing,
    done_before,
)
from holdtrue.models.base import Progress
from holdtrue.models.stack import ApplyResult, Operation
from holdtrue.runtime.process import find_marked
from sandbox import Sandbox
from tests.integration.test_pulumi import access_to, copy_demo, fingerprint
from tests.integration.tiny_stack import KILLED, PROGRAM, Tiny, wait_until
from tests.long_form import long_form


@pytest.fixture
def tiny(tmp_path: Path) -> Tiny:
    return Tiny(tmp_path)


@pytest.fixture(scope="module")
def deployed_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny")
    tiny = Tiny(folder)
    tiny.engine().apply(tiny.engine().preview())
    assert tiny.things() == {"a": "one", "b": "two"}
    return folder


@pytest.fixture
def deployed(deployed_files: Path, tmp_path: Path) -> Tiny:
    """A copy of a deployed tiny stack."""
    tiny = Tiny(tmp_path)
    for name in ("cloud", "state"):
        shutil.copytree(deployed_files / name, tmp_path / name, dirs_exist_ok=True)
    return tiny


def test_an_absent_or_old_cli_is_missing(tiny: Tiny, tmp_path: Path) -> None:
    for name, body in {"none": None, "old": "#!/bin/sh\necho v3.100.0\n"}.items():
        folder = tmp_path / name
        folder.mkdir()
        if body:
            (folder / "pulumi").write_text(body)
            (folder / "pulumi").chmod(0o755)
        for ask in (tiny.engine({"PATH": str(folder)}).preview, tiny.engine({"PATH": str(folder)}).outputs):
            with pytest.raises(ToolMissing):
                ask()


@pytest.mark.parametrize(
    ("program", "said", "line"),
    [
        ("\nraise ValueError('no owner')\n", "ValueError: no owner", 2),
        ("x = (\n", "SyntaxError", 1),
        ("import no_such_module\n", "ModuleNotFoundError", 1),
        ("import sys\nsys.exit(3)\n", "SystemExit: 3", 2),
        ("import pulumi\npulumi.Output.from_input(0).apply(lambda zero: 1 / zero)\n", "ZeroDivisionError", 2),
    ],
)
def test_a_broken_program_is_shown_where_it_broke(tiny: Tiny, program: str, said: str, line: int) -> None:
    tiny.write(program)
    with pytest.raises(ProgramFailed) as failure:
        tiny.engine().preview()
    assert said in failure.value.what
    assert failure.value.where.startswith(f"{tiny.project / '__main__.py'}:{line}")


def test_a_program_that_ends_the_process_fails(tiny: Tiny) -> None:
    tiny.write("import os\nos._exit(7)\n")
    with pytest.raises(ProgramFailed, match="exit code 7"):
        tiny.engine().preview()


def test_a_secret_in_a_programs_exception_is_redacted(tiny: Tiny) -> None:
    tiny.write("import os, pulumi\nkey = os.environ['KEY']\npulumi.log.warn(key)\nprint(key)\nraise ValueError(key)\n")
    lines: list[Progress] = []
    with pytest.raises(ProgramFailed) as failure:
        tiny.engine({"KEY": "hunter2hunter2"}).preview(lines.append)
    assert "ValueError" in failure.value.what
    assert any("[redacted]" in line.message for line in lines), "positive control: the warning was passed on"
    assert "hunter2" not in "".join([str(failure.value), *(line.message for line in lines)])


def test_an_absent_backend_is_unreachable(tiny: Tiny) -> None:
    tiny.backend.rmdir()
    for ask in (tiny.engine().preview, tiny.engine().detect, tiny.engine().outputs):
        with pytest.raises(ServiceUnreachable, match="state"):
            ask()


def test_looking_at_an_absent_stack_makes_none(tiny: Tiny) -> None:
    for ask in (tiny.engine().detect, tiny.engine().outputs):
        with pytest.raises(ResourceMissing):
            ask()
    assert not tiny.checkpoint.exists()


def test_a_locked_stack_names_the_holder_and_keeps_the_lock(deployed: Tiny) -> None:
    lock = deployed.backend / ".pulumi/locks/organization/tiny/dev/11111111-2222-3333-4444-555555555555.json"
    lock.parent.mkdir(parents=True, exist_ok=True)
    holder = {"pid": 4242, "username": "ann", "hostname": "build7", "timestamp": "2026-01-01T00:00:00Z"}
    lock.write_text(json.dumps(holder))
    plan = deployed.engine().preview()
    assert deployed.engine().detect().unchecked == ()
    with pytest.raises(StackLocked, match=r"ann@build7 \(pid 4242\)"):
        deployed.engine().apply(plan)
    assert json.loads(lock.read_text()) == holder


@pytest.mark.parametrize("content", [b"", b'{"version":3,"checkpoint":{"stack"'])
def test_a_corrupt_state_stops_everything_and_is_left_alone(deployed: Tiny, content: bytes) -> None:
    deployed.checkpoint.write_bytes(content)
    before = fingerprint(deployed.backend)
    for ask in (deployed.engine().preview, deployed.engine().detect, deployed.engine().outputs):
        with pytest.raises(ProgramFailed, match="nothing was written"):
            ask()
    assert fingerprint(deployed.backend) == before


def test_a_missing_or_wrong_passphrase_is_refused(deployed: Tiny) -> None:
    for passphrase in ("", "another passphrase"):
        with pytest.raises(AccessDenied):
            deployed.engine({"PULUMI_CONFIG_PASSPHRASE": passphrase}).preview()


def test_another_secrets_provider_is_refused(deployed: Tiny) -> None:
    with pytest.raises(AccessDenied, match="passphrase"):
        deployed.engine(provider="hashivault://other").preview()


@pytest.mark.parametrize(("broken", "other", "value"), [("b", "a", "one"), ("a", "b", "two")])
def test_an_unreadable_resource_is_unchecked_and_the_others_are_reported(
    deployed: Tiny, broken: str, other: str, value: str
) -> None:
    (deployed.cloud / broken).write_text("unreadable")
    (deployed.cloud / other).write_text("changed")
    before = fingerprint(deployed.backend)
    found = deployed.engine().detect()
    names = [[urn.rsplit("::", 1)[-1] for urn in urns] for urns in (found.checked, found.unchecked)]
    assert names == [[other], [broken]]
    (drift,) = found.changes
    assert [(item.path, item.before, item.after) for item in drift.changes] == [("value", value, "changed")]
    assert fingerprint(deployed.backend) == before


def test_nothing_readable_at_all_is_an_error(deployed: Tiny) -> None:
    for name in ("a", "b"):
        (deployed.cloud / name).write_text("unreadable")
    with pytest.raises(ProgramFailed, match="cannot be read"):
        deployed.engine().detect()


def test_drift_in_the_tiny_cloud_is_only_read(deployed: Tiny) -> None:
    (deployed.cloud / "a").write_text("changed")
    (deployed.cloud / "b").unlink()
    cloud, backend = fingerprint(deployed.cloud), fingerprint(deployed.backend)
    found = deployed.engine().detect()
    assert [change.operation for change in found.changes] == [Operation.UPDATE, Operation.DELETE]
    assert (fingerprint(deployed.cloud), fingerprint(deployed.backend)) == (cloud, backend)


def test_a_step_off_the_plan_is_refused_before_it_runs(deployed: Tiny) -> None:
    deployed.write_outside(PROGRAM.replace('"one"', '"uno"'))
    plan = deployed.engine().preview()
    deployed.write_outside(PROGRAM.replace('"one"', '"uno"').replace('"two"', '"due"'))
    with pytest.raises(ProgramFailed, match="Thing b"):
        deployed.engine().apply(plan)
    assert deployed.things()["b"] == "two"
    assert deployed.locks() == []


def test_a_refused_step_shows_no_secret(deployed: Tiny) -> None:
    program = PROGRAM.replace('"two"', 'pulumi.Output.secret("hunter2hunter2")')
    deployed.write_outside(program)
    plan = deployed.engine().preview()
    deployed.write_outside(program.replace("hunter2", "hunter3"))
    lines: list[Progress] = []
    with pytest.raises(ProgramFailed, match="Thing b") as refusal:
        deployed.engine().apply(plan, lines.append)
    assert "hunter" not in "".join([str(refusal.value), *(line.message for line in lines), plan.model_dump_json()])
    assert deployed.things()["b"] == "two"


def test_a_program_in_a_subfolder_runs_there_with_its_settings(tiny: Tiny) -> None:
    for folder in ("src", "settings"):
        (tiny.project / folder).mkdir()
    (tiny.project / "Pulumi.yaml").write_text(
        "name: tiny\nmain: src\nstackConfigDir: settings\n"
        "runtime: {name: python, options: {virtualenv: venv}}\nconfig: {greeting: {type: string}}\n"
    )
    (tiny.project / "settings/Pulumi.dev.yaml").write_text("config: {tiny:greeting: hello}\n")
    (tiny.project / "things.py").rename(tiny.project / "src/things.py")
    (tiny.project / "__main__.py").unlink()
    more = 'import os\npulumi.export("cwd", os.getcwd())\npulumi.export("said", pulumi.Config().require("greeting"))\n'
    (tiny.project / "src/__main__.py").write_text(PROGRAM + more)
    before = fingerprint(tiny.project)
    result = tiny.engine().apply(tiny.engine().preview())
    assert result.outputs.values == {"cwd": str(tiny.project / "src"), "said": "hello"}
    assert len(tiny.engine().detect().checked) == 2
    assert fingerprint(tiny.project) == before


def test_a_deletion_off_the_plan_is_refused(deployed: Tiny) -> None:
    deployed.write_outside(PROGRAM)
    plan = deployed.engine().preview()
    deployed.write_outside('from things import Thing\nThing("a", "one")\n')
    with pytest.raises(ProgramFailed, match="Thing b"):
        deployed.engine().apply(plan)
    assert set(deployed.things()) == {"a", "b"}


def test_a_timeout_ends_every_process(tiny: Tiny) -> None:
    tiny.write("import time\ntime.sleep(100)\n")
    with pytest.raises(ServiceUnreachable, match="did not end within"):
        tiny.engine(timeout_seconds=5).preview()
    assert not find_marked("THINGS", str(tiny.cloud))


class Cancelled(BaseException):
    """What an orchestrator raises in the main thread."""


def test_a_cancelled_apply_finishes_what_is_under_way_and_saves_it(tiny: Tiny) -> None:
    tiny.write(PROGRAM.replace('"one"', '"slow"'))
    plan = tiny.engine().preview()

    def cancel_once_started(line: Progress) -> None:
        if line.message.endswith("Thing a creating"):
            wait_until((tiny.cloud / "started").exists)
            raise Cancelled

    with pytest.raises(Cancelled) as cancelled:
        tiny.engine().apply(plan, cancel_once_started)
    assert not find_marked("THINGS", str(tiny.cloud))
    assert tiny.locks() == []
    done = done_before(cancelled.value)
    assert isinstance(done, ApplyResult)
    assert [change.name for change in done.changes if change.name != "tiny-dev"] == ["a"], "made after the signal"
    assert tiny.things() == {"a": "slow", "started": ""}, "a was let finish, b was not begun"
    left = tiny.engine().preview()
    assert [change.name for change in left.changes] == ["b"], "a is in the state"


def test_a_killed_workers_engine_saves_its_state_and_leaves(tiny: Tiny, tmp_path: Path, private_folders: Path) -> None:
    tiny.write(PROGRAM.replace('"one"', '"slow"'))
    worker = subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path)])
    wait_until((tiny.cloud / "started").exists)
    assert list(private_folders.glob("holdtrue-pulumi-*")), "positive control"
    worker.kill()
    worker.wait()
    wait_until(lambda: not find_marked("THINGS", str(tiny.cloud)))
    assert not list(private_folders.glob("holdtrue-pulumi-*"))
    assert tiny.locks() == []
    assert tiny.things() == {"a": "slow", "started": ""}
    assert [change.name for change in tiny.engine().preview().changes] == ["b"]


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(long_form(2, 40)))
def test_a_worker_killed_at_any_moment_leaves_what_the_next_run_completes(
    tiny: Tiny, tmp_path: Path, seed: int
) -> None:
    tiny.write(PROGRAM.replace('"one"', '"slow"'))
    worker = subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path)])
    time.sleep(random.Random(seed).uniform(0, 8))  # noqa: S311 - no secret
    worker.kill()
    worker.wait()
    wait_until(lambda: not find_marked("THINGS", str(tiny.cloud)))
    assert tiny.locks() == []
    engine = tiny.engine()
    engine.apply(engine.preview())
    assert {name: value for name, value in tiny.things().items() if name != "started"} == {"a": "slow", "b": "two"}
    assert engine.preview().changes == ()


def test_vault_that_denies_is_down_or_sealed(clean_sandbox: Sandbox, tiny: Tiny) -> None:
    vault = clean_sandbox.openbao
    good = {
        "VAULT_ADDR": vault.address,
        "VAULT_CACERT": str(vault.ca_file),
        "VAULT_TOKEN": vault.issue_token(ttl_seconds=60).get_secret_value(),
    }
    provider = "hashivault://pulumi"
    tiny.engine(good, provider=provider).apply(tiny.engine(good, provider=provider).preview())
    with pytest.raises(AccessDenied):
        tiny.engine({**good, "VAULT_TOKEN": "not-a-token-at-all"}, provider=provider).preview()
    vault.seal()
    with pytest.raises(ServiceNotReady):
        tiny.engine(good, provider=provider).preview()
    vault.stop()
    try:
        with pytest.raises(ServiceUnreachable):
            tiny.engine(good, provider=provider).detect()
    finally:
        vault.start()


class Forwarder:
    """A TCP relay in front of a server, which can be cut in the middle of a run."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._open: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Refuse new connections and reset those that are there."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._open:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(("127.0.0.1", self._target))
                self._open += [near, far]
                for source, sink in ((near, far), (far, near)):
                    threading.Thread(target=self._copy, args=(source, sink), daemon=True).start()

    @staticmethod
    def _copy(source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
        with suppress(OSError):
            sink.shutdown(socket.SHUT_WR)


@pytest.fixture
def relay(sandbox: Sandbox) -> Iterator[Callable[[], Forwarder]]:
    made: list[Forwarder] = []

    def make() -> Forwarder:
        made.append(Forwarder(int(sandbox.aws.endpoint_url.rsplit(":", 1)[-1])))
        return made[-1]

    yield make
    for forwarder in made:
        forwarder.cut()


def test_a_cloud_that_goes_away_during_an_apply(
    sandbox: Sandbox, tmp_path: Path, relay: Callable[[], Forwarder]
) -> None:
    backend = tmp_path / "state"
    backend.mkdir()
    project, access, cloud = copy_demo(tmp_path), access_to(sandbox, backend), relay()
    settings = project / "Pulumi.demo.yaml"
    settings.rename(project / "Pulumi.cut.yaml")
    through = access.model_copy(
        update={"environment": {**access.environment, "AWS_ENDPOINT_URL": SecretStr(cloud.url)}}
    )
    engine = PulumiEngine(project=project, stack="cut", access=through, timeout_seconds=120)
    plan = engine.preview()

    def cut(line: Progress) -> None:
        if line.message.endswith("creating"):
            cloud.cut()

    with pytest.raises(ServiceUnreachable) as failure:
        engine.apply(plan, cut)
    assert "aws:" in failure.value.what, "the resource is named"
    assert not list((backend / ".pulumi/locks").rglob("*.json"))

    direct = PulumiEngine(project=project, stack="cut", access=access, timeout_seconds=120)
    direct.apply(direct.preview())
    assert direct.detect().changes == ()


def test_a_refused_cloud_credential_is_denied(sandbox: Sandbox, tmp_path: Path) -> None:
    backend = tmp_path / "state"
    backend.mkdir()
    access = access_to(sandbox, backend)
    wrong = {**access.environment, "AWS_ACCESS_KEY_ID": SecretStr("AKIAIOSFODNN7EXAMPLE")}
    engine = PulumiEngine(
        project=copy_demo(tmp_path),
        stack="demo",
        access=access.model_copy(update={"environment": wrong}),
        timeout_seconds=60,
    )
    with pytest.raises(AccessDenied):
        engine.preview()
