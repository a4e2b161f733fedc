"""Projects with a uv.lock through `uv lock`, on a copy of what that needs: the lock and every pyproject.toml."""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any, Final

from holdtrue.adapters.uv_resolver.command import UvResolver
from holdtrue.adapters.uv_resolver.files import read_text
from holdtrue.core.fix_resolution import FileChange, NoSolution, Resolution, Wish
from holdtrue.core.fix_stand_ins import fetched_packages, stand_ins, without_stand_ins
from holdtrue.core.lockfiles import parse_uv_lock
from holdtrue.errors import HoldtrueError, RejectedError, ToolMissing
from holdtrue.models.dependency import Origin, Pin

_LOCK: Final = "uv.lock"
_FOLDERS: Final = ("editable", "virtual", "directory")
_PROJECT: Final = "pyproject.toml"
_BESIDE: Final = (_PROJECT, "uv.toml", ".python-version")


@dataclass(slots=True)
class LockedProject:
    """A uv.lock with its project, locked anew in a private folder (`FixableProject`)."""

    name: str
    text: str
    resolver: UvResolver
    folder: Path
    pins: frozenset[Pin] = field(init=False)
    notes: tuple[str, ...] = ()
    _stand_ins: list[dict[str, Any]] | None = field(init=False, default=None)
    """The packages at which uv does not look; None while it does."""

    def __post_init__(self) -> None:
        self.pins = _read_pins(self.text)

    def resolve(self, wishes: Mapping[str, Wish], *, is_near: bool) -> Resolution | NoSolution:
        """As `FixableProject` says. Near by means the wished version itself, since uv would take the newest.

        Raises:
            HoldtrueError: as `UvResolver.run` says.
        """
        lock = self.folder / _LOCK
        lock.write_text(self.text.removeprefix("\ufeff"), encoding="utf-8", newline="")
        upgrades = [
            argument
            for name, wish in wishes.items()
            for argument in ("--upgrade-package", f"{name}{_specifier(wish, is_near=is_near)}")
        ]
        version = self.resolver.python_version
        answer = self._run(["lock", *upgrades, *(["--python", version] if version else [])])
        if isinstance(answer, NoSolution):
            return answer
        text = self._without_stand_ins(read_text(lock))
        if not wishes and text != self.text.removeprefix("\ufeff").replace("\r\n", "\n"):
            note = "uv rewrites this lock even without a change of versions; the patch holds that too"
            self.notes = (*self.notes, note)
        return Resolution(_read_pins(text), text)

    def _run(self, arguments: Sequence[str]) -> str | NoSolution:
        """Without a look at its repositories and addresses where one of them makes uv fail: they stay as locked."""
        try:
            return self.resolver.run(arguments, self.folder)
        except ToolMissing:
            raise
        except HoldtrueError as error:
            fetched = fetched_packages(self.text.removeprefix("\ufeff"))
            if not fetched or self._stand_ins is not None:
                raise
            project = self.folder / _PROJECT
            own = read_text(project)
            project.write_text(own + stand_ins(fetched), encoding="utf-8", newline="")
            try:
                answer = self.resolver.run(arguments, self.folder)
            except HoldtrueError:
                project.write_text(own, encoding="utf-8", newline="")
                raise error from None
            self._stand_ins = fetched
            names = ", ".join(sorted({str(item["name"]) for item in fetched}))
            note = f"{names}: from repositories or addresses, and not looked at ({error.what})"
            self.notes = (*self.notes, f"{note}; which versions they need was not considered")
            return answer

    def _without_stand_ins(self, text: str) -> str:
        """The lock without what only spares uv a look.

        Raises:
            RejectedError: one of the packages that were not looked at has changed.
        """
        if self._stand_ins is None:
            return text
        text = without_stand_ins(text)
        if fetched_packages(text) != self._stand_ins:
            raise RejectedError(
                "uv changed a package that it could not look at",
                where=self.name,
                next_step="make its repository reachable, or bump by hand with `uv lock --upgrade-package`",
            )
        return text

    def rewrite(self, resolution: Resolution) -> tuple[FileChange, ...] | NoSolution:
        """As `FixableProject` says."""
        text = resolution.text.replace("\r\n", "\n")
        if "\r\n" in self.text:
            text = text.replace("\n", "\r\n")
        return (FileChange(self.name, self.text, "\ufeff" + text if self.text.startswith("\ufeff") else text),)


def copy_project(lock: Path, folder: Path) -> str:
    """Copy what `uv lock` reads into `folder`; the text of the lock.

    Raises:
        RejectedError: a file cannot be read, there is no pyproject.toml, or the project needs folders outside of its
            own.
    """
    text = read_text(lock)
    root = lock.absolute().parent
    read_text(root / _PROJECT)
    for place in (PurePath(), *_local_folders(text)):
        if place.is_absolute() or ".." in place.parts:
            raise RejectedError(
                "it needs a folder outside of its own, which is not copied",
                where=str(lock),
                next_step="bump the packages by hand with `uv lock --upgrade-package`",
            )
        for name in _BESIDE:
            if (root / place / name).is_file():
                copy = folder / place / name
                copy.parent.mkdir(parents=True, exist_ok=True)
                copy.write_text(read_text(root / place / name), encoding="utf-8", newline="")
    return text


def _local_folders(text: str) -> Iterator[PurePath]:
    try:
        packages = tomllib.loads(text.removeprefix("\ufeff")).get("package")
    except (ValueError, RecursionError):
        return
    for package in packages if isinstance(packages, list) else ():
        source = package.get("source") if isinstance(package, dict) else None
        if isinstance(source, dict):
            yield from (PurePath(source[kind]) for kind in _FOLDERS if isinstance(source.get(kind), str))


def _read_pins(text: str) -> frozenset[Pin]:
    dependencies = parse_uv_lock(text.removeprefix("\ufeff"), _LOCK).dependencies
    return frozenset(
        Pin(item.name, item.version)
        for item in dependencies
        if item.origin is Origin.INDEX and item.version and not item.reason
    )


def _specifier(wish: Wish, *, is_near: bool) -> str:
    if wish.exact:
        return f"=={wish.exact}"
    if is_near and wish.minimum and wish.minimum not in wish.excluded:
        return f"=={wish.minimum}"
    limits = [f">={wish.minimum}"] if wish.minimum else []
    return ",".join((*limits, *(f"!={version}" for version in sorted(wish.excluded))))
