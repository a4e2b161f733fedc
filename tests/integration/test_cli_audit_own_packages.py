"""`holdtrue audit`: names that are nobody else's business are in no question, whatever the format that holds them."""

import json
from typing import Final
from urllib.parse import quote

import pytest

from tests.integration.audit_desk import CLEAN, INCOMPLETE, VULNERABLE, Desk, desk, server
from tests.integration.osv_fault_server import FaultServer, advisory

__all__ = ["desk", "server"]

INTERNAL: Final = ("--internal", "acme-*")
_OWN_INDEX: Final = "https://user:s3cr3t@index.acme.example/simple"
_PYPI: Final = "https://pypi.org/simple"


def _uv(name: str, source: str) -> str:
    return f'[[package]]\nname = "{name}"\nversion = "1.0"\nsource = {{ {source} }}\n'


def _toml(array: str, name: str, fields: str = "") -> str:
    return f'[[{array}]]\nname = "{name}"\nversion = "1.0"\n{fields}\n'


MEMBERS: Final = {
    "uv.lock": "version = 1\n[manifest]\nmembers = ['own-app', 'own-core', 'acme-lib']\n"
    + _uv("own-app", 'editable = "."')
    + _uv("own-core", 'editable = "packages/core"')
    + _uv("own-wheel", 'path = "wheels/own_wheel-1.0-py3-none-any.whl"')
    + _uv("acme-lib", 'editable = "packages/lib"')
    + _uv("own-find-links", 'registry = "wheels"')
    + _uv("own-flat-index", 'registry = "file:///srv/wheels"')
    + _uv("acme-git", 'git = "https://host.example/acme-git#01"')
    + _uv("demo-b", f'registry = "{_PYPI}"'),
    "pdm.lock": '[metadata]\ngroups = ["default"]\nlock_version = "4.5.0"\n'
    + _toml("package", "own-app", 'path = "."')
    + _toml("package", "own-core", 'path = "./core"\neditable = true')
    + _toml("package", "acme-lib")
    + _toml("package", "demo-b"),
    "poetry.lock": _toml("package", "own-core", '[package.source]\ntype = "directory"\nurl = "core"')
    + _toml("package", "acme-lib")
    + _toml("package", "demo-b")
    + '[metadata]\nlock-version = "2.1"\n',
    "pylock.toml": 'lock-version = "1.0"\ncreated-by = "x"\n'
    + _toml("packages", "own-app", 'directory = { path = "." }')
    + _toml("packages", "own-core", 'directory = { path = "core", editable = true }')
    + _toml("packages", "own-wheel", 'wheels = [{ path = "wheels/own_wheel-1.0-py3-none-any.whl" }]')
    + _toml("packages", "own-sdist", 'sdist = { url = "file:///srv/own_sdist-1.0.tar.gz" }')
    + _toml("packages", "acme-lib")
    + _toml("packages", "demo-b"),
    "Pipfile.lock": json.dumps(
        {
            "_meta": {"pipfile-spec": 6},
            "default": {
                "own-app": {"path": ".", "editable": True, "version": "==1.0"},
                "own-core": {"path": "./core", "version": "==1.0"},
                "acme-lib": {"version": "==1.0"},
                "demo-b": {"version": "==1.0"},
            },
        }
    ),
    "requirements.txt": "-e ./own-app\nown-core @ file:///srv/own_core-1.0-py3-none-any.whl\n"
    "./own_wheel-1.0-py3-none-any.whl\nacme-lib==1.0\ndemo-b==1.0\n",
    "environment.yml": "dependencies:\n  - acme-lib=1.0\n"
    "  - pip:\n    - -e ./own-app\n    - acme-git==1.0\n    - demo-b==1.0\n",
}  # fmt: skip


def asked(server: FaultServer) -> set[str]:
    """Every name that any question held, and the text of all of them."""
    batches = [item.body["queries"] for item in server.asked if "querybatch" in item.path]
    return {query["package"]["name"] for queries in batches for query in queries}


