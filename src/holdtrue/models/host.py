"""Hosts as the stack's outputs name them."""

from typing import Annotated

from pydantic import AfterValidator, Field, JsonValue

from holdtrue.models.base import Value

HostName = Annotated[str, Field(pattern=r"^[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?$")]
"""Never starts with `-`: a host named `-oProxyCommand=...` would be an option to ssh."""


def _plain_for_ansible(variables: dict[str, JsonValue]) -> dict[str, JsonValue]:
    structured = [
        name for name, value in variables.items() if name.startswith("ansible_") and isinstance(value, list | dict)
    ]
    if structured:
        raise ValueError(f"Ansible variable {structured[0]} must be a string, number or boolean")
    return variables


HostVariables = Annotated[dict[str, JsonValue], AfterValidator(_plain_for_ansible)]
"""Any JSON value; only Ansible's own variables, which decide how a host is reached, must be plain values."""


class Host(Value):
    """One machine reachable by SSH."""

    name: HostName
    address: HostName
    port: int = Field(default=22, ge=1, le=65_535)
    user: str = Field(pattern=r"^[a-z_][a-z0-9_-]{0,31}$")
    variables: HostVariables = Field(
        default_factory=dict,
        description="Extra host variables, lists and mappings included. Plain values can also be used as placeholders.",
    )
