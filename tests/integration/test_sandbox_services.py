"""Every service of the sandbox answers for real, and refuses what it should refuse."""

import json
import stat
import subprocess
import time
from collections import Counter
from http import HTTPStatus
from pathlib import Path
from typing import Any

import hvac
import pytest
import requests
from botocore.exceptions import ClientError
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from pydantic import SecretStr

from sandbox import Sandbox, SandboxError
from sandbox.__main__ import describe
from sandbox.daemon import accepts_connections
from sandbox.hosts import SshHost
from sandbox.login import SshLogin
from sandbox.otlp import SpanStatus

SECONDS = 10


def answer_of(url: str) -> str:
    return requests.get(url, timeout=SECONDS).text


def serve_page(login: SshLogin, host: SshHost, text: str) -> None:
    """Start a web server in a host as a playbook would: a daemon that outlives the SSH session."""
    serve = f"nohup {host.python} -m http.server {host.http_port} --bind {host.address} --directory {host.root}"
    script = f"printf %s {text} > {host.root}/index.html; {serve} >/dev/null 2>&1 </dev/null &"
    assert login.run(host, script).returncode == 0
    deadline = time.monotonic() + SECONDS
    while not accepts_connections(host.address, host.http_port):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_openbao_serves_what_the_role_may_read_and_nothing_else(sandbox: Sandbox) -> None:
    vault = sandbox.openbao
    worker = hvac.Client(url=vault.address, verify=str(vault.ca_file), timeout=SECONDS)
    worker.auth.approle.login(vault.role_id, vault.secret_id.get_secret_value())
    stored = worker.secrets.kv.v2.read_secret_version("holdtrue/aws", raise_on_deleted_version=True)["data"]["data"]
    assert stored["access_key_id"] == sandbox.aws.access_key_id
    assert stored["secret_access_key"] == sandbox.aws.secret_access_key.get_secret_value()
    vault.write_secret("other/thing", {"key": "value"})
    with pytest.raises(hvac.exceptions.Forbidden):
        worker.secrets.kv.v2.read_secret_version("other/thing", raise_on_deleted_version=True)
    cipher = worker.secrets.transit.encrypt_data("pulumi", plaintext="aGVsbG8=")["data"]["ciphertext"]
    assert worker.secrets.transit.decrypt_data("pulumi", ciphertext=cipher)["data"]["plaintext"] == "aGVsbG8="


def test_openbao_tls_is_verified(sandbox: Sandbox) -> None:
    with pytest.raises(requests.exceptions.SSLError):
        requests.get(f"{sandbox.openbao.address}/v1/sys/health", timeout=SECONDS)
    ok = requests.get(f"{sandbox.openbao.address}/v1/sys/health", timeout=SECONDS, verify=str(sandbox.openbao.ca_file))
    assert ok.status_code == HTTPStatus.OK


def test_secret_id_and_root_token_are_in_no_file(sandbox: Sandbox) -> None:
    secrets = (sandbox.openbao.secret_id, sandbox.openbao.root_token, sandbox.aws.secret_access_key)
    needles = [secret.get_secret_value().encode() for secret in secrets]
    contents = {path: path.read_bytes() for path in sandbox.directory.rglob("*") if path.is_file()}
    assert [path for path, content in contents.items() if any(needle in content for needle in needles)] == []
    # The search does find what is there.
    assert [path for path, content in contents.items() if sandbox.openbao.user_ca.encode() in content]


def test_description_holds_no_secret(sandbox: Sandbox) -> None:
    places = describe(sandbox)
    assert places["openbao"] == sandbox.openbao.address
    assert places["prefect"] == sandbox.prefect.ui_url
    for secret in (sandbox.openbao.secret_id, sandbox.openbao.root_token, sandbox.aws.secret_access_key):
        assert secret.get_secret_value() not in json.dumps(places)


def test_issued_token_ends_with_its_time(sandbox: Sandbox) -> None:
    token = sandbox.openbao.issue_token(ttl_seconds=600)
    looked_up = sandbox.openbao.client(token).auth.token.lookup_self()["data"]
    assert looked_up["policies"] == ["holdtrue"]
    assert 0 < looked_up["ttl"] <= 600


def test_aws_refuses_every_key_but_its_own(sandbox: Sandbox) -> None:
    assert sandbox.aws.client("sts").get_caller_identity()["Arn"].endswith(":user/holdtrue")
    with pytest.raises(ClientError) as unknown_key:
        sandbox.aws.client("sts", access_key_id="AKIAUNKNOWNUNKNOWN00").get_caller_identity()
    assert unknown_key.value.response["Error"]["Code"] == "InvalidClientTokenId"
    with pytest.raises(ClientError) as wrong_secret:
        sandbox.aws.client("sts", secret_access_key=SecretStr("wrong")).get_caller_identity()
    assert wrong_secret.value.response["Error"]["Code"] == "SignatureDoesNotMatch"


