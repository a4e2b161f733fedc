"""Reports of which every text, in every field, is one given text: what a page makes of it is seen whole."""

from datetime import UTC, date, datetime
from enum import Enum
from itertools import cycle, islice
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin
from uuid import UUID

from pydantic import BaseModel, JsonValue

M = TypeVar("M", bound=BaseModel)

_MOMENT = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
_ID = UUID(int=7)


def filled(kind: type[M], text: str) -> M:
    """One report: with one element for each outcome, verdict and the like in its lists, and nothing left empty."""
    return variants(kind, text)[0]  # type: ignore[no-any-return] # it is one of that kind


def variants(kind: Any, text: str) -> list[Any]:  # noqa: PLR0911 - one return a type
    """Values of a type with this text in them: every member of an enumeration, and one of what has no members."""
    origin, arguments = get_origin(kind), get_args(kind)
    if kind is JsonValue:
        return [{text: [text]}]
    if origin is Annotated:
        return variants(arguments[0], text)
    if origin is Literal:
        return list(arguments)
    if origin in {Union, UnionType}:
        return variants(next(item for item in arguments if item is not NoneType), text)
    if origin is tuple:
        return [tuple(variants(arguments[0], text))]
    if origin is dict:
        return [dict.fromkeys(variants(arguments[0], text), variants(arguments[1], text)[0])]
    if issubclass(kind, Enum):
        return list(kind)
    if issubclass(kind, BaseModel):
        return _models(kind, text)
    return [{str: text, datetime: _MOMENT, date: _MOMENT.date(), bool: True, int: 1, float: 1.0, UUID: _ID}[kind]]


def _models(kind: type[BaseModel], text: str) -> list[BaseModel]:
    """Not validated: who writes to the state or to Prefect's database is not bound to our patterns."""
    values = {name: variants(field.annotation, text) for name, field in kind.model_fields.items()}
    number = max(map(len, values.values()), default=1)
    columns = [islice(cycle(column), number) for column in values.values()]
    return [kind.model_construct(**dict(zip(values, row, strict=True))) for row in zip(*columns, strict=True)]
