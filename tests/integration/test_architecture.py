import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]
PACKAGES = ("flows", "tasks", "blocks", "sandbox", "src/holdtrue")
FIRST_PARTY = {"flows", "tasks", "blocks", "sandbox", "holdtrue", "tests", "benchmarks", "tools", "fleet"}

# One process checks all cases, because starting one costs more than checking. For each case it prints whether the
# contract (all of them, when the case names none) holds while the files of the case are there.
_DRIVER = """
import contextlib, io, json, pathlib, sys
from importlinter.cli import lint_imports

def holds(contract):
    with contextlib.redirect_stdout(io.StringIO()):
        return lint_imports(limit_to_contracts=(contract,) if contract else (), no_cache=True, no_logo=True) == 0

answers = []
for contract, files in json.load(sys.stdin):
    for name, text in files.items():
        path = pathlib.Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    answers.append(holds(contract))
    for name in files:
        pathlib.Path(name).unlink()
json.dump(answers, sys.stdout)
"""


@dataclass(frozen=True, slots=True)
class Intruder:
    """Imports that must break one contract."""

    contract: str
    files: dict[str, str]

    def __str__(self) -> str:
        return f"{self.contract}: " + ", ".join(f"{text} in {name}" for name, text in self.files.items())


INTRUDERS = (
    Intruder("application", {"tasks/intruder.py": "import flows"}),
    Intruder("application", {"blocks/intruder.py": "import tasks"}),
    Intruder("application", {"src/holdtrue/models/intruder.py": "import blocks"}),
    Intruder("library", {"src/holdtrue/models/intruder.py": "import holdtrue.core"}),
    Intruder("library", {"src/holdtrue/core/intruder.py": "import holdtrue.adapters"}),
    Intruder("library", {"src/holdtrue/runtime/intruder.py": "import holdtrue.adapters"}),
    Intruder("library", {"src/holdtrue/utils.py": "import holdtrue.errors"}),
    Intruder(
        "adapters",
        {"src/holdtrue/adapters/one.py": "", "src/holdtrue/adapters/two/three.py": "import holdtrue.adapters.one"}
        | {"src/holdtrue/adapters/two/__init__.py": ""},
    ),
    Intruder("no-orchestrator", {"src/holdtrue/core/intruder.py": "import prefect"}),
    Intruder("no-orchestrator", {"src/holdtrue/adapters/intruder.py": "from prefect_aws import AwsCredentials"}),
    Intruder("pure", {"src/holdtrue/core/intruder.py": "import boto3"}),
    Intruder("pure", {"src/holdtrue/models/intruder.py": "def f():\n    import subprocess"}),
    Intruder("clockless", {"src/holdtrue/core/intruder.py": "import time"}),
    Intruder("thin", {"flows/intruder.py": "import boto3"}),
    Intruder("thin", {"tasks/intruder.py": "from pulumi import automation"}),
    Intruder("thin", {"blocks/intruder.py": "import hvac"}),
    Intruder("prefect-aws", {"tasks/intruder.py": "import prefect_aws"}),
    Intruder("product-without-sandbox", {"flows/intruder.py": "import sandbox"}),
)


@pytest.fixture(scope="module")
def contracts_hold(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, bool]]:
    """Whether the contracts hold on a copy of the tree: as it is (key `unchanged`), and with each intruder."""
    tree = tmp_path_factory.mktemp("tree")
    shutil.copy(CHECKOUT / ".importlinter", tree)
    for package in PACKAGES:
        shutil.copytree(CHECKOUT / package, tree / package, ignore=shutil.ignore_patterns("__pycache__"))
    cases: dict[str, tuple[str, dict[str, str]]] = {"unchanged": ("", {})} | {
        str(case): (case.contract, case.files) for case in INTRUDERS
    }
    result = subprocess.run(
        (sys.executable, "-c", _DRIVER),
        cwd=tree,
        env={**os.environ, "PYTHONPATH": f"{tree}{os.pathsep}{tree / 'src'}", "PYTHONDONTWRITEBYTECODE": "1"},
        input=json.dumps(list(cases.values())),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    yield dict(zip(cases, json.loads(result.stdout), strict=True))
    shutil.rmtree(tree)


def test_every_import_contract_holds(contracts_hold: dict[str, bool]) -> None:
    assert contracts_hold["unchanged"], "run .venv/bin/lint-imports to see which contract is broken and where"


@pytest.mark.parametrize("intruder", INTRUDERS, ids=str)
def test_a_forbidden_import_breaks_its_contract(contracts_hold: dict[str, bool], intruder: Intruder) -> None:
    assert not contracts_hold[str(intruder)]


def test_every_contract_is_proven_able_to_break() -> None:
    declared = re.findall(r"^\[importlinter:contract:(.+)\]$", (CHECKOUT / ".importlinter").read_text(), re.MULTILINE)

    assert {intruder.contract for intruder in INTRUDERS} == set(declared)


def _shadowing(names: set[str]) -> set[str]:
    """Names of flow files that would hide a module, were `flows/` first on the import path as Prefect can put it."""
    return names & (set(sys.stdlib_module_names) | (set(packages_distributions()) - FIRST_PARTY) | FIRST_PARTY)


def test_no_flow_is_named_like_another_module() -> None:
    names = {path.stem for path in (CHECKOUT / "flows").iterdir() if path.suffix == ".py" or path.is_dir()}

    assert _shadowing(names - {"__init__", "__pycache__"}) == set()
    assert _shadowing({"secrets", "pulumi", "tasks", "provision"}) == {"secrets", "pulumi", "tasks"}


def test_the_wheel_holds_the_library_and_nothing_of_the_application(tmp_path: Path) -> None:
    uv = shutil.which("uv", path=f"{CHECKOUT / '.venv/bin'}{os.pathsep}{os.environ['PATH']}")
    assert uv, "run `make setup`, which links uv into .venv/bin"
    # Offline: the build backend lies in uv's cache since the environment was installed.
    command = (uv, "build", "--wheel", "--offline", "--quiet", "--out-dir", tmp_path, CHECKOUT)
    subprocess.run(command, check=True, timeout=60)

    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()

    assert {name.split("/")[0].split("-")[0] for name in names} == {"holdtrue"}
    assert {"holdtrue/py.typed", "holdtrue/errors.py"} <= set(names)
