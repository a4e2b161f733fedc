"""AWS access keys that live in Vault."""

from typing import TYPE_CHECKING

from pydantic import Field, SecretStr

from blocks.reference import AWS_LOGO, DOCUMENTATION, Reference
from blocks.vault import VaultCredentials, pick

if TYPE_CHECKING:
    from prefect_aws import AwsCredentials


class VaultAwsCredentials(Reference):
    """An AWS access key in Vault's KV engine, read for one use.

    Example:
        Make a client:
        ```python
        from blocks.aws import VaultAwsCredentials

        vault_aws_credentials_block = VaultAwsCredentials.load("BLOCK_NAME")
        s3 = vault_aws_credentials_block.get_credentials().get_client("s3")
        ```
    """

    _block_type_name = "Vault AWS Credentials"
    _block_type_slug = "holdtrue-vault-aws-credentials"
    _logo_url = AWS_LOGO
    _documentation_url = DOCUMENTATION

    vault: VaultCredentials = Field(description="How to log in to Vault.")
    mount: str = Field(default="secret", min_length=1, description="Path that the KV engine is mounted at.")
    path: str = Field(min_length=1, description="Path of the secret below the mount, without data/.")
    region: str = Field(min_length=1, description="AWS region, e.g. eu-central-1.")
    endpoint_url: str | None = Field(
        default=None,
        pattern=r"^https?://[^\s@]+$",
        description="Endpoint of every service; empty for AWS itself.",
    )
    access_key_id_field: str = Field(
        default="access_key_id", min_length=1, description="Name of the field with the access key id."
    )
    secret_access_key_field: str = Field(
        default="secret_access_key", min_length=1, description="Name of the field with the secret access key."
    )
    session_token_field: str = Field(
        default="session_token",
        min_length=1,
        description="Name of the field with the session token of temporary keys; it may be absent from the secret.",
    )

    def capabilities(self) -> dict[str, str]:
        """What Vault's policy must let this block do, by API path."""
        return {f"{self.mount}/data/{self.path}": "read"}

    def environment(self) -> dict[str, SecretStr]:
        """The variables that the AWS SDKs and command lines read, fetched now.

        Raises:
            SecretInvalid: the secret lacks a field.
            HoldtrueError: what `VaultSession.read_secret` raises.
        """
        with self.vault.session() as vault:
            fields = vault.read_secret(self.mount, self.path)
        where = f"{self.vault.address}, mount {self.mount}, path {self.path}"
        variables = {
            "AWS_ACCESS_KEY_ID": pick(fields, self.access_key_id_field, where=where),
            "AWS_SECRET_ACCESS_KEY": pick(fields, self.secret_access_key_field, where=where),
            "AWS_REGION": SecretStr(self.region),
            "AWS_DEFAULT_REGION": SecretStr(self.region),
        }
        if self.session_token_field in fields:
            variables["AWS_SESSION_TOKEN"] = pick(fields, self.session_token_field, where=where)
        if self.endpoint_url:
            variables["AWS_ENDPOINT_URL"] = SecretStr(self.endpoint_url)
        return variables

    def get_credentials(self) -> "AwsCredentials":
        """Prefect's own AWS block, made in memory: never `.save()` it, and never log it.

        Its key id and session token are plain text in its representation; only the secret key is masked.

        Raises:
            HoldtrueError: what `environment` raises.
        """
        # 1.5 s of CPU (boto3 and the ECS worker) that only this method's callers pay.
        from prefect_aws.client_parameters import AwsClientParameters  # noqa: PLC0415
        from prefect_aws.credentials import AwsCredentials  # noqa: PLC0415

        variables = self.environment()
        token = variables.get("AWS_SESSION_TOKEN")
        return AwsCredentials(
            aws_access_key_id=variables["AWS_ACCESS_KEY_ID"].get_secret_value(),
            aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
            aws_session_token=token.get_secret_value() if token else None,
            region_name=self.region,
            aws_client_parameters=AwsClientParameters(endpoint_url=self.endpoint_url),
        )
