"""Attacks on approvals, on the real engine and in both ledgers: an approval lets pass what was seen, once, there."""

import shutil
import subprocess
import sys
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import pytest
from pydantic import SecretStr
from sqlalchemy import create_engine, text

from holdtrue.adapters.ledger import open_ledger
from holdtrue.adapters.pulumi.engine import PulumiEngine
from holdtrue.adapters.pulumi.identity import PlanBinding
from holdtrue.core.plan_approval import objections
from holdtrue.core.plan_identity import digest_of
from holdtrue.errors import ProgramFailed, TransientError
from holdtrue.models.approval import ApprovalRequest, Approver
from holdtrue.models.credentials import StackAccess
from holdtrue.models.ledger import Ledger
from holdtrue.models.stack import Operation, Plan, PlanPart
from sandbox import Sandbox
from tests.integration.tiny_stack import PASSPHRASE, Tiny

SAM = Approver(name="sam")
PIN = "8341"
GUARDED = (
    "import os, pulumi\nfrom things import Thing\n"
    "Thing('a', pulumi.Output.secret(os.environ['PIN']))\nThing('b', 'two')\n"
)


@dataclass
class Desk:
    """A tiny stack whose plans are approved in a ledger."""

    tiny: Tiny
    ledger: Ledger

    def engine(
        self,
        environment: str = "demo",
        *,
        given: Mapping[str, str] = MappingProxyType({}),
        backend: Path | None = None,
        update_plan: bool = True,
    ) -> PulumiEngine:
        variables = {"THINGS": str(self.tiny.cloud), "PULUMI_CONFIG_PASSPHRASE": PASSPHRASE, "PIN": PIN, **given}
        return PulumiEngine(
            project=self.tiny.project,
            stack="dev",
            access=StackAccess(
                backend_url=(backend or self.tiny.backend).as_uri(),
                secrets_provider="passphrase",
                environment={name: SecretStr(value) for name, value in variables.items()},
            ),
            timeout_seconds=120,
            update_plan=update_plan,
            binding=PlanBinding(environment, lambda: self.ledger.approvals.key(environment)),
        )

    def ask(self, plan: Plan, environment: str = "demo") -> None:
        request = ApprovalRequest(environment=environment, digest=plan.digest, parts=plan.parts, requested_by="asking")
        self.ledger.approvals.ask(request, 3600)

    def use(self, approved: str, plan: Plan, environment: str = "demo") -> tuple[str, ...]:
        """What `provision` does with `approved_plan`: why it is refused; empty when it was used."""
        found = objections(self.ledger.approvals.latest(approved), plan, environment)
        if not found:
            assert self.ledger.approvals.use(environment, plan.digest, SAM, reason="", run="run") is not None
        return found


@pytest.fixture
def desk(tmp_path: Path, sqlite_ledger: Ledger) -> Desk:
    return Desk(Tiny(tmp_path), sqlite_ledger)


@pytest.fixture(scope="module")
def deployed_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny stack that was applied once for all tests of this module."""
    folder = tmp_path_factory.mktemp("deployed")
    desk = Desk(Tiny(folder), open_ledger(f"sqlite:///{folder / 'ledger.db'}"))
    desk.tiny.write(GUARDED)
    desk.engine().apply(desk.engine().preview())
    return folder


@pytest.fixture
def deployed(deployed_folder: Path, tmp_path: Path, sqlite_ledger: Ledger) -> Desk:
    """A copy of it, with a ledger of its own."""
    for name in ("project", "cloud", "state"):
        shutil.copytree(deployed_folder / name, tmp_path / name)
    found = Desk(Tiny(tmp_path), sqlite_ledger)
    found.tiny.write(GUARDED)
    return found


PREVIEW = """
import sys
from pathlib import Path
from holdtrue.adapters.ledger import open_ledger
from tests.faults.test_approvals import Desk
from tests.integration.tiny_stack import Tiny

