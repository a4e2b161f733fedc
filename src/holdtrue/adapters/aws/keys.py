"""A set of AWS keys, and those that a worker has by itself."""

from dataclasses import dataclass, field
from datetime import datetime

from pydantic import SecretStr

from holdtrue.errors import ResourceMissing


@dataclass(frozen=True, slots=True)
class AwsKeys:
    """Long-lived or temporary keys; shown by their end only."""

    access_key_id: str = field(repr=False)
    secret_access_key: SecretStr = field(repr=False)
    session_token: SecretStr | None = field(default=None, repr=False)
    expires_at: datetime | None = None
    """None for long-lived keys."""

    @property
    def secrets(self) -> tuple[SecretStr, ...]:
        """What may not be shown; an access key id only names its key."""
        return (self.secret_access_key, *((self.session_token,) if self.session_token else ()))


def worker_keys() -> AwsKeys:
    """What the AWS SDK finds on this worker: environment, files, container or instance metadata.

    Raises:
        ResourceMissing: it finds none.
    """
    import botocore.session  # noqa: PLC0415 - see the package's docstring

    credentials = botocore.session.get_session().get_credentials()
    if credentials is None:
        raise ResourceMissing(
            "the AWS SDK finds no credentials on this worker",
            where="environment, ~/.aws, container and instance metadata",
            next_step="give the worker an instance profile, a task role or a service account, or use another login.",
        )
    frozen = credentials.get_frozen_credentials()
    return AwsKeys(
        access_key_id=frozen.access_key or "",
        secret_access_key=SecretStr(frozen.secret_key or ""),
        session_token=SecretStr(frozen.token) if frozen.token else None,
    )
