"""Command lines and environments of the processes on this machine.

Source: proc_pid_cmdline(5) and proc_pid_environ(5); the environment is the one that a process was started with.
"""

import os
from pathlib import Path
from typing import Final

from holdtrue.adapters.leaks.record import SearchRecord
from holdtrue.models.leak import Processes

_PROC: Final = Path("/proc")


def search_processes(record: SearchRecord, place: Processes) -> None:
    """Look once at every process that there is now. Those of other users show their command line only."""
    looked_at, foreign = 0, 0
    for folder in _PROC.iterdir():
        if not folder.name.isdigit() or int(folder.name) in place.exclude:
            continue
        try:
            name = f"process {folder.name} ({(folder / 'comm').read_text(errors='replace').strip()})"
            record.look_at(f"{name}, command line", (folder / "cmdline").read_bytes())
            owner = folder.stat().st_uid
        except (FileNotFoundError, ProcessLookupError):
            continue
        except OSError as error:
            record.miss(f"process {folder.name}", error.strerror or type(error).__name__)
            continue
        looked_at += 1
        if os.geteuid() not in (0, owner):
            foreign += 1
            continue
        try:
            record.look_at(f"{name}, environment", (folder / "environ").read_bytes())
        except (FileNotFoundError, ProcessLookupError):
            continue
        except OSError as error:
            record.miss(f"{name}, environment", error.strerror or type(error).__name__)
    if foreign:
        record.leave_out(f"environments of {foreign} processes", "they belong to other users; run as root to see them")
    if not looked_at:
        record.miss(str(_PROC), "it shows no process")
