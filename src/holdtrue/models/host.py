"""Hosts as the stack's outputs name them."""

from pydantic import Field

from holdtrue.models.base import Value
from holdtrue.models.host_names import HostAddress, HostName, HostUser
from holdtrue.models.host_variables import HostVariables


class Host(Value):
    """One machine reachable by SSH. Its data is checked here, before any tool sees it."""

    name: HostName
    address: HostAddress
    port: int = Field(default=22, ge=1, le=65_535)
    user: HostUser
    variables: HostVariables = Field(
        default_factory=dict,
        description="Extra host variables, lists and mappings included. Plain values can also be used as placeholders.",
    )
