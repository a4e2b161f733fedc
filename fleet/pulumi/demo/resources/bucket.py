"""A private S3 bucket with tags."""

import pulumi
from botocore.exceptions import ClientError
from pulumi.dynamic import Resource

from cloud import AwsProvider, Properties, client, tag_list, tag_map

_BLOCKED = dict.fromkeys(("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), True)


class BucketProvider(AwsProvider):
    mutable = ("tags", "public_access_blocked")

    def make(self, wanted: Properties) -> tuple[str, Properties]:
        s3, name = client("s3"), wanted["name"]
        region = s3.meta.region_name
        # S3 refuses its home region as a constraint.
        place = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
        s3.create_bucket(Bucket=name, **place)
        self.change(name, {}, wanted)
        return self.locate(wanted)

    def locate(self, wanted: Properties) -> tuple[str, Properties]:
        return wanted["name"], {"arn": f"arn:aws:s3:::{wanted['name']}"}

    def find(self, id_: str) -> Properties | None:
        s3 = client("s3")
        try:
            s3.head_bucket(Bucket=id_)
        except ClientError as error:
            if error.response["Error"]["Code"] in {"404", "NoSuchBucket"}:
                return None
            raise
        return {"name": id_, "tags": _tags(id_), "public_access_blocked": _public_access_blocked(id_)}

    def change(self, id_: str, old: Properties, wanted: Properties) -> None:
        s3 = client("s3")
        if wanted["tags"] != old.get("tags"):
            s3.put_bucket_tagging(Bucket=id_, Tagging={"TagSet": tag_list(wanted["tags"])})
        if wanted["public_access_blocked"]:
            s3.put_public_access_block(Bucket=id_, PublicAccessBlockConfiguration=_BLOCKED)
        else:
            s3.delete_public_access_block(Bucket=id_)

    def delete(self, _id: str, _props: Properties) -> None:
        client("s3").delete_bucket(Bucket=_id)


def _tags(name: str) -> dict[str, str]:
    try:
        return tag_map(client("s3").get_bucket_tagging(Bucket=name)["TagSet"])
    except ClientError as error:
        if error.response["Error"]["Code"] == "NoSuchTagSet":
            return {}
        raise


def _public_access_blocked(name: str) -> bool:
    try:
        answer = client("s3").get_public_access_block(Bucket=name)
    except ClientError as error:
        if error.response["Error"]["Code"] == "NoSuchPublicAccessBlockConfiguration":
            return False
        raise
    return bool(answer["PublicAccessBlockConfiguration"] == _BLOCKED)


class Bucket(Resource, module="aws", name="Bucket"):
    arn: pulumi.Output[str]

    def __init__(
        self,
        resource_name: str,
        *,
        name: str,
        tags: dict[str, str],
        public_access_blocked: bool = True,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        inputs = {"name": name, "tags": tags, "public_access_blocked": public_access_blocked, "arn": None}
        super().__init__(BucketProvider(), resource_name, inputs, opts)
