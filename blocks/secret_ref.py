"""What a flow takes as its parameter instead of a secret."""

from pydantic import SecretStr

from blocks.loading import load_block
from blocks.vault import VaultSecret
from holdtrue.models.base import Value
from holdtrue.models.environment import BlockName


class SecretRef(Value):
    """A secret by the name of the VaultSecret block that says where it is.

    Parameters of runs are kept by Prefect in clear; this one may be. Its schema is an object, so a server that enforces
    a deployment's parameter schema refuses a pasted secret before there is a run.

    Example:
        Take a password:
        ```python
        @flow
        def backup(database_password: SecretRef) -> None:
            connect(database_password.resolve().get_secret_value())
        ```
    """

    block: BlockName

    def resolve(self) -> SecretStr:
        """Fetch the value now, where it is used.

        Raises:
            BlockMissing: there is no such block.
            HoldtrueError: what `VaultSecret.get` raises.
        """
        return load_block(VaultSecret, self.block).get()
