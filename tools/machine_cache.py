"""The folder outside the checkout where set-up keeps what is expensive to obtain, shared by all checkouts of a user."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tools.console import SetupFailedError


def cache_folder(environment: Mapping[str, str]) -> Path:
    """Give `$XDG_CACHE_HOME/holdtrue`, or `~/.cache/holdtrue`.

    A relative XDG_CACHE_HOME is ignored, as the XDG Base Directory Specification 0.8 asks.

    Raises:
        SetupFailedError: the folder cannot be created.
    """
    configured = Path(environment.get("XDG_CACHE_HOME", ""))
    home = environment.get("HOME")
    base = configured if configured.is_absolute() else (Path(home) if home else Path.home()) / ".cache"
    folder = base / "holdtrue"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SetupFailedError(
            f"cannot create the cache folder {folder} ({error.strerror}); set XDG_CACHE_HOME to a folder you may write"
        ) from error
    return folder


@contextmanager
def exclusive_lock(lock_file: Path) -> Iterator[None]:
    """Hold `lock_file` against other processes, waiting for it if need be.

    The kernel drops the lock when its holder dies, so nothing stays locked after a crash.
    """
    lock_file.parent.mkdir(parents=True, exist_ok=True)
    with lock_file.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def link_atomically(target: Path, link: Path) -> None:
    """Make `link` point to `target` in one step: a reader sees the old link or the new one, never none."""
    link.parent.mkdir(parents=True, exist_ok=True)
    draft = link.with_name(f".{link.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    draft.symlink_to(target)
    draft.replace(link)


def search_path_without(folder: Path, search_path: str) -> str:
    """Drop `folder` from a PATH text, so that a link which set-up made is not found as the user's own tool."""
    kept = (entry for entry in search_path.split(os.pathsep) if entry and Path(entry).resolve() != folder.resolve())
    return os.pathsep.join(kept)
