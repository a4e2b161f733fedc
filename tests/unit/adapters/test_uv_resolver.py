"""What uv is given of the environment, and what its failures mean."""

import sys
from pathlib import Path

import pytest

from holdtrue.adapters.uv_resolver import UvResolver, find_uv, propose_fix
from holdtrue.adapters.uv_resolver import command as command_module
from holdtrue.adapters.uv_resolver.command import resolver_environment
from holdtrue.adapters.uv_resolver.failures import explain_failure, first_lines, without_addresses
from holdtrue.adapters.uv_resolver.files import read_requirement_files, refuse_builds_in_place
from holdtrue.adapters.uv_resolver.projects import copy_project
from holdtrue.core.fix_resolution import NoSolution
from holdtrue.errors import (
    AccessDenied,
    HoldtrueError,
    RejectedError,
    ServiceNotReady,
    ServiceUnreachable,
    ToolMissing,
)
from holdtrue.models.audit import Finding
from holdtrue.models.fix import Obstacle

ALPHA = Finding(package="alpha", version="1.0", id="X", fixed_in=("1.1",), sources=("osv",))


def test_the_uv_beside_this_python_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in ("beside", "path"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "uv").write_text("")
        (tmp_path / folder / "uv").chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "beside" / "python"))
    monkeypatch.setenv("PATH", str(tmp_path / "path"))

    assert find_uv() == tmp_path / "beside" / "uv"
    (tmp_path / "beside" / "uv").unlink()
    assert find_uv() == tmp_path / "path" / "uv"
    (tmp_path / "path" / "uv").unlink()
    with pytest.raises(ToolMissing) as caught:
        find_uv()
    assert caught.value.next_step


def test_credentials_of_the_worker_and_for_publishing_stay_out() -> None:
    own = {
        "UV_INDEX": "https://a.example/",
        "UV_INDEX_CORP_PASSWORD": "s3cr3t",
        "UV_PUBLISH_TOKEN": "s3cr3t",
        "UV_PYTHON_DOWNLOADS": "automatic",
        "UV_WORKING_DIR": "/",
        "VAULT_TOKEN": "s3cr3t",
        "PIP_INDEX_URL": "https://b.example/",
    }

    assert resolver_environment(own, index_url=None) == {
        "UV_INDEX": "https://a.example/",
        "UV_INDEX_CORP_PASSWORD": "s3cr3t",
        "UV_PYTHON_DOWNLOADS": "never",
    }


def test_pip_variables_are_translated_when_uv_has_none_of_its_own() -> None:
    own = {
        "PIP_INDEX_URL": "https://b.example/",
        "PIP_EXTRA_INDEX_URL": "https://c.example/ https://d.example/",
        "PIP_FIND_LINKS": "/a /b",
        "PIP_CERT": "/ours.pem",
        "SSL_CERT_FILE": "/theirs.pem",
    }

    assert resolver_environment(own, index_url=None) == {
        "UV_DEFAULT_INDEX": "https://b.example/",
        "UV_EXTRA_INDEX_URL": "https://c.example/ https://d.example/",
        "UV_FIND_LINKS": "/a,/b",
        "UV_PYTHON_DOWNLOADS": "never",
    }
    assert resolver_environment(own | {"UV_INDEX": "x"}, index_url="https://e.example/") == {
        "UV_DEFAULT_INDEX": "https://e.example/",
        "UV_PYTHON_DOWNLOADS": "never",
    }


