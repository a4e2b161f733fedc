"""Reading requirements files: no line may be lost."""

import codecs
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdtrue.core.lockfiles import decode_text
from holdtrue.core.lockfiles.requirement import PROJECT_IN_PLACE, _read_any, _read_simple
from holdtrue.core.requirements import (
    READ_DIFFERENTLY,
    Include,
    RequirementLine,
    join_requirements,
    parse_requirements,
)
from holdtrue.models.dependency import Dependency, Gap, Inventory, Origin

NOT_PINNED = "not pinned to one version"


def pin(name: str, version: str, marker: str = "", place: str = "line 1") -> Dependency:
    return Dependency(name, version, place=place, is_direct=True, marker=marker)


def unpinned(name: str, specifier: str) -> Dependency:
    return Dependency(name, "", place="line 1", is_direct=True, reason=f"{NOT_PINNED} ({specifier})")


def by_name(text: str) -> dict[str, Dependency]:
    return {item.name: item for item in parse_requirements(text) if isinstance(item, Dependency)}


def join(text: str, constraints: str = "") -> Inventory:
    return join_requirements(parse_requirements(text), parse_requirements(constraints), label="app")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("demo==1.0", pin("demo", "1.0")),
        ("Demo_A.b==1.0", pin("demo-a-b", "1.0")),
        ("demo == 1.0", pin("demo", "1.0")),
        ("demo[fast,tls]==1.0", pin("demo", "1.0")),
        ("demo===1.0", pin("demo", "1.0")),
        ("demo==1.0.RC1", pin("demo", "1.0rc1")),
        ("demo==1.0+cu118", pin("demo", "1.0+cu118")),
        ("demo==1!2.0.post3.dev4", pin("demo", "1!2.0.post3.dev4")),
        ("demo==1.0,>=0.9", pin("demo", "1.0")),
        ("demo==1.0 # why", pin("demo", "1.0")),
        ("demo==1.0\t# why", pin("demo", "1.0")),
        ('demo==1.0 ; python_version < "3.8"', pin("demo", "1.0", 'python_version < "3.8"')),
        ("demo==1.0;os_name=='nt' --hash=sha256:00", pin("demo", "1.0", 'os_name == "nt"')),
        ("demo==1.0 --hash=sha256:00", pin("demo", "1.0")),
        ("demo==1.0 \\\n    --hash=sha256:00 \\\n    --hash=sha256:01", pin("demo", "1.0")),
        ("demo==1.0 \\\n# a comment ends it", pin("demo", "1.0")),
        ("demo==1.0 \\", pin("demo", "1.0")),
        ("demo", unpinned("demo", "any")),
        ("demo>=1,<2", unpinned("demo", "<2,>=1")),
        ("demo==1.*", unpinned("demo", "==1.*")),
        ("demo==1.0,==2.0", unpinned("demo", "==1.0,==2.0")),
        ("-r more.txt", Include("more.txt", is_constraint=False, line_number=1)),
        ("-rmore.txt", Include("more.txt", is_constraint=False, line_number=1)),
        ("--requirement=more.txt", Include("more.txt", is_constraint=False, line_number=1)),
        ("--requirement 'with blank.txt'", Include("with blank.txt", is_constraint=False, line_number=1)),
        ("-c limits.txt", Include("limits.txt", is_constraint=True, line_number=1)),
        ("--constraint limits.txt", Include("limits.txt", is_constraint=True, line_number=1)),
    ],
)
def test_a_line_that_is_understood(line: str, expected: RequirementLine) -> None:
    assert parse_requirements(line) == (expected,)


