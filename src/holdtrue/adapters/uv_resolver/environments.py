"""Virtual environments of their own for other people's programs, made by uv and kept as long as their files stay equal.

Layout: `<cache>/<hash>/<random>/` is an environment, `<cache>/<hash>/ready` names the one that is whole, and
`<cache>/<hash>.lock` is locked by who makes one. An environment keeps the place that it was made in, because its
scripts name it. A maker that was killed leaves no `ready`, and its lock ends with it.
"""

import fcntl
import hashlib
import os
import platform
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Final

from holdtrue.adapters.uv_resolver.command import UvResolver
from holdtrue.adapters.uv_resolver.files import read_requirement_files, read_text
from holdtrue.core.fix_lines import local_place, split_lines
from holdtrue.core.fix_resolution import NoSolution
from holdtrue.errors import RejectedError, ServiceNotReady, SettingInvalid
from holdtrue.models.base import Progress, ProgressSink, ignore_progress
from holdtrue.runtime.folder import private_folder
from holdtrue.runtime.removal import remove_tree

_FORMAT: Final = "1"
"""Changes with what is made from the same files, so that a newer release does not take an older one's environment."""

_PINS: Final = "packages.txt"
_READY: Final = "ready"
_PAUSE_SECONDS: Final = 0.2


@dataclass(frozen=True, slots=True)
class EnvironmentMaker:
    """Makes environments below `cache`, each in at most `timeout_seconds`, waiting for another maker included."""

    cache: Path
    timeout_seconds: float
    on_progress: ProgressSink = ignore_progress

    def python_for(self, named_in: Path) -> Path:
        """The interpreter of the environment that `named_in` asks for: one that is kept, or else a new one.

        What is not pinned is chosen when the environment is made, and stays so for as long as it is kept; its
        `packages.txt` lists every version. pytest is added where it is not named.

        Args:
            named_in: A requirements.txt, a uv.lock beside its pyproject.toml, or a pyproject.toml without one.

        Raises:
            RejectedError: the file cannot be read or names a folder of this machine, or its packages do not go
                together.
            SettingInvalid: the cache cannot be written to.
            ServiceNotReady: another run has been making it all the time.
            HoldtrueError: what `UvResolver.run` raises.
        """
        home = self.cache / _key(named_in)
        if python := _ready(home):
            return python
        deadline = time.monotonic() + self.timeout_seconds
        try:
            home.mkdir(parents=True, exist_ok=True)
            with _locked(home.with_name(f"{home.name}.lock"), deadline):
                if python := _ready(home):
                    return python
                for left in home.iterdir():  # The uv of a killed maker may write to its folder for a moment yet.
                    remove_tree(left)
                folder = home / uuid.uuid4().hex
                self.on_progress(Progress(message=f"making the program's environment from {named_in.name}"))
                self._make(folder, named_in, deadline)
                _publish(home, folder)
                return folder / "bin" / "python"
        except OSError as error:
            raise SettingInvalid(
                f"the program's environment cannot be kept: {error.strerror}",
                where=str(home),
                next_step="free space there, make it writable, or set HOLDTRUE_CACHE to another folder",
            ) from error

    def _make(self, folder: Path, named_in: Path, deadline: float) -> None:
        create = ["venv", "--python", sys.executable, "--no-project", str(folder)]
        self._run(create, folder.parent, named_in, deadline)
        with private_folder("holdtrue-uv") as scratch:
            install = ["pip", "install", "--compile-bytecode", "--python", str(folder / "bin" / "python")]
            self._run([*install, *self._wanted(named_in, scratch, deadline)], named_in.parent, named_in, deadline)
            pins = scratch / _PINS
            pins.write_text(self._list(folder, named_in, deadline), encoding="utf-8")
            if not any(line.startswith("pytest==") for line in pins.read_text(encoding="utf-8").splitlines()):
                extra = [f"pytest=={version('pytest')}", "--constraint", str(pins)]
                self._run([*install, *extra], named_in.parent, named_in, deadline)
        (folder / _PINS).write_text(self._list(folder, named_in, deadline), encoding="utf-8")

    def _wanted(self, named_in: Path, scratch: Path, deadline: float) -> list[str]:
        """What to install, as arguments."""
        if named_in.name != "uv.lock":
            return ["-r", str(named_in)]
        export = ["export", "--locked", "--no-emit-project", "--no-header", "--python", sys.executable]
        text = self._run(export, named_in.parent, named_in, deadline)
        _refuse_folders(text, named_in)
        exported = scratch / "requirements.txt"
        exported.write_text(text, encoding="utf-8")
        return ["--no-deps", "-r", str(exported)]

    def _list(self, folder: Path, named_in: Path, deadline: float) -> str:
        return self._run(["pip", "freeze", "--python", str(folder / "bin" / "python")], folder, named_in, deadline)

    def _run(self, arguments: list[str], folder: Path, named_in: Path, deadline: float) -> str:
        try:
            answer = UvResolver(timeout_seconds=max(1.0, deadline - time.monotonic())).run(arguments, folder)
        except RejectedError as error:
            if "--locked" in error.what:
                raise RejectedError(
                    "uv.lock does not fit its pyproject.toml",
                    where=str(named_in),
                    next_step="run `uv lock` in the project's folder, and commit the file",
                ) from error
            error.where = error.where or str(named_in)
            raise
        if isinstance(answer, NoSolution):
            raise RejectedError(
                f"the packages of the program do not go together: {answer.reason}",
                where=str(named_in),
                next_step="correct the file; `uv pip compile` shows the same",
            )
        return answer


def _key(named_in: Path) -> str:
    """A hash over everything that decides what is installed, but for the index."""
    if named_in.name == "requirements.txt":
        files = read_requirement_files(named_in)
        for file in files:
            _refuse_folders(file.text, named_in.parent / file.name)
        texts = [(file.name, file.text) for file in files]
    else:
        texts = [(path.name, read_text(path)) for path in (named_in, named_in.with_name("pyproject.toml"))]
    interpreter = [sys.version, os.path.realpath(sys.executable), platform.machine()]
    content = repr([_FORMAT, version("pytest"), interpreter, texts])
    return hashlib.sha256(content.encode()).hexdigest()[:32]


def _refuse_folders(text: str, file: Path) -> None:
    """A folder may change while the file that names it stays equal, and building it may write into it."""
    for line in split_lines(text.removeprefix("\ufeff")):
        if place := local_place(line):
            raise RejectedError(
                f"it names a folder or file of this machine: {place}",
                where=str(file),
                next_step="publish that package, or make the virtual environment yourself and name it in "
                "`runtime.options.virtualenv`",
            )


def _ready(home: Path) -> Path | None:
    """The interpreter of the whole environment; None when there is none, or its Python is gone."""
    try:
        python = home / (home / _READY).read_text(encoding="utf-8") / "bin" / "python"
    except OSError:
        return None
    return python if python.exists() else None


def _publish(home: Path, folder: Path) -> None:
    written = home / f"{_READY}.new"
    written.write_text(folder.name, encoding="utf-8")
    written.replace(home / _READY)


@contextmanager
def _locked(path: Path, deadline: float) -> Iterator[None]:
    """Hold the file's lock, which the kernel gives back when this process ends in any way."""
    with path.open("w") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if time.monotonic() >= deadline:
                    raise ServiceNotReady(
                        "another run is making the program's environment and has not finished",
                        where=str(path),
                        next_step="run again when it has ended",
                    ) from error
                time.sleep(_PAUSE_SECONDS)
        yield
