"""What `holdtrue audit` looks at: the files, projects and environments that its options name."""

import argparse
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from holdtrue.cli.arguments import as_index, as_name_pattern, as_path
from holdtrue.cli.session import complain

if TYPE_CHECKING:
    from holdtrue.models.dependency import Inventory

_STANDARD_INPUT: Final = Path("-")


def add_inputs(parser: argparse.ArgumentParser) -> None:
    """The options that name them."""
    what = parser.add_argument_group("what is audited (each repeatable; default: the current folder as a project)")
    add = partial(what.add_argument, type=as_path, action="append", default=[])
    add(
        "-r", "--requirement", dest="files", metavar="FILE",
        help="requirements, any Python lock file, a conda list or environment.yml, an SBOM (CycloneDX, SPDX); "
        "- is standard input",
    )  # fmt: skip
    add(
        "--project", dest="projects", metavar="DIR",
        help="a project: its lock files, or else its requirements files",
    )  # fmt: skip
    add(
        "--environment", dest="interpreters", metavar="PYTHON",
        help="a Python interpreter: what is installed for it",
    )  # fmt: skip
    add("--venv", dest="venvs", metavar="DIR", help="a virtual environment; none of its programs is run")
    add("--root", dest="roots", metavar="DIR", help="an unpacked file system of a container or image")
    add_own_packages(parser)
    what.add_argument(
        "--resolve", action="store_true", help="let uv resolve requirements files; else what is unpinned is not audited"
    )


def add_own_packages(parser: argparse.ArgumentParser) -> None:
    """The options that say which packages are the organisation's own."""
    own = parser.add_argument_group("your own packages, about which no source is asked (each repeatable)")
    own.add_argument(
        "--internal", dest="internal_names", metavar="PATTERN", type=as_name_pattern, action="append", default=[],
        help="names of them, e.g. 'acme-*'; those from paths and from indexes beside PyPI are known by themselves",
    )  # fmt: skip
    own.add_argument(
        "--mirror", dest="mirrors", metavar="URL", type=as_index, action="append", default=[],
        help="an index beside PyPI that serves PyPI's packages, so that they are not your own",
    )  # fmt: skip


def default_to_current_folder(options: argparse.Namespace) -> None:
    """Where nothing is named, take the current folder as a project, and say what was found in it.

    Raises:
        RejectedError: there is nothing in it.
    """
    if any((options.files, options.projects, options.interpreters, options.venvs, options.roots)):
        return
    from holdtrue.adapters.inventory.projects import find_files, why_nothing  # noqa: PLC0415 - where it is wanted
    from holdtrue.errors import RejectedError  # noqa: PLC0415

    folder = Path()
    try:
        here = str(Path.cwd())
    except OSError as error:
        raise RejectedError(
            "nothing to audit was named, and the current folder does not exist any more, or cannot be entered",
            where="the current folder",
            next_step="change to a folder that exists",
        ) from error
    found = find_files(folder)
    if not found:
        raise RejectedError(
            f"nothing to audit was named, and the current folder {why_nothing(folder)}",
            where=here,
            next_step="give -r FILE, --project DIR or --environment PYTHON",
        )
    complain(f"nothing was named, so the current folder is audited: {', '.join(map(str, found))}")
    options.projects = [folder]


def files_read(options: argparse.Namespace) -> Iterator[Path]:
    """Every file that the options name, and those of the projects."""
    from holdtrue.adapters.inventory.projects import find_files  # noqa: PLC0415

    yield from (*options.files, *options.interpreters, *options.waivers, *options.vex)
    yield from filter(None, (options.osv_db, options.epss, options.kev))
    for project in options.projects:
        yield from (*find_files(project), project / "pyproject.toml")


def read_inputs(options: argparse.Namespace) -> "tuple[Inventory, ...]":
    """The inventory of each, with the organisation's own packages marked."""
    from holdtrue.core.lockfiles import mark_all_internal  # noqa: PLC0415 - a command imports what it needs

    return mark_all_internal(_read(options), options.internal_names, options.mirrors)


def _read(options: argparse.Namespace) -> "Iterator[Inventory]":
    for file in options.files:
        yield _read_file(file, resolve=options.resolve)
    for project in options.projects:
        yield from _read_project(project, resolve=options.resolve)
    if options.interpreters or options.venvs or options.roots:
        yield from _list_installed(options)


def _list_installed(options: argparse.Namespace) -> "Iterator[Inventory]":
    """What is installed; an environment that cannot be listed now is a gap, and hides no finding elsewhere."""
    from holdtrue.adapters.inventory.installed import list_environment, list_root, list_venv  # noqa: PLC0415
    from holdtrue.errors import HoldtrueError, RejectedError  # noqa: PLC0415
    from holdtrue.models.dependency import Gap, Inventory  # noqa: PLC0415

    for paths, read in (
        (options.interpreters, list_environment),
        (options.venvs, list_venv),
        (options.roots, list_root),
    ):
        for path in paths:
            try:
                yield from read(path)
            except RejectedError:
                raise
            except HoldtrueError as error:
                yield Inventory(str(path), "installed", (), (Gap(str(path), str(error)),))


def _read_file(file: Path, *, resolve: bool) -> "Inventory":
    from holdtrue.adapters.inventory.files import read_file, read_standard_input  # noqa: PLC0415

    is_stream = file == _STANDARD_INPUT
    inventory = read_standard_input() if is_stream else read_file(file)
    if not resolve or all(item.version for item in inventory.dependencies) or inventory.kind != "requirements":
        return inventory
    from dataclasses import replace  # noqa: PLC0415

    from holdtrue.adapters.uv_resolver import read_resolved  # noqa: PLC0415
    from holdtrue.errors import HoldtrueError, RejectedError  # noqa: PLC0415
    from holdtrue.models.dependency import Gap  # noqa: PLC0415

    if is_stream:
        raise RejectedError("standard input cannot be resolved", where="-", next_step="save it as a requirements file")
    try:
        return read_resolved(file)
    except RejectedError:
        raise
    except HoldtrueError as error:
        # What is pinned is audited all the same.
        return replace(inventory, gaps=(*inventory.gaps, Gap(str(file), f"it could not be resolved: {error}")))


def _read_project(project: Path, *, resolve: bool) -> "Iterator[Inventory]":
    from holdtrue.adapters.inventory.projects import find_files, may_be_another_tools, why_nothing  # noqa: PLC0415
    from holdtrue.errors import RejectedError  # noqa: PLC0415
    from holdtrue.models.dependency import Gap, Inventory  # noqa: PLC0415

    files = find_files(project)
    if not files:
        yield Inventory(str(project), "project", (), (Gap(str(project), why_nothing(project)),))
    for file in files:
        try:
            yield _read_file(file, resolve=resolve)
        except RejectedError as error:
            if not may_be_another_tools(file):
                raise
            yield Inventory(str(file), "conda", (), (Gap(str(file), error.what),))
