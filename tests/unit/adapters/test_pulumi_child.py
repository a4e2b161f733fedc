"""What the child sends to its worker when an event cannot be passed on."""

import io

import pytest
from pulumi.automation import EngineEvent

from holdtrue.adapters.pulumi.child import Channel
from holdtrue.adapters.pulumi.journal import Journal
from holdtrue.adapters.pulumi.messages import Diagnostic, Snapshot, Step, write_message
from holdtrue.models.base import ignore_progress

URN = "urn:pulumi:dev::tiny::aws:s3/bucket:Bucket::assets"


def test_a_message_within_the_limit_is_sent_and_nothing_is_lost() -> None:
    stream = io.StringIO()
    channel = Channel(stream)
    channel.send(Diagnostic("info", "hello"))
    assert stream.getvalue().count("\n") == 1
    assert channel.lost is None


def test_a_resource_that_is_too_large_is_named_without_its_values() -> None:
    stream = io.StringIO()
    channel = Channel(stream)
    inputs = {f"name{number}": "a value" * 10 for number in range(20_000)}
    channel.send(Step("done", "create", URN, "aws:s3/bucket:Bucket", after=Snapshot(inputs=dict(inputs))))
    assert stream.getvalue() == ""
    assert channel.lost is not None
    assert channel.lost.source == "message"
    assert URN in channel.lost.text
    assert "a value" not in channel.lost.text


def test_an_event_that_cannot_be_read_is_noted_although_the_sdk_discards_the_exception() -> None:
    channel = Channel(io.StringIO())
    event = EngineEvent(sequence=1, timestamp=1)
    event.resource_pre_event = object()  # type: ignore[assignment] # an event of another release
    with pytest.raises(AttributeError):
        channel.pass_on(event)
    assert channel.lost is not None
    assert (channel.lost.source, "AttributeError" in channel.lost.text) == ("event", True)


def test_the_worker_knows_where_a_failure_comes_from() -> None:
    channel = Channel(io.StringIO())
    channel.send(Diagnostic("info", "x" * 1_000_001))
    assert channel.lost is not None
    journal = Journal(ignore_progress, ())
    journal.read_line(write_message(channel.lost))
    assert (journal.failure_source, journal.finished) == ("message", False)
