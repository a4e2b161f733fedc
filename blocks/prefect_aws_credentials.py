"""Prefect's own AWS block around a session that refreshes."""

from typing import Any, NoReturn, Self

from prefect_aws.client_parameters import AwsClientParameters
from prefect_aws.credentials import AwsCredentials
from pydantic import PrivateAttr


class RefreshingAwsCredentials(AwsCredentials):
    """An AwsCredentials whose keys are in its session only: no field holds one, so nothing that shows it shows them.

    prefect-aws keeps clients by the hash of their block, so the hash is this object's own: a client is shared by those
    who share this object, and it refreshes like everything its session made.
    """

    # Of its own: with the inherited slug, saved AwsCredentials blocks would load as this class.
    _block_type_name = "Refreshing AWS Credentials"
    _block_type_slug = "holdtrue-refreshing-aws-credentials"

    _session: Any = PrivateAttr()

    @classmethod
    def around(cls, session: Any, region: str, endpoint_url: str | None) -> Self:
        """The block around this session."""
        block = cls(region_name=region, aws_client_parameters=AwsClientParameters(endpoint_url=endpoint_url))
        block._session = session
        return block

    def __hash__(self) -> int:
        return id(self)

    def __eq__(self, other: object) -> bool:
        return self is other

    def get_boto3_session(self) -> Any:
        """The session that refreshes."""
        return self._session

    def save(self, *_args: Any, **_options: Any) -> NoReturn:
        """Refused: without its session it is empty."""
        raise TypeError(
            "these credentials exist for one run only and are not saved. Next: save the VaultAwsCredentials block that "
            "made them."
        )
