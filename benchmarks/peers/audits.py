"""The tools that audit dependencies: how each is started, what it finds, and what that costs."""

import atexit
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.integration.audit_projects import Findings, Pinned, merged

PIP_AUDIT: Final = (sys.executable, "-P", "-m", "pip_audit")
HOLDTRUE: Final = (sys.executable, "-P", "-m", "holdtrue", "audit")


@dataclass(frozen=True)
class Spent:
    """Seconds on the wall, and seconds of CPU, of children too."""

    wall: float
    cpu: float

    def __add__(self, other: "Spent") -> "Spent":
        return Spent(self.wall + other.wall, self.cpu + other.cpu)

    def __mul__(self, times: float) -> "Spent":
        return Spent(self.wall * times, self.cpu * times)


@dataclass(frozen=True)
class Said:
    """What a run of a tool said, and what it cost."""

    code: int
    out: str
    err: str
    spent: Spent


_BYTECODE: Final = Path(tempfile.mkdtemp(prefix="holdtrue-bench-bytecode-"))
"""Of every tool in Python, as an installer leaves it beside the sources: some machines forbid to write it there."""
atexit.register(shutil.rmtree, _BYTECODE, ignore_errors=True)


def run(command: Sequence[object], *, folder: Path, environment: Mapping[str, str] | None = None) -> Said:
    """Run a tool to its end, in an environment without settings for any of them."""
    inherited = {
        name: text
        for name, text in os.environ.items()
        if not name.upper().startswith(("HOLDTRUE_", "UV_", "PIP_", "OSV_", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"))
    } | {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(_BYTECODE)}
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    child = subprocess.run(
        list(map(str, command)),
        check=False, capture_output=True, text=True, cwd=folder, env=inherited | dict(environment or {}),
    )  # fmt: skip
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Said(child.returncode, child.stdout, child.stderr, Spent(wall, cpu))


# Holdtrue


def holdtrue(files: Sequence[Path], *source: object, cache: Path, form: str = "json") -> Said:
    """The command over all files at once."""
    options = (item for file in files for item in ("-r", file))
    return run(
        (*HOLDTRUE, *options, *source, "--format", form),
        folder=cache.parent,
        environment={"HOLDTRUE_CACHE": str(cache)},
    )


def read_holdtrue(out: str) -> dict[str, Findings]:
    """Findings by file."""
    document = json.loads(out)
    found: dict[str, list[tuple[str, str, list[str]]]] = {item["label"]: [] for item in document["inventories"]}
    for item in document["findings"]:
        for label in {place["inventory"] for place in item["occurrences"]}:
            found[label].append((item["package"], item["version"], [item["id"], *item["aliases"]]))
    return {label: merged(items) for label, items in found.items()}


# osv-scanner


def find_osv_scanner() -> str | None:
    """Where it is, on PATH."""
    return shutil.which("osv-scanner")


def write_osv_scanner_database(folder: Path, records: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """The environment in which it finds these. 2.5 looks below `osv-scalibr`, whatever its documentation says."""
    archive = folder / "osv-scalibr" / "PyPI" / "all.zip"
    archive.parent.mkdir(parents=True)
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as members:
        for record in records:
            members.writestr(f"{record['id']}.json", json.dumps(record))
    return {"OSV_SCANNER_LOCAL_DB_CACHE_DIRECTORY": str(folder)}


def osv_scanner(program: str, files: Sequence[Path], environment: Mapping[str, str], *, form: str = "json") -> Said:
    """All files in one process."""
    options = (item for file in files for item in ("-L", file))
    command = (program, "scan", "source", "--offline", "--format", form, *options)
    return run(command, folder=files[0].parent, environment=environment)


def read_osv_scanner(out: str) -> dict[str, Findings]:
    """Findings by file."""
    return {
        item["source"]["path"]: merged(
            (package["package"]["name"], package["package"]["version"], [*group["ids"], *group["aliases"]])
            for package in item["packages"]
            for group in package["groups"]
        )
        for item in json.loads(out)["results"]
    }


# pip-audit


def pip_audit(file: Path, url: str, *, form: str = "json") -> Said:
    """One file; it asks without a resolver, as it does for hashed requirements."""
    options = ("--disable-pip", "--no-deps", "--progress-spinner=off", "-s", "osv", "--osv-url", f"{url}/v1/query")
    return run((*PIP_AUDIT, "-r", file, *options, "--format", form), folder=file.parent)


def read_pip_audit(out: str) -> Findings:
    """Its findings."""
    return merged(
        (item["name"], item["version"], [flaw["id"], *flaw["aliases"]])
        for item in json.loads(out)["dependencies"]
        for flaw in item["vulns"]
    )


# uv audit


def write_uv_project(folder: Path, pins: Sequence[Pinned]) -> None:
    """A project whose lock holds these, as uv itself would write it; nothing of it can be downloaded."""
    needs = "".join(f'    {{ name = "{name}" }},\n' for name, _ in pins)
    wanted = ", ".join(f'{{ name = "{name}", specifier = "=={version}" }}' for name, version in pins)
    listed = ", ".join(f'"{name}=={version}"' for name, version in pins)
    locked = "\n".join(
        f'[[package]]\nname = "{name}"\nversion = "{version}"\nsource = {{ registry = "https://pypi.org/simple" }}\n'
        f'sdist = {{ url = "https://files.example/{name}.tar.gz", hash = "sha256:{"0" * 64}", size = 1 }}\n'
        for name, version in pins
    )
    (folder / "pyproject.toml").write_text(
        f'[project]\nname = "app"\nversion = "0.1"\nrequires-python = ">=3.11"\ndependencies = [{listed}]\n'
    )
    (folder / "uv.lock").write_text(
        'version = 1\nrevision = 3\nrequires-python = ">=3.11"\n\n[[package]]\nname = "app"\nversion = "0.1"\n'
        f'source = {{ virtual = "." }}\ndependencies = [\n{needs}]\n\n'
        f"[package.metadata]\nrequires-dist = [{wanted}]\n\n{locked}"
    )


def find_uv() -> str | None:
    """A uv that audits, beside this Python or on PATH."""
    program = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    return program if program and run((program, "audit", "--help"), folder=Path()).code == 0 else None


def uv_audit(program: str, folder: Path, url: str, *, cache: Path, form: str = "json") -> Said:
    """One project, from its lock."""
    features = ("--preview-features", "audit-command,json-output")
    options = ("--frozen", *features, "--service-url", url, "--output-format", form, "--cache-dir", cache)
    return run((program, "audit", *options), folder=folder)


def read_uv_audit(out: str) -> Findings:
    """Its findings."""
    return merged(
        (item["dependency"]["name"], item["dependency"]["version"], [item["id"], *item["aliases"]])
        for item in json.loads(out)["vulnerabilities"]
    )
