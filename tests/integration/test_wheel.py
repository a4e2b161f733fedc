"""The library's wheel where there is no Prefect: what it holds, `uvx`, and the hook and the CI job of docs/audit.md."""

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from holdtrue.adapters.inventory.projects import PROJECT_LOCKS, find_files
from tests.integration.osv_fault_server import advisory
from tools.machine_cache import search_path_without

CHECKOUT = Path(__file__).parents[2]
PAGE = (CHECKOUT / "docs/audit.md").read_text(encoding="utf-8")
SNIPPETS = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
CLEAN, VULNERABLE, BAD_INPUT, INCOMPLETE = 0, 1, 2, 3
FOUND, NOT_FOUND, UNKNOWN = "demo-a==1.0\ndemo-b==2.0\n", "demo-b==2.0\n", "demo-b>=2\n"
HIDDEN = ("HOLDTRUE_", "XDG_", "GIT_", "UV_TOOL_", "UV_PROJECT", "PRE_COMMIT", "PYTHON", "VIRTUAL_ENV")
PRE_COMMIT = """
pre-commit==4.7.0
cfgv==3.5.0
distlib==0.4.4
identify==2.6.20
nodeenv==1.12.0
python-discovery==1.9.6
virtualenv==21.15.11
"""
"""Not in uv.lock, for it is no tool of this project."""

Ended = subprocess.CompletedProcess[str]


@dataclass(frozen=True)
class Build:
    """A wheel, and what lay in the checkout before it was built and after."""

    wheel: Path
    sources: frozenset[str]
    before: frozenset[Path]
    after: frozenset[Path]


@dataclass(frozen=True)
class Laptop:
    """Somebody's machine: a home of its own, with uv and the tools that it has installed. No checkout's environment."""

    home: Path
    wheel: Path
    environment: Mapping[str, str]

    def run(self, *command: object, folder: Path, **settings: str) -> Ended:
        ended = subprocess.run(
            [str(part) for part in command],
            check=False, capture_output=True, text=True, encoding="utf-8", timeout=120, cwd=folder,
            stdin=subprocess.DEVNULL, env={**self.environment, **settings},
        )  # fmt: skip
        assert "Traceback" not in ended.stderr
        return ended

    def succeed(self, *command: object, folder: Path) -> str:
        ended = self.run(*command, folder=folder)
        assert ended.returncode == 0, ended.stderr + ended.stdout
        return ended.stdout

    def uvx(self, *arguments: object, folder: Path, **settings: str) -> Ended:
        """A program of the wheel, for somebody who has no more than the file."""
        return self.run("uvx", "--quiet", "--from", self.wheel, *arguments, folder=folder, **settings)


def _uv() -> str:
    uv = shutil.which("uv", path=f"{CHECKOUT / '.venv/bin'}{os.pathsep}{os.environ['PATH']}")
    assert uv, "run `make setup`, which links uv into .venv/bin"
    return uv


def _entries() -> frozenset[Path]:
    return frozenset((*CHECKOUT.iterdir(), *(CHECKOUT / "src").iterdir()))


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    folder, before = tmp_path_factory.mktemp("wheel"), _entries()
    files = [path for path in (CHECKOUT / "src/holdtrue").rglob("*") if path.is_file()]
    # Offline: the build backend lies in uv's cache since the environment was installed.
    subprocess.run(
        (_uv(), "build", "--wheel", "--offline", "--quiet", "--out-dir", folder, CHECKOUT), check=True, timeout=60
    )
    (wheel,) = folder.glob("*.whl")
    sources = frozenset(str(path.relative_to(CHECKOUT / "src")) for path in files if "__pycache__" not in path.parts)
    return Build(wheel, sources, before, _entries())


