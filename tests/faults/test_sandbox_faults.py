"""Every service can be made to fail in the ways a test needs, and comes back as it was."""

import hvac
import pytest
import requests
from botocore.exceptions import BotoCoreError

from sandbox import Sandbox, SandboxError, SandboxOptions, Service
from sandbox.login import SshLogin
from tests.conftest import Watch


def test_openbao_seals_and_unseals(clean_sandbox: Sandbox) -> None:
    vault = clean_sandbox.openbao
    vault.seal()
    with pytest.raises(hvac.exceptions.VaultDown):
        vault.client().secrets.kv.v2.read_secret_version("holdtrue/aws", raise_on_deleted_version=True)
    vault.unseal()
    assert vault.client().is_authenticated()


def test_openbao_stops_and_starts_with_its_data(clean_sandbox: Sandbox) -> None:
    vault = clean_sandbox.openbao
    vault.stop()
    with pytest.raises(requests.exceptions.ConnectionError):
        vault.client().is_authenticated()
    vault.start()
    worker = hvac.Client(url=vault.address, verify=str(vault.ca_file))
    worker.auth.approle.login(vault.role_id, vault.secret_id.get_secret_value())
    assert worker.is_authenticated()


def test_openbao_in_memory_says_that_its_data_is_lost(watch_services: Watch) -> None:
    options = SandboxOptions(services=frozenset({Service.OPENBAO}))
    with Sandbox(options) as small, watch_services(small.log_directory):
        small.openbao.stop()
        with pytest.raises(SandboxError, match="durable_vault"):
            small.openbao.start()


def test_openbao_hangs_while_paused(clean_sandbox: Sandbox) -> None:
    vault = clean_sandbox.openbao
    vault.pause()
    with pytest.raises(requests.exceptions.ReadTimeout):
        requests.get(f"{vault.address}/v1/sys/health", timeout=0.5, verify=str(vault.ca_file))
    vault.resume()
    assert vault.client().is_authenticated()


def test_secret_id_of_a_short_life_is_refused_afterwards(clean_sandbox: Sandbox) -> None:
    vault = clean_sandbox.openbao
    vault.write_policy("nothing", 'path "secret/data/nothing" { capabilities = ["read"] }')
    role = vault.issue_app_role("brief", policy="nothing", token_ttl_seconds=60, secret_id_ttl_seconds=60)
    worker = hvac.Client(url=vault.address, verify=str(vault.ca_file))
    worker.auth.approle.login(role.role_id, role.secret_id.get_secret_value())
    with pytest.raises(hvac.exceptions.Forbidden):
        worker.secrets.kv.v2.read_secret_version("holdtrue/aws", raise_on_deleted_version=True)
    vault.client().auth.approle.destroy_secret_id("brief", role.secret_id.get_secret_value())
    with pytest.raises(hvac.exceptions.InvalidRequest):
        worker.auth.approle.login(role.role_id, role.secret_id.get_secret_value())


def test_host_is_unreachable_while_stopped_and_its_processes_go_on(clean_sandbox: Sandbox, ssh_login: SshLogin) -> None:
    first, second = clean_sandbox.hosts
    assert ssh_login.run(first, "nohup sleep 60 >/dev/null 2>&1 </dev/null &").returncode == 0
    running = first.processes()
    assert [found.name for found in running] == ["sleep"]
    first.stop()
    assert ssh_login.run(first, "true").returncode == 255
    assert ssh_login.run(second, "true").returncode == 0
    assert first.processes() == running
    first.start()
    assert ssh_login.run(first, "true").returncode == 0


def test_load_balancer_refuses_while_stopped_and_restores_its_weights(clean_sandbox: Sandbox) -> None:
    balancer = clean_sandbox.load_balancer
    assert balancer.command("set server web/web-1 weight 10; set server web/standby state drain") == ""
    assert balancer.statuses()["standby"] == "DRAIN"
    balancer.stop()
    with pytest.raises(requests.exceptions.ConnectionError):
        requests.get(balancer.url, timeout=5)
    balancer.reset()
    assert balancer.weights() == {"standby": 100, "web-1": 0, "web-2": 0}
    assert requests.get(balancer.url, timeout=5).text == "standby"


def test_aws_and_receivers_refuse_once_stopped(watch_services: Watch) -> None:
    chosen = frozenset({Service.AWS, Service.OSV, Service.OTLP})
    with Sandbox(SandboxOptions(services=chosen)) as small, watch_services(small.log_directory):
        small.aws.stop()
        small.osv.stop()
        small.otlp.stop()
        with pytest.raises(BotoCoreError):
            small.aws.client("sts").get_caller_identity()
        for url in (small.osv.url, small.otlp.endpoint):
            with pytest.raises(requests.exceptions.ConnectionError):
                requests.get(url, timeout=5)


def test_service_left_out_is_named_when_it_is_used() -> None:
    with Sandbox(SandboxOptions(services=frozenset({Service.OTLP}))) as small:
        with pytest.raises(SandboxError, match="openbao"):
            _ = small.openbao
        assert "HOLDTRUE_VAULT_SECRET_ID" not in small.environment()
