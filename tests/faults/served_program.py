"""A guarded flow that is served, reads a secret from Vault and leaves it in every text, then fails with it.

`python -m tests.faults.served_program FILE`: FILE holds a control, which nothing knows as a secret and which is left in
the same texts. The process serves until it is told to stop.
"""

import os
import sys
from pathlib import Path

from prefect import task
from prefect.events import emit_event
from prefect.logging import get_run_logger

from blocks.vault import VaultCredentials
from holdtrue.credentials.scope import credential_scope
from tasks.redaction import redacted, redacted_run
from tasks.submission import flow

SECRET = "holdtrue/served"
DEPLOYMENT = "served/texts"


@task(log_prints=True)
@redacted
def tell(text: str) -> None:
    """Fails with the text."""
    print(text)  # noqa: T201 - as users do, with log_prints
    raise RuntimeError(text)


@flow(name="served", log_prints=True)
@redacted_run
def served(control_file: str, number: int) -> None:
    """Tells the secret, the control and its process by every way, and fails with them."""
    with credential_scope():
        block = VaultCredentials.load("demo")
        assert isinstance(block, VaultCredentials)
        secret = block.connect().read_secret("secret", SECRET)["password"].get_secret_value()
        control = Path(control_file).read_text()
        text = f"run {number} of process {os.getpid()} has {secret} and {control}."
        get_run_logger().warning(text)
        print(text)  # noqa: T201 - as users do, with log_prints
        emit_event("served.told", {"prefect.resource.id": "served"}, payload={"text": text})
        tell.submit(text).wait()
    raise RuntimeError(text)


if __name__ == "__main__":
    served.serve(name=DEPLOYMENT.rpartition("/")[2], parameters={"control_file": sys.argv[1]})
