"""A package index of hand-made wheels on this machine, advisories on them, and what a fix of a file with them gives.

A test module takes the fixtures from here: `__all__ = ["address", "only_this_index"]` says that this is meant.
"""

import hashlib
import io
import os
import subprocess
import zipfile
from collections.abc import Callable, Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from holdtrue.adapters.uv_resolver import UvResolver, propose_fix
from holdtrue.core.audit_merge import merge
from holdtrue.core.fix_proposal import Limits
from holdtrue.core.requirements import parse_requirements
from holdtrue.core.version_match import match
from holdtrue.models.audit import Finding
from holdtrue.models.dependency import Dependency, Inventory, Pin
from holdtrue.models.fix import FixProposal
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


def lock(folder: Path, *needs: str, pinned: Sequence[str] = (), more: str = "") -> Path:
    listed = ", ".join(f'"{need}"' for need in needs)
    project = f'[project]\nname = "own"\nversion = "1"\nrequires-python = ">=3.11"\ndependencies = [{listed}]\n'
    write(folder, project + more, "pyproject.toml")
    upgrades = [argument for pin in pinned for argument in ("--upgrade-package", pin)]
    answer = UvResolver().run(["lock", *upgrades], folder)
    assert isinstance(answer, str)
    return folder / "uv.lock"