@pytest.mark.parametrize("name", MEMBERS)
def test_no_source_is_told_the_name_of_an_own_package(desk: Desk, server: FaultServer, name: str) -> None:
    desk.file(name, MEMBERS[name])

    ended = desk.run("-r", name, "--osv-url", server.url, *INTERNAL, "--json")

    assert asked(server) == {"demo-b"}
    listed = {item.name for item in ended.document.not_audited}
    assert {part for part in ("own-core", "acme-lib") if part in MEMBERS[name]} <= listed


def test_what_is_installed_from_a_folder_is_an_own_package(desk: Desk, server: FaultServer) -> None:
    folder = "venv/lib/python3.12/site-packages"
    desk.file("venv/pyvenv.cfg", "include-system-site-packages = false\n")
    for name, direct_url in (
        ("own_app", {"url": "file:///srv/app", "dir_info": {"editable": True}}),
        ("own_core", {"url": "file:///srv/core", "dir_info": {}}),
        ("own_wheel", {"url": "file:///srv/own_wheel-1.0-py3-none-any.whl", "archive_info": {}}),
        ("acme_lib", None),
        ("demo_b", None),
    ):
        desk.file(f"{folder}/{name}-1.0.dist-info/METADATA", f"Name: {name}\nVersion: 1.0\n")
        if direct_url:
            desk.json(f"{folder}/{name}-1.0.dist-info/direct_url.json", direct_url)

    ended = desk.run("--venv", "venv", "--osv-url", server.url, *INTERNAL, "--json")

    assert asked(server) == {"demo-b"}
    assert {item.name for item in ended.document.not_audited} == {"own-app", "own-core", "own-wheel", "acme-lib"}


INDEXES: Final = {
    "uv.lock": "version = 1\n"
    + _uv("own-app", 'virtual = "."')
    + _uv("core", f'registry = "{_OWN_INDEX}"') + _uv("demo-b", f'registry = "{_PYPI}"'),
    "poetry.lock": _toml("package", "core", f'[package.source]\ntype = "legacy"\nurl = "{_OWN_INDEX}"')
    + _toml("package", "demo-b")
    + '[metadata]\nlock-version = "2.1"\n',
    "pylock.toml": 'lock-version = "1.0"\ncreated-by = "x"\n'
    + _toml("packages", "core", f'index = "{_OWN_INDEX}"')
    + _toml("packages", "demo-b", f'index = "{_PYPI}"'),
    "pdm.lock": '[metadata]\ngroups = ["default"]\nlock_version = "4.5.0"\n'
    + _toml("package", "core", f'files = [{{ url = "{_OWN_INDEX}/core-1.0.tar.gz", hash = "x" }}]')
    + _toml("package", "demo-b", 'files = [{ url = "https://files.pythonhosted.org/x/b-1.0.tar.gz", hash = "x" }]'),
    "Pipfile.lock": json.dumps(
        {
            "_meta": {
                "pipfile-spec": 6,
                "sources": [{"name": "pypi", "url": _PYPI}, {"name": "own", "url": _OWN_INDEX}],
            },
            "default": {"core": {"version": "==1.0", "index": "own"}, "demo-b": {"version": "==1.0"}},
        }
    ),
    "app.cdx.json": json.dumps(
        {
            "bomFormat": "CycloneDX",
            "specVersion": "1.6",
            "components": [
                {"name": "core", "purl": f"pkg:pypi/core@1.0?repository_url={quote(_OWN_INDEX, safe='')}"},
                {"name": "demo-b", "purl": "pkg:pypi/demo-b@1.0"},
            ],
        }
    ),
    "requirements.txt": f"core==1.0\n    # via app\n    # from {_OWN_INDEX}\ndemo-b==1.0\n    # from {_PYPI}\n",
}  # fmt: skip


@pytest.mark.parametrize("name", INDEXES)
def test_no_source_is_told_what_comes_from_a_private_index(desk: Desk, server: FaultServer, name: str) -> None:
    desk.file(name, INDEXES[name])

    ended = desk.run("-r", name, "--osv-url", server.url, "--trust-internal", "--json")

    assert asked(server) == {"demo-b"}
    assert ended.code == INCOMPLETE, "nobody has said that this index is the organisation's"
    assert [item.name for item in ended.document.not_audited] == ["core"]
    assert "s3cr3t" not in ended.out + ended.err
    server.asked.clear()
    named = desk.run("-r", name, "--osv-url", server.url, "--trust-internal", "--internal", "core", "--json")
    assert (named.code, asked(server)) == (CLEAN, {"demo-b"})
    server.asked.clear()
    mirrored = desk.run("-r", name, "--osv-url", server.url, "--mirror", _OWN_INDEX, "--json")
    assert (mirrored.code, asked(server)) == (CLEAN, {"demo-b", "core"})


