"""Resolving and fixing with the real uv, against an index of hand-made wheels on this machine."""

import hashlib
import io
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from holdtrue.adapters.uv_resolver import KIND, UvResolver, propose_fix, read_resolved, resolve_requirements
from holdtrue.core.audit_merge import merge
from holdtrue.core.fix_proposal import Limits
from holdtrue.core.lockfiles import parse_uv_lock
from holdtrue.core.requirements import parse_requirements
from holdtrue.core.version_match import match
from holdtrue.errors import AccessDenied, RejectedError, ServiceNotReady, ServiceUnreachable
from holdtrue.models.audit import Finding
from holdtrue.models.dependency import Dependency, Inventory, Pin
from holdtrue.models.fix import FixProposal, Obstacle
from holdtrue.models.osv import AdvisoryRecord, Affected, Event, EventKind, SourceAnswer

PACKAGES: dict[str, dict[str, tuple[str, ...]]] = {
    "alpha": {"1.0": (), "1.1": (), "1.2.5": (), "1.3.0": (), "2.0.1": ("beta>=2",), "2.0.2": ("beta>=2",)},
    "beta": {"1.0": (), "2.0": (), "2.1": (), "3.0": ()},
    "gamma": {"1.0": ("alpha<1.2",), "1.1": ("alpha<1.2",)},
    "top": {"1.0": ("alpha>=1.0",), "2.0": ("alpha>=1.0",)},
    "grown": {"1.0": (), "1.1": ("newcomer",)},
    "newcomer": {"5.0": ()},
    "downer": {"1.0": ("beta>=3",), "1.1": ("beta<3",)},
}
Events = tuple[tuple[str, str], ...]


