"""What this stack consists of."""

import json
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws

from hosts import declare_hosts
from storage import private_bucket


@dataclass(frozen=True, slots=True)
class Naming:
    """The prefix of every name and the tags of every resource."""

    prefix: str
    tags: dict[str, str]


def declare() -> dict[str, Any]:
    """Declare every resource and return the stack's outputs."""
    config = pulumi.Config()
    naming = Naming(
        prefix=f"{pulumi.get_project()}-{pulumi.get_stack()}",
        tags={"Environment": pulumi.get_stack(), "ManagedBy": "pulumi", "Owner": config.require("owner")},
    )
    buckets = {use: private_bucket(use, f"{naming.prefix}-{use}", naming.tags) for use in ("assets", "logs")}
    release = config.get("release") or "1"
    aws.ssm.Parameter("release", name=f"/{naming.prefix}/release", type="String", value=release, tags=naming.tags)
    role = _role(naming)
    hosts = declare_hosts(config, naming.prefix, naming.tags, role)
    group = aws.lb.TargetGroup(
        "web",
        name=f"{naming.prefix}-web",
        port=80,
        protocol="HTTP",
        vpc_id=config.require("vpc_id"),
        health_check={"path": "/healthz"},
        tags=naming.tags,
    )
    return {
        "hosts": hosts,
        "load_balancer_socket": config.require("load_balancer_socket"),
        "load_balancer_url": config.require("load_balancer_url"),
        "assets_bucket": buckets["assets"].bucket,
        "logs_bucket": buckets["logs"].bucket,
        "role_arn": role.arn,
        "target_group_arn": group.arn,
        "app_token": _app_token(naming),
    }


def _role(naming: Naming) -> aws.iam.Role:
    allow = {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
    return aws.iam.Role("web", name=f"{naming.prefix}-web", assume_role_policy=policy, tags=naming.tags)


def _app_token(naming: Naming) -> pulumi.Output[str]:
    """The token comes from the stack's encrypted configuration: `pulumi config set --secret app_token ...`."""
    token = pulumi.Config().require_secret("app_token")
    name = f"/{naming.prefix}/app-token"
    aws.ssm.Parameter("app-token", name=name, type="SecureString", value=token, tags=naming.tags)
    return token
