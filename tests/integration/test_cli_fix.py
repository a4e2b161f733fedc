"""`holdtrue fix` as the child process that it is for its users."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from holdtrue.models.fix import FixProposal, Obstacle
from tests.integration.fix_desk import address, lock, only_this_index, write
from tests.integration.osv_fault_server import RECENTLY, FaultServer, advisory

__all__ = ["address", "only_this_index"]

CLEAN, VULNERABLE, BAD_INPUT, INCOMPLETE = 0, 1, 2, 3
DUMP = ("--osv-db", "dump.jsonl")
BUILT = '[build-system]\nrequires = ["beta"]\nbuild-backend = "beta"\n'


def run_fix(folder: Path, *arguments: str, **settings: str) -> "subprocess.CompletedProcess[str]":
    done = subprocess.run(
        (sys.executable, "-m", "holdtrue", "fix", *arguments),
        cwd=folder,
        env=os.environ | {"HOLDTRUE_CACHE": str(folder / ".cache"), "no_proxy": "*"} | settings,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert "defect" not in done.stderr
    assert "Traceback" not in done.stderr
    return done


def dump(folder: Path, package: str, *fixed: str) -> None:
    events = [{"introduced": "0"}, *({"fixed": version} for version in fixed)]
    record = {
        "id": "PYSEC-2099-1",
        "modified": RECENTLY,
        "affected": [
            {"package": {"ecosystem": "PyPI", "name": package}, "ranges": [{"type": "ECOSYSTEM", "events": events}]}
        ],
    }
    (folder / "dump.jsonl").write_text(json.dumps(record) + "\n")


def git_apply(folder: Path, patch: str) -> int:
    return subprocess.run(
        ("git", "apply", "-p1", "-"), cwd=folder, input=patch, text=True, check=False, timeout=30
    ).returncode


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """With one requirements file at its root and one in a folder, which are equal."""
    subprocess.run(("git", "init", "--quiet"), cwd=tmp_path, check=True, timeout=30)
    (tmp_path / "svc").mkdir()
    for folder in (tmp_path, tmp_path / "svc"):
        write(folder, "alpha==1.0\n")
    dump(tmp_path, "alpha", "1.1")
    return tmp_path


def test_the_command_prints_a_patch_that_applies_and_changes_nothing_itself(tmp_path: Path) -> None:
    file = write(tmp_path, "alpha==1.0\nbeta==1.0\n")
    dump(tmp_path, "alpha", "1.2.5")

    done = run_fix(tmp_path, "requirements.txt", *DUMP)

    assert done.returncode == VULNERABLE, done.stderr
    assert file.read_text() == "alpha==1.0\nbeta==1.0\n"
    assert "verified by a second audit" in done.stderr
    assert git_apply(tmp_path, done.stdout) == 0
    assert file.read_text() == "alpha==1.2.5\nbeta==1.0\n"
    again = run_fix(tmp_path, "requirements.txt", *DUMP, "--json")
    assert again.returncode == CLEAN, again.stderr
    assert json.loads(again.stdout)["bumps"] == []


# Where the patch applies


@pytest.mark.parametrize("name", ["svc/requirements.txt", "svc/../svc/requirements.txt", "{here}/svc/requirements.txt"])
def test_a_patch_changes_the_file_that_was_named_and_no_other(repository: Path, name: str) -> None:
    done = run_fix(repository, name.format(here=repository), *DUMP)

    assert git_apply(repository, done.stdout) == 0
    assert (repository / "svc" / "requirements.txt").read_text() == "alpha==1.1\n"
    assert (repository / "requirements.txt").read_text() == "alpha==1.0\n"


def test_a_patch_changes_what_a_file_includes_from_above(repository: Path) -> None:
    included = write(repository / "svc", "-r ../requirements.txt\n-c ../requirements.txt\n")

    done = run_fix(repository, "svc/requirements.txt", *DUMP)

    assert git_apply(repository, done.stdout) == 0
    assert (repository / "requirements.txt").read_text() == "alpha==1.1\n"
    assert included.read_text() == "-r ../requirements.txt\n-c ../requirements.txt\n"


def test_a_patch_for_a_file_elsewhere_changes_nothing_here(repository: Path) -> None:
    done = run_fix(repository / "svc", "../requirements.txt", "--osv-db", "../dump.jsonl")

    assert "outside" in done.stderr
    assert git_apply(repository / "svc", done.stdout) != 0
    for folder in (repository, repository / "svc"):
        assert (folder / "requirements.txt").read_text() == "alpha==1.0\n"


@pytest.mark.parametrize("folder", ["two words", 'quo"ted\\', "new\nline", "caf\xe9"])
def test_a_patch_names_a_folder_of_any_name(repository: Path, folder: str) -> None:
    (repository / folder).mkdir()
    file = write(repository / folder, "alpha==1.0\n")

    done = run_fix(repository, f"{folder}/requirements.txt", *DUMP)

    assert git_apply(repository, done.stdout) == 0
    assert file.read_text() == "alpha==1.1\n"


# What could not be looked at


def test_a_source_that_does_not_answer_is_named(tmp_path: Path) -> None:
    write(tmp_path, "alpha==1.0\n")

    done = run_fix(tmp_path, "requirements.txt", "--osv-url", "http://127.0.0.1:1")
    document = run_fix(tmp_path, "requirements.txt", "--osv-url", "http://127.0.0.1:1", "--json")

    assert (done.returncode, done.stdout) == (INCOMPLETE, "")
    assert "http://127.0.0.1:1" in done.stderr
    assert "http://127.0.0.1:1" in document.stderr
    assert [item.name for item in FixProposal.model_validate_json(document.stdout).not_audited] == ["osv"]


def test_what_is_not_pinned_is_named_beside_the_findings(tmp_path: Path) -> None:
    dump(tmp_path, "alpha", "1.1")
    write(tmp_path, "beta\n")
    silent = run_fix(tmp_path, "requirements.txt", *DUMP)
    write(tmp_path, "alpha==1.0\nbeta\n")
    found = run_fix(tmp_path, "requirements.txt", *DUMP)

    assert [silent.returncode, found.returncode] == [INCOMPLETE, VULNERABLE]
    for done in (silent, found):
        assert "not audited requirements.txt: beta" in done.stderr
    assert "+alpha==1.1" in found.stdout


def test_an_index_that_does_not_answer_hides_no_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "alpha==1.0\n")
    dump(tmp_path, "alpha", "1.1")
    monkeypatch.setenv("UV_DEFAULT_INDEX", "http://user:s3cr3t@127.0.0.1:1/simple")

    done = run_fix(tmp_path, "requirements.txt", *DUMP, "--json")

    assert done.returncode == VULNERABLE
    (item,) = FixProposal.model_validate_json(done.stdout).unfixed
    assert (item.package, item.id, item.obstacle) == ("alpha", "PYSEC-2099-1", Obstacle.SEARCH_FAILED)
    assert "index" in item.detail
    assert "s3cr3t" not in done.stdout + done.stderr


def test_a_lock_of_which_only_the_project_itself_is_not_audited_is_clean(tmp_path: Path) -> None:
    lock(tmp_path, "beta", more=BUILT)
    dump(tmp_path, "alpha", "1.1")

    done = run_fix(tmp_path, "uv.lock", *DUMP)

    assert done.returncode == CLEAN, done.stderr
    assert "not audited uv.lock: own" in done.stderr


# What cannot be reached


@pytest.mark.parametrize(
    "line",
    [
        "-e git+https://127.0.0.1:1/x.git#egg=x",
        "x @ git+https://user:s3cr3t@127.0.0.1:1/x.git",
        "https://127.0.0.1:1/x-1.0-py3-none-any.whl",
    ],
)
def test_a_repository_that_cannot_be_reached_costs_no_bump(tmp_path: Path, line: str) -> None:
    write(tmp_path, f"beta==1.0\n{line}\nalpha==1.0\n")
    dump(tmp_path, "alpha", "1.1")

    done = run_fix(tmp_path, "requirements.txt", *DUMP)

    assert done.returncode == VULNERABLE, done.stderr
    assert git_apply(tmp_path, done.stdout) == 0
    assert (tmp_path / "requirements.txt").read_text() == f"beta==1.0\n{line}\nalpha==1.1\n"
    assert "note: 1 of its lines name repositories or addresses" in done.stderr
    assert "s3cr3t" not in done.stderr


def test_a_repository_of_a_lock_that_cannot_be_reached_costs_no_bump(tmp_path: Path) -> None:
    package, project = tmp_path / "package", tmp_path / "project"
    (package / "src" / "x").mkdir(parents=True)
    project.mkdir()
    write(package / "src" / "x", "", "__init__.py")
    write(
        package,
        '[project]\nname = "x"\nversion = "1.0"\ndependencies = ["beta"]\n'
        '[project.optional-dependencies]\nmore = ["top"]\n'
        '[build-system]\nrequires = []\nbuild-backend = "none"\n',
        "pyproject.toml",
    )
    git = ("git", "-C", str(package), "-c", "user.name=x", "-c", "user.email=x@host.example")
    for arguments in (("init", "--quiet"), ("add", "."), ("commit", "--quiet", "-m", "x")):
        subprocess.run((*git, *arguments), check=True, timeout=30)
    file = lock(
        project,
        "alpha",
        "x[more]",
        pinned=["alpha==1.0"],
        more=f'[tool.uv.sources]\nx = {{ git = "{package.as_uri()}" }}\n',
    )
    before = file.read_text()
    package.rename(tmp_path / "gone")
    dump(project, "alpha", "1.1")

    done = run_fix(project, "uv.lock", *DUMP, UV_CACHE_DIR=str(tmp_path / "cache"))

    assert done.returncode == VULNERABLE, done.stderr
    assert git_apply(project, done.stdout) == 0
    changed = [line for line in done.stdout.splitlines() if line.startswith(("-", "+")) and "alpha-" not in line]
    assert changed[2:] == ['-version = "1.0"', '+version = "1.1"'], done.stdout
    assert file.read_text() != before
    assert "note: x: from repositories or addresses, and not looked at" in done.stderr


def test_the_setting_that_holds_a_fix_back_is_named(tmp_path: Path) -> None:
    write(tmp_path, "alpha==1.0\n")
    dump(tmp_path, "alpha", "1.1")

    done = run_fix(tmp_path, "requirements.txt", *DUMP, UV_EXCLUDE_NEWER="2020-06-01")

    assert (done.returncode, done.stdout) == (VULNERABLE, "")
    assert "stays alpha 1.0 PYSEC-2099-1: no solution" in done.stderr
    assert "exclude-newer" in done.stderr


# Whose packages


def test_nobody_is_asked_about_ones_own_packages(tmp_path: Path) -> None:
    write(tmp_path, "alpha==1.0\ntop==1.0\nbeta==1.0\n")
    with FaultServer() as server:
        record = advisory("alpha", fixed="2.0.1")
        record["affected"][0]["versions"] = ["1.0", "1.1", "1.2.5", "1.3.0"]
        server.add(record)
        asked = ("requirements.txt", "--osv-url", server.url)

        own = run_fix(tmp_path, *asked, "--internal", "bet?", "--internal", "top")
        names = {query["package"]["name"] for item in server.asked if item.body for query in item.body["queries"]}
        server.asked.clear()
        run_fix(tmp_path, *asked)
        control = {query["package"]["name"] for item in server.asked if item.body for query in item.body["queries"]}

    assert own.returncode == VULNERABLE, own.stderr
    assert "+alpha==2.0.1" in own.stdout
    assert "+beta==2.0" in own.stdout
    assert "not verified" in own.stderr
    assert "doubt: no source is asked about your own packages, of which these change: beta" in own.stderr
    assert (names, control) == ({"alpha"}, {"alpha", "beta", "top"})


def test_each_advisory_of_pins_that_become_one_is_told(tmp_path: Path) -> None:
    write(tmp_path, 'alpha==1.0 ; python_version < "3.12"\nalpha==1.1 ; python_version >= "3.12"\n')
    dump(tmp_path, "alpha", "1.3.0")

    done = run_fix(tmp_path, "requirements.txt", *DUMP)

    assert "change alpha 1.0 to 1.3.0: removes PYSEC-2099-1" in done.stderr
    assert "change alpha 1.1 to 1.3.0: removes PYSEC-2099-1" in done.stderr
    assert "not needed any more" not in done.stderr


# Bad input


@pytest.mark.parametrize("name", ["absent.txt", "https://user:s3cr3t@index.example/requirements.txt"])
def test_a_file_that_is_none_is_refused_in_one_line_without_a_password(tmp_path: Path, name: str) -> None:
    done = run_fix(tmp_path, name, *DUMP)

    assert (done.returncode, len(done.stderr.splitlines()), done.stdout) == (BAD_INPUT, 1, "")
    assert "s3cr3t" not in done.stderr


@pytest.mark.parametrize("digits", [120, 5_000])
def test_a_requirement_with_a_number_that_nobody_reads_hides_no_finding(tmp_path: Path, digits: int) -> None:
    number = "9" * digits
    dump(tmp_path, "alpha", "1.1")
    write(tmp_path, f"alpha==1.0\nbeta==1.{number}\ntop>=1.{number}\n")

    done = run_fix(tmp_path, "requirements.txt", *DUMP, "--json")

    assert done.returncode == VULNERABLE, done.stderr
    (item,) = FixProposal.model_validate_json(done.stdout).unfixed
    assert (item.id, item.obstacle) == ("PYSEC-2099-1", Obstacle.SEARCH_FAILED)


@pytest.mark.parametrize("digits", [120, 5_000])
def test_an_advisory_with_a_number_that_nobody_reads_is_told(tmp_path: Path, digits: int) -> None:
    dump(tmp_path, "alpha", "9" * digits, "1.1")
    write(tmp_path, "alpha==1.0\n")

    done = run_fix(tmp_path, "requirements.txt", *DUMP, "--json")

    assert done.returncode == VULNERABLE, done.stderr
    (item,) = FixProposal.model_validate_json(done.stdout).unfixed
    assert (item.id, item.obstacle) == ("PYSEC-2099-1", Obstacle.POSSIBLE)


def test_one_version_that_two_files_write_differently_is_fixed_in_both(repository: Path) -> None:
    dump(repository, "alpha", "1.1")
    write(repository, "alpha==1.0\n-c limits/app.txt\n")
    (repository / "limits").mkdir()
    write(repository / "limits", "alpha==1.0.0\n", "app.txt")

    done = run_fix(repository, "requirements.txt", *DUMP)

    assert git_apply(repository, done.stdout) == 0
    assert (repository / "requirements.txt").read_text() == "alpha==1.1\n-c limits/app.txt\n"
    assert (repository / "limits" / "app.txt").read_text() == "alpha==1.1\n"


def test_a_patch_for_a_link_changes_what_it_leads_to(repository: Path) -> None:
    dump(repository, "alpha", "1.1")
    target = write(repository / "svc", "alpha==1.0\n")
    (repository / "link.txt").symlink_to(target)

    done = run_fix(repository, "link.txt", *DUMP)

    assert git_apply(repository, done.stdout) == 0
    assert target.read_text() == "alpha==1.1\n"
    assert (repository / "link.txt").is_symlink()