def wheel(name: str, version: str, needs: Sequence[str]) -> bytes:
    buffer = io.BytesIO()
    folder = f"{name}-{version}.dist-info"
    metadata = [
        f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}",
        *(f"Requires-Dist: {need}" for need in needs),
    ]
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(zipfile.ZipInfo(f"{folder}/METADATA"), "\n".join(metadata) + "\n")
        archive.writestr(
            zipfile.ZipInfo(f"{folder}/WHEEL"), "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(zipfile.ZipInfo(f"{folder}/RECORD"), "")
    return buffer.getvalue()


WHEELS = {
    name: {f"{name}-{version}-py3-none-any.whl": wheel(name, version, needs) for version, needs in versions.items()}
    for name, versions in PACKAGES.items()
}


def digest(name: str, version: str) -> str:
    return "sha256:" + hashlib.sha256(WHEELS[name][f"{name}-{version}-py3-none-any.whl"]).hexdigest()


class SimpleIndex(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        match [part for part in self.path.split("/") if part]:
            case ["simple", name] if name in WHEELS:
                links = (
                    f'<a href="/files/{name}/{file}#sha256={hashlib.sha256(data).hexdigest()}">{file}</a>'
                    for file, data in WHEELS[name].items()
                )
                self.reply(200, f"<!DOCTYPE html><html><body>{''.join(links)}</body></html>".encode())
            case ["files", name, file]:
                self.reply(200, WHEELS[name][file], "application/octet-stream")
            case ["status", status, "simple", _]:
                self.reply(int(status), b"")
            case _:
                self.reply(404, b"")

    def reply(self, status: int, body: bytes, kind: str = "text/html") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_HEAD(self) -> None:
        self.do_GET()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as the base class has it
        pass


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), SimpleIndex)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(autouse=True)
def only_this_index(address: str, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    for name in [name for name in os.environ if name.startswith(("UV_", "PIP_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("UV_DEFAULT_INDEX", f"{address}/simple")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path_factory.getbasetemp() / "uv-cache"))
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")


def advisory(name: str, package: str, *ranges: Events, versions: Sequence[str] = ()) -> AdvisoryRecord:
    events = tuple(tuple(Event(EventKind(kind), version) for kind, version in items) for items in ranges)
    return AdvisoryRecord(name, affected=(Affected(package, events, tuple(versions)),))


def below(name: str, package: str, fixed: str) -> AdvisoryRecord:
    return advisory(name, package, (("introduced", "0"), ("fixed", fixed)))


def auditor(*advisories: AdvisoryRecord) -> Callable[[Sequence[Pin]], Sequence[Finding]]:
    def audit(pins: Sequence[Pin]) -> Sequence[Finding]:
        inventory = Inventory("x", "requirements", tuple(Dependency(pin.name, pin.version) for pin in pins))
        matches = {pin: tuple(found for item in advisories if (found := match(pin, item))) for pin in pins}
        return merge(
            [inventory], [("osv", SourceAnswer({pin: found for pin, found in matches.items() if found}))]
        ).findings

    return audit


def pins_in(text: str) -> list[Pin]:
    found = parse_requirements(text.removeprefix("\ufeff"))
    return [Pin(item.name, item.version) for item in found if isinstance(item, Dependency) and item.version]


def state(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {
        str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.read_bytes())
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def fix(path: Path, *advisories: AdvisoryRecord, limits: Limits = Limits()) -> FixProposal:  # noqa: B008 - frozen
    """The proposal; and nothing in the user's folder may change meanwhile."""
    audit = auditor(*advisories)
    held = [pin for file in path.parent.glob("*.txt") for pin in pins_in(file.read_text())]
    before = state(path.parent)
    proposal = propose_fix(path, audit(held), audit=audit, limits=limits)
    assert state(path.parent) == before
    return proposal


def patched(proposal: FixProposal, folder: Path) -> None:
    subprocess.run(["git", "apply", "-p1", "-"], input=proposal.patch.encode(), cwd=folder, check=True, timeout=20)


def moves(proposal: FixProposal) -> dict[str, tuple[str, str]]:
    return {bump.package: (bump.from_version, bump.to_version) for bump in proposal.bumps}


def write(folder: Path, text: str, name: str = "requirements.txt") -> Path:
    path = folder / name
    path.write_bytes(text.encode())
    return path


# Resolving


def test_unpinned_requirements_become_an_inventory_with_chains(tmp_path: Path) -> None:
    path = write(tmp_path, "top\ngamma\n", "app.in")
    before = state(tmp_path)

    inventory = read_resolved(path)

    assert (inventory.label, inventory.kind, inventory.gaps) == (str(path), KIND, ())
    assert {item.name: (item.version, item.chain) for item in inventory.dependencies} == {
        "alpha": ("1.1", ("gamma",)),
        "gamma": ("1.1", ()),
        "top": ("2.0", ()),
    }
    assert state(tmp_path) == before


def test_pip_index_variables_are_honoured(tmp_path: Path, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("UV_DEFAULT_INDEX")
    monkeypatch.setenv("PIP_INDEX_URL", f"{address}/simple")

    assert "newcomer==5.0" in resolve_requirements(write(tmp_path, "grown\n"))


@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, AccessDenied), (403, AccessDenied), (404, RejectedError), (429, ServiceNotReady), (503, ServiceNotReady)],
)
def test_an_index_that_refuses_is_no_missing_package(
    tmp_path: Path, address: str, monkeypatch: pytest.MonkeyPatch, status: int, kind: type[Exception]
) -> None:
    with_secret = address.replace("//", "//user:s3cr3t@")
    monkeypatch.setenv("UV_DEFAULT_INDEX", f"{with_secret}/status/{status}/simple")

    with pytest.raises(kind) as caught:
        resolve_requirements(write(tmp_path, "alpha\n"))

    assert type(caught.value) is kind
    assert "s3cr3t" not in str(caught.value)


def test_no_index_at_all_is_unreachable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV_DEFAULT_INDEX", "http://user:s3cr3t@127.0.0.1:9/simple")

    with pytest.raises(ServiceUnreachable) as caught:
        resolve_requirements(write(tmp_path, "alpha\n"))

    assert "s3cr3t" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("gamma\nalpha>=2\n", "gamma"),
        ("alpha==\n", "version"),
        ("--index-url http://user:s3/cr3t@host.example/\nalpha\n", "uv"),
        ("-r absent.txt\n", "cannot be read"),
        ("-e ./built\n", "build"),
    ],
)
def test_what_cannot_be_resolved_is_rejected_without_secrets(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "built").mkdir()
    write(tmp_path / "built", "raise SystemExit('built')\n", "setup.py")

    with pytest.raises(RejectedError, match=told) as caught:
        resolve_requirements(write(tmp_path, text))

    assert "cr3t" not in str(caught.value)


def test_a_local_project_that_tells_all_is_resolved_without_a_trace(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    write(tmp_path / "own", '[project]\nname = "own"\nversion = "1"\ndependencies = ["grown"]\n', "pyproject.toml")
    path = write(tmp_path, "-e ./own\n")
    before = state(tmp_path)

    assert {item.name for item in read_resolved(path).dependencies} == {"own", "grown", "newcomer"}
    assert state(tmp_path) == before


# Fixing


def test_a_single_bump_changes_one_line_and_keeps_the_rest(tmp_path: Path) -> None:
    path = write(tmp_path, "\ufeff# ours\r\nbeta==1.0\r\nAlpha[x] == 1.0  # keep me\r\n\r\ntop==1.0")

    proposal = fix(path, below("PYSEC-1", "alpha", "1.1"))
    patched(proposal, tmp_path)

    assert path.read_bytes().decode() == "\ufeff# ours\r\nbeta==1.0\r\nAlpha[x] == 1.1  # keep me\r\n\r\ntop==1.0"
    assert moves(proposal) == {"alpha": ("1.0", "1.1")}
    assert (proposal.is_verified, proposal.unfixed, proposal.bumps[0].removes) == (True, (), ("PYSEC-1",))


def test_a_fix_that_is_not_on_the_index_goes_to_the_next_version(tmp_path: Path) -> None:
    proposal = fix(write(tmp_path, "alpha==1.0\n"), below("PYSEC-1", "alpha", "1.2"))

    assert moves(proposal) == {"alpha": ("1.0", "1.2.5")}
    assert proposal.is_verified


def test_another_package_moves_only_as_far_as_it_must(tmp_path: Path) -> None:
    proposal = fix(write(tmp_path, "alpha==1.0\nbeta==1.0\ntop==1.0\n"), below("PYSEC-1", "alpha", "2.0.1"))

    assert moves(proposal) == {"alpha": ("1.0", "2.0.1"), "beta": ("1.0", "2.0")}
    assert proposal.is_verified


def test_a_package_goes_down_when_nothing_else_resolves(tmp_path: Path) -> None:
    proposal = fix(write(tmp_path, "downer==1.0\nbeta==3.0\n"), below("PYSEC-1", "downer", "1.1"))

    assert moves(proposal) == {"downer": ("1.0", "1.1"), "beta": ("3.0", "2.1")}


def test_a_moved_package_must_not_bring_its_own_findings(tmp_path: Path) -> None:
    proposal = fix(
        write(tmp_path, "alpha==1.0\nbeta==1.0\n"),
        below("PYSEC-1", "alpha", "2.0.1"),
        advisory("PYSEC-2", "beta", versions=["2.0"]),
    )

    assert moves(proposal) == {"alpha": ("1.0", "2.0.1"), "beta": ("1.0", "2.1")}
    assert (proposal.is_verified, proposal.introduced) == (True, ())


def test_fix_branches_of_two_findings_meet_at_a_version_that_has_neither(tmp_path: Path) -> None:
    branches = advisory(
        "PYSEC-1", "alpha", (("introduced", "0"), ("fixed", "1.2.5"), ("introduced", "1.3.0"), ("fixed", "2.0.1"))
    )

    proposal = fix(write(tmp_path, "alpha==1.0\nbeta==2.0\n"), branches, below("PYSEC-2", "alpha", "1.3.0"))

    assert moves(proposal) == {"alpha": ("1.0", "2.0.1")}
    assert set(proposal.bumps[0].removes) == {"PYSEC-1", "PYSEC-2"}


def test_a_vulnerable_fix_is_passed_over(tmp_path: Path) -> None:
    own = advisory("PYSEC-2", "alpha", (("introduced", "1.1"), ("fixed", "1.2.5")))

    proposal = fix(write(tmp_path, "alpha==1.0\n"), below("PYSEC-1", "alpha", "1.1"), own)

    assert moves(proposal) == {"alpha": ("1.0", "1.2.5")}
    assert proposal.is_verified


def test_a_vulnerable_fix_that_nothing_mends_is_passed_over_too(tmp_path: Path) -> None:
    own = advisory("PYSEC-2", "alpha", versions=["1.1"])

    proposal = fix(write(tmp_path, "alpha==1.0\n"), below("PYSEC-1", "alpha", "1.1"), own)

    assert moves(proposal) == {"alpha": ("1.0", "1.2.5")}


def test_a_conflict_is_no_solution_and_spares_the_other_fixes(tmp_path: Path) -> None:
    proposal = fix(
        write(tmp_path, "alpha==1.0\nbeta==1.0\ngamma==1.0\ngrown==1.0\n"),
        below("PYSEC-1", "alpha", "1.2.5"),
        below("PYSEC-2", "alpha", "1.1"),
        below("PYSEC-3", "beta", "2.0"),
        below("PYSEC-4", "grown", "9"),
        advisory("PYSEC-5", "gamma", (("introduced", "0"),)),
        advisory("PYSEC-6", "beta"),
    )

    assert moves(proposal) == {"alpha": ("1.0", "1.1"), "beta": ("1.0", "2.0")}
    assert {(item.id, item.obstacle) for item in proposal.unfixed} == {
        ("PYSEC-1", Obstacle.NO_SOLUTION),
        ("PYSEC-4", Obstacle.NO_SOLUTION),
        ("PYSEC-5", Obstacle.NO_FIX),
        ("PYSEC-6", Obstacle.POSSIBLE),
    }
    assert "gamma" in next(item.detail for item in proposal.unfixed if item.id == "PYSEC-1")
    assert proposal.is_verified


def test_hashes_are_replaced_and_a_new_dependency_is_added(tmp_path: Path) -> None:
    text = (
        f"beta==1.0 \\\n    --hash={digest('beta', '1.0')}\n    # via app\n"
        f"grown==1.0 \\\n    --hash={digest('grown', '1.0')} \\\n    --hash=sha256:{'0' * 64}\n    # via app\n"
        f"top==1.0 \\\n    --hash={digest('top', '1.0')}\n    # via app\n"
    )
    path = write(tmp_path, text + f"alpha==1.0 --hash={digest('alpha', '1.0')}\n")

    proposal = fix(path, below("PYSEC-1", "grown", "1.1"))
    patched(proposal, tmp_path)

    assert moves(proposal) == {"grown": ("1.0", "1.1"), "newcomer": ("", "5.0")}
    assert path.read_text() == (
        f"beta==1.0 \\\n    --hash={digest('beta', '1.0')}\n    # via app\n"
        f"grown==1.1 \\\n    --hash={digest('grown', '1.1')}\n    # via app\n"
        f"newcomer==5.0 \\\n    --hash={digest('newcomer', '5.0')}\n    # via grown\n"
        f"top==1.0 \\\n    --hash={digest('top', '1.0')}\n    # via app\n"
        f"alpha==1.0 --hash={digest('alpha', '1.0')}\n"
    )


def test_a_pin_in_an_included_file_is_changed_there(tmp_path: Path) -> None:
    path = write(tmp_path, "-r base.txt\n-c limits.txt\ntop\n")
    write(tmp_path, "beta==1.0\n", "base.txt")
    limits = write(tmp_path, "alpha==1.0\n", "limits.txt")

    proposal = fix(path, below("PYSEC-1", "alpha", "1.1"))
    patched(proposal, tmp_path)

    assert limits.read_text() == "alpha==1.1\n"
    assert path.read_text() == "-r base.txt\n-c limits.txt\ntop\n"


def test_a_pin_outside_of_the_folder_is_noted(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    write(tmp_path, "alpha==1.0\n", "base.txt")
    path = write(tmp_path / "inner", "-r ../base.txt\n-e ./absent\n")
    audit = auditor(below("PYSEC-1", "alpha", "1.1"))

    proposal = propose_fix(path, audit([Pin("alpha", "1.0")]), audit=audit)

    assert moves(proposal) == {"alpha": ("1.0", "1.1")}
    assert any("outside" in note for note in proposal.notes)
    assert any("folders of this machine" in note for note in proposal.notes)


def test_markers_are_kept_and_a_pin_that_is_not_installed_here_is_told(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        'alpha==1.0 ; python_version < "3.9"\nalpha==1.1 ; python_version >= "3.9"\nbeta==1.0 ; os_name == "nt"\n',
    )

    proposal = fix(path, below("PYSEC-1", "alpha", "1.2.5"), below("PYSEC-2", "beta", "2.0"))
    patched(proposal, tmp_path)

    assert path.read_text() == (
        'alpha==1.0 ; python_version < "3.9"\nalpha==1.2.5 ; python_version >= "3.9"\nbeta==2.0 ; os_name == "nt"\n'
    )
    assert [(item.version, item.obstacle) for item in proposal.unfixed] == [("1.0", Obstacle.NOT_RESOLVED)]


def test_the_bound_on_resolver_runs_is_told(tmp_path: Path) -> None:
    path = write(tmp_path, "alpha==1.0\ngamma==1.0\nbeta==1.0\n")

    proposal = fix(
        path, below("PYSEC-1", "alpha", "1.2"), below("PYSEC-2", "beta", "2.0"), limits=Limits(resolver_runs=2)
    )

    assert proposal.is_bounded
    assert {item.obstacle for item in proposal.unfixed} == {Obstacle.NOT_TRIED}
    assert proposal.resolver_runs == 2


# uv.lock


def lock(folder: Path, *needs: str, pinned: Sequence[str] = ()) -> Path:
    listed = ", ".join(f'"{need}"' for need in needs)
    project = f'[project]\nname = "own"\nversion = "1"\nrequires-python = ">=3.11"\ndependencies = [{listed}]\n'
    write(folder, project, "pyproject.toml")
    upgrades = [argument for pin in pinned for argument in ("--upgrade-package", pin)]
    answer = UvResolver().run(["lock", *upgrades], folder)
    assert isinstance(answer, str)
    return folder / "uv.lock"


def locked(path: Path) -> dict[str, str]:
    return {item.name: item.version for item in parse_uv_lock(path.read_text(), "uv.lock").dependencies}


def test_a_uv_lock_is_locked_anew_with_a_transitive_fix(tmp_path: Path) -> None:
    path = lock(tmp_path, "top", "beta", pinned=["alpha==1.0", "beta==1.0", "top==1.0"])
    records = (below("PYSEC-1", "alpha", "2.0.1"),)
    audit, before = auditor(*records), state(tmp_path)
    findings = audit([Pin(name, version) for name, version in locked(path).items()])

    proposal = propose_fix(path, findings, audit=audit)

    assert state(tmp_path) == before
    patched(proposal, tmp_path)
    assert locked(path) == {"alpha": "2.0.1", "beta": "3.0", "top": "1.0"}
    assert proposal.is_verified
    assert UvResolver().run(["lock", "--check"], tmp_path) == ""


def test_a_uv_lock_whose_project_forbids_the_fix_has_no_solution(tmp_path: Path) -> None:
    path = lock(tmp_path, "alpha<1.1")
    audit = auditor(below("PYSEC-1", "alpha", "1.1"))

    proposal = propose_fix(path, audit([Pin("alpha", "1.0")]), audit=audit)

    assert (proposal.patch, [item.obstacle for item in proposal.unfixed]) == ("", [Obstacle.NO_SOLUTION])


def test_other_formats_are_declined_in_words(tmp_path: Path) -> None:
    audit = auditor(below("PYSEC-1", "alpha", "1.1"))

    proposal = propose_fix(write(tmp_path, "", "poetry.lock"), audit([Pin("alpha", "1.0")]), audit=audit)

    (item,) = proposal.unfixed
    assert (item.obstacle, item.detail.startswith("not proposed: ")) == (Obstacle.FORMAT, True)


def run_fix(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        (sys.executable, "-m", "holdtrue.cli", "fix", *arguments),
        cwd=folder,
        env=dict(os.environ),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def dump(folder: Path, package: str, fixed: str) -> None:
    events = [{"introduced": "0"}, {"fixed": fixed}]
    record = {
        "id": "PYSEC-2099-1",
        "modified": "2099-01-01T00:00:00Z",
        "affected": [
            {"package": {"ecosystem": "PyPI", "name": package}, "ranges": [{"type": "ECOSYSTEM", "events": events}]}
        ],
    }
    (folder / "dump.jsonl").write_text(json.dumps(record) + "\n")


def test_the_command_prints_a_patch_that_applies_and_changes_nothing_itself(tmp_path: Path) -> None:
    file = tmp_path / "requirements.txt"
    file.write_text("alpha==1.0\nbeta==1.0\n")
    dump(tmp_path, "alpha", "1.2.5")
    done = run_fix(tmp_path, "requirements.txt", "--osv-db", "dump.jsonl")
    assert done.returncode == 1, done.stderr
    assert file.read_text() == "alpha==1.0\nbeta==1.0\n"
    assert "verified by a second audit" in done.stderr
    subprocess.run(("git", "apply", "-"), cwd=tmp_path, input=done.stdout, text=True, check=True, timeout=30)
    assert file.read_text() == "alpha==1.2.5\nbeta==1.0\n"
    again = run_fix(tmp_path, "requirements.txt", "--osv-db", "dump.jsonl", "--json")
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["bumps"] == []


def test_the_command_says_what_it_could_not_look_at_and_what_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("alpha==1.0\n")
    silent = run_fix(tmp_path, "requirements.txt", "--osv-url", "http://127.0.0.1:1")
    assert silent.returncode == 3
    missing = run_fix(tmp_path, "absent.txt", "--osv-db", "dump.jsonl")
    assert missing.returncode == 2
    assert len(missing.stderr.splitlines()) == 1
