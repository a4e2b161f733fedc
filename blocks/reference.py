"""What all blocks here share: they hold references and nothing else, and say so to Prefect's catalogue."""

from abc import ABC, abstractmethod
from typing import Any, Final

from prefect.blocks.core import Block
from pydantic import ConfigDict, HttpUrl, model_validator

DOCUMENTATION: Final = HttpUrl("https://github.com/holdtrue/holdtrue/blob/main/docs/vault.md")
# Images that Prefect's own block types show: the catalogue takes an image by URL only.
KEY_LOGO: Final = HttpUrl(
    "https://cdn.sanity.io/images/3ugk85nk/production/c6f20e556dd16effda9df16551feecfb5822092b-48x48.png"
)
AWS_LOGO: Final = HttpUrl(
    "https://cdn.sanity.io/images/3ugk85nk/production/d74b16fe84ce626345adf235a47008fea2869a60-225x225.png"
)


class Reference(Block, ABC):
    """A block whose document may be read by anyone who may read the Prefect API.

    Prefect's Block keeps unknown fields, so a pasted `secret_id` would be stored; here it is refused, and the refusal
    does not repeat it.
    """

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    @abstractmethod
    def capabilities(self) -> dict[str, str]:
        """What the policy of the Vault role has to grant for this block to work: capability by API path."""

    @model_validator(mode="before")
    @classmethod
    def validate_block_type_slug(cls, values: Any) -> Any:
        """Check the slug that Prefect adds to a document, as the base class does, and take it out of the fields."""
        if isinstance(values, dict) and "block_type_slug" in values:
            slug = values["block_type_slug"]
            if slug and slug != cls.get_block_type_slug():
                raise ValueError(f"this is a document of the block type {slug!r}, not {cls.get_block_type_slug()!r}")
            return {name: value for name, value in values.items() if name != "block_type_slug"}
        return values
