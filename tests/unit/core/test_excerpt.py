import pytest

from holdtrue.core.excerpt import excerpt


@pytest.mark.parametrize("limit", [20, 100, 4_000])
def test_a_long_text_keeps_its_beginning_and_its_end(limit: int) -> None:
    shown = excerpt("began " + "x" * 10_000 + " cause", limit)

    assert len(shown) == limit
    assert shown.startswith("began"[: limit // 5])
    assert shown.endswith("cause")


def test_a_short_text_is_whole() -> None:
    assert excerpt("short", 5) == "short"
    assert len(excerpt("longer", 2)) == 2
