"""What an audit costs beside pip-audit, uv audit and osv-scanner: 50 projects of 60 pins, offline and at 50 ms.

    .venv/bin/python benchmarks/audit.py [--osv-db FILE] [--rounds 5]
    .venv/bin/python benchmarks/audit.py --compare     their words side by side

FILE has one OSV record a line (default: HOLDTRUE_BENCH_OSV_DB; without it, 2,661 made-up advisories on 664 packages).
Each claim needs the same findings on every project, which is checked in the same run. osv-scanner is measured where it
is on PATH, and nothing is claimed about a tool that is not there. pip-audit is measured on five projects, one after
another, and counted tenfold.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import yaml

ROOT: Final = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.peers import audits  # noqa: E402 - the checkout comes first
from benchmarks.peers.audits import Said, Spent  # noqa: E402
from benchmarks.peers.osv_server import OsvProcess  # noqa: E402
from benchmarks.peers.side_by_side import compare  # noqa: E402
from tests.integration.audit_projects import (  # noqa: E402
    Findings,
    Pinned,
    make_projects,
    read_advisories,
    synthetic_advisories,
    write_advisories,
    write_requirements,
)

PROJECTS: Final = 50
PINS: Final = 60
SHARED_PACKAGES: Final = 150
"""Projects of one organisation share packages: 3,000 pins are some 300 distinct ones."""
PIP_AUDIT_PROJECTS: Final = 5
LATENCY_SECONDS: Final = 0.05
QUERIES_PER_REQUEST: Final = 1000
MANY_PROJECTS: Final = 1000


@dataclass
class Bench:
    """The inputs, and what has been claimed of them so far."""

    folder: Path
    records: list[dict[str, Any]]
    rounds: int
    dump: Path = field(init=False)
    pins: list[list[Pinned]] = field(init=False)
    files: list[Path] = field(init=False)
    findings: dict[str, Findings] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.dump = write_advisories(self.folder / "advisories.jsonl", self.records)
        self.pins = make_projects(self.records, count=PROJECTS, pins=PINS, packages=SHARED_PACKAGES)
        self.files = write_requirements(self.folder / "projects", self.pins)
        for file, pins in zip(self.files, self.pins, strict=True):
            audits.write_uv_project(file.parent, pins)

    @property
    def distinct(self) -> int:
        """How many package versions there are."""
        return len({pin for pins in self.pins for pin in pins})

    def agree(self, tool: str, found: Mapping[str, Findings]) -> None:
        """Compare with what Holdtrue found from the dump."""
        differing = [name for name, items in found.items() if items != self.findings[name]]
        self.check(
            f"{tool} finds the same on {len(found) - len(differing)} of {len(found)} projects",
            holds=bool(found) and not differing,
        )

    def claim(self, what: str, ours: Spent, theirs: Spent, limit: float) -> None:
        """Say how many times less ours takes than theirs on the wall, and by CPU."""
        times = theirs.wall / ours.wall
        text = f"{what}: 1/{times:.1f} (CPU 1/{theirs.cpu / ours.cpu:.1f}); at most 1/{limit:g}"
        self.check(text, holds=times >= limit)

    def check(self, text: str, *, holds: bool) -> None:
        """Print it, and remember it if it does not hold."""
        print(f"  {'holds' if holds else 'FAILS'}  {text}")
        if not holds:
            self.failed.append(text)


def main() -> int:
    """Exit code 0 when every claim holds."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--osv-db", type=Path, default=os.environ.get("HOLDTRUE_BENCH_OSV_DB"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--compare", action="store_true", help="print what each tool says of the same inputs")
    options = parser.parse_args()
    with TemporaryDirectory() as folder:
        if options.compare:
            return compare(Path(folder))
        records = read_advisories(Path(options.osv_db)) if options.osv_db else synthetic_advisories()
        bench = Bench(Path(folder), records, options.rounds)
        print(f"{PROJECTS} projects x {PINS} pins, {bench.distinct} distinct; {len(records)} advisories", end=" ")
        print(f"from {options.osv_db}" if options.osv_db else "made up")
        library = offline(bench)
        online(bench, library)
        whole_flow(bench)
        many(bench)
    print("every claim holds" if not bench.failed else f"{len(bench.failed)} claims fail")
    return 1 if bench.failed else 0


def offline(bench: Bench) -> Spent:
    """From a dump; the time of the library call."""
    cache = bench.folder / "cache"
    first = audits.holdtrue(bench.files, "--osv-db", bench.dump, cache=cache)
    bench.findings = audits.read_holdtrue(first.out)
    print(f"\noffline, {sum(map(len, bench.findings.values()))} findings; medians of {bench.rounds} interleaved rounds")
    scanner = audits.find_osv_scanner()
    environment = audits.write_osv_scanner_database(bench.folder / "database", bench.records)
    rounds: dict[str, list[Spent]] = {}
    scanned: Said | None = None
    for _ in range(bench.rounds):
        rounds.setdefault("library call", []).append(_call_library(bench.dump, cache, bench.files)[0])
        for form in ("table", "json"):
            said = audits.holdtrue(bench.files, "--osv-db", bench.dump, cache=cache, form=form)
            rounds.setdefault(f"holdtrue audit, {form}", []).append(said.spent)
        if scanner:
            scanned = audits.osv_scanner(scanner, bench.files, environment)
            rounds.setdefault("osv-scanner, one process, json", []).append(scanned.spent)
    spent = {name: _median(items) for name, items in rounds.items()}
    _show("holdtrue audit, json, first run (indexes the dump)", first.spent)
    for name, item in spent.items():
        _show(name, item)
    library, process = spent["library call"], spent["holdtrue audit, json"]
    if scanned is None:
        print("  osv-scanner is not on PATH: nothing is claimed about it")
    else:
        bench.agree("osv-scanner", audits.read_osv_scanner(scanned.out))
        theirs = spent["osv-scanner, one process, json"]
        bench.claim("library call to osv-scanner", library, theirs, 10)
        bench.claim("whole process to osv-scanner", process, theirs, 3)
    return library


def online(bench: Bench, library: Spent) -> None:
    """From an API."""
    with OsvProcess(bench.dump) as server:
        at_once = _pip_audit_in_sequence(bench, server.url)
    print(f"\nonline, answers {LATENCY_SECONDS * 1000:.0f} ms late; medians of {bench.rounds} rounds")
    with OsvProcess(bench.dump, latency_seconds=LATENCY_SECONDS) as server:
        rounds: dict[str, list[Spent]] = {}
        requests: list[dict[str, int]] = []
        said: Said | None = None
        cache, library_cache = bench.folder / "online-cache", bench.folder / "library-cache"
        for _ in range(bench.rounds):
            shutil.rmtree(cache, ignore_errors=True)
            shutil.rmtree(library_cache, ignore_errors=True)
            for state in ("cold", "warm"):
                said = audits.holdtrue(bench.files, "--osv-url", server.url, cache=cache)
                rounds.setdefault(f"holdtrue audit, {state}", []).append(said.spent)
                requests.append(server.take_counts())
                call, _facts = _call_library(server.url, library_cache, bench.files)
                rounds.setdefault(f"library call, {state}", []).append(call)
                requests.append(server.take_counts())
        late = _pip_audit_in_sequence(bench, server.url)
        spent = {name: _median(items) for name, items in rounds.items()}
        for name, item in spent.items():
            _show(name, item)
        cold, warm = spent["holdtrue audit, cold"], spent["holdtrue audit, warm"]
        _show(f"pip-audit in sequence, {PIP_AUDIT_PROJECTS} measured, x{PROJECTS / PIP_AUDIT_PROJECTS:g}", late)
        _show("the same from a server that answers at once", at_once)
        if said is not None:
            bench.agree("the API", audits.read_holdtrue(said.out))
        batches = -(-bench.distinct // QUERIES_PER_REQUEST)
        bench.check(
            f"requests: {requests[0]} cold, {requests[2]} warm; at most {1 + batches} and new advisories",
            holds=all(item["querybatch"] <= 1 + batches and item.keys() <= {"querybatch", "vulns"} for item in requests)
            and all("vulns" not in item for warm_runs in (requests[2::4], requests[3::4]) for item in warm_runs),
        )
        bench.claim("cold to pip-audit", cold, late, 100)
        bench.claim("warm to pip-audit", warm, late, 200)
        bench.claim("offline library call to pip-audit", library, late, 200)
        print(f"         the same to pip-audit and a server that answers at once: 1/{at_once.wall / library.wall:.0f}")
        beside_uv(bench, server, spent)


def beside_uv(bench: Bench, server: OsvProcess, ours: Mapping[str, Spent]) -> None:
    """The same by `uv audit`, one project after another, with one cache."""
    uv = audits.find_uv()
    if uv is None:
        print("  there is no uv that audits: nothing is claimed about it")
        return
    cache = bench.folder / "uv-cache"
    server.take_counts()
    first = [audits.uv_audit(uv, file.parent, server.url, cache=cache) for file in bench.files]
    requests = server.take_counts()
    uv_cold = _total(item.spent for item in first)
    uv_warm = _total(audits.uv_audit(uv, file.parent, server.url, cache=cache).spent for file in bench.files)
    _show(f"uv audit in sequence, cold, {requests}", uv_cold)
    _show("uv audit in sequence, warm", uv_warm)
    withdrawn = {record["id"] for record in bench.records if record.get("withdrawn")}
    found = {
        str(file): frozenset(item for item in audits.read_uv_audit(said.out) if withdrawn.isdisjoint(item[2]))
        for file, said in zip(bench.files, first, strict=True)
    }
    bench.agree("uv audit (without the withdrawn advisories that it reports)", found)
    for state, theirs in (("cold", uv_cold), ("warm", uv_warm)):
        bench.claim(f"library call, {state}, to uv audit, {state}", ours[f"library call, {state}"], theirs, 15)
        process = ours[f"holdtrue audit, {state}"]
        print(f"         the whole process, {state}, to uv audit, {state}: 1/{theirs.wall / process.wall:.1f}")


def whole_flow(bench: Bench) -> None:
    """The `audit` flow over the same files, on a Prefect server of its own."""
    fleet = bench.folder / "fleet"
    shutil.copytree(ROOT / "fleet", fleet)
    files = write_requirements(fleet / "projects", bench.pins)
    manifest = yaml.safe_load((fleet / "environments" / "demo.yaml").read_text())
    manifest["audit"] = {"worker": False, "requirements": [str(file.relative_to(fleet)) for file in files]}
    (fleet / "environments" / "demo.yaml").write_text(yaml.safe_dump(manifest))
    child = subprocess.run(
        [sys.executable, "-m", "benchmarks.peers.audit_flow", bench.dump, bench.folder / "cache", fleet],
        check=True, capture_output=True, text=True, cwd=ROOT,
    )  # fmt: skip
    measured: dict[str, dict[str, Any]] = json.loads(child.stdout.splitlines()[-1])
    print("\nthe whole flow, from the dump, on a Prefect server with SQLite; one run of each")
    for name, run in measured.items():
        _show(f"{name}: {run['state']}, and {run['server_cpu']:.2f} s of the server", Spent(run["wall"], run["cpu"]))
    ends = [run["state"] for name, run in measured.items() if name.startswith("audit")]
    bench.check(f"both audits end in Vulnerable: {ends}", holds=set(ends) == {"Vulnerable"})


def many(bench: Bench) -> None:
    """A thousand projects in one pass of the library."""
    pins = make_projects(bench.records, count=MANY_PROJECTS, pins=PINS, packages=SHARED_PACKAGES)
    files = write_requirements(bench.folder / "many", pins)
    spent, facts = _call_library(bench.dump, bench.folder / "cache", files)
    print(f"\n{MANY_PROJECTS} projects x {PINS} pins in one pass")
    _show(f"library call, {facts['findings']:.0f} findings, at most {facts['megabytes']:.0f} MB of memory", spent)
    bench.check(
        f"{facts['audited']:.0f} of {MANY_PROJECTS * PINS} packages audited",
        holds=facts["audited"] == MANY_PROJECTS * PINS,
    )


def _pip_audit_in_sequence(bench: Bench, url: str) -> Spent:
    files = bench.files[:PIP_AUDIT_PROJECTS]
    audits.pip_audit(files[0], url)  # so that its bytecode is there
    said = [audits.pip_audit(file, url) for file in files]
    found = {str(file): audits.read_pip_audit(item.out) for file, item in zip(files, said, strict=True)}
    bench.agree("pip-audit", found)
    return _total(item.spent for item in said) * (PROJECTS / PIP_AUDIT_PROJECTS)


def _call_library(place: Path | str, cache: Path, files: Sequence[Path]) -> tuple[Spent, dict[str, float]]:
    """Time and facts of a call in a fresh process, whose start and imports are not in it."""
    child = subprocess.run(
        [sys.executable, "-m", "benchmarks.peers.library_call", str(place), str(cache / "advisories")],
        check=True, capture_output=True, text=True, cwd=ROOT, input="\n".join(map(str, files)),
    )  # fmt: skip
    facts: dict[str, float] = json.loads(child.stdout)
    return Spent(facts["wall"], facts["cpu"]), facts


def _median(rounds: Sequence[Spent]) -> Spent:
    return Spent(statistics.median(item.wall for item in rounds), statistics.median(item.cpu for item in rounds))


def _total(items: Any) -> Spent:
    return sum(items, Spent(0, 0))


def _show(name: str, spent: Spent) -> None:
    print(f"  {name:<62} {spent.wall:8.2f} s (CPU {spent.cpu:.2f})")


if __name__ == "__main__":
    sys.exit(main())