def test_registry_describes_the_running_services(sandbox: Sandbox) -> None:
    ssm = sandbox.aws.client("ssm")
    hosts = json.loads(ssm.get_parameter(Name="/registry/hosts")["Parameter"]["Value"])
    assert [(host["name"], host["address"], host["port"]) for host in hosts] == [
        (host.name, host.address, host.port) for host in sandbox.hosts
    ]
    assert set(hosts[0]) == {"name", "address", "port", "user", "http_port", "root", "python"}
    balancer = json.loads(ssm.get_parameter(Name="/registry/load-balancer")["Parameter"]["Value"])
    assert balancer == {"socket": str(sandbox.load_balancer.socket_path), "url": sandbox.load_balancer.url}


def test_host_lets_in_a_signed_key_and_no_other(sandbox: Sandbox, ssh_login: SshLogin, tmp_path: Path) -> None:
    for host in sandbox.hosts:
        assert ssh_login.run(host, "echo in").stdout == "in\n"
    unsigned = SshLogin(tmp_path / "unsigned", sandbox.openbao, signed=False)
    refused = unsigned.run(sandbox.hosts[0], "echo in")
    assert (refused.returncode, refused.stdout) == (255, "")
    assert "Permission denied" in refused.stderr


def test_host_certificate_is_for_this_host_and_authority(
    sandbox: Sandbox, ssh_login: SshLogin, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _ = sandbox.hosts
    monkeypatch.setattr(first, "host_ca_line", f"@cert-authority * {sandbox.openbao.user_ca}")
    assert ssh_login.run(first, "true").returncode == 255
    monkeypatch.undo()
    monkeypatch.setattr(first, "address", "localhost")
    assert ssh_login.run(first, "true").returncode == 255, "localhost is no principal of the certificate"
    monkeypatch.undo()
    assert ssh_login.run(first, "true").returncode == 0


def test_host_takes_files_by_sftp(clean_sandbox: Sandbox, ssh_login: SshLogin, tmp_path: Path) -> None:
    host = clean_sandbox.hosts[0]
    (tmp_path / "sent").write_text("content")
    options = ssh_login.command(host)
    sftp = ["sftp", *options[1:-3], "-P", str(host.port), "-b", "-", options[-1]]
    put = f"put {tmp_path / 'sent'} {host.root}/received\n"
    subprocess.run(sftp, input=put, text=True, check=True, capture_output=True, timeout=SECONDS)
    assert (host.world / "received").read_text() == "content"


def test_hosts_tell_their_processes_apart_and_can_be_wiped(clean_sandbox: Sandbox, ssh_login: SshLogin) -> None:
    first, second = clean_sandbox.hosts
    serve_page(ssh_login, first, "one")
    assert [found.command[1:3] for found in first.processes()] == [("-m", "http.server")]
    assert second.processes() == ()
    assert list(first.world.iterdir())
    first.wipe()
    assert first.processes() == ()
    assert list(first.world.iterdir()) == []


def test_load_balancer_follows_its_weights_exactly(clean_sandbox: Sandbox, ssh_login: SshLogin) -> None:
    balancer = clean_sandbox.load_balancer
    assert balancer.weights() == {"standby": 100, "web-1": 0, "web-2": 0}
    assert {answer_of(balancer.url) for _ in range(10)} == {"standby"}
    for host in clean_sandbox.hosts:
        serve_page(ssh_login, host, host.name)
    assert balancer.command("set server web/web-1 weight 25; set server web/standby weight 75") == ""
    assert Counter(answer_of(balancer.url) for _ in range(20)) == {"standby": 15, "web-1": 5}
    balancer.reset()
    assert {answer_of(balancer.url) for _ in range(10)} == {"standby"}


def test_load_balancer_socket_is_private_and_short(sandbox: Sandbox) -> None:
    socket_path = sandbox.load_balancer.socket_path
    assert stat.S_IMODE(socket_path.stat().st_mode) == 0o600
    assert stat.S_IMODE(sandbox.directory.stat().st_mode) == 0o700
    assert len(str(socket_path)) < 100
    assert sandbox.load_balancer.command("set server web/nobody weight 1") != ""


def test_otlp_sink_receives_spans_of_the_real_sdk(clean_sandbox: Sandbox) -> None:
    sink = clean_sandbox.otlp
    provider = TracerProvider(resource=Resource.create({"service.name": "holdtrue"}))
    provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(endpoint=f"{sink.endpoint}/v1/traces")))
    tracer = provider.get_tracer("test")
    with tracer.start_as_current_span("parent", attributes={"hosts": ["a", "b"], "count": 2}):
        with pytest.raises(ValueError, match="broken"), tracer.start_as_current_span("child"):
            raise ValueError("broken")
        assert trace.get_current_span().is_recording()
    provider.shutdown()
    child = sink.wait_for(lambda span: span.name == "child", SECONDS)
    parent = sink.wait_for(lambda span: span.name == "parent", SECONDS)
    assert (child.trace_id, child.parent_span_id) == (parent.trace_id, parent.span_id)
    assert parent.parent_span_id is None
    assert parent.service_name == "holdtrue"
    assert dict(parent.attributes) == {"hosts": ("a", "b"), "count": 2}
    assert (parent.status, child.status) == (SpanStatus.UNSET, SpanStatus.ERROR)
    assert child.events[0].attributes["exception.message"] == "broken"
    assert any(b"broken" in payload for payload in sink.payloads())
    with pytest.raises(SandboxError):
        sink.wait_for(lambda span: span.name == "never", 0.1)


