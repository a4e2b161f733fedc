"""The whole stack, synthesized with Pulumi's mocks: no credentials, no network, no engine, no provider plugin."""

import json
from dataclasses import dataclass, field
from typing import Any

import pulumi
from pulumi.runtime import MockCallArgs, MockResourceArgs, Mocks, set_all_config, set_mocks

from infrastructure import declare

CONFIGURATION = {
    "production:owner": "platform",
    "production:release": "7",
    "production:vpc_id": "vpc-1",
    "production:subnet_ids": json.dumps(["subnet-1", "subnet-2"]),
    "production:image_id": "ami-1",
    "production:load_balancer_socket": "/run/haproxy.sock",
    "production:load_balancer_url": "https://fleet.example",
    "production:app_token": "made-up",
}


@dataclass
class Synthesized:
    """What the program declared."""

    name: str
    inputs: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Of each resource, by `type-token name`."""

    outputs: dict[str, Any] = field(default_factory=dict)
    secret: dict[str, bool] = field(default_factory=dict)
    """Which outputs are secret."""

    def of_type(self, token: str) -> list[dict[str, Any]]:
        return [inputs for label, inputs in self.inputs.items() if label.startswith(f"{token} ")]


class Recorder(Mocks):
    def __init__(self, stack: Synthesized) -> None:
        self._stack = stack

    def new_resource(self, args: MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
        self._stack.inputs[f"{args.typ} {args.name}"] = args.inputs
        return f"{args.name}-id", {**args.inputs, "arn": f"arn:{args.name}", "privateIp": "10.0.0.9"}

    def call(self, args: MockCallArgs) -> Any:
        return {"cidrBlock": "10.0.0.0/16", "id": "vpc-1"} if args.token == "aws:ec2/getVpc:getVpc" else {}  # noqa: S105


def synthesize() -> Synthesized:
    stack = Synthesized(name="unit")
    set_mocks(Recorder(stack), project="production", stack=stack.name)
    set_all_config(CONFIGURATION, ["production:app_token"])
    run_to_the_end: Any = pulumi.runtime.test
    run_to_the_end(_declare)(stack)
    return stack


def _declare(stack: Synthesized) -> pulumi.Output[Any]:
    outputs = {name: pulumi.Output.from_input(value) for name, value in declare().items()}
    secret = {name: output.is_secret() for name, output in outputs.items()}
    return pulumi.Output.all(outputs, secret).apply(_keep_in(stack))


def _keep_in(stack: Synthesized) -> Any:
    def keep(found: Any) -> None:
        stack.outputs, stack.secret = found

    return keep
