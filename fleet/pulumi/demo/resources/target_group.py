"""A load balancer's target group for addresses in the default VPC."""

import pulumi
from botocore.exceptions import ClientError
from pulumi.dynamic import Resource

from cloud import AwsProvider, Properties, client, tag_list, tag_map


class TargetGroupProvider(AwsProvider):
    identity = ("name", "port", "protocol")
    mutable = ("health_check_path", "tags")

    def make(self, wanted: Properties) -> tuple[str, Properties]:
        made = client("elbv2").create_target_group(
            Name=wanted["name"],
            VpcId=_default_vpc(),
            Port=int(wanted["port"]),
            Protocol=wanted["protocol"],
            TargetType="ip",
            HealthCheckPath=wanted["health_check_path"],
            Tags=tag_list(wanted["tags"]),
        )
        arn = made["TargetGroups"][0]["TargetGroupArn"]
        return arn, {"arn": arn}

    def locate(self, wanted: Properties) -> tuple[str, Properties]:
        found = client("elbv2").describe_target_groups(Names=[wanted["name"]])["TargetGroups"]
        arn = found[0]["TargetGroupArn"]
        return arn, {"arn": arn}

    def find(self, id_: str) -> Properties | None:
        elb = client("elbv2")
        try:
            group = elb.describe_target_groups(TargetGroupArns=[id_])["TargetGroups"][0]
        except ClientError as error:
            if error.response["Error"]["Code"].startswith("TargetGroupNotFound"):
                return None
            raise
        tags = elb.describe_tags(ResourceArns=[id_])["TagDescriptions"][0]["Tags"]
        return {
            "name": group["TargetGroupName"],
            "port": group["Port"],
            "protocol": group["Protocol"],
            "health_check_path": group["HealthCheckPath"],
            "tags": tag_map(tags),
        }

    def change(self, id_: str, old: Properties, wanted: Properties) -> None:
        elb = client("elbv2")
        elb.modify_target_group(TargetGroupArn=id_, HealthCheckPath=wanted["health_check_path"])
        gone = sorted(old["tags"].keys() - wanted["tags"].keys())
        if gone:
            elb.remove_tags(ResourceArns=[id_], TagKeys=gone)
        elb.add_tags(ResourceArns=[id_], Tags=tag_list(wanted["tags"]))

    def delete(self, _id: str, _props: Properties) -> None:
        client("elbv2").delete_target_group(TargetGroupArn=_id)


def _default_vpc() -> str:
    found = client("ec2").describe_vpcs(Filters=[{"Name": "isDefault", "Values": ["true"]}])["Vpcs"]
    if not found:
        raise LookupError("this region has no default VPC: create one, or name a VPC here")
    identifier: str = found[0]["VpcId"]
    return identifier


class TargetGroup(Resource, module="aws", name="TargetGroup"):
    arn: pulumi.Output[str]

    def __init__(
        self,
        resource_name: str,
        *,
        name: str,
        port: int,
        tags: dict[str, str],
        protocol: str = "HTTP",
        health_check_path: str = "/healthz",
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        inputs = {
            "name": name,
            "port": port,
            "protocol": protocol,
            "health_check_path": health_check_path,
            "tags": tags,
            "arn": None,
        }
        super().__init__(TargetGroupProvider(), resource_name, inputs, opts)
