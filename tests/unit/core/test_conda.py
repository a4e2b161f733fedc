"""What conda tells of an environment: PyPI's packages, conda's own, and everything else as a gap."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdtrue.core.conda import parse_conda
from holdtrue.core.plain_yaml import parse_plain_yaml
from holdtrue.errors import RejectedError
from holdtrue.models.dependency import Inventory, Origin

_LIST_JSON = json.dumps([
    {"name": "_libgcc_mutex", "version": "0.1", "channel": "conda-forge", "build_string": "main"},
    {"name": "numpy", "version": "1.26.0", "channel": "https://conda.example/t/s3cr3t/main"},
    {"name": "Demo_Lib", "version": "2.0.RC1", "channel": "pypi", "build_string": "pypi_0"},
    {"name": "project", "version": "0.1", "channel": "<develop>"},
    {"name": "tzdata", "version": "2023d"},
])  # fmt: skip

_TABLE = """# packages in environment at /opt/conda:
#
# Name                    Version                   Build  Channel
_libgcc_mutex             0.1                        main  conda-forge
numpy                     1.26.0          py312h02b7e37_0
Demo_Lib                  2.0.RC1                  pypi_0    pypi
project                   0.1                       dev_0    <develop>
tzdata                    2023d                         0    conda-forge
"""

_MICROMAMBA = """List of packages in environment: "/opt/conda"

  Name           Version  Build            Channel
────────────────────────────────────────────────────
  _libgcc_mutex  0.1      main             conda-forge
  numpy          1.26.0   py312h02b7e37_0  conda-forge
  Demo_Lib       2.0.RC1  pypi_0           pypi
  project        0.1      dev_0            <develop>
  tzdata         2023d    0                conda-forge
"""


def _seen(inventory: Inventory) -> dict[str, tuple[str, Origin]]:
    return {item.name: (item.version, item.origin) for item in inventory.dependencies}


_EXPECTED = {
    "_libgcc_mutex": ("0.1", Origin.CONDA),
    "numpy": ("1.26.0", Origin.CONDA),
    "demo-lib": ("2.0rc1", Origin.INDEX),
    "project": ("0.1", Origin.EDITABLE),
    "tzdata": ("2023d", Origin.CONDA),
}


@pytest.mark.parametrize("text", [_LIST_JSON, _TABLE, _MICROMAMBA], ids=["json", "table", "micromamba"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_the_lists_of_conda(text: str, line_end: str) -> None:
    inventory = parse_conda("\ufeff" + text.replace("\n", line_end), "the list")

    assert _seen(inventory) == _EXPECTED
    assert (inventory.label, inventory.kind, inventory.gaps) == ("the list", "conda", ())
    assert all(bool(item.reason) is (item.origin is not Origin.INDEX) for item in inventory.dependencies)
    assert "s3cr3t" not in repr(inventory)


def test_an_export_of_names() -> None:
    text = (
        "# This file may be used to create an environment using:\n# platform: linux-64\n"
        "numpy=1.26.0=py312_0\ntzdata=2023d=0\ndemo_lib=2.0rc1=pypi_0\nshort=1.0\n"
    )

    assert _seen(parse_conda(text, "list")) == {
        "numpy": ("1.26.0", Origin.CONDA),
        "tzdata": ("2023d", Origin.CONDA),
        "demo-lib": ("2.0rc1", Origin.INDEX),
        "short": ("1.0", Origin.CONDA),
    }


def test_explicit_addresses_and_no_token_of_them() -> None:
    text = """# platform: linux-64
@EXPLICIT
https://conda.example/t/s3cr3t/conda-forge/linux-64/numpy-1.26.0-py312_0.conda#0123456789abcdef
https://user:s3cr3t@conda.example/linux-64/python-dateutil-2.9.0-pyh_0.tar.bz2
https://conda.example/s3cr3t/broken.zip
# pip demo-lib @ https://files.pythonhosted.org/packages/ab/demo_lib-2.0rc1-py3-none-any.whl --hash=sha256:00
# pip other @ https://s3cr3t@mirror.example/other-1.0.tar.gz#sha256=00
# pip cloned @ git+https://s3cr3t@h.example/cloned
# pip - @ x
"""
    inventory = parse_conda(text, "list")

    assert _seen(inventory) == {
        "numpy": ("1.26.0", Origin.CONDA),
        "python-dateutil": ("2.9.0", Origin.CONDA),
        "demo-lib": ("2.0rc1", Origin.INDEX),
        "other": ("1.0", Origin.URL),
        "cloned": ("", Origin.VCS),
    }
    assert [gap.name for gap in inventory.gaps] == ["line 5", "line 9"]
    assert "s3cr3t" not in repr(inventory)


_ENVIRONMENT = """name: app
channels:
  - https://conda.example/t/s3cr3t/main
