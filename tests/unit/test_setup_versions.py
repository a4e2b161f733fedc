import pytest

from tools.versions import Version, find_version


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("v3.259.0", Version(3, 259, 0)),
        ("3.260.1\n", Version(3, 260, 1)),
        ("go1.26.8", Version(1, 26, 8)),
        ("go version go1.26 linux/amd64", Version(1, 26, 0)),
        ("uv 0.13.9 (x86_64-unknown-linux-gnu)", Version(0, 13, 9)),
        ("v3.260.0-alpha.1730000000", Version(3, 260, 0, is_release=False)),
        ("go1.27rc1", Version(1, 27, 0, is_release=False)),
        ("v3.259.0+dirty", Version(3, 259, 0)),
    ],
)
def test_a_version_is_found_in_what_tools_print(text: str, expected: Version) -> None:
    assert find_version(text) == expected


@pytest.mark.parametrize("text", ["", "unknown", "v3", "command not found"])
def test_no_version_is_not_a_version(text: str) -> None:
    assert find_version(text) is None


def test_versions_compare_by_number_not_by_text() -> None:
    assert Version(3, 99, 9) < Version(3, 259, 0) < Version(3, 1000, 0) < Version(4, 0, 0)


def test_a_prerelease_comes_before_its_release() -> None:
    assert Version(3, 259, 0, is_release=False) < Version(3, 259, 0) < Version(3, 260, 0, is_release=False)
