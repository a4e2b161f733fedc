"""Stand-ins for packages that uv would have to fetch, in and out of a lock."""

import tomllib

import pytest

from holdtrue.core.fix_stand_ins import fetched_packages, stand_ins, without_stand_ins

LOCK = """version = 1
revision = 3
requires-python = ">=3.11"

[[package]]
name = "x"
version = "1.0"
source = { git = "https://host.example/x#01" }
dependencies = [
    { name = "beta" },
    { name = "top", extra = ["fast"], marker = "os_name == 'nt' or os_name == 'posix'" },
]

[package.optional-dependencies]
more = [
    { name = "gamma", marker = "os_name == 'nt'" },
]

[[package]]
name = "alpha"
version = "1.0"
source = { registry = "https://index.example/simple" }
"""
WRITTEN = """[[manifest.dependency-metadata]]
name = "x"
version = "1.0"
requires-dist = ["beta", "gamma ; (os_name == 'nt') and (extra == 'more')"]
provides-extra = ["more"]

"""


def test_a_stand_in_tells_what_the_lock_knows() -> None:
    tables = tomllib.loads("[tool.uv]\n" + stand_ins(fetched_packages(LOCK)))

    assert tables["tool"]["uv"]["dependency-metadata"] == [
        {
            "name": "x",
            "version": "1.0",
            "requires-dist": [
                "beta",
                "top[fast] ; (os_name == 'nt' or os_name == 'posix')",
                "gamma ; (os_name == 'nt') and (extra == 'more')",
            ],
            "provides-extra": ["more"],
        }
    ]


@pytest.mark.parametrize("manifest", ["", '[manifest]\nmembers = [\n    "app",\n    "core",\n]\n\n'])
def test_what_uv_writes_of_it_is_taken_out_again(manifest: str) -> None:
    head, packages = LOCK.partition("[[package]]")[0], LOCK[LOCK.index("[[package]]") :]

    assert without_stand_ins(f"{head}{manifest}{WRITTEN}{WRITTEN}{packages}") == f"{head}{manifest}{packages}"
    assert without_stand_ins(LOCK) == LOCK


@pytest.mark.parametrize(
    "text", ["[", "", "package = 1", "[[package]]\nname = 'x'\n", f"{WRITTEN}{LOCK}", "manifest = 1"]
)
def test_without_such_packages_and_beside_a_projects_own_metadata_there_is_none(text: str) -> None:
    assert fetched_packages(text) == []