dependencies:
  - python=3.12
  - conda-forge::numpy==1.26.0
  - scipy=1.10=py312_0
  - scipy2 1.11.* py312_0
  - pandas>=2,<3
  - "polars[version='1.0.0',build=x]"
  - pip
  - ":::"
  - pip:
      - Demo_Lib[x]==2.0.RC1 ; python_version > "3"
      - loose>=1  # why
      - odd===nineteen
      - cloned @ git+https://s3cr3t@h.example/x
      - wheel @ https://s3cr3t@h.example/wheel-1.0-py3-none-any.whl
      - -r more.txt
      - --extra-index-url https://user:s3cr3t@h.example
      - https://s3cr3t@h.example/x.whl
      - [a]
  - other: x
  - pip: [both==1.0]
    other: [x]
"""


def test_an_environment_file() -> None:
    inventory = parse_conda(_ENVIRONMENT, "environment.yml")

    assert _seen(inventory) == {
        "python": ("3.12", Origin.CONDA),
        "numpy": ("1.26.0", Origin.CONDA),
        "scipy": ("1.10", Origin.CONDA),
        "scipy2": ("", Origin.CONDA),
        "pandas": ("", Origin.CONDA),
        "polars": ("1.0.0", Origin.CONDA),
        "pip": ("", Origin.CONDA),
        "demo-lib": ("2.0rc1", Origin.INDEX),
        "loose": ("", Origin.INDEX),
        "odd": ("nineteen", Origin.INDEX),
        "cloned": ("", Origin.VCS),
        "wheel": ("1.0", Origin.URL),
        "x-whl": ("", Origin.URL),
        "both": ("1.0", Origin.INDEX),
    }
    assert [item.name for item in inventory.dependencies if not item.reason] == ["demo-lib", "wheel", "both"]
    assert all(item.is_direct for item in inventory.dependencies)
    assert [item.marker for item in inventory.dependencies if item.marker] == ['python_version > "3"']
    assert [gap.name for gap in inventory.gaps] == [
        "dependency 8", "pip 9", "dependency 10", "dependency 11", "more.txt",
    ]  # fmt: skip
    assert "s3cr3t" not in repr(inventory)


def test_an_environment_file_as_json() -> None:
    text = json.dumps({"name": "app", "dependencies": ["numpy=1.26.0", {"pip": ["demo==1.0"]}, {"pip": None}, 7]})
    inventory = parse_conda(text, "environment")

    assert _seen(inventory) == {"numpy": ("1.26.0", Origin.CONDA), "demo": ("1.0", Origin.INDEX)}
    assert [gap.name for gap in inventory.gaps] == ["dependency 4"]


def test_an_archive_that_pip_installs_keeps_its_version_for_a_possible_finding() -> None:
    text = json.dumps({"dependencies": [{"pip": ["idna @ https://h.example/idna-2.7.tar.gz"]}]})

    assert _seen(parse_conda(text, "environment")) == {"idna": ("2.7", Origin.URL)}


@pytest.mark.parametrize(
    "text",
    [
        '{"dependencies": [{"pip": ["lost==1.0"], "pip": ["demo==1.0"]}]}',
        '{"dependencies": ["lost=1.0"], "dependencies": [{"pip": ["demo==1.0"]}]}',
        '[{"name": "lost", "name": "demo", "version": "1.0", "channel": "pypi"}]',
    ],
)
def test_a_key_that_stands_twice_in_json_is_a_gap(text: str) -> None:
    inventory = parse_conda(text, "list")

    assert [item.name for item in inventory.dependencies] == ["demo"]
    assert [gap.name for gap in inventory.gaps] == ["list"]


@pytest.mark.parametrize(
    "text",
    [
        "dependencies: [lost=1.0]\ndependencies: [demo=1.0]",
        "dependencies:\n- pip: [lost==1.0]\n  pip: [demo==1.0]",
        "dependencies: [demo=1.0]\n---\ndependencies: [lost=1.0]",
    ],
)
def test_a_key_that_stands_twice_in_yaml_and_a_second_document_are_refused(text: str) -> None:
    with pytest.raises(RejectedError):
        parse_conda(text, "environment.yml")


def test_a_lock_and_an_environment_in_one_file_are_both_read() -> None:
    package = {"name": "demo", "version": "1.0", "manager": "pip"}
    both = parse_conda(json.dumps({"package": [package], "dependencies": ["numpy=1.0"]}), "file")
    broken = parse_conda(json.dumps({"package": [package], "dependencies": "numpy=1.0"}), "file")

    assert _seen(both).keys() == {"demo", "numpy"}
    assert _seen(broken).keys() == {"demo"}
    assert [gap.name for gap in broken.gaps] == ["dependencies"]


_LOCK = """version: 1
metadata:
  channels: [{url: conda-forge, used_env_vars: []}]
