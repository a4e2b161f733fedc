"""The format of a file by its name, and by what stands in it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdtrue.core.file_format import KNOWN_NAMES, FileFormat, by_content, by_name, holds_nothing, lock_command


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("uv.lock", FileFormat.UV), ("run.py.lock", FileFormat.UV), ("pylock.dev.toml", FileFormat.PYLOCK),
        ("Dev-Requirements.TXT", FileFormat.REQUIREMENTS), ("conda-list.txt", FileFormat.CONDA),
        ("app.cdx.json", FileFormat.SBOM), ("pyproject.toml", FileFormat.PROJECT), ("Pipfile", FileFormat.PROJECT),
        ("prod.lock", None), ("Cargo.lock", None), ("list", None), ("standard input", None),
    ],
)  # fmt: skip
def test_a_name_promises_a_format(name: str, expected: FileFormat | None) -> None:
    assert by_name(name) is expected
    assert "pyproject.toml" not in KNOWN_NAMES


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('version = 1\nrevision = 3\nrequires-python = ">=3.11"\n', FileFormat.UV),
        ('lock-version = "1.0"\ncreated-by = "pip"\n', FileFormat.PYLOCK),
        ('[[package]]\nname = "a"\n[metadata]\nlock-version = "2.1"\n', FileFormat.POETRY),
        ("SPDXVersion: SPDX-2.3\n", FileFormat.SBOM),
        ("# packages in environment at /opt/conda:\n#\nnumpy 1.26 py312_0\n", FileFormat.CONDA),
        ("@EXPLICIT\nhttps://conda.example/linux-64/a-1-0.conda\n", FileFormat.CONDA),
        ("\ufeff-r other.txt\n", FileFormat.REQUIREMENTS),
        ("demo==1.0 \\\n    --hash=sha256:00\n", FileFormat.REQUIREMENTS),
        ("demo==1.0\nnot a requirement\n", None),
        ("", None),
        ("[]", None),
        ("<html></html>", None),
    ],
)
def test_a_content_looks_like_a_format(text: str, expected: FileFormat | None) -> None:
    assert by_content(text) is expected


@pytest.mark.parametrize(
    ("text", "expected"), [("", True), ("\ufeff\n # x\n\n", True), ("demo", False), ("# x\ndemo", False)]
)
def test_blanks_and_comments_are_nothing(text: str, *, expected: bool) -> None:
    assert holds_nothing(text) is expected


def test_each_kind_of_project_has_its_own_command() -> None:
    assert lock_command("pyproject.toml", "[project]\n") == "uv lock"
    assert lock_command("pyproject.toml", "[tool.poetry.dependencies]\n") == "poetry lock"


@settings(deadline=None, max_examples=200)
@given(st.text(alphabet='[]{}<!?"=:\n #@abom.-_1', max_size=200))
def test_any_text_is_told_or_not(text: str) -> None:
    assert by_content(text) in {None, *FileFormat}