@pytest.mark.parametrize(("path", "status"), [("/v1/metrics", 200), ("/v1/logs", 200), ("/v1/other", 404)])
def test_otlp_sink_accepts_the_other_signals(sandbox: Sandbox, path: str, status: int) -> None:
    assert requests.post(sandbox.otlp.endpoint + path, data=b"", timeout=SECONDS).status_code == status


def test_otlp_sink_refuses_what_is_no_trace(sandbox: Sandbox) -> None:
    answer = requests.post(f"{sandbox.otlp.endpoint}/v1/traces", data=b"\xff\xff", timeout=SECONDS)
    assert answer.status_code == HTTPStatus.BAD_REQUEST


def test_osv_answers_queries_batches_and_ids(clean_sandbox: Sandbox) -> None:
    api = f"{clean_sandbox.osv.url}/v1"
    vulnerable: Any = {"package": {"name": "Demo.Yamlish", "ecosystem": "PyPI"}, "version": "1.0.0"}
    fixed: Any = {"package": {"purl": "pkg:pypi/demo-yamlish@1.0.1"}}
    found = requests.post(f"{api}/query", json=vulnerable, timeout=SECONDS).json()["vulns"]
    assert {advisory["id"] for advisory in found} == {"PYSEC-2099-0001", "GHSA-test-yaml-0001"}
    assert requests.post(f"{api}/query", json=fixed, timeout=SECONDS).json() == {}
    batch = requests.post(f"{api}/querybatch", json={"queries": [fixed, vulnerable]}, timeout=SECONDS).json()
    assert batch["results"][0] == {}
    assert set(batch["results"][1]["vulns"][0]) == {"id", "modified"}
    assert requests.get(f"{api}/vulns/PYSEC-2099-0004", timeout=SECONDS).json()["withdrawn"]
    assert requests.get(f"{api}/vulns/PYSEC-2099-9999", timeout=SECONDS).status_code == HTTPStatus.NOT_FOUND
    too_many = requests.post(f"{api}/querybatch", json={"queries": [fixed] * 1001}, timeout=SECONDS)
    assert too_many.status_code == HTTPStatus.BAD_REQUEST
    assert requests.post(f"{api}/query", data=b"<html>", timeout=SECONDS).status_code == HTTPStatus.BAD_REQUEST
    assert clean_sandbox.osv.request_counts() == {"query": 3, "querybatch": 2, "vulns": 2}


def test_prefect_has_the_pool_and_a_dashboard(sandbox: Sandbox) -> None:
    pool = requests.get(f"{sandbox.prefect.api_url}/work_pools/holdtrue", timeout=SECONDS).json()
    assert (pool["type"], pool["is_paused"]) == ("process", False)
    assert "text/html" in requests.get(sandbox.prefect.ui_url, timeout=SECONDS).headers["content-type"]
    assert (sandbox.prefect.home / "prefect.db").exists()


def test_environment_points_into_the_sandbox(sandbox: Sandbox) -> None:
    environment = sandbox.environment()
    assert environment["PREFECT_API_URL"] == sandbox.prefect.api_url
    assert environment["OTEL_EXPORTER_OTLP_ENDPOINT"] == sandbox.otlp.endpoint
    assert environment["HOLDTRUE_OSV_URL"] == sandbox.osv.url
    assert environment["HOLDTRUE_VAULT_SECRET_ID"] == sandbox.openbao.secret_id.get_secret_value()
    assert sandbox.state_directory.is_dir()
    assert sandbox.state_url == f"file://{sandbox.state_directory}"