@pytest.mark.parametrize(
    ("line", "name", "version", "origin"),
    [
        ("demo @ https://host.example/demo-1.0.tar.gz", "demo", "1.0", Origin.URL),
        ("demo[fast] @ https://host.example/Demo-1.0-py3-none-any.whl#sha256=00", "demo", "1.0", Origin.URL),
        ("demo @ https://host.example/demo-1.0%2Bcu1-py3-none-any.whl", "demo", "1.0+cu1", Origin.URL),
        ("https://host.example/demo-1.0.zip?download=1", "demo", "1.0", Origin.URL),
        ("./wheels/demo-1.0-py3-none-any.whl", "demo", "1.0", Origin.LOCAL),
        ("demo @ file:///wheels/demo-1.0.tar.gz", "demo", "1.0", Origin.LOCAL),
        ("demo @ https://host.example/other-1.0.tar.gz", "demo", "", Origin.URL),
        ("demo @ https://host.example/archive/v1.0.zip", "demo", "", Origin.URL),
        ("demo @ git+https://host.example/group/demo.git@v1.0", "demo", "", Origin.VCS),
        ("git+https://host.example/group/demo.git@main", "demo", "", Origin.VCS),
        ("git+ssh://git@host.example/x.git#egg=demo", "demo", "", Origin.VCS),
        ("-e ./parts/demo", "demo", "", Origin.EDITABLE),
        ("-e ./parts/demo[fast]", "demo", "", Origin.EDITABLE),
        ("--editable=git+https://host.example/x#subdirectory=a&egg=demo", "demo", "", Origin.VCS),
        ("../parts/demo", "demo", "", Origin.LOCAL),
        ("C:\\wheels\\demo", "demo", "", Origin.LOCAL),
        ("demo===nineteen", "demo", "nineteen", Origin.INDEX),
        ("demo==nineteen", "demo", "nineteen", Origin.INDEX),
        ("demo==2004d", "demo", "2004d", Origin.INDEX),
        ("Demo[x] == 0.2.0-n653 ; os_name == 'nt'", "demo", "0.2.0-n653", Origin.INDEX),
        ("demo==${VERSION}", "demo", "", Origin.INDEX),
    ],
)
def test_a_package_from_elsewhere_or_of_unclear_version(line: str, name: str, version: str, origin: Origin) -> None:
    (item,) = parse_requirements(line)

    assert isinstance(item, Dependency)
    assert (item.name, item.version, item.origin) == (name, version, origin)
    assert bool(item.reason) is (version in {"", "nineteen", "2004d", "0.2.0-n653"})


@pytest.mark.parametrize(
    "line",
    [
        "demo=1.0",
        "<<<<<<< HEAD",
        "--requirements more.txt",
        "-r",
        "-r https://host.example/more.txt",
        "-r 'unclosed",
        "https://host.example/",
        f"demo==1.0 ; {'(' * 20_000}",
        f"demo==1.0 ; {'x' * 300} {'(' * 10}",
        f"demo{','.join(['>=1'] * 40_000)}",
        f"--find-links {'x' * 1_000_000}",
    ],
)
def test_a_line_that_names_no_package_is_told_by_its_number(line: str) -> None:
    (item,) = parse_requirements(line)

    assert isinstance(item, Gap)
    assert item.name == "line 1"
    assert item.reason


@pytest.mark.parametrize("line", [f"demo=={'9' * 5000}", f"https://host.example/{'-'.join(['a.' * 90] * 5)}.whl"])
def test_a_version_or_file_name_beyond_all_measure_is_not_taken_for_one(line: str) -> None:
    (item,) = parse_requirements(line)

    assert isinstance(item, Dependency)
    assert item.version == ""
    assert item.reason


@pytest.mark.parametrize("line", ["-e .", "-e ./", ".", ".[dev]", "--editable=.[dev,docs]"])
def test_the_project_itself_is_told(line: str) -> None:
    assert parse_requirements(line) == (Gap("line 1", PROJECT_IN_PLACE),)


@pytest.mark.parametrize(
    "line",
    [
        "git+https://user:s3cr3t-value@host.example/group/demo.git",
        "demo @ https://s3cr3t-value@host.example/demo-1.0.tar.gz",
        "https://host.example/demo-1.0.tar.gz?token=s3cr3t-value",
        "https://host.example/?s3cr3t-value",
        "-e git+https://s3cr3t-value@host.example",
        "--index-urls https://user:s3cr3t-value@host.example/simple",
        "-r https://user:s3cr3t-value@host.example/more.txt",
        "index-url = https://user:s3cr3t-value@host.example/simple",
        "demo===https://user:s3cr3t-value@host.example",
        "demo===https://user:s3cr3t-value@host.example,===1.0",
        "demo==https://user:s3cr3t-value@host.example",
    ],
)
def test_no_credential_is_repeated(line: str) -> None:
    parsed = parse_requirements(line)

    assert parsed
    assert "s3cr3t-value" not in repr(parsed)


def test_options_that_name_no_package_are_passed_over() -> None:
    text = (
        "--index-url https://host.example/simple\n-i https://host.example\n--pre\n--require-hashes\n--no-binary :all:"
    )

    assert parse_requirements(text) == ()


def test_an_include_behind_another_option_is_seen() -> None:
    assert parse_requirements("--pre -r more.txt") == (Include("more.txt", is_constraint=False, line_number=1),)


