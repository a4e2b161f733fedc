"""What children say is redacted as it arrives, before anything is cut or shown."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from holdtrue.adapters.ansible.events import TaskEnded, Text, parse_event
from holdtrue.adapters.pulumi.evidence import Evidence
from holdtrue.adapters.pulumi.failures import translate
from holdtrue.adapters.pulumi.journal import Journal
from holdtrue.adapters.pulumi.messages import Diagnostic, Failed, Message, Snapshot, Step, write_message
from holdtrue.core.forms import REPLACEMENT
from holdtrue.errors import UnavailableError
from holdtrue.models.base import Progress
from holdtrue.runtime.redaction import SECRETS, register_secret

REGISTERED = "s3cr3t-canary/value"
OWN = "own-s3cr3t-of-the-stack"


@pytest.fixture(autouse=True)
def known() -> Iterator[None]:
    with SECRETS.open():
        register_secret(SecretStr(REGISTERED), name="canary")
        yield


def journal_of(*messages: Message) -> tuple[Journal, list[Progress]]:
    lines: list[Progress] = []
    journal = Journal(lines.append, (OWN,))
    for message in messages:
        journal.read_line(write_message(message))
    return journal, lines


def test_an_event_of_ansible() -> None:
    result = {"msg": f"is {REGISTERED}", "stderr": json.dumps({"x": REGISTERED}), "diffs": [], "failed": True}
    event = {"kind": "result", "event": "runner_on_failed", "host": "web-1", "task": "t", "module": "m"}

    seen = parse_event(json.dumps({**event, "ignored": False, "result": result}))

    assert isinstance(seen, TaskEnded)
    assert seen.result.msg == f"is {REPLACEMENT}"
    assert REGISTERED not in repr(seen)
    assert parse_event(json.dumps({"kind": "text", "text": f"[ERROR]: {REGISTERED}"})) == Text(
        kind="text", text=f"[ERROR]: {REPLACEMENT}"
    )


@pytest.mark.parametrize("line", ["", f"hello {REGISTERED}", "[]", f'{{"kind": "{REGISTERED}"}}'])
def test_a_line_that_is_no_event_is_refused_without_being_quoted(line: str) -> None:
    with pytest.raises(UnavailableError) as refused:
        parse_event(line)
    assert REGISTERED not in str(refused.value)


@pytest.mark.parametrize("secret", [REGISTERED, OWN])
@pytest.mark.parametrize("padding", [0, 590])
def test_a_message_of_pulumi(secret: str, padding: int) -> None:
    """With the padding, the limit of a line falls into the middle of the secret."""
    text = "x" * padding + f" token={secret} and so on " + "y" * 600
    journal, lines = journal_of(Diagnostic("error", text), Failed(text))

    error = translate(Evidence("up", "demo", Path(), diagnostics=journal.diagnostics, text=journal.failure or ""))

    shown = "".join(line.message for line in lines) + str(error) + repr(journal.diagnostics) + str(journal.failure)
    assert secret[:9] not in shown
    assert REPLACEMENT[:9] in shown


def test_what_pulumi_reports_as_data_stays_data() -> None:
    step = Step("done", "update", "urn:pulumi:d::p::x:Y::z", "x:Y", after=Snapshot(outputs={"token": REGISTERED}))
    journal, _ = journal_of(step)

    assert journal.steps == [step]
