"""SSM parameters: one with a value the program gives, one with a secret that is made once and never shown."""

import secrets

import pulumi
from botocore.exceptions import ClientError
from pulumi.dynamic import Resource

from cloud import AwsProvider, Properties, client, tag_list, tag_map


class ParameterProvider(AwsProvider):
    mutable = ("value", "tags")

    def make(self, wanted: Properties) -> tuple[str, Properties]:
        put(wanted["name"], wanted["value"], wanted["tags"], secure=False)
        return wanted["name"], {}

    def find(self, id_: str) -> Properties | None:
        return get(id_)

    def change(self, id_: str, old: Properties, wanted: Properties) -> None:
        client("ssm").put_parameter(Name=id_, Value=wanted["value"], Type="String", Overwrite=True)
        retag(id_, old.get("tags", {}), wanted["tags"])

    def delete(self, _id: str, _props: Properties) -> None:
        client("ssm").delete_parameter(Name=_id)


class GeneratedSecretProvider(AwsProvider):
    def make(self, wanted: Properties) -> tuple[str, Properties]:
        value = secrets.token_urlsafe(32)
        put(wanted["name"], value, wanted["tags"], secure=True)
        return wanted["name"], {"value": value}

    def locate(self, wanted: Properties) -> tuple[str, Properties]:
        live = get(wanted["name"]) or {}
        return wanted["name"], {"value": live.get("value")}

    def find(self, id_: str) -> Properties | None:
        return get(id_)

    def change(self, id_: str, old: Properties, wanted: Properties) -> None:
        retag(id_, old.get("tags", {}), wanted["tags"])

    def delete(self, _id: str, _props: Properties) -> None:
        client("ssm").delete_parameter(Name=_id)


def put(name: str, value: str, tags: dict[str, str], *, secure: bool) -> None:
    tagged = tag_list(tags)
    kind = "SecureString" if secure else "String"
    client("ssm").put_parameter(Name=name, Value=value, Type=kind, Tags=tagged)


def get(name: str) -> Properties | None:
    try:
        value = client("ssm").get_parameter(Name=name, WithDecryption=True)["Parameter"]["Value"]
    except ClientError as error:
        if error.response["Error"]["Code"] == "ParameterNotFound":
            return None
        raise
    tags = client("ssm").list_tags_for_resource(ResourceType="Parameter", ResourceId=name)["TagList"]
    return {"name": name, "value": value, "tags": tag_map(tags)}


def retag(name: str, old: dict[str, str], wanted: dict[str, str]) -> None:
    ssm = client("ssm")
    gone = sorted(old.keys() - wanted.keys())
    if gone:
        ssm.remove_tags_from_resource(ResourceType="Parameter", ResourceId=name, TagKeys=gone)
    ssm.add_tags_to_resource(ResourceType="Parameter", ResourceId=name, Tags=tag_list(wanted))


class Parameter(Resource, module="aws", name="Parameter"):
    def __init__(
        self,
        resource_name: str,
        *,
        name: str,
        value: pulumi.Input[str],
        tags: dict[str, str],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__(ParameterProvider(), resource_name, {"name": name, "value": value, "tags": tags}, opts)


class GeneratedSecret(Resource, module="aws", name="GeneratedSecret"):
    """A SecureString whose value is drawn when it is created; the state holds it as ciphertext."""

    value: pulumi.Output[str]

    def __init__(
        self,
        resource_name: str,
        *,
        name: str,
        tags: dict[str, str],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        secret = pulumi.ResourceOptions(additional_secret_outputs=["value"])
        options = pulumi.ResourceOptions.merge(opts, secret)
        super().__init__(GeneratedSecretProvider(), resource_name, {"name": name, "tags": tags, "value": None}, options)
