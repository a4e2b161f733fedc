"""Texts of the manifest with `{name}` placeholders."""

from string import Formatter
from typing import Annotated

from pydantic import AfterValidator, Field


def split_template(template: str) -> tuple[tuple[str, str | None], ...]:
    """Literal text and the name of the placeholder after it, or None; `{{` and `}}` are literal braces.

    Raises:
        ValueError: an unclosed brace, or a placeholder that is not a plain name.
    """
    try:
        parts = list(Formatter().parse(template))
    except ValueError as error:
        raise ValueError(f"'{template}' is not a template: {error}; write literal braces as {{{{ and }}}}") from error
    for _, name, specification, conversion in parts:
        if name is not None and (not name.isidentifier() or specification or conversion):
            raise ValueError(f"'{template}' has a placeholder that is not a plain name: '{name}'; use {{name}} only")
    return tuple((literal, name) for literal, name, _, _ in parts)


def check_template(template: str) -> str:
    """The template, when it is one.

    Raises:
        ValueError: it is not.
    """
    split_template(template)
    return template


Template = Annotated[str, Field(min_length=1), AfterValidator(check_template)]
"""Text with `{name}` placeholders, filled from the stack's outputs and, for one host, its own values."""
