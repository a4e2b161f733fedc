"""`serve` pickles a flow for another process: it arrives whole and guarded, and takes no secret along."""

from typing import Any

import cloudpickle  # type: ignore[import-untyped]
import prefect
import pytest
from pydantic import SecretStr

from flows.audit import audit
from flows.drift import drift
from flows.provision import provision
from flows.sweep import sweep
from flows.validate import validate
from holdtrue.errors import SecretExposed
from holdtrue.runtime.redaction import SECRETS, register_secret
from tasks.redaction import redacted_run
from tasks.submission import GuardedFlow, flow

VALUE = "s3cr3t-that-stays-here"


@prefect.flow(name="redacted")
@redacted_run
def unguarded() -> str:
    return VALUE


@flow(name="guarded")
@redacted_run
def guarded(note: str = "") -> int:
    return len(note)


FLOWS = (provision, validate, drift, audit, sweep, guarded, unguarded)


@pytest.mark.parametrize("one", FLOWS, ids=lambda one: one.name)
def test_a_flow_can_be_pickled_without_what_this_process_knows(one: prefect.Flow[Any, Any]) -> None:
    with SECRETS.open():
        register_secret(SecretStr("s3cr3t-of-this-process"), name="canary")
        pickled = cloudpickle.dumps(one)
    arrived = cloudpickle.loads(pickled)
    assert (type(arrived), arrived.name) == (type(one), one.name)
    assert b"s3cr3t-of-this-process" not in pickled


def test_positive_control_what_a_flow_holds_is_in_what_is_pickled() -> None:
    assert VALUE.encode() in cloudpickle.dumps(unguarded)


def test_a_flow_that_arrived_is_guarded() -> None:
    arrived: GuardedFlow[[str], int] = cloudpickle.loads(cloudpickle.dumps(guarded))
    assert arrived("eu-central-1") == len("eu-central-1")
    with pytest.raises(SecretExposed):
        arrived("hvs." + "CAESIJ" * 6)
