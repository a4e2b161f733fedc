"""The ledger is away for longer than a token lives: what runs hold goes on, and the ledger is told when it is back.

One outage for all: a PostgreSQL that was ended, one that is stopped (SIGSTOP), and an SQLite file that is locked. Each
has a run that lasts, one that ends meanwhile, and the first one also a run that is killed meanwhile.
"""

import json
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import pytest

from holdtrue.adapters.ledger import open_ledger
from holdtrue.credentials.entry import END_SECONDS
from holdtrue.credentials.scope import credential_scope
from holdtrue.credentials.sweep import sweep
from holdtrue.models.lease import Lease, LeaseKind
from holdtrue.models.ledger import Ledger
from holdtrue.models.sweep import SweepOutcome
from sandbox import Sandbox, SandboxOptions
from sandbox.options import Service
from tests.conftest import Watch
from tests.faults.held_credentials import Held

TOKEN_SECONDS: Final = 8
AWAY_SECONDS: Final = 16.0
BACK_SECONDS: Final = 10.0
"""How soon the ledger has to know what happened while it was away."""

ENDED, STOPPED, LOCKED = "ended", "stopped", "locked"
WAYS: Final = (ENDED, STOPPED, LOCKED)


@dataclass
class Run:
    """One process, and what it has said."""

    process: subprocess.Popen[str]
    accessor: str = ""
    refusal: str = ""
    refusal_seconds: float = 0.0
    end: dict[str, Any] = field(default_factory=dict)
    end_seconds: float = 0.0
    log: str = ""

    def said(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            assert self.process.stderr is not None
            raise AssertionError(self.process.stderr.read())
        told: dict[str, Any] = json.loads(line)
        return told

    def ask(self, word: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{word}\n")
        self.process.stdin.flush()

    def begin(self, references: str) -> "Run":
        self.ask(references)
        self.accessor = self.said()["accessor"]
        return self

    def try_to_obtain(self) -> None:
        self.ask("try")
        told = self.said()
        self.refusal, self.refusal_seconds = told["refusal"], told["seconds"]

    def finish(self) -> None:
        self.ask("end")
        self.end = self.said()
        self.end_seconds = self.said()["end_seconds"]
        assert self.process.stderr is not None
        self.log = self.process.stderr.read()
        assert self.process.wait(30) == 0, self.log


@dataclass
class Outage:
    """The runs by the way in which their ledger was away, and the ledgers."""

    lasting: dict[str, Run]
    ending: dict[str, Run]
    killed: Run
    control: Run
    ledgers: dict[str, Ledger]
    tokens_meanwhile: frozenset[str]
    """Accessors of the tokens that lived when the ending runs were over and the ledgers still away."""
    known_when_back: dict[str, bool]
    stale: tuple[Lease, ...]
    """The killed run's leases as the ledger has them."""
    killed_at: datetime


@pytest.fixture(scope="module")
def held(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Held:
    return Held(sandbox, tmp_path_factory.mktemp("outage"))


@pytest.fixture(scope="module")
def outage(held: Held, watch_services: Watch, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outage]:
    folder = tmp_path_factory.mktemp("ledger")
    postgres = SandboxOptions(services=frozenset({Service.POSTGRES}))
    with ThreadPoolExecutor(8) as pool, ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        gone, frozen = pool.map(stack.enter_context, (Sandbox(postgres), Sandbox(postgres)))
        for own in (gone, frozen):
            stack.enter_context(watch_services(own.log_directory))
        urls = {
            ENDED: gone.postgres.url().get_secret_value(),
            STOPPED: frozen.postgres.url().get_secret_value(),
            LOCKED: f"sqlite:///{folder}/ledger.db",
        }
        ledgers = {way: open_ledger(url) for way, url in urls.items()}
        patch.setenv("HOLDTRUE_LEDGER_URL", f"sqlite:///{folder}/own.db")
        references = held.references(ttl_seconds=TOKEN_SECONDS, lease_seconds=TOKEN_SECONDS).model_dump_json()

        def start(way: str, how: str = "as it is") -> Run:
            process = subprocess.Popen(
                (sys.executable, "-m", "tests.faults.outage_run", how),
                env=os.environ | {"HOLDTRUE_LEDGER_URL": urls[way]},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            stack.callback(process.communicate)
            stack.callback(process.kill)
            return Run(process).begin(references)

        lasting = dict(zip(WAYS, pool.map(start, WAYS), strict=True))
        ending = dict(zip(WAYS, pool.map(start, WAYS), strict=True))
        killed, control = pool.map(start, (ENDED, ENDED), ("as it is", "through the ledger"))

        began = time.monotonic()
        lock = stack.enter_context(closing(sqlite3.connect(folder / "ledger.db", isolation_level=None)))
        lock.execute("BEGIN EXCLUSIVE")
        gone.postgres.stop()
        frozen.postgres.pause()
        ends = [pool.submit(run.finish) for run in ending.values()]
        tries = [pool.submit(run.try_to_obtain) for run in lasting.values()]
        for done in (*ends, *tries):
            done.result(60)
        tokens_meanwhile = held.sandbox.openbao.accessors()
        time.sleep(max(0.0, AWAY_SECONDS - (time.monotonic() - began)))
        killed.process.kill()
        killed_at = datetime.now(UTC)
        killed.process.wait(10)
        lock.execute("ROLLBACK")
        gone.postgres.start()
        frozen.postgres.resume()

        known = {way: knows_of_renewals(ledgers[way], lasting[way].process.pid) for way in WAYS}
        stale = leases_of(ledgers[ENDED], killed.process.pid)
        for done in [pool.submit(run.finish) for run in (*lasting.values(), control)]:
            done.result(60)
        yield Outage(lasting, ending, killed, control, ledgers, tokens_meanwhile, known, stale, killed_at)


def leases_of(ledger: Ledger, process_id: int) -> tuple[Lease, ...]:
    """What the ledger lists of a process as not settled."""
    return next((found.leases for found in ledger.unsettled() if found.holder.process.pid == process_id), ())


def knows_of_renewals(ledger: Ledger, process_id: int) -> bool:
    """Whether the ledger comes to know that the token and the database's user live on."""
    deadline = time.monotonic() + BACK_SECONDS
    while time.monotonic() < deadline:
        renewed = [
            lease for lease in leases_of(ledger, process_id) if lease.kind in (LeaseKind.TOKEN, LeaseKind.SECRET)
        ]
        if len(renewed) == 2 and all(lease.expires_at and lease.expires_at > datetime.now(UTC) for lease in renewed):
            return True
        time.sleep(0.1)
    return False


EXPECTED = pytest.mark.expected_service_errors(
    "postgres",
    'password authentication failed for user "v-',
    "The user of the positive control expires.",
)


@EXPECTED
@pytest.mark.parametrize("way", WAYS)
def test_what_a_run_holds_goes_on(outage: Outage, way: str) -> None:
    run = outage.lasting[way]
    assert run.end["failures"] == {}
    assert run.end["reads"] > AWAY_SECONDS, "one a second, at the least"
    assert run.end["accessor"] == run.accessor, "it is the same token"
    assert run.end["keys"], "the keys that it has stay usable"


def test_positive_control_renewals_that_wait_for_the_ledger_are_noticed(outage: Outage) -> None:
    failures = outage.control.end["failures"]
    assert failures["Vault: ServiceUnreachable"] > 1
    assert failures["database"]


@pytest.mark.parametrize("way", WAYS)
def test_the_ledger_is_told_when_it_is_back(outage: Outage, way: str) -> None:
    assert outage.known_when_back[way]


@pytest.mark.parametrize("way", WAYS)
def test_a_new_credential_is_refused_in_time(outage: Outage, way: str) -> None:
    run = outage.lasting[way]
    assert "note a request in the ledger" in run.refusal
    assert run.refusal_seconds < AWAY_SECONDS


@pytest.mark.parametrize("way", WAYS)
def test_a_run_that_ends_meanwhile_revokes_all_and_says_what_is_not_recorded(outage: Outage, way: str) -> None:
    run = outage.ending[way]
    assert run.accessor not in outage.tokens_meanwhile
    assert {lasting.accessor for lasting in outage.lasting.values()} <= outage.tokens_meanwhile, "positive control"
    assert run.end_seconds < END_SECONDS + 3
    assert "could not record in the ledger" in run.log
    assert "could not revoke" not in run.log


@pytest.mark.parametrize("way", WAYS)
def test_nothing_is_left_after_the_runs_but_what_a_sweep_clears(
    outage: Outage, held: Held, way: str, ledger_after_the_sweep: Callable[[str], Ledger]
) -> None:
    assert not {run.accessor for run in (*outage.lasting.values(), *outage.ending.values())} & (
        held.sandbox.openbao.accessors()
    )
    assert leases_of(outage.ledgers[way], outage.lasting[way].process.pid) == ()
    ledger = ledger_after_the_sweep(way)
    left = [lease for found in ledger.unsettled() for lease in found.leases]
    assert {lease.kind for lease in left} <= {LeaseKind.CERTIFICATE}, "the sweep's policy has no path of PKI here"


def test_the_leases_of_a_run_that_was_killed_meanwhile_are_swept(outage: Outage, held: Held) -> None:
    kinds = {lease.kind: lease for lease in outage.stale}
    token = kinds[LeaseKind.TOKEN]
    assert token.reference == outage.killed.accessor
    assert token.expires_at is not None
    assert token.expires_at < outage.killed_at, "the ledger was not told of its last renewals"
    assert set(kinds) == set(LeaseKind), "each kind was in the ledger before it was used"
    assert outage.killed.accessor not in held.sandbox.openbao.accessors()


@pytest.fixture(scope="module")
def ledger_after_the_sweep(outage: Outage, held: Held) -> Callable[[str], Ledger]:
    """Sweeps each ledger once."""
    swept: dict[str, Ledger] = {}

    def after(way: str) -> Ledger:
        if way not in swept:
            with credential_scope():
                report = sweep(outage.ledgers[way], [held.sweeper()])
            assert not report.of(SweepOutcome.LOST), report
            swept[way] = outage.ledgers[way]
        return swept[way]

    return after
