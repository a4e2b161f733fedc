"""Find package folders in a file system and read their entries: here as a module, on a remote host as a program.

The text of this file is what runs there, under the Python that the host has: it uses the standard library alone, the
language of Python 3.6 (its annotations are quoted for that) and ASCII. It writes nothing, runs no code that it finds,
opens ordinary files only, and ends by itself. importlib.metadata parses every METADATA to its end; here only the
header is read.
"""

# Strings throughout: pathlib takes longer than the reading.
# ruff: noqa: PTH112, PTH114, PTH119, PTH208

import json
import os
import stat
import sys
import time
from collections.abc import Iterator
from typing import NamedTuple

BEGIN = "HOLDTRUE-PACKAGES 1"
END = "HOLDTRUE-END"
LINE_CHARACTERS = 60000

_PACKAGE_FOLDERS = ("site-packages", "dist-packages")
_NEVER_HOLD_PACKAGES = ("node_modules", ".git", "__pycache__")
_PIP = "pip/_vendor"
_VENDORED = (
    _PIP, "setuptools/_vendor", "setuptools/_vendor/wheel/vendored", "pkg_resources/_vendor",
    "wheel/vendored", "pipenv/vendor", "pipenv/vendor/pythonfinder/_vendor", "pipenv/patched/pip/_vendor",
    "poetry/core/_vendor",
)  # fmt: skip
"""Where installers carry copies of other packages, with a list of pins or with their metadata."""

_VENDOR_LISTS = ("vendor.txt", "vendored.txt")
_FIRST_BYTES = 1 << 16
_MOST_BYTES = 1 << 20
_MOST_FOLDERS = 1000000
_MOST_PACKAGE_FOLDERS = 5000
_MOST_CHARACTERS = 8 << 20
_LINK = "a symbolic link, which is not followed"

_CONTAINERS = ("/var/lib/docker", "/var/lib/containerd", "/var/lib/containers", "/var/lib/kubelet")


class Entry(NamedTuple):
    """As `holdtrue.core.installed.InstalledEntry` has it."""

    name: str
    text: "str | None" = None
    direct_url: "str | None" = None
    installer: str = ""
    is_requested: bool = False
    vendored_in: str = ""
    problem: str = ""


class Search:
    """Package folders below some folders: those of that name, and any other that holds a *.dist-info.

    The latter are what `pip install --target` makes; below `.cache` they are caches. No symbolic link is followed, and
    nothing is looked for inside of a package folder. `problems` are names and reasons of what could not be searched.
    """

    def __init__(self, skipped: "dict[str, str]") -> None:
        """`skipped` are paths that are not entered, with the reason that is a problem, or an empty one."""
        self.package_folders: list[str] = []
        self.problems: list[tuple[str, str]] = []
        self._skipped = skipped
        self._found: dict[str, bool] = {}
        self._unreadable: list[str] = []

    def run(self, roots: "list[str]", deadline: "float | None" = None) -> None:
        """Search the roots, until `deadline` on the monotonic clock at most."""
        self._found.update((root, True) for root in roots if os.path.basename(root) in _PACKAGE_FOLDERS)
        # With whether it is below a folder named .cache.
        waiting, searched = [(root, False) for root in roots if root not in self._found], 0
        while waiting:
            searched += 1
            is_late = deadline is not None and time.monotonic() > deadline
            if is_late or searched > _MOST_FOLDERS or len(self._found) > _MOST_PACKAGE_FOLDERS:
                reason = "the time for it was over" if is_late else "there are more folders than are searched"
                self.problems.append(("search for packages", f"ended early: {reason}"))
                break
            waiting += self._look_into(*waiting.pop())
        if self._unreadable:
            count = f"{len(self._unreadable)} folders, this one first, cannot be searched for packages"
            self.problems.append((shown(min(self._unreadable)), count))
        self.package_folders = sorted(self._found)

    def _look_into(self, path: str, is_cache: bool) -> "list[tuple[str, bool]]":  # noqa: FBT001 - unpacked above
        """The folders in it that are to be searched."""
        try:
            with os.scandir(path) as listing:
                names = [item.name for item in listing if item.is_dir(follow_symlinks=False)]
        except FileNotFoundError:
            return []
        except OSError:
            self._unreadable.append(path)
            return []
        following = []
        for name in names:
            inner = f"{path.rstrip('/')}/{name}"
            if name in _PACKAGE_FOLDERS:
                self._found[inner] = True
            elif name.lower().endswith(".dist-info"):
                if not is_cache:
                    self._found[path] = True
            elif inner in self._skipped:
                if self._skipped[inner]:
                    self.problems.append((shown(inner), self._skipped[inner]))
            elif name not in _NEVER_HOLD_PACKAGES:
                following.append((inner, is_cache or name == ".cache"))
        return following


