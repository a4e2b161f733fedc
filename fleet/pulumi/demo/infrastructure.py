"""What this stack consists of."""

import json
from typing import Any

import pulumi

from registry import Machine, Registry
from resources.bucket import Bucket
from resources.parameter import GeneratedSecret, Parameter
from resources.role import Role
from resources.target_group import TargetGroup


def declare(registry: Registry) -> dict[str, Any]:
    """Declare every resource and return the stack's outputs."""
    config = pulumi.Config()
    prefix = f"{pulumi.get_project()}-{pulumi.get_stack()}"
    tags = {
        "Environment": pulumi.get_stack(),
        "ManagedBy": "pulumi",
        "Owner": config.require("owner"),
    }
    buckets = {use: Bucket(use, name=f"{prefix}-{use}", tags=tags) for use in ("assets", "logs")}
    Parameter("release", name=f"/{prefix}/release", value=config.get("release") or "1", tags=tags)
    Parameter("hosts", name=f"/{prefix}/hosts", value=json.dumps(_names(registry)), tags=tags)
    token = GeneratedSecret("app-token", name=f"/{prefix}/app-token", tags=tags)
    role = Role("web", name=f"{prefix}-web", trusted_service="ec2.amazonaws.com", tags=tags)
    group = TargetGroup("web", name=f"{prefix}-web", port=80, tags=tags)
    return {
        "hosts": [_host(machine) for machine in registry.machines],
        "load_balancer_socket": registry.load_balancer.socket,
        "load_balancer_url": registry.load_balancer.url,
        "assets_bucket": buckets["assets"].id,
        "logs_bucket": buckets["logs"].id,
        "role_arn": role.arn,
        "target_group_arn": group.arn,
        "app_token": pulumi.Output.secret(token.value),
    }


def _names(registry: Registry) -> list[str]:
    return [machine.name for machine in registry.machines]


def _host(machine: Machine) -> dict[str, Any]:
    """One host as the configuration stage wants it: how to reach it, and its variables."""
    return {
        "name": machine.name,
        "address": machine.address,
        "port": machine.port,
        "user": machine.user,
        "variables": {
            "http_port": machine.http_port,
            "root": machine.root,
            "ansible_python_interpreter": machine.python,
        },
    }