@pytest.fixture(scope="module")
def laptop(build: Build, tmp_path_factory: pytest.TempPathFactory) -> Laptop:
    """With `holdtrue` installed from the wheel, in the versions of `uv.lock`."""
    home = tmp_path_factory.mktemp("laptop")
    programs = home / "bin"
    programs.mkdir()
    (programs / "uv").symlink_to(_uv())
    (programs / "uvx").write_text('#!/bin/sh\nexec uv tool run "$@"\n')
    (programs / "uvx").chmod(0o755)
    cache = subprocess.run((_uv(), "cache", "dir"), check=True, capture_output=True, text=True, timeout=30).stdout
    inherited = {name: text for name, text in os.environ.items() if not name.startswith(HIDDEN)}
    environment = inherited | {
        "HOME": str(home),
        "PATH": f"{programs}{os.pathsep}{search_path_without(CHECKOUT / '.venv/bin', os.environ['PATH'])}",
        # Where packages come from is the machine's business, and none is fetched twice.
        "XDG_CONFIG_HOME": os.environ.get("XDG_CONFIG_HOME", str(Path.home() / ".config")),
        "NETRC": os.environ.get("NETRC", str(Path.home() / ".netrc")),
        "UV_CACHE_DIR": cache.strip(),
        "UV_PYTHON": sys.executable,
        "UV_PYTHON_DOWNLOADS": "never",
        # uvx takes an installed tool that fits. Of any other the machine's cache would keep a copy for each test run.
        "UV_TOOL_DIR": str(home / "tools"),
        "UV_TOOL_BIN_DIR": str(programs),
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
    }
    environment |= {f"GIT_{role}_{what}": "x" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    laptop = Laptop(home, build.wheel, environment)
    locked = laptop.succeed(
        "uv", "export", "--project", CHECKOUT, "--frozen", "--no-default-groups", "--no-emit-project", "--no-hashes",
        folder=home,
    )  # fmt: skip
    constraints = home / "constraints.txt"
    # `holdtrue` is this wheel, whatever an index has by that name.
    constraints.write_text(f"{locked}\n{PRE_COMMIT}\nholdtrue @ {build.wheel.as_uri()}\n", encoding="utf-8")
    environment["UV_CONSTRAINT"] = str(constraints)
    laptop.succeed("uv", "tool", "install", "--quiet", "holdtrue", folder=home)
    return laptop


@pytest.fixture
def dump(tmp_path: Path) -> Path:
    """It knows one advisory, on demo-a."""
    path = tmp_path / "advisories" / "dump.jsonl"
    path.parent.mkdir()
    path.write_text(json.dumps(advisory("demo-a")) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def offline(dump: Path) -> dict[str, str]:
    """The setting that docs/audit.md names for a place without network."""
    (name,) = re.findall(r"`(HOLDTRUE_\w+)=/path/to/all\.zip`", PAGE)
    return {name: str(dump)}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "requirements.txt").write_text(FOUND)
    return folder


# What the wheel is.


def test_the_build_leaves_nothing_in_the_checkout(build: Build) -> None:
    assert build.after == build.before


def test_the_wheel_holds_every_file_of_the_library_and_no_other(build: Build) -> None:
    names = zipfile.ZipFile(build.wheel).namelist()
    metadata = f"{build.wheel.name.removesuffix('-py3-none-any.whl')}.dist-info/"

    assert {name for name in names if not name.startswith(metadata)} == build.sources
    assert {
        "holdtrue/py.typed",
        "holdtrue/runtime/package_probe.py",
        "holdtrue/adapters/ledger/migrations/env.py",
    } <= build.sources
    assert {f"{metadata}METADATA", f"{metadata}entry_points.txt", f"{metadata}licenses/LICENSE"} <= set(names)


def test_prefect_is_not_installed_with_it(laptop: Laptop, project: Path) -> None:
    code = (
        "import holdtrue, importlib.metadata as m; "
        "print(holdtrue.__file__, *(d.name.lower().replace('_', '-') for d in m.distributions()))"
    )

    where, *installed = laptop.uvx("python", "-c", code, folder=project).stdout.split()

    assert Path(where).is_relative_to(laptop.home / "tools")
    assert {"holdtrue", "pydantic", "packaging"} <= set(installed)
    assert [name for name in installed if name.startswith(("prefect", "fastapi", "moto", "openbao"))] == []


def test_an_audit_loads_no_engine(laptop: Laptop, project: Path, offline: dict[str, str]) -> None:
    code = (
        "import sys; from holdtrue.cli import main; code = main(['audit', '--project', '.', '--output', 'report']); "
        "print(code, *{name.partition('.')[0] for name in sys.modules})"
    )

    ended, *loaded = laptop.uvx("python", "-c", code, folder=project, **offline).stdout.split()

    assert (ended, "pydantic" in loaded) == (str(VULNERABLE), True)
    assert {"ansible", "ansible_runner", "boto3", "hvac", "pulumi", "pytest", "sqlalchemy"}.isdisjoint(loaded)


# What it does without Prefect.


@pytest.mark.parametrize(
    ("text", "code", "found"),
    [(FOUND, VULNERABLE, [("demo-a", "PYSEC-2099-1")]), (NOT_FOUND, CLEAN, [])],
)
def test_uvx_audits(
    laptop: Laptop, project: Path, dump: Path, text: str, code: int, found: Sequence[tuple[str, str]]
) -> None:
    (project / "requirements.txt").write_text(text)

    ended = laptop.uvx("holdtrue", "audit", "-r", "requirements.txt", "--osv-db", dump, "--json", folder=project)

    assert (ended.returncode, ended.stderr) == (code, "")
    assert [(item["package"], item["id"]) for item in json.loads(ended.stdout)["findings"]] == found


def test_the_first_command_of_the_page_works(laptop: Laptop, project: Path, offline: dict[str, str]) -> None:
    (command,) = re.findall(r"^Without installing: `(uvx .*?)`", PAGE, re.MULTILINE)

    ended = laptop.run(*command.split(), folder=project, **offline)

    assert ended.returncode == VULNERABLE, ended.stderr
    assert "PYSEC-2099-1" in ended.stdout


def _index(folder: Path, name: str, *versions: str) -> str:
    """A package index of empty wheels, in a folder."""
    (folder / name).mkdir(parents=True)
    files = {version: f"{name.replace('-', '_')}-{version}-py3-none-any.whl" for version in versions}
    for version, file in files.items():
        information = f"{name.replace('-', '_')}-{version}.dist-info"
        with zipfile.ZipFile(folder / name / file, "w") as archive:
            archive.writestr(f"{information}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
            archive.writestr(f"{information}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            archive.writestr(f"{information}/RECORD", "")
    (folder / name / "index.html").write_text("".join(f'<a href="{file}">{file}</a>' for file in files.values()))
    return folder.as_uri()


def test_it_proposes_a_fix_that_git_applies(laptop: Laptop, project: Path, dump: Path, tmp_path: Path) -> None:
    (project / "requirements.txt").write_text("demo-a==1.0\n")
    index = _index(tmp_path / "index", "demo-a", "1.0", "9.0")

    # Not by uvx, which would ask this index for the tool itself.
    fix = ("holdtrue", "fix", "requirements.txt", "--osv-db", dump)
    ended = laptop.run(*fix, folder=project, UV_DEFAULT_INDEX=index)
    (tmp_path / "fix.patch").write_text(ended.stdout)
    laptop.succeed("git", "apply", tmp_path / "fix.patch", folder=project)

    assert ended.returncode == VULNERABLE
    assert (project / "requirements.txt").read_text() == "demo-a==9.0\n"


def test_a_fix_without_uv_says_what_to_install(laptop: Laptop, project: Path, dump: Path) -> None:
    holdtrue = laptop.home / "tools/holdtrue/bin/holdtrue"

    ended = laptop.run(holdtrue, "fix", "requirements.txt", "--osv-db", dump, folder=project, PATH=str(project))

    assert (ended.returncode, ended.stdout) == (VULNERABLE, ""), "what was found is told all the same"
    assert "uv" in ended.stderr.partition("Next: ")[2]


def test_the_other_commands_work_or_say_in_one_line_what_they_miss(laptop: Laptop, project: Path) -> None:
    (project / "values").write_text("a-value-that-is-long\n")
    (project / "values").chmod(0o600)
    (project / "prefect.yaml").write_text("deployments: [{name: demo, entrypoint: flows.demo.demo}]\n")

    schema = laptop.run("holdtrue", "schema", folder=project)
    leaks = laptop.run("holdtrue", "leaks", "requirements.txt", "--values", "values", folder=project)
    deployments = laptop.run("holdtrue", "check-deployments", folder=project)
    preflight = laptop.run("holdtrue", "preflight", "absent", folder=project)

    assert (schema.returncode, json.loads(schema.stdout)["title"]) == (CLEAN, "Environment")
    assert [(ended.returncode, ended.stderr) for ended in (leaks, deployments)] == [(CLEAN, "")] * 2
    assert (preflight.returncode in {BAD_INPUT, INCOMPLETE}, preflight.stderr.count("\n")) == (True, 1)
    assert "HOLDTRUE_FLEET" in preflight.stderr


# The pre-commit hook of the page.


def _only_snippet(mark: str) -> str:
    (text,) = [text for text in SNIPPETS if mark in text]
    return str(text)


@pytest.fixture
def repository(laptop: Laptop, project: Path) -> Path:
    """A git repository with the hook of the page, and nothing committed."""
    laptop.succeed("uv", "tool", "install", "--quiet", "pre-commit", folder=project)
    (project / ".pre-commit-config.yaml").write_text(_only_snippet("repos:"))
    laptop.succeed("git", "init", "--quiet", folder=project)
    laptop.succeed("pre-commit", "install", folder=project)
    return project


def _commit(laptop: Laptop, repository: Path, settings: Mapping[str, str]) -> Ended:
    laptop.succeed("git", "add", "--all", folder=repository)
    return laptop.run("git", "commit", "--message", "x", folder=repository, **settings)


def test_the_hook_lets_be_committed_what_is_clean_only(
    laptop: Laptop, repository: Path, offline: dict[str, str]
) -> None:
    included = repository / "inner/base.in"
    included.parent.mkdir()
    (repository / "requirements.txt").write_text("-r inner/base.in\n")
    ended: dict[str, Ended] = {}
    for text in (NOT_FOUND, FOUND, UNKNOWN):
        included.write_text(text)
        ended[text] = _commit(laptop, repository, offline)

    assert [ended[text].returncode for text in (NOT_FOUND, FOUND, UNKNOWN)] == [0, 1, 1]
    assert "PYSEC-2099-1" in ended[FOUND].stdout + ended[FOUND].stderr
    assert laptop.succeed("git", "show", "HEAD:inner/base.in", folder=repository) == NOT_FOUND


def _named_in_page() -> list[str]:
    """Names of files that `--project` reads by the page, with each `*` as nothing and as something."""
    (row,) = re.findall(r"^\| `--project DIR` \| (.*) \|$", PAGE, re.MULTILINE)
    patterns = re.findall(r"`(.*?)`", row)
    assert len(patterns) > len(PROJECT_LOCKS)
    return sorted({pattern.replace("*", filling) for pattern in patterns for filling in ("", ".some")})


@pytest.mark.parametrize("name", _named_in_page())
def test_what_a_project_is_read_from_is_what_the_page_says(tmp_path: Path, name: str) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).touch()

    assert find_files(tmp_path) == (tmp_path / name,)


def test_the_hook_runs_for_every_file_that_a_project_is_read_from() -> None:
    (hook,) = yaml.safe_load(_only_snippet("repos:"))["repos"][0]["hooks"]
    wanted = re.compile(hook["files"])
    locks = [pattern.replace("*", "some") for pattern in PROJECT_LOCKS]
    others = ["pyproject.toml", "constraints.txt", "requirements/base.in"]  # included, or read beside a lock file
    names = [*_named_in_page(), *locks, *others]

    assert [name for name in (*names, *(f"services/shop/{name}" for name in names)) if not wanted.search(name)] == []
    assert [name for name in ("README.md", "uv.lock.md", "src/lock.py", "x/other.toml") if wanted.search(name)] == []


# The CI job of the page.


@pytest.mark.parametrize(
    ("text", "code", "found"),
    [(FOUND, VULNERABLE, ["PYSEC-2099-1"]), (NOT_FOUND, CLEAN, []), (UNKNOWN, INCOMPLETE, [])],
)
def test_the_ci_job_ends_with_the_verdict_and_leaves_sarif(
    laptop: Laptop, project: Path, offline: dict[str, str], text: str, code: int, found: Sequence[str]
) -> None:
    (project / "requirements.txt").write_text(text)
    (project / "audit-waivers.yaml").write_text(_only_snippet("# audit-waivers.yaml"))
    steps: list[dict[str, Any]] = yaml.safe_load(_only_snippet("- run:"))
    (command,) = [step["run"] for step in steps if "run" in step]
    (upload,) = [step for step in steps if "upload-sarif" in step.get("uses", "")]

    ended = laptop.run("bash", "-e", "-c", command, folder=project, **offline)
    report = json.loads((project / upload["with"]["sarif_file"]).read_text(encoding="utf-8"))

    assert ended.returncode == code
    assert [result["ruleId"] for run in report["runs"] for result in run["results"]] == found
    assert upload["if"] == "always()"  # or a failed job uploads nothing