def shown(text: str) -> str:
    """A name of the file system as text that can be written anywhere; bytes that are no UTF-8 are replaced."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def read_entries(folder: str, *, follow_links: bool) -> "Iterator[Entry]":
    """What lies in the folder, by name, and the copies that its installers carry.

    Without `follow_links` no symbolic link is followed: in another machine's file system it would lead into this one.

    Raises:
        OSError: the folder cannot be listed.
    """
    yield from _scan(folder, follow_links=follow_links)
    for relative in _VENDORED:
        path = f"{folder}/{relative}"
        if not os.path.isdir(path) or (not follow_links and _has_link(folder, relative)):
            continue
        lists = [name for name in _VENDOR_LISTS if os.path.lexists(f"{path}/{name}")]
        copies = [_read_text(f"{path}/{name}", name, follow_links=follow_links) for name in lists]
        copies += [entry for entry in _scan(path, follow_links=follow_links) if not entry.name.endswith(".pth")]
        # Old pips kept no list; distributions take the copies out, and leave the folder. Others never had a list.
        if relative == _PIP and not copies and not {"__init__.py", "__pycache__"}.issuperset(os.listdir(path)):
            copies.append(Entry(_VENDOR_LISTS[0], problem=f"{relative} holds copies of packages without a list"))
        for entry in copies:
            yield entry._replace(vendored_in=relative.partition("/")[0])


def _scan(folder: str, *, follow_links: bool) -> "Iterator[Entry]":
    with os.scandir(folder) as listing:
        items = [item for item in listing if item.name.endswith((".egg-link", ".pth")) or _is_metadata(item.name)]
    for item in sorted(items, key=lambda item: item.name):
        name, is_folder = shown(item.name), os.path.isdir(item.path)
        if not follow_links and item.is_symlink():
            yield Entry(name, problem=_LINK)
        else:
            yield _read_entry(item.path, name, is_folder=is_folder, follow_links=follow_links)


def _is_metadata(name: str) -> bool:
    """As importlib.metadata has it."""
    return name.lower().endswith((".dist-info", ".egg-info", ".egg"))


def _read_entry(path: str, name: str, *, is_folder: bool, follow_links: bool) -> Entry:
    if name.endswith((".pth", ".egg-link")):
        return _read_text(path, name, follow_links=follow_links)
    if name.lower().endswith(".egg"):
        if not is_folder:
            return Entry(name, problem="a zipped egg")
        if not follow_links and _has_link(path, "EGG-INFO"):
            return Entry(name, problem=_LINK)
        return _read_distribution(f"{path}/EGG-INFO", name, follow_links=follow_links)
    if is_folder:
        return _read_distribution(path, name, follow_links=follow_links)
    return _with_headers(Entry(name), path, follow_links=follow_links)


def _read_distribution(folder: str, name: str, *, follow_links: bool) -> Entry:
    # As importlib.metadata has it: some tools write METADATA into an egg-info.
    has_metadata = name.lower().endswith(".dist-info") or os.path.lexists(f"{folder}/METADATA")
    file = "METADATA" if has_metadata else "PKG-INFO"
    entry = Entry(
        name,
        direct_url=_read_optional(f"{folder}/direct_url.json", follow_links=follow_links),
        installer=_read_optional(f"{folder}/INSTALLER", follow_links=follow_links) or "",
        is_requested=os.path.lexists(f"{folder}/REQUESTED"),
    )
    return _with_headers(entry, f"{folder}/{file}", follow_links=follow_links)


def _with_headers(entry: Entry, path: str, *, follow_links: bool) -> Entry:
    """The entry with its metadata's header: the description after it may be long, and is not looked at."""
    try:
        data = _read(path, _FIRST_BYTES, follow_links=follow_links)
        if len(data) == _FIRST_BYTES and b"\n\n" not in data and b"\n\r\n" not in data:
            data = _read(path, _MOST_BYTES, follow_links=follow_links)
    except OSError as error:
        return entry._replace(problem=f"its metadata cannot be read: {error.strerror}")
    return entry._replace(text=data.partition(b"\n\n")[0].partition(b"\n\r\n")[0].decode("utf-8", "replace"))