program = Path(sys.argv[1], "project/__main__.py").read_text()
tiny = Tiny(Path(sys.argv[1]))
tiny.write(program)
print("digest", Desk(tiny, open_ledger(sys.argv[2])).engine().preview().digest)
"""


def digest_in_another_process(folder: Path) -> str:
    found = subprocess.run(
        [sys.executable, "-c", PREVIEW, str(folder), f"sqlite:///{folder / 'ledger.db'}"],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    return found.stdout.split("digest ")[1].strip()


def test_two_processes_give_one_plan_one_digest(desk: Desk, tmp_path: Path) -> None:
    """A first plan, which is made in a private backend with a key of its own, and with values that differ each time."""
    desk.tiny.write(GUARDED + "pulumi.export('pid', os.getpid())\n")
    assert digest_in_another_process(tmp_path) == desk.engine().preview().digest


def test_two_processes_give_a_plan_of_a_stack_that_exists_one_digest(deployed: Desk, tmp_path: Path) -> None:
    deployed.tiny.write(GUARDED.replace("'two'", "'three'") + "pulumi.export('pid', os.getpid())\n")
    assert digest_in_another_process(tmp_path) == deployed.engine().preview().digest


def test_an_approval_binds_what_was_seen_and_counts_once(deployed: Desk, tmp_path: Path) -> None:
    """Old and new secret look alike in a plan: each is a placeholder."""
    asked_for = {"PIN": "1111"}
    asked = deployed.engine(given=asked_for).preview()
    deployed.ask(asked)

    def refusal(environment: str = "demo", *, given: Mapping[str, str] = asked_for, backend: Path | None = None) -> str:
        plan = deployed.engine(environment, given=given, backend=backend).preview()
        return "; ".join(deployed.use(asked.digest, plan, environment))

    assert refusal(given={"PIN": "2222"}).endswith("other inputs or secrets for pulumi-python:dynamic:Thing a")

    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(deployed.tiny.backend, elsewhere)
    assert refusal(backend=elsewhere) == "since it was asked for, another backend"
    assert refusal("twin", backend=elsewhere) == "it was asked for in environment demo, not in twin"

    deployed.tiny.write(GUARDED + "# nothing else\n")
    assert refusal() == "since it was asked for, the program changed: __main__.py"
    deployed.tiny.write(GUARDED)

    (deployed.tiny.cloud / "b").write_text("by hand")
    assert refusal() == "since it was asked for, other steps are planned for pulumi-python:dynamic:Thing b"
    (deployed.tiny.cloud / "b").write_text("two")

    configure = f"cd {deployed.tiny.project} && PULUMI_BACKEND_URL={deployed.tiny.backend.as_uri()} pulumi config"
    deployed.tiny.run(f"{configure} set --secret pin 3333 --stack dev")
    assert refusal().startswith("since it was asked for, the configuration changed: tiny:pin")
    (deployed.tiny.project / "Pulumi.dev.yaml").unlink()

    engine = deployed.engine(given=asked_for)
    plan = engine.preview()
    assert deployed.use(asked.digest, plan) == (), "what was approved passes"
    assert "an approval counts once" in deployed.use(asked.digest, plan)[0]

    (deployed.tiny.project / "later.py").write_text("")
    with pytest.raises(ProgramFailed, match=r"the program changed: later\.py"):
        engine.apply(plan)


def test_a_delete_that_was_approved_is_asked_for_again(deployed: Desk) -> None:
    gone = GUARDED.replace("Thing('b', 'two')\n", "")
    deployed.tiny.write(gone)
    first = deployed.engine().preview()
    deployed.ask(first)
    assert deployed.use(first.digest, first) == ()
    deployed.engine().apply(first)
    deployed.tiny.write(GUARDED)
    deployed.engine().apply(deployed.engine().preview())
    deployed.tiny.write(gone)
    again = deployed.engine().preview()
    assert [change.operation for change in again.changes] == [Operation.DELETE]
    assert again.changes == first.changes
    assert deployed.use(first.digest, again)
    assert set(deployed.tiny.things()) == {"a", "b"}


@pytest.mark.parametrize("update_plan", [True, False], ids=["plan", "events"])
def test_what_somebody_else_applied_since_is_not_overwritten(deployed: Desk, *, update_plan: bool) -> None:
    """Two to twenty was approved; then somebody applied thirty. Pulumi's update plan would let thirty become twenty."""
    twenty = GUARDED.replace("'two'", "'twenty'")
    deployed.tiny.write(twenty)
    engine = deployed.engine(update_plan=update_plan)
    asked = engine.preview()
    deployed.ask(asked)
    deployed.tiny.write(GUARDED.replace("'two'", "'thirty'"))
    deployed.engine().apply(deployed.engine().preview())
    deployed.tiny.write(twenty)

    found = deployed.use(asked.digest, deployed.engine(update_plan=update_plan).preview())
    assert any("the state changed" in line and "Thing b" in line for line in found)
    with pytest.raises(ProgramFailed, match=r"the state changed: .*Thing b"):
        engine.apply(asked)
    assert deployed.tiny.things()["b"] == "thirty"


