"""What every change to this program has to keep."""

from typing import Any

import pytest
from synthesis import Synthesized

REQUIRED_TAGS = {"Environment", "ManagedBy", "Owner"}
TAGGABLE = ("Bucket", "Parameter", "GeneratedSecret", "Role", "TargetGroup")


@pytest.mark.parametrize("kind", TAGGABLE)
def test_every_taggable_resource_says_whose_it_is(stack: Synthesized, kind: str) -> None:
    resources = stack.of_type(kind)
    assert resources
    for inputs in resources:
        assert inputs["tags"].keys() >= REQUIRED_TAGS
        assert inputs["tags"]["Owner"] == "platform"
        assert inputs["tags"]["Environment"] == stack.name


def test_no_resource_escapes_the_tag_rule(stack: Synthesized) -> None:
    kinds = {label.split(" ", 1)[0] for label in stack.inputs} - {"Stack"}
    assert kinds == set(TAGGABLE)


def test_no_bucket_is_public(stack: Synthesized) -> None:
    buckets = stack.of_type("Bucket")
    assert len(buckets) == 2
    assert all(bucket["public_access_blocked"] for bucket in buckets)


def test_names_carry_project_and_stack(stack: Synthesized) -> None:
    names = [inputs["name"] for inputs in stack.inputs.values() if "name" in inputs]
    assert names
    assert all(name.lstrip("/").startswith(f"demo-{stack.name}") for name in names)


def test_release_comes_from_the_configuration(stack: Synthesized) -> None:
    assert stack.inputs["Parameter release"]["value"] == "7"


def test_outputs_have_the_shape_that_configuration_and_traffic_need(stack: Synthesized) -> None:
    (host,) = stack.outputs["hosts"]
    assert host == {
        "name": "web-1",
        "address": "10.0.0.1",
        "port": 22,
        "user": "deploy",
        "variables": {"http_port": 8080, "root": "/srv/www", "ansible_python_interpreter": "/usr/bin/python3"},
    }
    assert stack.outputs["load_balancer_socket"] == "/run/haproxy.sock"
    assert stack.outputs["load_balancer_url"] == "https://fleet.example"
    assert {"assets_bucket", "logs_bucket", "role_arn", "target_group_arn"} <= stack.outputs.keys()


def test_only_the_token_is_secret(stack: Synthesized) -> None:
    secret: dict[str, Any] = stack.secret
    assert [name for name, is_secret in secret.items() if is_secret] == ["app_token"]
