"""Buckets that nobody outside can read."""

import pulumi_aws as aws


def private_bucket(resource_name: str, name: str, tags: dict[str, str]) -> aws.s3.Bucket:
    """A bucket with every kind of public access blocked."""
    bucket = aws.s3.Bucket(resource_name, bucket=name, tags=tags)
    aws.s3.BucketPublicAccessBlock(
        resource_name,
        bucket=bucket.id,
        block_public_acls=True,
        block_public_policy=True,
        ignore_public_acls=True,
        restrict_public_buckets=True,
    )
    return bucket
