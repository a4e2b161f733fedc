"""Made-up advisories and the projects that they are about, and an OSV API that judges by a second, plain matcher.

Everything is drawn from seeds, so that a failure can be had again. Versions lie at the edges of the ranges, where
matchers differ if they do.
"""

import json
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from packaging.version import InvalidVersion, Version

from tests.integration.osv_fault_server import Fault, FaultServer, normalised

Pinned = tuple[str, str]
"""A package's name and version."""
Findings = frozenset[tuple[str, str, frozenset[str]]]
"""Package, version and every name of the vulnerability."""

ADVISORIES: Final = 2_661
PACKAGES: Final = 664
"""As many as the PyPA advisory database held in October 2024."""
_NEIGHBOURS: Final = ("{}", "{}", "{}.1", "{}.post1", "{}rc1", "{}.dev1")
_TWINS: Final = 0.15
"""How many advisories have a second one, of another database, under the same CVE."""
_VECTOR: Final = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"


def synthetic_advisories(seed: int = 1, *, count: int = ADVISORIES, packages: int = PACKAGES) -> list[dict[str, Any]]:
    """OSV records in the proportions of the real ones: a few packages have most of them."""
    draw = random.Random(seed)  # noqa: S311 - a seed is the point
    names = [f"demo-{number:03}" for number in range(packages)]
    records: list[dict[str, Any]] = []
    for number in range(count):
        if len(records) >= count:
            break
        # Every package once, and then mostly the first ones.
        name = names[number] if number < packages else names[int(packages * draw.random() ** 4)]
        record = _record(draw, f"PYSEC-2099-{number}", name, names)
        records.append(record)
        if record["aliases"] and draw.random() < _TWINS:
            records.append(record | {"id": f"GHSA-demo-{number:04}-{seed:04}"})
    return sorted(records[:count], key=lambda record: str(record["id"]))


def _record(draw: random.Random, own_id: str, name: str, names: Sequence[str]) -> dict[str, Any]:
    second, other = draw.random() < 0.02, draw.random() < 0.03
    about = [name] * (2 if second else 1) + ([draw.choice(names)] if other else [])
    record: dict[str, Any] = {
        "schema_version": "1.6.0",
        "id": own_id,
        "modified": f"2099-{draw.randint(1, 12):02}-{draw.randint(1, 28):02}T01:02:03Z",
        "published": "2099-01-01T00:00:00Z",
        "aliases": [own_id.replace("PYSEC", "CVE")] if draw.random() < 0.8 else [],
        "affected": [_affected(draw, package) for package in about],
    }
    if draw.random() < 0.08:
        record["severity"] = [{"type": "CVSS_V3", "score": _VECTOR}]
    if draw.random() < 0.004:
        record["withdrawn"] = "2026-02-01T00:00:00Z"
    return record


def _affected(draw: random.Random, name: str) -> dict[str, Any]:
    edges = sorted({_version(draw) for _ in range(4)}, key=Version)
    shape = draw.random()
    events: list[dict[str, str]] = [{"introduced": "0"}]
    versions: list[str] = []
    if shape < 0.6:
        events.append({"fixed": edges[-1]})
    elif shape < 0.85:
        events += [{("introduced", "fixed")[at % 2 == 0]: edge} for at, edge in enumerate(edges)]
        draw.shuffle(events)
    elif shape < 0.92:
        events = [{"introduced": edges[0]}]
    elif shape < 0.96:
        events.append({"last_affected": edges[0]})
    else:
        events, versions = [], edges
    entry: dict[str, Any] = {"package": {"name": name, "ecosystem": "PyPI"}}
    if events:
        entry["ranges"] = [{"type": "ECOSYSTEM", "events": events}]
    if versions or shape < 0.02:
        entry["versions"] = versions or [edges[0]]
    return entry


def _version(draw: random.Random) -> str:
    text = ".".join(str(draw.randint(0, 12)) for _ in range(draw.randint(2, 3)))
    suffix = draw.choice(("", "", "", "", "rc1", "a2", ".post1", ".dev3"))
    return str(Version(text + suffix))


def read_advisories(path: Path) -> list[dict[str, Any]]:
    """One record a line."""
    return [json.loads(line) for line in path.read_text().splitlines() if line.strip()]


def write_advisories(path: Path, records: Iterable[Mapping[str, Any]]) -> Path:
    """One record a line."""
    path.write_text("".join(f"{json.dumps(record)}\n" for record in records))
    return path