def test_neither_ledger_nor_digest_can_be_searched_for_a_short_secret(deployed: Desk, tmp_path: Path) -> None:
    plan = deployed.engine(given={"PIN": "1111"}).preview()
    deployed.ask(plan)
    with create_engine(f"sqlite:///{tmp_path}/ledger.db").connect() as connection:
        kept: str = connection.execute(text("SELECT parts FROM approvals")).scalar_one()
    assert "1111" not in kept
    assert PIN not in kept
    # With another key no hash of a value is the same: without the key, nobody can try values.
    stranger = deployed.engine("other", given={"PIN": "1111"}).preview()
    for part in (PlanPart.INPUTS, PlanPart.STEPS, PlanPart.STATE, PlanPart.PROGRAM):
        assert plan.parts[part].keys() == stranger.parts[part].keys()
        assert not {*plan.parts[part].values()} & {*stranger.parts[part].values()}
    assert digest_of(plan.parts) == plan.digest


def test_of_many_runs_with_one_approval_one_gets_it(ledger: Ledger, ledger_url: str) -> None:
    runs = 4
    for number in range(10):
        request = ApprovalRequest(environment="demo", digest=f"d{number}", parts={}, requested_by="asking")
        ledger.approvals.ask(request, 3600)
        start = threading.Barrier(runs)

        def attempt(run: str, digest: str = request.digest, start: threading.Barrier = start) -> bool:
            own = open_ledger(ledger_url).approvals
            start.wait()
            return own.use("demo", digest, SAM, reason="", run=run) is not None

        with ThreadPoolExecutor(runs) as pool:
            won = list(pool.map(attempt, map(str, range(runs))))
        assert won.count(True) == 1
        used = ledger.approvals.latest(request.digest)
        assert used is not None
        assert used.used_by == str(won.index(True))


def test_workers_that_start_together_get_one_key(ledger: Ledger, ledger_url: str) -> None:
    start = threading.Barrier(4)

    def ask(_: int) -> bytes:
        own = open_ledger(ledger_url).approvals
        start.wait()
        return own.key("demo")

    with ThreadPoolExecutor(4) as pool:
        assert len({*pool.map(ask, range(4)), ledger.approvals.key("demo")}) == 1


@pytest.mark.parametrize("ledger_url", ["postgresql"], indirect=True)
def test_a_ledger_that_is_away_approves_nothing(ledger: Ledger, sandbox: Sandbox) -> None:
    request = ApprovalRequest(environment="demo", digest="d1", parts={}, requested_by="asking")
    ledger.approvals.ask(request, 3600)
    sandbox.postgres.stop()
    with pytest.raises(TransientError, match="could not record an approval"):
        ledger.approvals.use("demo", "d1", SAM, reason="", run="run")
    sandbox.postgres.start()
    kept = ledger.approvals.latest("d1")
    assert kept is not None
    assert kept.is_open
