"""Reading requirements files: no line may be lost."""

import codecs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdtrue.core.requirements import (
    Include,
    Pin,
    RequirementLine,
    Unjudged,
    Unpinned,
    decode_requirements,
    parse_requirements,
    resolve,
)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("demo==1.0", Pin("demo", "1.0")),
        ("Demo_A.b==1.0", Pin("demo-a-b", "1.0")),
        ("demo == 1.0", Pin("demo", "1.0")),
        ("demo[fast,tls]==1.0", Pin("demo", "1.0")),
        ("demo===1.0", Pin("demo", "1.0")),
        ("demo==1.0.RC1", Pin("demo", "1.0rc1")),
        ("demo==1.0+cu118", Pin("demo", "1.0+cu118")),
        ("demo==1.0,>=0.9", Pin("demo", "1.0")),
        ("demo==1.0 # why", Pin("demo", "1.0")),
        ("demo==1.0\t# why", Pin("demo", "1.0")),
        ('demo==1.0 ; python_version < "3.8"', Pin("demo", "1.0")),
        ("demo==1.0 --hash=sha256:00", Pin("demo", "1.0")),
        ("demo==1.0 \\\n    --hash=sha256:00 \\\n    --hash=sha256:01", Pin("demo", "1.0")),
        ("demo==1.0 \\\n# a comment ends it", Pin("demo", "1.0")),
        ("demo", Unpinned("demo", "")),
        ("demo>=1,<2", Unpinned("demo", "<2,>=1")),
        ("demo==1.*", Unpinned("demo", "==1.*")),
        ("demo==1.0,==2.0", Unpinned("demo", "==1.0,==2.0")),
        ("-r more.txt", Include("more.txt", is_constraint=False, line_number=1)),
        ("-rmore.txt", Include("more.txt", is_constraint=False, line_number=1)),
        ("--requirement=more.txt", Include("more.txt", is_constraint=False, line_number=1)),
        ("--requirement 'with blank.txt'", Include("with blank.txt", is_constraint=False, line_number=1)),
        ("-c limits.txt", Include("limits.txt", is_constraint=True, line_number=1)),
        ("--constraint limits.txt", Include("limits.txt", is_constraint=True, line_number=1)),
    ],
)
def test_a_line_that_can_be_judged(line: str, expected: RequirementLine) -> None:
    assert parse_requirements(line) == (expected,)


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("demo @ https://host.example/demo-1.0.tar.gz", "demo"),
        ("git+https://host.example/group/demo.git@main", "demo"),
        ("git+ssh://git@host.example/x.git#egg=demo", "demo"),
        ("-e .", "line 1"),
        ("-e ./parts/demo", "demo"),
        ("--editable=git+https://host.example/x#subdirectory=a&egg=demo", "demo"),
        ("./wheels/demo-1.0-py3-none-any.whl", "demo-1.0-py3-none-any.whl"),
        ("C:\\wheels\\demo", "line 1"),
        ("demo===nineteen", "demo"),
        ("demo=1.0", "line 1"),
        ("demo==${VERSION}", "line 1"),
        ("<<<<<<< HEAD", "line 1"),
        ("--requirements more.txt", "line 1"),
        ("-r", "line 1"),
        ("-r https://host.example/more.txt", "line 1"),
        ("-r 'unclosed", "line 1"),
    ],
)
def test_a_line_that_cannot_be_judged_is_named_with_a_reason(line: str, name: str) -> None:
    (item,) = parse_requirements(line)

    assert isinstance(item, Unjudged)
    assert item.name == name
    assert item.reason


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

    assert parse_requirements(text) == (
        Pin("demo", "1.0"),
        Include("more.txt", is_constraint=False, line_number=5),
        Unjudged("line 6", "not a requirement (PEP 508)"),
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
    assert parse_requirements(decode_requirements(data)) == (Pin("demo", "1.0"), Pin("more", "2.0"))


def test_other_bytes_are_refused() -> None:
    with pytest.raises(UnicodeDecodeError):
        decode_requirements(b"\x89PNG\r\n\x1a\n\xff")


def test_constraints_give_versions_and_no_packages() -> None:
    inventory = resolve(
        parse_requirements("demo\nfree>=1\nfixed==3.0"), parse_requirements("demo==1.5\nfixed==9.9\nunused==1.0")
    )

    assert inventory.pins == (Pin("demo", "1.5"), Pin("fixed", "3.0"))
    assert [item.name for item in inventory.unjudged] == ["free"]


def test_a_pin_counts_once_and_two_versions_count_both() -> None:
    text = 'demo==1.0\nDemo==1.0\ndemo==2.0 ; python_version >= "3.12"'

    assert resolve(parse_requirements(text), ()).pins == (Pin("demo", "1.0"), Pin("demo", "2.0"))


@given(st.lists(st.sampled_from(["demo==1.0", "x>=2", "-e .", "junk line", "git+https://h.example/a"]), max_size=8))
def test_every_line_leaves_a_trace(lines: list[str]) -> None:
    assert len(parse_requirements("\n".join(lines))) == len(lines)


@given(st.text(max_size=200))
def test_any_text_is_read_without_an_exception(text: str) -> None:
    parse_requirements(text)
