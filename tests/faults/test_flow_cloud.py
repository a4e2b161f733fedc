"""AWS that goes away before or during a run, and drift checks that only read it."""

from collections.abc import Iterator

import pytest

from blocks.aws import VaultAwsCredentials
from flows.drift import drift
from flows.provision import provision
from sandbox.deployment import save_blocks
from tests.integration.aws_proxy import AwsProxy, aws_proxy
from tests.integration.flow_stage import Stage, provide_baseline


@pytest.fixture(autouse=True)
def _cloud(stage: Stage) -> None:
    provide_baseline(stage, "cloud")


@pytest.fixture
def proxy(stage: Stage) -> Iterator[AwsProxy]:
    """AWS as `cloud` sees it."""
    with aws_proxy(stage.sandbox.aws.endpoint_url) as forwarding:
        save_blocks(stage.sandbox, "proxied")
        block = VaultAwsCredentials.load("proxied")
        assert isinstance(block, VaultAwsCredentials)
        block.model_copy(update={"endpoint_url": forwarding.url}).save("proxied", overwrite=True)
        stage.fleet.edit_manifest("cloud", credentials={"aws": "proxied"})
        yield forwarding


@pytest.mark.usefixtures("untouched")
def test_cloud_that_does_not_answer(stage: Stage, proxy: AwsProxy) -> None:
    proxy.stop()
    stage.require(stage.run(provision, "cloud"), "PreflightFailed", "AWS identity", proxy.url)


@pytest.mark.usefixtures("untouched_but_state")
def test_cloud_lost_during_the_apply(stage: Stage, proxy: AwsProxy) -> None:
    stage.fleet.replace("pulumi/demo/Pulumi.demo.yaml", 'demo:release: "1"', 'demo:release: "2"')
    proxy.refuses_writes = True
    run = stage.run(provision, "cloud")
    stage.require(run, "Unavailable", "release", "stack demo")
    assert set(proxy.writes) == {"PutParameter"}
    ssm = stage.sandbox.aws.client("ssm")
    assert ssm.get_parameter(Name="/demo-demo/release")["Parameter"]["Value"] == "1"
    assert not [path for path in (stage.sandbox.state_directory / ".pulumi/locks").rglob("*") if path.is_file()]


@pytest.mark.usefixtures("untouched")
def test_drift_names_a_stopped_host_reports_the_other_layers_and_writes_nothing(stage: Stage, proxy: AwsProxy) -> None:
    host = stage.sandbox.hosts[1]
    host.stop()
    try:
        run = stage.run(drift, ["cloud"])
    finally:
        host.start()
    stage.require(run, "Incomplete", "web-2", "not checked")
    assert "web-1" not in run.message
    (found,) = run.result.environments
    assert {item.target for item in found.not_checked} == {"web-2"}
    assert {item.layer.value for item in found.not_checked} == {"configuration", "runtime"}
    assert not found.findings
    assert {"GetParameter", "GetRole", "DescribeTargetGroups"} <= set(proxy.reads)
    assert proxy.writes == []
