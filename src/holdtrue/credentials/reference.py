"""What every credential reference is: a closed document without a secret, that says what it needs from Vault."""

from abc import ABC, abstractmethod

from pydantic import BaseModel, ConfigDict


class CredentialReference(BaseModel, ABC):
    """Where a credential comes from; anyone may read it.

    An unknown field is refused, so that a pasted secret is not kept, and the refusal does not repeat it.
    """

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    @abstractmethod
    def capabilities(self) -> dict[str, str]:
        """What the policy of the Vault role has to grant for this reference to work: capability by API path."""

    def reading_capabilities(self) -> dict[str, str]:
        """The same for a flow that only looks."""
        return self.capabilities()
