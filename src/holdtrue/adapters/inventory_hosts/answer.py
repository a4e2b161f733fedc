"""What a host answered, as inventories. Nothing in it is trusted: neither its form, nor its length, nor its types."""

import posixpath
from collections.abc import Iterator, Sequence
from typing import Final

from pydantic import ValidationError

from holdtrue.adapters.inventory_hosts.script import FOLDERS_BEGIN, MOST_FOLDERS
from holdtrue.core.installed import KIND, InstalledEntry, read_package_folder
from holdtrue.models.base import Value
from holdtrue.models.dependency import Gap, Inventory
from holdtrue.runtime.package_probe import BEGIN, END

MOST_CHARACTERS: Final = 32 << 20
"""Of one host: a hundred environments of some hundred packages have a tenth of it."""

_NO_PYTHON: Final = "no Python 3.6 or later there: read from the name of its metadata"


class AnswerUnreadable(Exception):
    """The host's output is no answer; the text says why, without repeating it."""


class _Folder(Value):
    path: str
    entries: tuple[InstalledEntry, ...]


class _Answer(Value):
    folders: tuple[_Folder, ...]
    problems: tuple[tuple[str, str], ...]


class Lines:
    """Collects a host's output, up to its greatest length."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._left = MOST_CHARACTERS

    def take(self, line: str) -> None:
        """Keep a line.

        Raises:
            AnswerUnreadable: there is more than a host may answer.
        """
        self._left -= len(line) + 1
        if self._left < 0:
            raise AnswerUnreadable(f"it answered with more than {MOST_CHARACTERS >> 20} Mi characters")
        self.lines.append(line)


def read_answer(lines: Sequence[str], host: str) -> tuple[Inventory, ...]:
    """One inventory for each package folder that holds something, and one of the host for what could not be read.

    Raises:
        AnswerUnreadable: it is none.
    """
    start = next((index for index, line in enumerate(lines) if line in {BEGIN, FOLDERS_BEGIN}), None)
    if start is None:
        raise AnswerUnreadable("it did not run the program: its shell or a forced command stands before it")
    end = next((index for index in range(start + 1, len(lines)) if lines[index].startswith(END)), None)
    if end is None:
        raise AnswerUnreadable("its answer is cut: the program was ended on the way")
    body = lines[start + 1 : end]
    if lines[start] == FOLDERS_BEGIN:
        return _read_folder_names(body, host)
    text = "".join(body)
    if lines[end] != f"{END} {len(text)}" or not text.isascii():
        raise AnswerUnreadable("its answer was changed on the way")
    try:
        answer = _Answer.model_validate_json(text)
    except ValidationError:
        raise AnswerUnreadable("its answer is not what the program prints") from None
    found = [
        read_package_folder(
            folder.entries,
            folder=folder.path,
            label=f"{host}:{folder.path}",
            listed_folders=[item.path for item in answer.folders],
        )
        for folder in answer.folders
    ]
    return _with_host_gaps(found, [Gap(name, reason) for name, reason in answer.problems], host)


def _read_folder_names(lines: Sequence[str], host: str) -> tuple[Inventory, ...]:
    """What `find` printed: paths of metadata, whose content is not known."""
    folders: dict[str, list[InstalledEntry]] = {}
    for path in lines:
        folder, _, name = path.rpartition("/")
        folders.setdefault(posixpath.normpath(folder or "/"), []).append(InstalledEntry(name, None, problem=_NO_PYTHON))
    found = [read_package_folder(items, folder=path, label=f"{host}:{path}") for path, items in folders.items()]
    gaps = [Gap("search for packages", "done without Python: only names were read, and unreadable folders not noticed")]
    if len(lines) >= MOST_FOLDERS:
        gaps.append(Gap("search for packages", f"ended early, after {MOST_FOLDERS} packages"))
    return _with_host_gaps(found, gaps, host)


def _with_host_gaps(found: Sequence[Inventory], gaps: Sequence[Gap], host: str) -> tuple[Inventory, ...]:
    inventories = [item for item in found if item.dependencies or item.gaps]
    return (*inventories, *_host_inventory(gaps, host, is_empty=not inventories))


def _host_inventory(gaps: Sequence[Gap], host: str, *, is_empty: bool) -> Iterator[Inventory]:
    nothing = [Gap(host, "holds no installed Python packages")] if is_empty else []
    if gaps or nothing:
        yield Inventory(host, KIND, (), (*gaps, *nothing))
