"""A local OSV API in a process of its own, so that its CPU time is in nobody's account."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Self

ROOT = Path(__file__).parents[2]


class OsvProcess:
    """The API over a file of records; a context manager. `url` is its base address."""

    def __init__(self, dump: Path, *, latency_seconds: float = 0.0) -> None:
        self._command = [sys.executable, "-m", "benchmarks.peers.osv_server", str(dump), str(latency_seconds)]
        self.url = ""

    def __enter__(self) -> Self:
        self._child = subprocess.Popen(
            self._command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.url = self._read()
        return self

    def __exit__(self, *_: object) -> None:
        self._child.communicate()

    def take_counts(self) -> dict[str, int]:
        """Requests by kind since the last time."""
        if self._child.stdin is None:
            raise RuntimeError("it is not running")
        self._child.stdin.write("\n")
        self._child.stdin.flush()
        counts: dict[str, int] = json.loads(self._read())
        return counts

    def _read(self) -> str:
        if self._child.stdout is None:
            raise RuntimeError("it is not running")
        return self._child.stdout.readline().strip()


def _serve(dump: Path, latency_seconds: float) -> None:
    sys.path.insert(0, str(ROOT))
    from tests.integration.audit_projects import ReferenceServer, read_advisories  # noqa: PLC0415 - after the path

    records = {record["id"]: record for record in read_advisories(dump)}
    with ReferenceServer(records=records, latency_seconds=latency_seconds) as server:
        print(server.url, flush=True)
        for _ in sys.stdin:
            print(json.dumps(server.counts()), flush=True)
            server.asked.clear()


if __name__ == "__main__":
    _serve(Path(sys.argv[1]), float(sys.argv[2]))
