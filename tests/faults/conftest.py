"""The same services as the integration tests', in a session of their own."""

from pathlib import Path

import pytest

from tests.integration.conftest import (
    clean_sandbox,
    flow_fleet,
    joined_stage,
    ledger,
    ledger_url,
    sandbox,
    sqlite_ledger,
    ssh_login,
    stage,
    untouched,
    untouched_but_state,
)
from tests.longest_first import start_longest_first

__all__ = [
    "clean_sandbox",
    "flow_fleet",
    "joined_stage",
    "ledger",
    "ledger_url",
    "sandbox",
    "sqlite_ledger",
    "ssh_login",
    "stage",
    "untouched",
    "untouched_but_state",
]

_LONGEST = (
    "test_flow_hosts.py",
    "test_pulumi_faults.py",
    "test_flow_kills.py",
    "test_ledger_outage.py",
    "test_pulumi_kills.py",
    "test_approvals.py",
    "test_flow_cloud.py",
    "test_held_secrets.py",
    "test_hostile_hosts.py",
    "test_flow_vault.py",
    "test_flow_program.py",
    "test_flow_audit.py",
    "test_flow_demo.py",
    "test_flow_hangups.py",
    "test_flow_traffic.py",
    "test_traffic_exits.py",
    "test_sandbox_lifetime.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    start_longest_first(items, Path(__file__).parent, _LONGEST)
