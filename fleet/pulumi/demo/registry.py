"""The machine registry: which hosts and which load balancer exist, kept in two SSM parameters."""

import json
from dataclasses import dataclass

from cloud import client

HOSTS_PARAMETER = "/registry/hosts"
LOAD_BALANCER_PARAMETER = "/registry/load-balancer"


@dataclass(frozen=True, slots=True)
class Machine:
    """One host: where SSH finds it, and what its web server needs."""

    name: str
    address: str
    port: int
    user: str
    http_port: int
    root: str
    python: str


@dataclass(frozen=True, slots=True)
class LoadBalancer:
    """The load balancer in front: its admin socket and its public address."""

    socket: str
    url: str


@dataclass(frozen=True, slots=True)
class Registry:
    """Everything the registry knows."""

    machines: tuple[Machine, ...]
    load_balancer: LoadBalancer


def read_registry() -> Registry:
    """Read both parameters; a malformed one raises with the name of the field."""
    names = [HOSTS_PARAMETER, LOAD_BALANCER_PARAMETER]
    found = client("ssm").get_parameters(Names=names)
    if found["InvalidParameters"]:
        raise LookupError(f"SSM has no parameter {', '.join(found['InvalidParameters'])}: register the machines first")
    values = {parameter["Name"]: json.loads(parameter["Value"]) for parameter in found["Parameters"]}
    return Registry(
        machines=tuple(Machine(**item) for item in values[HOSTS_PARAMETER]),
        load_balancer=LoadBalancer(**values[LOAD_BALANCER_PARAMETER]),
    )