def test_line_numbers_are_those_of_the_file() -> None:
    text = "# head\n\ndemo==1.0 \\\n  --hash=sha256:00\n-r more.txt\n?"

    assert parse_requirements(text, file="sub/a.txt") == (
        pin("demo", "1.0", place="sub/a.txt line 3"),
        Include("more.txt", is_constraint=False, line_number=5),
        Gap("sub/a.txt line 6", "not a requirement (PEP 508)"),
    )


@pytest.mark.parametrize(
    "data",
    [
        b"demo==1.0\r\nmore==2.0\r\n",
        codecs.BOM_UTF8 + b"demo==1.0\nmore==2.0",
        codecs.BOM_UTF16_LE + "demo==1.0\nmore==2.0\n".encode("utf-16-le"),
        codecs.BOM_UTF16_BE + "demo==1.0\nmore==2.0\n".encode("utf-16-be"),
        codecs.BOM_UTF32_LE + "demo==1.0\nmore==2.0\n".encode("utf-32-le"),
    ],
)
def test_encodings_and_line_ends(data: bytes) -> None:
    assert parse_requirements(decode_text(data)) == (
        pin("demo", "1.0"),
        pin("more", "2.0", place="line 2"),
    )


def test_other_bytes_are_refused() -> None:
    with pytest.raises(UnicodeDecodeError):
        decode_text(b"\x89PNG\r\n\x1a\n\xff")


