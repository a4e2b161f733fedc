"""What every change to this program has to keep."""

import pytest
from synthesis import Synthesized

REQUIRED_TAGS = {"Environment", "ManagedBy", "Owner"}
TAGGABLE = (
    "aws:ec2/instance:Instance",
    "aws:ec2/securityGroup:SecurityGroup",
    "aws:iam/instanceProfile:InstanceProfile",
    "aws:iam/role:Role",
    "aws:lb/targetGroup:TargetGroup",
    "aws:s3/bucket:Bucket",
    "aws:ssm/parameter:Parameter",
)
UNTAGGABLE = {"aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock", "pulumi:pulumi:Stack"}


@pytest.mark.parametrize("token", TAGGABLE)
def test_every_taggable_resource_says_whose_it_is(stack: Synthesized, token: str) -> None:
    resources = stack.of_type(token)
    assert resources
    assert all(inputs["tags"].keys() >= REQUIRED_TAGS for inputs in resources)


def test_no_resource_escapes_the_tag_rule(stack: Synthesized) -> None:
    assert {label.split(" ", 1)[0] for label in stack.inputs} - UNTAGGABLE == set(TAGGABLE)


def test_every_bucket_blocks_all_public_access(stack: Synthesized) -> None:
    blocks = stack.of_type("aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock")
    assert {block["bucket"] for block in blocks} == {"assets-id", "logs-id"}
    switches = ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")
    assert all(block[switch] is True for block in blocks for switch in switches)


def test_no_port_is_open_to_the_world(stack: Synthesized) -> None:
    (group,) = stack.of_type("aws:ec2/securityGroup:SecurityGroup")
    assert [rule["cidrBlocks"] for rule in group["ingress"]] == [["10.0.0.0/16"], ["10.0.0.0/16"]]


def test_instances_ask_for_metadata_tokens(stack: Synthesized) -> None:
    instances = stack.of_type("aws:ec2/instance:Instance")
    assert len(instances) == 2
    assert all(instance["metadataOptions"]["httpTokens"] == "required" for instance in instances)


def test_names_carry_project_and_stack(stack: Synthesized) -> None:
    names = [inputs[key] for inputs in stack.inputs.values() for key in ("name", "bucket") if key in inputs]
    own = [name for name in names if not name.endswith("-id")]
    assert own
    assert all(name.lstrip("/").startswith(f"production-{stack.name}") for name in own)


def test_outputs_have_the_shape_that_configuration_and_traffic_need(stack: Synthesized) -> None:
    assert [host["name"] for host in stack.outputs["hosts"]] == ["web-1", "web-2"]
    assert stack.outputs["hosts"][0] == {
        "name": "web-1",
        "address": "10.0.0.9",
        "port": 22,
        "user": "deploy",
        "variables": {"http_port": 80, "root": "/srv/www", "ansible_python_interpreter": "/usr/bin/python3"},
    }
    assert stack.outputs["load_balancer_url"] == "https://fleet.example"
    assert {"assets_bucket", "logs_bucket", "role_arn", "target_group_arn"} <= stack.outputs.keys()


def test_only_the_token_is_secret(stack: Synthesized) -> None:
    assert [name for name, is_secret in stack.secret.items() if is_secret] == ["app_token"]