def make_projects(
    records: Iterable[Mapping[str, Any]], *, count: int, pins: int = 60, packages: int = 0, seed: int = 1
) -> list[list[Pinned]]:
    """The pins of as many projects, each of distinct packages.

    Args:
        records: The advisories.
        count: How many projects.
        pins: How many packages each has.
        packages: How many packages, with two versions each, they share, as the projects of one organisation do, with
            newer versions rather than older ones; 0 for all packages, and any version.
        seed: What everything is drawn from.
    """
    draw = random.Random(seed)  # noqa: S311 - a seed is the point
    edges = _edges(records)
    names = sorted(edges)
    if packages:
        names = draw.sample(names, packages)
        edges = {name: _draw_newer(draw, edges[name]) for name in names}
    return [sorted((name, draw.choice(edges[name])) for name in draw.sample(names, pins)) for _ in range(count)]


def _draw_newer(draw: random.Random, versions: Sequence[str]) -> list[str]:
    """Two versions of the newer half."""
    ordered = sorted(versions, key=Version)
    newer = ordered[len(ordered) // 2 :]
    return draw.sample(newer, min(2, len(newer)))


def _edges(records: Iterable[Mapping[str, Any]]) -> dict[str, list[str]]:
    """By package, the versions that its advisories name, and those right beside them."""
    found: dict[str, set[str]] = {}
    for record in records:
        for entry in record["affected"]:
            texts = [
                text for item in entry.get("ranges", ()) for event in item["events"] for text in event.values()
            ] + entry.get("versions", [])[:20]
            beside = (shape.format(text) for text in texts for shape in _NEIGHBOURS if text != "0")
            known = {str(version) for text in beside if (version := _read(text))}
            found.setdefault(normalised(entry["package"]["name"]), set()).update(known)
    return {name: sorted(versions) for name, versions in found.items() if versions}


def _read(text: str) -> Version | None:
    try:
        return Version(text)
    except InvalidVersion:
        return None


def write_requirements(folder: Path, projects: Sequence[Sequence[Pinned]]) -> list[Path]:
    """One requirements file for each project, in a folder of its own."""
    files: list[Path] = []
    for number, pins in enumerate(projects):
        file = folder / f"project-{number:04}" / "requirements.txt"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("".join(f"{name}=={version}\n" for name, version in pins))
        files.append(file)
    return files


def merged(found: Iterable[tuple[str, str, Iterable[str]]]) -> Findings:
    """The findings of any tool in one form: those of a pin that share a name are one."""
    by_pin: dict[Pinned, list[set[str]]] = {}
    for name, version, ids in found:
        groups = by_pin.setdefault((normalised(name), version), [])
        joined = set(ids)
        for group in [group for group in groups if group & joined]:
            joined |= group
            groups.remove(group)
        groups.append(joined)
    return frozenset((*pin, frozenset(group)) for pin, groups in by_pin.items() for group in groups)


def affects(entry: Mapping[str, Any], version: str) -> bool:
    """The evaluation of the OSV schema, as simple as it can be; an event that is no version counts for nothing."""
    wanted = Version(version)
    if any(_read(text) == wanted for text in entry.get("versions", ())):
        return True
    for item in entry.get("ranges", ()):
        timeline = []
        for event in item["events"]:
            ((kind, text),) = event.items()
            at = Version("0.dev0") if text == "0" else _read(text)
            if at is not None:
                # Of events at one version the fix comes first.
                timeline.append((at, kind != "fixed", kind))
        is_affected = False
        for at, _, kind in sorted(timeline):
            if kind == "introduced" and wanted >= at:
                is_affected = True
            elif (kind == "fixed" and wanted >= at) or (kind == "last_affected" and wanted > at):
                is_affected = False
        if is_affected:
            return True
    return False


@dataclass
class ReferenceServer(FaultServer):
    """The OSV API over these records, judged by `affects`, each answer `latency_seconds` late."""

    latency_seconds: float = 0.0
    by_package: dict[str, list[Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for record in self.records.values():
            for name in {normalised(entry["package"]["name"]) for entry in record["affected"]}:
                self.by_package.setdefault(name, []).append(record)

    def answer(self, method: str, path: str, body: Any) -> Fault:
        """What a request gets."""
        answer = super().answer(method, path, body)
        answer.delay_seconds = self.latency_seconds
        return answer

    def _named(self, query: Any) -> list[Any]:
        return list(self._affecting(query["package"]["name"], query["version"]))

    def _affecting(self, name: str, version: str) -> Iterator[Any]:
        for record in self.by_package.get(name, ()):
            entries = (item for item in record["affected"] if normalised(item["package"]["name"]) == name)
            if any(affects(entry, version) for entry in entries):
                yield record
