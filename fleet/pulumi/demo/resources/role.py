"""An IAM role that one AWS service may assume."""

import json
from typing import Any

import pulumi
from botocore.exceptions import ClientError
from pulumi.dynamic import Resource

from cloud import AwsProvider, Properties, client, tag_list, tag_map


class RoleProvider(AwsProvider):
    mutable = ("trusted_service", "tags")

    def make(self, wanted: Properties) -> tuple[str, Properties]:
        made = client("iam").create_role(
            RoleName=wanted["name"],
            AssumeRolePolicyDocument=trust_policy(wanted["trusted_service"]),
            Tags=tag_list(wanted["tags"]),
        )
        return wanted["name"], {"arn": made["Role"]["Arn"]}

    def locate(self, wanted: Properties) -> tuple[str, Properties]:
        return wanted["name"], {"arn": client("iam").get_role(RoleName=wanted["name"])["Role"]["Arn"]}

    def find(self, id_: str) -> Properties | None:
        try:
            role = client("iam").get_role(RoleName=id_)["Role"]
        except ClientError as error:
            if error.response["Error"]["Code"] == "NoSuchEntity":
                return None
            raise
        return {
            "name": id_,
            "trusted_service": trusted_service(role["AssumeRolePolicyDocument"]),
            "tags": tag_map(role.get("Tags", [])),
        }

    def change(self, id_: str, old: Properties, wanted: Properties) -> None:
        iam = client("iam")
        iam.update_assume_role_policy(RoleName=id_, PolicyDocument=trust_policy(wanted["trusted_service"]))
        gone = sorted(old["tags"].keys() - wanted["tags"].keys())
        if gone:
            iam.untag_role(RoleName=id_, TagKeys=gone)
        iam.tag_role(RoleName=id_, Tags=tag_list(wanted["tags"]))

    def delete(self, _id: str, _props: Properties) -> None:
        client("iam").delete_role(RoleName=_id)


def trust_policy(service: str) -> str:
    allow = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    return json.dumps({"Version": "2012-10-17", "Statement": [allow]})


def trusted_service(document: Any) -> str:
    """The one service of a policy that `trust_policy` wrote; the whole document when somebody wrote another."""
    text: str = document if isinstance(document, str) else json.dumps(document)
    try:
        service: str = json.loads(text)["Statement"][0]["Principal"]["Service"]
    except (KeyError, IndexError, TypeError):
        return text
    return service if json.loads(trust_policy(service)) == json.loads(text) else text


class Role(Resource, module="aws", name="Role"):
    arn: pulumi.Output[str]

    def __init__(
        self,
        resource_name: str,
        *,
        name: str,
        trusted_service: str,
        tags: dict[str, str],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        inputs = {"name": name, "trusted_service": trusted_service, "tags": tags, "arn": None}
        super().__init__(RoleProvider(), resource_name, inputs, opts)
