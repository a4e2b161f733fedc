"""Where a worker finds the one secret it logs in with: in its environment, in a file, or wrapped for one use."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, SecretStr

from holdtrue.errors import ResourceMissing, SecretInvalid
from holdtrue.models.base import Value
from holdtrue.runtime.redaction import register_secret

Unwrap = Callable[[SecretStr], SecretStr]
"""Exchanges a wrapping token for what it wraps; each token works once."""


class LoginPart(Value):
    """A part of a login's document. What is refused may be a pasted secret, so the refusal does not repeat it."""

    model_config = ConfigDict(hide_input_in_errors=True)


class EnvironmentSource(LoginPart):
    """The secret is in a variable of the worker's environment."""

    kind: Literal["environment"] = Field(default="environment", description="The secret is in a variable.")
    variable: str = Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", description="Name of the variable on the worker.")

    def read(self, unwrap: Unwrap) -> SecretStr:  # noqa: ARG002 - the sources share one signature
        """Raise ResourceMissing when the variable is not set or empty."""
        value = os.environ.get(self.variable, "").strip()
        if not value:
            raise ResourceMissing(
                f"the variable {self.variable}, which holds the secret to log in to Vault with, is not set",
                where="environment of this process",
                next_step="set it where the worker is started, or let the block name a file",
            )
        return _registered(SecretStr(value), f"the variable {self.variable}")


class FileSource(LoginPart):
    """The secret is the content of a file on the worker, as secret mounts of containers give it.

    It is read at each login, so a file that is replaced while the worker runs is followed.
    """

    kind: Literal["file"] = Field(default="file", description="The secret is in a file.")
    path: Path = Field(description="Path of the file on the worker.")

    def read(self, unwrap: Unwrap) -> SecretStr:  # noqa: ARG002 - the sources share one signature
        """Raise ResourceMissing when the file cannot be read, SecretInvalid when it is empty."""
        try:
            value = self.path.expanduser().read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ResourceMissing(
                "the file with the secret to log in to Vault with does not exist or cannot be read "
                f"({type(error).__name__})",
                where=str(self.path),
                next_step="mount it where the worker's user may read it, or correct the path in the block",
            ) from error
        if not value:
            raise SecretInvalid(
                "the file with the secret to log in to Vault with is empty",
                where=str(self.path),
                next_step="write the secret to it, e.g. `vault write -field=secret_id -f "
                "auth/approle/role/ROLE/secret-id`.",
            )
        return _registered(SecretStr(value), f"the content of {self.path}")


class WrappedSource(LoginPart):
    """The secret is inside a response-wrapping token, which opens once: who opened it first is known."""

    kind: Literal["wrapped"] = Field(default="wrapped", description="The secret is inside a wrapping token.")
    token: Annotated[EnvironmentSource | FileSource, Field(discriminator="kind")] = Field(
        description="Where the worker finds the wrapping token."
    )

    def read(self, unwrap: Unwrap) -> SecretStr:
        """Raise what the token's source and the unwrapping raise."""
        return _registered(unwrap(self.token.read(unwrap)), "what a wrapping token held")


def _registered(value: SecretStr, name: str) -> SecretStr:
    register_secret(value, name=name)
    return value


PlainSource = Annotated[EnvironmentSource | FileSource, Field(discriminator="kind")]
SecretSource = Annotated[EnvironmentSource | FileSource | WrappedSource, Field(discriminator="kind")]
