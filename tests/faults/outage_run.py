"""A run that holds one credential of each kind, in a process of its own: `python -m tests.faults.outage_run how`.

It reads a secret with its token again and again, and says on one line of JSON what it is asked for by a line of its
input: `try` asks for a new credential, `end` ends the run. `how` is `as it is`, or `through the ledger` for a positive
control in which a renewal counts only when the ledger has been told of it.
"""

import json
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field

import psycopg

from holdtrue.adapters.ledger import database
from holdtrue.credentials.holding import Holding
from holdtrue.credentials.scope import CredentialScope, RunLabel, credential_scope
from holdtrue.credentials.shared import SharedVault
from holdtrue.errors import HoldtrueError
from holdtrue.models.credentials import DatabaseLogin
from tests.faults.held_credentials import PATH, References

READ_SECONDS = 0.2
PATIENCE_SECONDS = 2
"""How long the ledger's database may take in place of 10 s."""


@dataclass
class Watched:
    """What became of the reads."""

    reads: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    over: threading.Event = field(default_factory=threading.Event)


def say(**told: object) -> None:
    sys.stdout.write(f"{json.dumps(told)}\n")
    sys.stdout.flush()


def read_on(vault: SharedVault, login: DatabaseLogin, watched: Watched) -> None:
    while not watched.over.wait(READ_SECONDS):
        watched.reads += 1
        try:
            vault.call(lambda session: session.read_secret("secret", PATH))
        except HoldtrueError as error:
            watched.failures[f"Vault: {type(error).__name__}"] += 1
        if watched.reads % 5 == 0:
            try:
                psycopg.connect(login.url.get_secret_value(), connect_timeout=5).close()
            except psycopg.OperationalError:
                watched.failures["database"] += 1


def work(held: References) -> None:
    held.ssh.issue()
    held.pki.issue()
    held.role_keys.keys()
    login = held.database.login()
    vault = held.vault.connect()
    watched = Watched()
    reader = threading.Thread(target=read_on, args=(vault, login, watched))
    reader.start()
    say(accessor=vault.session().accessor)
    for line in sys.stdin:
        if line.strip() != "try":
            break
        began = time.monotonic()
        try:
            held.pki.issue()
            refusal = ""
        except HoldtrueError as error:
            refusal = str(error)
        say(refusal=refusal, seconds=time.monotonic() - began)
    watched.over.set()
    reader.join()
    say(
        reads=watched.reads,
        failures=watched.failures,
        accessor=vault.session().accessor,
        keys=bool(held.role_keys.keys().secrets),
    )


def write_renewals_through(scope: CredentialScope) -> None:
    """A renewal counts only when the ledger has been told, and an upkeep that fails is not taken up again."""

    def extend(self: Holding, ttl_seconds: int) -> None:
        assert self.lease.expires_at is not None
        scope.ledger().hold(self.id, self.lease.reference, self.lease.expires_at)
        del ttl_seconds

    Holding.extend = extend  # type: ignore[method-assign]


def main() -> None:
    database._WAIT_SECONDS = PATIENCE_SECONDS  # type: ignore[misc]
    held = References.model_validate_json(sys.stdin.readline())
    with credential_scope(RunLabel("outage", "outage", "outage")) as scope:
        if sys.argv[1] == "through the ledger":
            write_renewals_through(scope)
        work(held)
        began = time.monotonic()
    say(end_seconds=time.monotonic() - began)


if __name__ == "__main__":
    main()