package:
- {name: numpy, version: 1.10, manager: conda, platform: linux-64, dependencies: {python: '>=3.12'}, url: https://c.example/t/s3cr3t/x}
- {name: numpy, version: 1.10, manager: conda, platform: osx-64, dependencies: {python: '>=3.12'}}
- {name: python, version: 3.12.1, manager: conda, dependencies: {}}
- {name: demo-lib, version: 2.0rc1, manager: pip, dependencies: {leaf: '*'}, url: https://files.pythonhosted.org/packages/x.whl}
- {name: leaf, version: '1.0', manager: pip, url: https://files.pythonhosted.org/packages/y.whl}
- {name: other, version: '1.0', manager: pip, url: https://s3cr3t@mirror.example/y.whl}
- {name: broken, manager: pip}
- 7
"""


def test_a_lock_file() -> None:
    inventory = parse_conda(_LOCK, "conda-lock.yml")

    assert {item.name: (item.version, item.origin, item.chain) for item in inventory.dependencies} == {
        "numpy": ("1.10", Origin.CONDA, ()),
        "python": ("3.12.1", Origin.CONDA, ("numpy",)),
        "demo-lib": ("2.0rc1", Origin.INDEX, ()),
        "leaf": ("1.0", Origin.INDEX, ("demo-lib",)),
        "other": ("1.0", Origin.URL, ()),
    }
    assert len(inventory.dependencies) == 5
    assert all(item.is_direct is None for item in inventory.dependencies)
    assert [gap.name for gap in inventory.gaps] == ["package 7", "package 8"]
    assert "s3cr3t" not in repr(inventory)


def test_a_line_that_is_none_is_a_gap() -> None:
    inventory = parse_conda("numpy=1.26.0=py312_0\n<<<<<<< HEAD\ndemo==1.0\nx=y=z=1\n-e=1\na b c d e\n", "list")

    assert [item.name for item in inventory.dependencies] == ["numpy"]
    assert [gap.name for gap in inventory.gaps] == [f"line {number}" for number in range(2, 7)]


@pytest.mark.parametrize(
    "text", ["", "# nothing yet\n", "[]", "@EXPLICIT\n", "dependencies: []", '{"dependencies": []}']
)
def test_nothing_is_nothing(text: str) -> None:
    inventory = parse_conda(text, "list")

    assert (inventory.dependencies, inventory.gaps) == ((), ())


@pytest.mark.parametrize(
    "text",
    [
        "hello world\n",
        "<html><body>please log in</body></html>",
        "demo==1.0\nother==2.0\n",
        "{",
        '{"error": "not an environment"}',
        "[" * 100_000,
        "dependencies: x",
        "dependencies: [a, b",
        "dependencies:\n- " + "[" * 100_000,
        "dependencies: &a [x, x]\nmore: [*a, *a]",
        "dependencies: []\n? [a, b]\n: c",
        "dependencies: [\x00]",
    ],
)
def test_what_is_none_of_the_formats_is_refused(text: str) -> None:
    with pytest.raises(RejectedError) as caught:
        parse_conda(text, "the list")

    assert caught.value.where.startswith("the list")
    assert caught.value.next_step


def test_plain_yaml_keeps_what_stands_there() -> None:
    text = "a: 1.10\nb: [yes, 2024-01-01, ~, !!python/name:os.system x]\nb2: {c: }\na2: 'x'\n...\n"

    assert parse_plain_yaml(text, "file") == {
        "a": "1.10",
        "b": ["yes", "2024-01-01", "~", "x"],
        "b2": {"c": ""},
        "a2": "x",
    }


@pytest.mark.parametrize(("text", "line"), [("a: b\nc: [", 3), ("a:\n- &x y\n- *x", 3), ("a: b\n{}: c", 2)])
def test_plain_yaml_says_where_it_is_wrong_and_repeats_nothing(text: str, line: int) -> None:
    with pytest.raises(RejectedError) as caught:
        parse_plain_yaml(text, "file")

    assert caught.value.where == f"file, line {line}"
    assert caught.value.__cause__ is None


@settings(deadline=None, max_examples=150)
@given(st.text(max_size=80))
def test_any_text_is_refused_or_read(text: str) -> None:
    for beginning in ("", "[", "@EXPLICIT\n", "dependencies:\n- ", "numpy=1=0\n"):
        try:
            parse_conda(beginning + text, "list")
        except RejectedError:
            continue


@settings(deadline=None, max_examples=100)
@given(
    st.lists(st.sampled_from(["numpy=1.0=x", "a b 1", "demo 1.0 pypi_0 pypi", "junk", "x==1"]), min_size=1, max_size=8)
)
def test_every_line_leaves_a_trace(lines: list[str]) -> None:
    inventory = parse_conda("\n".join(["first=1=0", *lines]), "list")

    read = {"numpy=1.0=x", "demo 1.0 pypi_0 pypi"} & {*lines}
    assert len(inventory.dependencies) == 1 + len(read)
    assert len(inventory.gaps) == sum(line not in {"numpy=1.0=x", "demo 1.0 pypi_0 pypi"} for line in lines)
