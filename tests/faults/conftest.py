"""The same services as the integration tests', in a session of their own."""

from tests.integration.conftest import (
    clean_sandbox,
    flow_fleet,
    joined_stage,
    private_folders,
    sandbox,
    ssh_login,
    stage,
    untouched,
    untouched_but_state,
)

__all__ = [
    "clean_sandbox",
    "flow_fleet",
    "joined_stage",
    "private_folders",
    "sandbox",
    "ssh_login",
    "stage",
    "untouched",
    "untouched_but_state",
]
