"""What the live advisory sources make of HTTP when it fails: again, later, or an error that names the place."""

import gzip
import json
import ssl
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from holdtrue.adapters.osv_api import OsvApi
from holdtrue.adapters.pip_audit_source import PipAuditSource
from holdtrue.adapters.pypi_advisories import PypiAdvisories
from holdtrue.errors import RejectedError, ServiceNotReady, ServiceUnreachable, TransientError
from holdtrue.models.osv import Certainty, SourceAnswer
from holdtrue.runtime.http_retry import RetryPolicy
from sandbox.certificates import issue_loopback_certificate
from tests.integration.advisory_questions import BATCH, POLICY, A, B, Clock, ask, found
from tests.integration.osv_fault_server import Fault, FaultServer, advisory


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer() as running:
        yield running


@pytest.mark.parametrize("status", [400, 401, 403, 404, 418])
def test_a_status_that_does_not_pass_is_not_asked_again(server: FaultServer, status: int) -> None:
    server.faults = [Fault(".*", status)]

    with pytest.raises(ServiceNotReady, match=str(status)):
        ask(server)

    assert len(server.asked) == 1


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_status_that_may_pass_is_asked_again_and_then_given_up(server: FaultServer, status: int) -> None:
    server.faults = [Fault(".*", status)]

    with pytest.raises(ServiceNotReady, match=str(status)):
        ask(server)

    assert len(server.asked) == POLICY.attempts


@pytest.mark.parametrize("fault", [Fault(BATCH, 503), Fault(BATCH, 429), Fault(BATCH, is_cut=True)], ids=str)
def test_a_failure_that_passes_costs_nothing(server: FaultServer, fault: Fault) -> None:
    fault.times = 2
    server.faults = [fault]
    server.add(advisory("demo-b"))

    answer = ask(server)

    assert (found(answer, B), answer.unanswered) == (["PYSEC-2099-1"], {})


def test_pauses_grow(server: FaultServer) -> None:
    server.faults = [Fault(BATCH, 503, times=3)]
    clock = Clock()
    policy = RetryPolicy(attempts=4, first_pause_seconds=1)

    OsvApi(server.url, cache_folder=None, retries=policy, sleep=clock).ask([A])

    assert [low <= pause <= 2 * low for low, pause in zip((0.5, 1, 2), clock.pauses, strict=True)] == [True] * 3


@pytest.mark.parametrize(
    ("header", "least", "most"),
    [
        ("7", 7, 7),
        (format_datetime(datetime.now(UTC) + timedelta(seconds=3000), usegmt=True), 30, 30),
        ("86400", 30, 30),
        ("soon", 0, 1),
        (format_datetime(datetime(2001, 1, 1, tzinfo=UTC), usegmt=True), 0, 1),
    ],
    ids=["seconds", "a time in an hour", "a day", "not a number", "a time in the past"],
)
def test_retry_after_is_honoured_up_to_a_limit(server: FaultServer, header: str, least: float, most: float) -> None:
    server.faults = [Fault(BATCH, 429, headers={"Retry-After": header}, times=1)]
    clock = Clock()

    OsvApi(server.url, cache_folder=None, sleep=clock).ask([A])

    assert [least <= pause <= most for pause in clock.pauses] == [True]


def test_no_pause_leads_past_the_time_allowed(server: FaultServer) -> None:
    server.faults = [Fault(BATCH, 429, headers={"Retry-After": "20"})]
    clock = Clock()

    with pytest.raises(ServiceNotReady, match="20 s"):
        OsvApi(server.url, cache_folder=None, retries=RetryPolicy(total_seconds=10), sleep=clock).ask([A])

    assert clock.pauses == []


def test_a_silent_source_is_unreachable(server: FaultServer) -> None:
    server.faults = [Fault(BATCH, delay_seconds=30)]

    with pytest.raises(ServiceUnreachable) as caught:
        ask(server, timeout=0.2)

    assert caught.value.where == f"{server.url}{BATCH}"
    assert len(server.asked) == POLICY.attempts


def test_a_source_that_drips_ends_with_the_time_allowed(server: FaultServer) -> None:
    server.faults = [Fault(BATCH, body=b'{"results": [' + b" " * 1000, drip_seconds=0.02)]
    started = time.monotonic()

    with pytest.raises(ServiceUnreachable):
        ask(server, policy=RetryPolicy(total_seconds=0.3))

    assert time.monotonic() - started < 3


def test_nobody_listening_is_unreachable() -> None:
    clock = Clock()

    with pytest.raises(ServiceUnreachable):
        OsvApi("http://127.0.0.1:1", cache_folder=None, retries=POLICY, sleep=clock).ask([A])

    assert len(clock.pauses) == POLICY.attempts - 1


