"""Hosts as the stack's outputs name them."""

from typing import Annotated

from pydantic import Field

from holdtrue.models.base import Value

HostName = Annotated[str, Field(pattern=r"^[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?$")]
"""Never starts with `-`: a host named `-oProxyCommand=...` would be an option to ssh."""


class Host(Value):
    """One machine reachable by SSH."""

    name: HostName
    address: HostName
    port: int = Field(default=22, ge=1, le=65_535)
    user: str = Field(pattern=r"^[a-z_][a-z0-9_-]{0,31}$")
    variables: dict[str, str | int | float | bool] = Field(
        default_factory=dict, description="Everything else the output says; becomes host variables and placeholders."
    )