@pytest.mark.parametrize(
    "first",
    [
        "a==1.0 # why \\",
        "a==1.0 #\\",
        "a==1.0 # why\\\\",
        "a==1.0 ; os_name == 'nt' # why\\",
        "a==1.0 \\\n  --hash=sha256:00 # why\\",
        "--pre # why\\",
        "--index-url https://index.example/simple # why\\",
        "-r other.txt # why\\",
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_comment_that_ends_in_a_backslash_hides_no_line(first: str, end: str) -> None:
    lines = parse_requirements(f"{first}\ndemo==2.0\n".replace("\n", end))

    assert ("demo", "2.0") in {(item.name, item.version) for item in lines if isinstance(item, Dependency)}
    assert Gap("line 1", READ_DIFFERENTLY) in lines


@pytest.mark.parametrize(
    "text", ["a==1.0 # why \\", "a==1.0 # why \\\n\nb==2.0", "# why \\\na==1.0", "a==1.0 # b\\c\nb==2"]
)
def test_a_comment_that_would_hide_nothing_is_no_gap(text: str) -> None:
    assert not [item for item in parse_requirements(text) if isinstance(item, Gap)]


def test_a_constraint_that_only_one_tool_reads_does_not_complete_the_file() -> None:
    inventory = join("demo", "a==1.0 # why \\\ndemo==2.0\n")

    assert [(item.name, item.version) for item in inventory.dependencies] == [("demo", "2.0")]
    assert [gap.reason for gap in inventory.gaps] == [READ_DIFFERENTLY]


def test_constraints_give_versions_and_no_packages() -> None:
    inventory = join(
        "demo ; os_name == 'nt'\nfree>=1\nfixed==3.0\nbuilt",
        "demo==1.5 ; python_version < '3.9'\nfixed==9.9\nunused==1.0\nbuilt @ https://h.example/built-2.0.zip\n?",
    )

    assert [(item.name, item.version, item.origin) for item in inventory.dependencies] == [
        ("demo", "1.5", Origin.INDEX),
        ("free", "", Origin.INDEX),
        ("fixed", "3.0", Origin.INDEX),
        ("built", "2.0", Origin.URL),
    ]
    assert inventory.dependencies[0].marker == '(os_name == "nt") and (python_version < "3.9")'
    assert [item.name for item in inventory.dependencies if item.reason] == ["free"]


def test_a_pin_counts_once_and_two_versions_count_both() -> None:
    text = 'demo==1.0\nDemo==1.0 ; os_name == "nt"\ndemo==2.0 ; python_version >= "3.12"'

    inventory = join(text)

    assert inventory.kind == "requirements"
    assert inventory.label == "app"
    assert inventory.dependencies == (
        pin("demo", "1.0"),
        pin("demo", "2.0", 'python_version >= "3.12"', place="line 3"),
    )


def test_a_file_that_names_nothing_has_a_gap() -> None:
    assert join("# nothing yet\n").gaps == (Gap("app", "holds no packages"),)


BELOW = """
a==1.0
    # via -r requirements.in
b==1.0 \\
    --hash=sha256:00 \\
    --hash=sha256:01
    # via
    #   -c limits.txt
    #   a
    #   c
c==1.0
    # via b

# d is explained here
d==1.0
    # via
    #   app (pyproject.toml)
    #   a
e==1.0
    # via app
f==1.0
    # via
    #   b[fast]
    #   c
"""

BEHIND = """
a==1.0                    # via -r requirements.in
b==1.0 --hash=sha256:00   # via -c limits.txt, a, c
c==1.0                    # via b
d==1.0                    # via a, app (pyproject.toml)
e==1.0                    # via app
f==1.0                    # via b, c
"""


@pytest.mark.parametrize("text", [BELOW, BEHIND], ids=["below", "behind"])
def test_comments_of_a_compiler_tell_the_chains(text: str) -> None:
    found = by_name(text)

    assert {name: item.chain for name, item in found.items()} == {
        "a": (), "b": ("a",), "c": ("a", "b"), "d": (), "e": (), "f": ("a", "b"),
    }  # fmt: skip
    assert [name for name, item in found.items() if item.is_direct] == ["a", "d", "e"]


def test_many_versions_of_one_name_bring_in_as_many_others_at_little_cost() -> None:
    count = 20_000
    text = "a==1.0\na==2.0\n" + "a==1.0\n" * count + "".join(f"b==1.{number}  # via a\n" for number in range(count))
    started_at = time.process_time()

    parsed = [item for item in parse_requirements(text) if isinstance(item, Dependency)]

    assert {(item.name, item.chain) for item in parsed} == {("a", ()), ("b", ("a",))}
    # A copy of all the others for each line of the one would take more than 30, and three gigabytes.
    assert time.process_time() - started_at < 10


def test_packages_that_only_bring_in_each_other_are_not_told() -> None:
    found = by_name("a==1.0  # via b\nb==1.0  # via a\n")

    assert [item.is_direct for item in found.values()] == [None, None]


def test_a_project_in_place_may_be_what_brought_something_in() -> None:
    found = by_name("-e ./parts/tool\n    # via app (pyproject.toml)\nb==1.0\n    # via tool\n")

    assert found["tool"].is_direct
    assert found["b"].chain == ("tool",)


def test_other_comments_tell_nothing() -> None:
    text = "a==1.0\nb==1.0\n    # a\n    # is good\nc==1.0\n    # viable\n?\n    # via a\n# via\n#   a\n"

    assert all(item.is_direct for item in by_name(text).values())


@given(
    st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9._-]{0,8}\Z", fullmatch=True),
    st.sampled_from(["==", "===", ">=", " == "]),
    st.from_regex(
        r"\A[0-9.]{1,6}(?:a|b|rc|c)?[0-9]{0,2}(?:\.?-?post)?[0-9]{0,2}(?:\.dev)?[0-9]{0,2}(?:\+[a-z0-9]{1,3})?\*?\Z"
    ),
)
@settings(deadline=None, max_examples=200)
def test_the_fast_way_says_what_the_slow_one_says(name: str, operator: str, version: str) -> None:
    fast = _read_simple(f"{name}{operator}{version}")

    assert fast is None or fast == _read_any(f"{name}{operator}{version}")


@given(
    st.from_regex(r"\A[A-Za-z0-9](?:[A-Za-z0-9._-]{0,8}[A-Za-z0-9])?\Z", fullmatch=True),
    st.from_regex(
        r"\A[0-9]{1,4}(?:\.[0-9]{1,3}){0,4}(?:(?:a|b|rc)[0-9]{1,2})?(?:\.post[0-9])?(?:\.dev[0-9])?\Z", fullmatch=True
    ),
)
@settings(deadline=None, max_examples=200)
def test_an_ordinary_pin_takes_the_fast_way(name: str, version: str) -> None:
    fast = _read_simple(f"{name}=={version}")

    assert fast is not None
    assert fast == _read_any(f"{name}=={version}")


@given(st.lists(st.sampled_from(["demo==1.0", "x>=2", "-e .", "junk line", "git+https://h.example/a"]), max_size=8))
@settings(deadline=None)
def test_every_line_leaves_a_trace(lines: list[str]) -> None:
    assert len(parse_requirements("\n".join(lines))) == len(lines)


@given(st.text(max_size=200) | st.text("ab=.,#\\\n -r(;)@:/<>[]", max_size=80))
@settings(deadline=None, max_examples=200)
def test_any_text_is_read_without_an_exception(text: str) -> None:
    join_requirements((item for item in parse_requirements(text) if not isinstance(item, Include)), (), label="app")


@pytest.mark.parametrize("text", [" " * 300_000 + "x", "#" * 300_000, "a " + "#&" * 200_000, "./" + "#&" * 200_000])
def test_long_lines_take_linear_time(text: str) -> None:
    # A pattern that backtracks would need hours for these.
    assert parse_requirements(text) is not None