def test_a_name_that_cannot_exist_is_unreachable() -> None:
    with pytest.raises(ServiceUnreachable):
        OsvApi(f"http://{'x' * 70}.invalid", cache_folder=None, retries=POLICY, sleep=Clock()).ask([A])


def test_an_untrusted_certificate_is_named_and_a_trusted_one_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = issue_loopback_certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate, files.key)
    with FaultServer(tls=context) as server:
        with pytest.raises(ServiceUnreachable, match="certificate"):
            ask(server)

        monkeypatch.setenv("SSL_CERT_FILE", str(files.authority))
        assert ask(server) == SourceAnswer()


def test_a_server_without_tls_is_named(server: FaultServer) -> None:
    with pytest.raises(ServiceUnreachable, match="TLS"):
        OsvApi(server.url.replace("http:", "https:"), cache_folder=None, retries=POLICY, sleep=Clock()).ask([A])


@pytest.mark.parametrize("proxy", ["http://user:s3cr3t-value@127.0.0.1:1", "gopher://user:s3cr3t-value@127.0.0.1:1"])
def test_a_broken_proxy_is_named_without_its_password(monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
    monkeypatch.setenv("ALL_PROXY", proxy)

    with pytest.raises((TransientError, RejectedError)) as caught:
        OsvApi("http://osv.invalid", cache_folder=None, retries=POLICY, sleep=Clock()).ask([A])

    assert "s3cr3t" not in f"{caught.value}{caught.value.__cause__}"


@pytest.mark.parametrize(
    "address",
    ["ftp://h.example", "osv.example", "", "http://user:s3cr3t-value@h.example", "http://h.example?token=s3cr3t-value",
     "http://h.example/#s3cr3t-value", "http://h.example:70000"],
)  # fmt: skip
def test_an_address_that_cannot_be_used_is_refused(address: str) -> None:
    for make in (
        lambda: OsvApi(address, cache_folder=None),
        lambda: PypiAdvisories(address),
        lambda: PipAuditSource(address),
    ):
        with pytest.raises(RejectedError) as caught:
            make()
        assert "s3cr3t" not in str(caught.value)


def test_a_redirect_to_another_host_is_not_followed(server: FaultServer) -> None:
    server.add(advisory("demo-a"))
    with FaultServer(records=server.records) as elsewhere:
        server.faults = [Fault("/v1/vulns/.*", 302, headers={"Location": f"{elsewhere.url}/v1/vulns/PYSEC-2099-1"})]

        answer = ask(server, A)

        assert elsewhere.asked == []
    assert [item.certainty for item in answer.matches[A]] == [Certainty.POSSIBLE]
    assert "302" in answer.unanswered[A]


def test_a_redirect_of_the_source_itself_is_followed_and_a_circle_is_not(server: FaultServer) -> None:
    server.add(advisory("demo-a"), advisory("demo-b", "PYSEC-2099-2"))
    server.faults = [
        Fault("/v1/vulns/PYSEC-2099-1", 301, headers={"Location": "/v1/vulns/PYSEC-2099-1/"}),
        Fault("/v1/vulns/PYSEC-2099-2", 301, headers={"Location": "/v1/vulns/PYSEC-2099-2"}),
    ]

    answer = ask(server, A, B)

    assert answer.matches[A][0].certainty is Certainty.AFFECTED
    assert answer.unanswered.keys() == {B}


@pytest.mark.parametrize("is_packed", [True, False])
def test_an_endless_answer_is_cut(server: FaultServer, monkeypatch: pytest.MonkeyPatch, *, is_packed: bool) -> None:
    monkeypatch.setattr("holdtrue.runtime.osv_batch._ANSWER_LIMIT_BYTES", 10_000)
    large = json.dumps({"results": [{}], "x": "x" * 20_000}).encode()
    packed = {"Content-Encoding": "gzip"} if is_packed else {}
    server.faults = [Fault(BATCH, body=gzip.compress(large) if is_packed else large, headers=packed)]

    with pytest.raises(ServiceNotReady, match="more than 10000 bytes"):
        ask(server, A)


def test_packed_answers_are_read_and_cut_ones_are_not(server: FaultServer) -> None:
    packed = gzip.compress(b'{"results": [{}]}')
    gzipped = {"Content-Encoding": "gzip"}
    server.faults = [Fault(BATCH, body=packed, headers=gzipped, times=1)]
    assert ask(server, A) == SourceAnswer()

    for body in (packed[:-3], b"no gzip"):
        server.faults = [Fault(BATCH, body=body, headers=gzipped)]
        with pytest.raises(ServiceNotReady, match="gzip"):
            ask(server, A)
