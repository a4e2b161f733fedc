"""A flow that reads secrets from Vault and tries to leave each of them with Prefect, each in another way.

`python -m tests.faults.texts_program FILE`: the file is JSON with a control for each way: a value that nothing knows
as a secret, left in the same way. The names of the ways that were refused are printed as JSON.
"""

import json
import sys
from pathlib import Path

import prefect
from prefect.events.worker import EventsWorker
from prefect.logging.handlers import APILogWorker

from blocks.vault import VaultCredentials
from holdtrue.credentials.scope import credential_scope
from holdtrue.errors import SecretExposed
from tasks.redaction import redacted_run
from tests.flows.ways_into_prefect import DATA, TEXTS

SECRET = "holdtrue/texts"


def leave_all(controls: dict[str, str]) -> list[str]:
    """Names of the ways in which the secret was refused."""
    refused: list[str] = []

    @prefect.flow(name="texts")
    @redacted_run
    def texts() -> None:
        with credential_scope():
            block = VaultCredentials.load("demo")
            assert isinstance(block, VaultCredentials)
            fields = block.connect().read_secret("secret", SECRET)
            for way in (*TEXTS, *DATA):
                try:
                    way(fields[way.__name__].get_secret_value())
                except SecretExposed:
                    refused.append(way.__name__)
                way(controls[way.__name__])

    texts()
    return refused


if __name__ == "__main__":
    found = leave_all(json.loads(Path(sys.argv[1]).read_text()))
    APILogWorker.drain_all()
    EventsWorker.drain_all()
    sys.stdout.write(f"\nrefused: {json.dumps(found)}\n")