def _read_text(path: str, name: str, *, follow_links: bool) -> Entry:
    try:
        data = _read(path, _FIRST_BYTES + 1, follow_links=follow_links)
    except OSError as error:
        return Entry(name, problem=f"its metadata cannot be read: {error.strerror}")
    if len(data) > _FIRST_BYTES:
        return Entry(name, problem="longer than 64 KiB")
    return Entry(name, data.decode("utf-8", "replace"))


def _read_optional(path: str, *, follow_links: bool) -> "str | None":
    """None when there is no such file; empty when it cannot be read."""
    try:
        return _read(path, _FIRST_BYTES, follow_links=follow_links).decode("utf-8", "replace")
    except FileNotFoundError:
        return None
    except OSError:
        return ""


def _read(path: str, most_bytes: int, *, follow_links: bool) -> bytes:
    """The beginning of an ordinary file; a pipe or device in its place would block, or never end."""
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | (0 if follow_links else os.O_NOFOLLOW)
    descriptor = os.open(path, flags)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(0, "not an ordinary file")
        return os.read(descriptor, most_bytes)
    finally:
        os.close(descriptor)


def _has_link(folder: str, relative: str) -> bool:
    path = folder
    for part in relative.split("/"):
        path = f"{path}/{part}"
        if os.path.islink(path):
            return True
    return False


class Answer:
    """What is said about the host: as much as fits into time and length, and what did not."""

    def __init__(self, deadline: float) -> None:
        self.folders: list[dict[str, object]] = []
        self.problems: list[tuple[str, str]] = []
        self._deadline = deadline
        self._characters_left = _MOST_CHARACTERS

    def read(self, paths: "list[str]") -> None:
        """Read the package folders, each once by whatever names it has."""
        seen: dict[str, bool] = {}
        for path in paths:
            real = os.path.realpath(path)
            if real in seen:
                continue
            seen[real] = True
            entries: list[dict[str, object]] = []
            self.folders.append({"path": shown(path), "entries": entries})
            try:
                for entry in read_entries(path, follow_links=True):
                    entries.append(dict(_shortened(entry)._asdict()))
                    self._characters_left -= len(json.dumps(entries[-1]))
                    if self._characters_left < 0 or time.monotonic() > self._deadline:
                        reason = "and what comes after it was not read to its end: there is too much, or no time left"
                        self.problems.append((shown(path), reason))
                        return
            except OSError as error:
                self.problems.append((shown(path), f"cannot be listed: {error.strerror}"))

    def write(self) -> None:
        """In lines that no reader cuts, between two marks: a host's shell may greet whoever comes."""
        text = json.dumps({"folders": self.folders, "problems": self.problems})
        lines = [text[start : start + LINE_CHARACTERS] for start in range(0, len(text), LINE_CHARACTERS)]
        sys.stdout.write("\n".join([BEGIN, *lines, f"{END} {len(text)}"]) + "\n")


def main() -> None:
    """Search as the request (JSON, the first argument) says, and print what was found."""
    request = json.loads(sys.argv[1])
    roots = request["roots"]
    deadline = time.monotonic() + request["seconds"]
    skipped = dict.fromkeys(("/proc", "/sys", "/dev", "/run"), "")
    skipped.update(dict.fromkeys(_CONTAINERS, "holds the file systems of containers, which are not searched"))
    search = Search(skipped)
    search.run([path for path in roots if os.path.isdir(path)], deadline)
    if request["needs_all_roots"]:
        search.problems += [(shown(path), "is no folder there") for path in roots if not os.path.isdir(path)]
    answer = Answer(deadline)
    answer.read(search.package_folders)
    answer.problems += search.problems
    answer.write()


def _shortened(entry: Entry) -> Entry:
    """Without the fields that nobody asks for: a host's answer is some kilobytes."""
    if entry.text is None or not _is_metadata(entry.name):
        return entry
    wanted = ("name:", "version:", "requires-dist:")
    lines = [line for line in entry.text.split("\n") if line.lower().startswith(wanted)]
    return entry._replace(text="\n".join(line for line in lines if "extra" not in line.partition(";")[2]))


if __name__ == "__main__":
    main()
