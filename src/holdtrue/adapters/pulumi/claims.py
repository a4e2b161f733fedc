"""Marker files for the engines started on this machine, so that leftovers of a killed run can be recognised.

Each operation has a marker file beside the private folders, by default in memory, so that it is gone after a reboot,
like the process ids in it. It is written before the engine starts and removed when the engine has ended by itself,
because an engine that ends by itself removes its lock. The stack is identified by a hash only.
"""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from uuid import uuid4

from pydantic import ValidationError

from holdtrue.adapters.pulumi.remedies import StackPlace
from holdtrue.models.base import Value
from holdtrue.models.lease import Liveness, ProcessIdentity
from holdtrue.runtime.leftovers import remove_folder
from holdtrue.runtime.liveness import current_process, liveness, observe

_PREFIX: Final = "holdtrue-engine-"
_RUNNING: Final = ".running"
_ENDED: Final = ".ended"
_PROCESSES: Final = ".processes"


class _Note(Value):
    """The run that started an engine."""

    owner: ProcessIdentity
    folder: Path
    """The run's private folder."""
    locks: bool
    """Whether the engine takes the stack's lock."""


@dataclass(slots=True)
class Claim:
    """The marker file of a running operation."""

    processes_file: Path
    """Where the child records the processes that it starts, one per line: process id and start time."""
    is_settled: bool = False
    """Whether the engine has ended by itself."""


@dataclass(frozen=True, slots=True)
class Abandoned:
    """The leftovers of an operation whose processes have all ended."""

    engines: frozenset[int]
    """Ids of its processes."""
    note: Path
    folder: Path
    locks: bool
    """It may have left a lock: its marker file is kept until a later engine has acquired the stack's lock."""

    def tidy(self) -> None:
        """Remove its private folder, and its marker file unless that is still needed."""
        remove_folder(self.folder)
        if not self.locks:
            self.forget()

    def forget(self) -> None:
        """Remove the marker file: nothing else of that operation is left."""
        for path in (self.note, self.note.with_suffix(_PROCESSES)):
            path.unlink(missing_ok=True)


@contextmanager
def claim(place: StackPlace, folder: Path, *, locks: bool) -> Iterator[Claim]:
    """Write the marker file of an operation that works in the private folder `folder`."""
    note = folder.parent / f"{_PREFIX}{_key(place)}-{uuid4().hex}{_RUNNING}"
    made = Claim(processes_file=note.with_suffix(_PROCESSES))
    _create(made.processes_file)
    _create(note, _Note(owner=current_process(), folder=folder, locks=locks).model_dump_json())
    try:
        yield made
    finally:
        if made.is_settled:
            note.unlink(missing_ok=True)
            made.processes_file.unlink(missing_ok=True)
        else:  # All of its processes have ended: the suffix tells that to later operations of this process.
            note.rename(note.with_suffix(_ENDED))


def abandoned(place: StackPlace, parent: Path) -> tuple[Abandoned, ...]:
    """The leftovers of operations on this stack that have certainly ended."""
    notes = sorted(parent.glob(f"{_PREFIX}{_key(place)}-*"))
    return tuple(found for path in notes if (found := _read(path)))


def _read(path: Path) -> Abandoned | None:
    try:
        if path.suffix not in {_RUNNING, _ENDED} or path.stat().st_uid != os.geteuid():
            return None
        note = _Note.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):  # It is being written, or was just removed.
        return None
    processes = _processes(path.with_suffix(_PROCESSES), note.owner)
    seen = observe(note.owner)
    is_over = path.suffix == _ENDED or (seen.process is Liveness.DEAD and seen.tools is Liveness.DEAD)
    if not is_over or any(liveness(process) is not Liveness.DEAD for process in processes):
        return None
    engines = frozenset(process.pid for process in processes)
    return Abandoned(engines=engines, note=path, folder=note.folder, locks=note.locks)


def _processes(path: Path, owner: ProcessIdentity) -> list[ProcessIdentity]:
    with suppress(OSError):
        lines = [line.split() for line in path.read_text(encoding="utf-8").splitlines()]
        return [
            owner.model_copy(update={"pid": int(pid), "started_ticks": int(ticks)})
            for pid, ticks in (line for line in lines if len(line) == 2)  # noqa: PLR2004 - id and start time
        ]
    return []


def _create(path: Path, text: str = "") -> None:
    """Create a file that only this user can read, because all users may share the folder."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)


def _key(place: StackPlace) -> str:
    text = f"{place.backend_url}\0{place.project}\0{place.stack}"
    return hashlib.sha256(text.encode()).hexdigest()[:32]
