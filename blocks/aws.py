"""AWS keys that live in Vault, that Vault makes, or that a role gives for a while."""

from typing import TYPE_CHECKING

from pydantic import Field

from blocks.reference import AWS_LOGO, DOCUMENTATION, Reference
from blocks.vault import VaultCredentials
from holdtrue.credentials import aws

if TYPE_CHECKING:
    from prefect_aws import AwsCredentials


class VaultAwsCredentials(Reference, aws.VaultAwsCredentials):
    """AWS keys from Vault or from a role, as variables for tools and as sessions that refresh.

    Example:
        Make a client that outlives its keys:
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

    def get_credentials(self) -> "AwsCredentials":
        """Prefect's own AWS block for this process: its sessions and clients refresh, and it cannot be saved.

        Raises:
            HoldtrueError: what `session` raises.
        """
        # 1.5 s of CPU (boto3 and the ECS worker) that only this method's callers pay.
        from blocks.prefect_aws_credentials import RefreshingAwsCredentials  # noqa: PLC0415

        return RefreshingAwsCredentials.around(self.session(), self.region, self.endpoint_url)