def test_an_index_is_never_an_argument(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = tmp_path / "uv"
    shown.write_text('#!/bin/sh\necho "$@"\necho "index $UV_DEFAULT_INDEX"\n')
    shown.chmod(0o755)
    monkeypatch.setattr(command_module, "find_uv", lambda: shown)

    answer = UvResolver(index_url="https://user:s3cr3t@a.example/").run(["lock"], tmp_path)

    assert isinstance(answer, str)
    arguments, index = answer.splitlines()
    assert "s3cr3t" not in arguments
    assert "s3cr3t" in index


@pytest.mark.parametrize(
    ("tail", "kind"),
    [
        ("error: No solution found\nhint: An index URL (x) could not be queried due to a lack of valid authentication"
         " credentials (401 Unauthorized)", AccessDenied),
        ("error: No solution found\nhint: An index (x) returned a 403 Forbidden error.", AccessDenied),
        ("  cause: HTTP status client error (403 Forbidden) for url (x)", AccessDenied),
        ("error: No solution found\nhint: Packages were unavailable because the network was disabled.",
         ServiceUnreachable),
        ("error: Failed to fetch: x\n  cause: HTTP status server error (502 Bad Gateway) for url (x)", ServiceNotReady),
        ("error: Failed to fetch: x\n  cause: HTTP status client error (429 Too Many Requests)", ServiceNotReady),
        ("error: Failed to fetch: x\n  cause: dns error\n", ServiceUnreachable),
        ("error: Failed to fetch: x\n  cause: operation timed out\n", ServiceUnreachable),
        ("error: Failed to fetch: x\n  cause: HTTP status client error (410 Gone)", RejectedError),
        ("error: something else", RejectedError),
        ("", RejectedError),
    ],
)  # fmt: skip
def test_each_failure_has_its_class(tail: str, kind: type[HoldtrueError]) -> None:
    with pytest.raises(kind) as caught:
        explain_failure(2, tail)

    assert type(caught.value) is kind
    assert caught.value.next_step


@pytest.mark.parametrize(
    "tail",
    [
        "warning: old\nerror: No solution found when resolving dependencies\n  cause: Because a<2 it fails.\n\nhint: x",
        "  × No solution found when resolving dependencies:\n  ╰─▶ Because a<2 it fails.",  # noqa: RUF001 - uv's own sign
    ],
)
def test_no_solution_is_a_value_with_the_reason(tail: str) -> None:
    assert explain_failure(1, tail) == NoSolution("Because a<2 it fails.")


@pytest.mark.parametrize(
    ("hint", "told"),
    [
        ("Because a>1 was published after the exclude newer time, it fails.", "exclude-newer holds"),
        (
            "hint: `a` was filtered by `exclude-newer` to uploaded before 2022-01-02T00:00:00Z. The",
            "exclude-newer (nothing uploaded from 2022-01-02T00:00:00Z on) holds",
        ),
    ],
)
def test_the_setting_that_hides_newer_versions_is_named(hint: str, told: str) -> None:
    answer = explain_failure(1, f"error: No solution found\n  cause: It fails.\n\n{hint}\n")

    assert isinstance(answer, NoSolution)
    assert told in answer.reason


def test_a_repository_that_cannot_be_read_is_no_failure_of_the_index() -> None:
    tail = (
        "error: Failed to download and build `x @ git+https://user:s3cr3t@h.example/x.git`\n"
        "  cause: Git operation failed\n"
        "  cause: process didn't exit successfully: `git fetch`\n"
        "    fatal: unable to access 'https://user:s3cr3t@h.example/x.git/': Could not resolve host: h.example\n"
    )

    with pytest.raises(ServiceUnreachable) as caught:
        explain_failure(2, tail)

    assert "repository" in caught.value.what
    assert "Could not resolve host" in caught.value.what
    assert "s3cr3t" not in str(caught.value)


@pytest.mark.parametrize(
    "address",
    [
        "https://user:s3cr3t@host.example/simple/x",
        "https://user:s3/cr3t@host.example/simple",
        "https://host.example/s3cr3t/simple?token=s3cr3t#s3cr3t",
        "git+ssh://s3cr3t@host.example:22/x.git",
    ],
)
def test_no_address_is_repeated_beyond_its_host(address: str) -> None:
    for text in (address, f"(`{address}`)", f"a @ {address}, b"):
        shown = without_addresses(text)
        assert "cr3t" not in shown
        assert "s3" not in shown
        assert "://" in shown


def test_a_long_reason_is_cut() -> None:
    assert len(first_lines("\n".join(f"line {number} " + "x" * 500 for number in range(50)))) <= 800


def test_files_that_include_each_other_in_a_circle_are_read_once(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "a.txt").write_text("-r inner/b.txt\n")
    (tmp_path / "inner" / "b.txt").write_text("-r ../a.txt\n-c c.txt\n")
    (tmp_path / "inner" / "c.txt").write_text("alpha==1.0\n")

    files = read_requirement_files(tmp_path / "a.txt")

    assert [(file.name, file.is_constraint) for file in files] == [
        ("a.txt", False), ("inner/b.txt", False), ("inner/c.txt", True),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("project", "is_refused"),
    [
        ('[project]\nname = "own"\nversion = "1"\n', False),
        ('[project]\nname = "own"\nversion = "1"\ndynamic = ["dependencies"]\n', True),
        ('[project]\nname = "own"\ndynamic = ["version"]\n', True),
        ("[project", True),
        ("project = 1", True),
        (None, True),
    ],
)
@pytest.mark.parametrize(
    "line", ["-e ./own", "--editable=own", "./own", "own @ file:own", "./own[x] ; os_name == 'nt'"]
)
def test_a_folder_that_must_be_built_is_refused(
    tmp_path: Path,
    line: str,
    project: str | None,
    is_refused: bool,  # noqa: FBT001 - a case
) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "a.txt").write_text(f"{line}\n")
    if project is not None:
        (tmp_path / "own" / "pyproject.toml").write_text(project)
    files = read_requirement_files(tmp_path / "a.txt")

    if is_refused:
        with pytest.raises(RejectedError, match="build"):
            refuse_builds_in_place(files, tmp_path)
    else:
        refuse_builds_in_place(files, tmp_path)


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00", b"\xff"])
def test_what_cannot_be_read_is_rejected(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "a.txt"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(RejectedError):
        propose_fix(path, [ALPHA], audit=lambda _: [])
    with pytest.raises(RejectedError):
        propose_fix(tmp_path, [ALPHA], audit=lambda _: [])


@pytest.mark.parametrize("name", ["poetry.lock", "pylock.dev.toml", "tool.py.lock", "bill.json"])
def test_other_formats_are_declined_without_being_read(tmp_path: Path, name: str) -> None:
    proposal = propose_fix(tmp_path / name, [ALPHA], audit=lambda _: [])

    assert [(item.id, item.obstacle) for item in proposal.unfixed] == [("X", Obstacle.FORMAT)]


def test_a_lock_that_needs_folders_elsewhere_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "copy").mkdir()
    (tmp_path / "pyproject.toml").write_text("")
    lock = tmp_path / "uv.lock"
    for place, is_outside in (("members/own", False), ("../other", True), ("/elsewhere", True)):
        lock.write_text(f'version = 1\n[[package]]\nname = "own"\nsource = {{ editable = "{place}" }}\n')
        if is_outside:
            with pytest.raises(RejectedError, match="outside"):
                copy_project(lock, tmp_path / "copy")
        else:
            assert copy_project(lock, tmp_path / "copy") == lock.read_text()
