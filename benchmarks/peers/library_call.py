"""One audit by the library in a fresh process: what it costs after the imports, up to the table that it shows.

python -m benchmarks.peers.library_call DUMP|URL CACHE < a path of a requirements file each line
"""

import json
import resource
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from holdtrue.adapters.inventory.files import read_file
from holdtrue.adapters.osv_api import OsvApi
from holdtrue.adapters.osv_dump import OsvDump
from holdtrue.auditing import Judgement, audit
from holdtrue.core.audit_output.table import describe
from holdtrue.models.osv import AdvisorySource


def main(place: str, cache: Path, files: list[Path]) -> dict[str, float]:
    """Seconds on the wall and of CPU, MB of memory at most, and numbers that tell whether it did its work."""
    wall, cpu = time.perf_counter(), time.process_time()
    source: AdvisorySource
    if place.startswith("http:"):
        source = OsvApi(place, cache_folder=cache)
    else:
        source = OsvDump(Path(place), cache_folder=cache, maximum_age_days=None, now=lambda: datetime.now(UTC))
    report = audit([read_file(file) for file in files], [source], Judgement())
    lines = describe(report)
    return {
        "wall": time.perf_counter() - wall,
        "cpu": time.process_time() - cpu,
        "megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "lines": len(lines),
        "audited": report.counts.audited,
        "distinct": report.counts.unique,
        "findings": sum(item.findings for item in report.inventories),
    }


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], Path(sys.argv[2]), [Path(line.strip()) for line in sys.stdin])))
