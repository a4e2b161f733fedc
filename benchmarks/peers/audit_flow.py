"""The whole `audit` flow on a Prefect server of its own: what a run costs around the library call that it makes.

python -m benchmarks.peers.audit_flow DUMP CACHE FLEET
"""

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil


def main(dump: Path, cache: Path, fleet: Path) -> dict[str, dict[str, float | str]]:
    """Of an empty flow, a first audit and a second: seconds on the wall and of CPU, the server's apart, and the state.

    Everything is new to the first audit, which emits events about it; the second compares with the first. Imports and
    the start of the server are not in it, nor is a first run of the empty flow.
    """
    os.environ |= {
        "HOLDTRUE_FLEET": str(fleet),
        "HOLDTRUE_REPORTS": str(fleet / "reports"),
        "HOLDTRUE_CACHE": str(cache),
        "HOLDTRUE_OSV_DB": str(dump),
        "HOLDTRUE_AUDIT_SOURCES": '["osv-db"]',
        "PREFECT_LOGGING_TO_CONSOLE": "false",
    }
    # Prefect reads its settings when it is imported.
    from prefect import Flow, State  # noqa: PLC0415
    from prefect.testing.utilities import prefect_test_harness  # noqa: PLC0415

    from flows.audit import audit  # noqa: PLC0415

    def measure(run: Callable[[], State[Any]]) -> dict[str, float | str]:
        wall, cpu, server = time.perf_counter(), time.process_time(), _cpu_of_children()
        state = run()
        return {
            "wall": time.perf_counter() - wall,
            "cpu": time.process_time() - cpu,
            "server_cpu": _cpu_of_children() - server,
            "state": str(state.name),
        }

    with prefect_test_harness(server_startup_timeout=180):
        empty = Flow(lambda: None, name="empty")
        empty()
        return {
            "empty flow": measure(lambda: empty(return_state=True)),
            "audit flow, first": measure(lambda: audit(return_state=True)),
            "audit flow, second": measure(lambda: audit(return_state=True)),
        }


def _cpu_of_children() -> float:
    children = psutil.Process().children(recursive=True)
    return sum(times.user + times.system for times in (child.cpu_times() for child in children))


if __name__ == "__main__":
    print(json.dumps(main(*map(Path, sys.argv[1:4]))))
