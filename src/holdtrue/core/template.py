"""Fill `{name}` placeholders in the manifest's texts."""

from collections.abc import Mapping
from string import Formatter

from pydantic import JsonValue

from holdtrue.errors import RejectedError


def fill(template: str, values: Mapping[str, JsonValue], *, where: str) -> str:
    """Replace each `{name}` with the text or number of that name; `{{` and `}}` are literal braces.

    Raises:
        RejectedError: a placeholder that is not a plain name, is unknown, or names a list or object.
    """
    return "".join(literal + _value(field, values, where) for literal, field in _parts(template, where))


def _parts(template: str, where: str) -> list[tuple[str, str | None]]:
    try:
        parts = list(Formatter().parse(template))
    except ValueError as error:
        raise RejectedError(
            f"'{template}' is not a template: {error}", where=where, next_step="write literal braces as {{ and }}"
        ) from error
    for _, field, specification, conversion in parts:
        if field is not None and (not field.isidentifier() or specification or conversion):
            raise RejectedError(
                f"'{template}' holds a placeholder that is not a plain name: '{field}'",
                where=where,
                next_step="use {name} only",
            )
    return [(literal, field) for literal, field, _, _ in parts]


def _value(field: str | None, values: Mapping[str, JsonValue], where: str) -> str:
    if field is None:
        return ""
    value = values.get(field)
    if value is None or isinstance(value, (list, dict)):
        known = ", ".join(sorted(name for name, item in values.items() if not isinstance(item, (list, dict))))
        raise RejectedError(
            f"nothing fills the placeholder {{{field}}}", where=where, next_step=f"export it or use one of: {known}"
        )
    return str(value)
