"""What all blocks here share: they hold references and nothing else, and say so to Prefect's catalogue."""

from typing import Any, Final

from prefect.blocks.core import Block
from pydantic import BaseModel, ConfigDict, HttpUrl, model_validator

from holdtrue.core.secret_detection import find_secrets

DOCUMENTATION: Final = HttpUrl("https://github.com/holdtrue/holdtrue/blob/main/docs/vault.md")
# Images that Prefect's own block types show: the catalogue takes an image by URL only.
KEY_LOGO: Final = HttpUrl(
    "https://cdn.sanity.io/images/3ugk85nk/production/c6f20e556dd16effda9df16551feecfb5822092b-48x48.png"
)
AWS_LOGO: Final = HttpUrl(
    "https://cdn.sanity.io/images/3ugk85nk/production/d74b16fe84ce626345adf235a47008fea2869a60-225x225.png"
)


class Reference(Block):
    """A block whose document may be read by anyone who may read the Prefect API.

    Prefect's Block keeps unknown fields, so a pasted `secret_id` would be stored; here it is refused, and so is a text
    in any field that looks like a secret. The refusal repeats neither.
    """

    # Built when first used: most runs need two of the types.
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True, defer_build=True)

    @classmethod
    def __dispatch_key__(cls) -> str:
        """The slug, as the base class has it, but without building the JSON schema of every type at import."""
        return cls.get_block_type_slug()

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

    @model_validator(mode="before")
    @classmethod
    def _refuse_secrets(cls, values: Any) -> Any:
        """A field that is a secret by design, such as a token's `value`, is typed so and not looked at."""
        if isinstance(values, dict):
            texts = {name: value for name, value in values.items() if not isinstance(value, BaseModel)}
            suspects = [item for item in find_secrets(texts) if item.at != _EXPLICIT_TOKEN]
            if suspects:
                raise ValueError(f"{suspects[0].at}: {suspects[0].why}; a block names where a secret is kept")
        return values


_EXPLICIT_TOKEN: Final = "auth.value"  # noqa: S105 - the one field for a token, which warns
