import json
import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from tools.pulumi.obtain import read_wanted_version
from tools.uv_program import PRIVATE_UV

CHECKOUT = Path(__file__).parents[2]
_SECRET = re.compile(r"secret|token|passw|private|api_?key|credential", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Instruction:
    name: str
    text: str


def _parse(dockerfile: str) -> tuple[Instruction, ...]:
    """Instructions in their order, with comments dropped and continued lines joined."""
    lines = "\n".join(line for line in dockerfile.splitlines() if not line.lstrip().startswith("#"))
    joined = re.sub(r"\\\s*\n\s*", " ", lines)
    return tuple(Instruction(*line.split(maxsplit=1)) for line in joined.splitlines() if line.strip())


def _faults(dockerfile: str) -> set[str]:
    """What is wrong with a worker image; empty for a good one."""
    instructions = _parse(dockerfile)
    last_from = max(index for index, item in enumerate(instructions) if item.name == "FROM")
    final = {item.name: item.text for item in instructions[last_from:]}
    bases = [item.text for item in instructions if item.name == "FROM"]
    declared = [item.text for item in instructions if item.name in {"ARG", "ENV"}]
    installs = [part for item in instructions if item.name == "RUN" for part in item.text.split("&&") if "uv " in part]
    checks = {
        "runs as root": final.get("USER", "root") in {"root", "0"},
        "base without version": any(not re.search(r":\$\{\w+_VERSION\}|:\d", base) for base in bases),
        "base without digest argument": any("_DIGEST:+@" not in base and "@sha256:" not in base for base in bases),
        "not from the lock file": not installs or any("--frozen" not in part for part in installs),
        "a secret is declared": any(_SECRET.search(text) for text in declared),
        "no health check": "HEALTHCHECK" not in final,
        "pip installs": any("pip install" in item.text for item in instructions if item.name == "RUN"),
    }
    return {fault for fault, found in checks.items() if found}


@pytest.fixture
def dockerfile() -> str:
    return (CHECKOUT / "Dockerfile").read_text(encoding="utf-8")


def test_the_image_has_no_known_fault(dockerfile: str) -> None:
    assert _faults(dockerfile) == set()


@pytest.mark.parametrize(
    ("good", "bad", "fault"),
    [
        ("USER holdtrue", "USER root", "runs as root"),
        ("USER holdtrue\n", "", "runs as root"),
        (":${PYTHON_VERSION}-slim-bookworm", ":latest", "base without version"),
        ("${UV_DIGEST:+@${UV_DIGEST}}", "", "base without digest argument"),
        ("--frozen", "", "not from the lock file"),
        ("DO_NOT_TRACK=1", "VAULT_TOKEN=x", "a secret is declared"),
        ("HEALTHCHECK", "LABEL check=", "no health check"),
        ("RUN uv sync", "RUN pip install . #", "pip installs"),
    ],
)
def test_each_fault_would_be_seen(dockerfile: str, good: str, bad: str, fault: str) -> None:
    assert good in dockerfile

    assert fault in _faults(dockerfile.replace(good, bad))


def test_versions_agree_with_set_up(dockerfile: str) -> None:
    arguments = dict(item.text.split("=", 1) for item in _parse(dockerfile) if item.name == "ARG")

    assert arguments["PULUMI_VERSION"] == str(read_wanted_version(CHECKOUT / "tools/pulumi/go.mod"))
    assert arguments["UV_VERSION"] == PRIVATE_UV


def test_the_worker_serves_its_pool_from_its_home(dockerfile: str) -> None:
    final = {item.name: item.text for item in _parse(dockerfile)}
    environment = dict(pair.split("=", 1) for pair in final["ENV"].split())

    assert final["WORKDIR"] == environment["HOLDTRUE_HOME"] == "/opt/holdtrue"
    assert environment["PYTHONPATH"] == "/opt/holdtrue:/opt/holdtrue/src"
    assert "holdtrue" in json.loads(final["CMD"])


def test_every_copied_path_is_in_the_build_context(dockerfile: str) -> None:
    allowed = {line[1:] for line in (CHECKOUT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = [
        item.text.split()[:-1] for item in _parse(dockerfile) if item.name == "COPY" and "--from" not in item.text
    ]

    assert {path for paths in copied for path in paths} == allowed
