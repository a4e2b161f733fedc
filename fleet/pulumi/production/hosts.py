"""The hosts: one instance a subnet, reached by SSH from inside the VPC."""

from typing import Any

import pulumi
import pulumi_aws as aws

SSH_USER = "deploy"
WEB_ROOT = "/srv/www"
PYTHON = "/usr/bin/python3"


def declare_hosts(
    config: pulumi.Config, prefix: str, tags: dict[str, str], role: aws.iam.Role
) -> list[pulumi.Output[dict[str, Any]]]:
    """Declare the instances and return what the configuration stage has to know of each."""
    profile = aws.iam.InstanceProfile("web", name=f"{prefix}-web", role=role.name, tags=tags)
    group = _security_group(config, prefix, tags)
    subnets: list[str] = config.require_object("subnet_ids")
    return [
        _host(f"web-{number}", subnet, config.require("image_id"), tags, profile, group)
        for number, subnet in enumerate(subnets, start=1)
    ]


def _security_group(config: pulumi.Config, prefix: str, tags: dict[str, str]) -> aws.ec2.SecurityGroup:
    vpc_id = config.require("vpc_id")
    inside = aws.ec2.get_vpc_output(id=vpc_id).cidr_block
    rules = [
        aws.ec2.SecurityGroupIngressArgs(protocol="tcp", from_port=port, to_port=port, cidr_blocks=[inside])
        for port in (22, 80)
    ]
    everywhere = aws.ec2.SecurityGroupEgressArgs(protocol="-1", from_port=0, to_port=0, cidr_blocks=["0.0.0.0/0"])
    name = f"{prefix}-web"
    return aws.ec2.SecurityGroup("web", name=name, vpc_id=vpc_id, ingress=rules, egress=[everywhere], tags=tags)


def _host(
    name: str,
    subnet: str,
    image: str,
    tags: dict[str, str],
    profile: aws.iam.InstanceProfile,
    group: aws.ec2.SecurityGroup,
) -> pulumi.Output[dict[str, Any]]:
    instance = aws.ec2.Instance(
        name,
        ami=image,
        instance_type="t3.small",
        subnet_id=subnet,
        iam_instance_profile=profile.name,
        vpc_security_group_ids=[group.id],
        metadata_options={"http_tokens": "required"},
        tags={**tags, "Name": name},
    )
    variables = {"http_port": 80, "root": WEB_ROOT, "ansible_python_interpreter": PYTHON}
    return instance.private_ip.apply(
        lambda address: {"name": name, "address": address, "port": 22, "user": SSH_USER, "variables": variables}
    )
