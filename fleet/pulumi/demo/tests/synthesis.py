"""The whole stack, synthesized with Pulumi's mocks: no credentials, no network, no engine."""

from dataclasses import dataclass, field
from typing import Any

import pulumi
from pulumi.runtime import MockCallArgs, MockResourceArgs, Mocks, set_all_config, set_mocks

from infrastructure import declare
from registry import LoadBalancer, Machine, Registry


@dataclass
class Synthesized:
    """What the program declared."""

    name: str
    inputs: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Of each resource, by `Type name`."""

    outputs: dict[str, Any] = field(default_factory=dict)
    secret: dict[str, bool] = field(default_factory=dict)
    """Which outputs are secret."""

    def of_type(self, kind: str) -> list[dict[str, Any]]:
        return [inputs for label, inputs in self.inputs.items() if label.startswith(f"{kind} ")]


class Recorder(Mocks):
    def __init__(self, stack: Synthesized) -> None:
        self._stack = stack

    def new_resource(self, args: MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
        inputs = {name: value for name, value in args.inputs.items() if name != "__provider"}
        self._stack.inputs[f"{args.typ.rsplit(':', 1)[-1]} {args.name}"] = inputs
        return f"{args.name}-id", {**inputs, "arn": f"arn:{args.name}", "value": "drawn"}

    def call(self, args: MockCallArgs) -> Any:
        raise AssertionError(f"the program may not call {args.token}")


def synthesize() -> Synthesized:
    stack = Synthesized(name="unit")
    set_mocks(Recorder(stack), project="demo", stack=stack.name)
    set_all_config({"demo:owner": "platform", "demo:release": "7"})
    run_to_the_end: Any = pulumi.runtime.test
    run_to_the_end(_declare)(stack)
    return stack


def _declare(stack: Synthesized) -> pulumi.Output[Any]:
    machine = Machine("web-1", "10.0.0.1", 22, "deploy", 8080, "/srv/www", "/usr/bin/python3")
    registry = Registry((machine,), LoadBalancer("/run/haproxy.sock", "https://fleet.example"))
    outputs = {name: pulumi.Output.from_input(value) for name, value in declare(registry).items()}
    secret = {name: output.is_secret() for name, output in outputs.items()}
    return pulumi.Output.all(outputs, secret).apply(_keep_in(stack))


def _keep_in(stack: Synthesized) -> Any:
    def keep(found: Any) -> None:
        stack.outputs, stack.secret = found

    return keep