def test_a_mirror_that_is_named_is_pypi_so_that_other_indexes_are_private(desk: Desk, server: FaultServer) -> None:
    mirror = "https://mirror.example/simple"
    desk.file("uv.lock", INDEXES["uv.lock"].replace(_PYPI, mirror))

    ended = desk.run("-r", "uv.lock", "--osv-url", server.url, "--mirror", mirror, "--json")

    assert (ended.code, asked(server)) == (INCOMPLETE, {"demo-b"})
    assert [item.name for item in ended.document.not_audited] == ["core"]


def test_a_name_that_one_file_knows_as_private_is_not_sent_for_another(desk: Desk, server: FaultServer) -> None:
    desk.file("uv.lock", INDEXES["uv.lock"])
    desk.file("requirements.txt", "core==2.0\ndemo-c==1.0\n")

    ended = desk.run("-r", "uv.lock", "-r", "requirements.txt", "--osv-url", server.url, "--json")

    assert (ended.code, asked(server)) == (INCOMPLETE, {"demo-b", "demo-c"})
    assert {(item.inventory, item.name) for item in ended.document.not_audited} == {
        ("uv.lock", "core"),
        ("requirements.txt", "core"),
    }


def test_a_conda_lock_is_judged_by_the_hosts_of_its_archives(desk: Desk, server: FaultServer) -> None:
    package = "  - {{name: {}, version: '1.0', manager: pip, platform: linux-64, url: '{}/{}-1.0.tar.gz'}}\n"
    demo = package.format("demo-b", "https://files.pythonhosted.org/packages", "demo_b")
    core = package.format("core", "https://index.acme.example/files", "core")
    desk.file("conda-lock.yml", f"version: 1\npackage:\n{demo}{core}")
    run = ("-r", "conda-lock.yml", "--osv-url", server.url, "--json")

    ended = desk.run(*run)

    assert (ended.code, asked(server)) == (INCOMPLETE, {"demo-b"})
    assert [(item.name, item.origin) for item in ended.document.not_audited] == [("core", "internal")]
    desk.run(*run, "--mirror", "https://index.acme.example")
    assert asked(server) == {"demo-b", "core"}


@pytest.mark.parametrize("options", [(), ("--internal", "own-core"), ("--internal", "own-core", "--trust-internal")])
def test_a_malicious_namesake_of_the_audited_project_is_no_finding(desk: Desk, options: tuple[str, ...]) -> None:
    desk.dump(advisory("own-core", "MAL-2099-1"), advisory("own-app", "MAL-2099-2"))
    desk.file(
        "uv.lock", MEMBERS["uv.lock"].replace(_uv("own-wheel", 'path = "wheels/own_wheel-1.0-py3-none-any.whl"'), "")
    )

    ended = desk.run("-r", "uv.lock", "--osv-db", "dump.jsonl", "--internal", "acme-*", *options, "--json")

    assert ended.found == []
    tolerated = {item.name: item.tolerated for item in ended.document.not_audited}
    assert all(tolerated[name] for name in ("own-app", "own-core", "acme-lib"))


def test_the_same_name_from_an_index_is_a_finding_all_the_same(desk: Desk) -> None:
    desk.dump(advisory("own-core", "MAL-2099-1"))
    desk.file("uv.lock", MEMBERS["uv.lock"])
    desk.file("requirements.txt", "own-core==1.0\n")

    ended = desk.run("-r", "uv.lock", "-r", "requirements.txt", "--osv-db", "dump.jsonl", "--json")

    assert (ended.code, ended.found) == (VULNERABLE, [("own-core", "MAL-2099-1")])
    assert [item.inventory for item in ended.document.findings[0].occurrences] == ["requirements.txt"]
