"""`holdtrue audit`: what is wrong with the input is said in one line, which repeats no secret."""

import pytest

from tests.integration.audit_desk import BAD_INPUT, SECRET, WAIVER, Desk, Ended, desk, shared_desk

__all__ = ["desk", "shared_desk"]


def _refused(ended: Ended) -> str:
    assert ended.code == BAD_INPUT
    assert ended.out == ""
    assert ended.err.count("\n") == 1
    assert ended.err.startswith("holdtrue: ")
    assert SECRET not in ended.err
    return ended.err


BAD_FILES = {
    "absent.txt": None,
    "folder.txt": None,
    "loop.txt": None,
    "huge/uv.lock": None,
    "notes.docx": "Install demo-a first.\n",
    "pyproject.toml": "[project]\n",
    "uv.lock": "version = [",
    "Pipfile.lock": "[]",
    "poetry.lock": b"\xff\xfe\xff",
    "pylock.toml": "packages = [" + "[" * 5000,
}


@pytest.fixture(scope="module")
def by_file(shared_desk: Desk) -> dict[str, Ended]:
    """A run for each."""
    for name, content in BAD_FILES.items():
        if content is not None:
            shared_desk.file(name, content)
    folder = shared_desk.folder
    (folder / "folder.txt").mkdir()
    (folder / "loop.txt").symlink_to("loop.txt")
    with (folder / "uv.huge").open("wb") as sparse:
        sparse.truncate(100 << 20)
    (folder / "huge").mkdir()
    (folder / "huge" / "uv.lock").symlink_to(folder / "uv.huge")
    ended = shared_desk.run_together(*(("-r", name, "--osv-db", "dump.jsonl") for name in BAD_FILES))
    return dict(zip(BAD_FILES, ended, strict=True))


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_file_that_cannot_be_read_is_named(by_file: dict[str, Ended], name: str) -> None:
    assert name in _refused(by_file[name])


WRONG_COMMAND_LINES: list[tuple[str, ...]] = [
    ("--format", "pdf"),
    ("--minimum-severity", "unknown"),
    ("--max-age-days", "soon"),
    ("--max-age-days", "nan"),
    ("--max-age-days", "-1"),
    ("--osv-db", "absent.jsonl"),
    ("--osv-db", "requirements.txt"),
    ("--osv-url", f"https://user:{SECRET}@osv.example"),
    ("--osv-url", f"https://osv.example/?token={SECRET}"),
    ("--osv-url", "ftp://osv.example"),
    ("--pip-audit-url", f"https://{SECRET}@osv.example"),
    ("--pypi-url", f"https://{SECRET}@osv.example"),
    ("-r", f"https://user:{SECRET}@host.example/requirements.txt"),
    ("--osv-db", f"https://user:{SECRET}@host.example/all.zip"),
    ("--project", "absent"),
    ("--output", "absent/report"),
]


@pytest.fixture(scope="module")
def by_command_line(shared_desk: Desk) -> dict[tuple[str, ...], Ended]:
    """A run for each."""
    commands = [(*_otherwise_right(arguments), *arguments) for arguments in WRONG_COMMAND_LINES]
    return dict(zip(WRONG_COMMAND_LINES, shared_desk.run_together(*commands), strict=True))


def _otherwise_right(arguments: tuple[str, ...]) -> tuple[str, ...]:
    sources = () if any(name.endswith(("-url", "-db")) for name in arguments) else ("--osv-db", "dump.jsonl")
    return ("-r", "requirements.txt", *sources)


@pytest.mark.parametrize(
    "arguments",
    WRONG_COMMAND_LINES,
    ids=lambda arguments: " ".join(arguments).replace(SECRET, "SECRET"),
)
def test_a_wrong_command_line_is_one_line(
    by_command_line: dict[tuple[str, ...], Ended], arguments: tuple[str, ...]
) -> None:
    _refused(by_command_line[arguments])


@pytest.mark.parametrize(
    ("content", "field"),
    [
        ([WAIVER | {"expires": "tomorrow"}], "waivers[0].expires"),
        ([WAIVER, {key: text for key, text in WAIVER.items() if key != "owner"}], "waivers[1].owner"),
        ([WAIVER | {"severity": "low"}], "waivers[0].severity"),
        ([WAIVER | {"version": "<<2"}], "waivers[0].version"),
        ({"waiver": []}, "waiver"),
    ],
)
def test_a_wrong_waiver_is_named_by_its_field(desk: Desk, content: object, field: str) -> None:
    file = desk.json("waivers.json", content)

    assert field in _refused(desk.audit("--osv-db", "dump.jsonl", "--waivers", file))


@pytest.mark.parametrize("option", ["--waivers", "--vex", "--epss", "--kev"])
def test_a_wrong_judgement_file_is_named(desk: Desk, option: str) -> None:
    file = desk.json("judgement.json", {"something": "else"})

    assert "judgement.json" in _refused(desk.audit("--osv-db", "dump.jsonl", option, file))


@pytest.mark.parametrize(
    ("option", "text"),
    [
        ("--internal", ""), ("--internal", " priv-* "), ("--internal", "priv-a,priv-b"),
        ("--internal", "priv-a priv-b"), ("--mirror", ""), ("--mirror", " "),
    ],
)  # fmt: skip
def test_a_name_of_ones_own_that_would_match_nothing_is_refused(desk: Desk, option: str, text: str) -> None:
    assert option in _refused(desk.audit("--osv-db", "dump.jsonl", option, text))


def test_a_pattern_that_can_match_is_taken(desk: Desk) -> None:
    assert desk.audit("--osv-db", "dump.jsonl", "--internal", "priv-[a-z]*").code != BAD_INPUT


def test_a_lock_under_the_name_of_another_is_refused(desk: Desk) -> None:
    desk.file("poetry.lock", 'version = 1\n[[package]]\nname = "demo-a"\nversion = "1.0"\n')

    assert "uv.lock" in _refused(desk.run("-r", "poetry.lock", "--osv-db", "dump.jsonl"))
