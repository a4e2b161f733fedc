import pytest

from holdtrue.core.render import cell, table


@pytest.mark.parametrize(
    "hostile", ["a|b", "<script>", "[x](http://evil)", "# head", "a\nb", "a\r\nb", "\x1b[31mred", "\u202eabc"]
)
def test_a_cell_is_one_line_without_markup_or_control_characters(hostile: str) -> None:
    rendered = cell(hostile)

    assert "\n" not in rendered
    assert not any(ord(letter) < 32 or letter == "\u202e" for letter in rendered)
    unescaped = rendered.replace("\\|", "").replace("\\<", "").replace("\\[", "").replace("\\#", "")
    assert not set(unescaped) & set("|<[#")


def test_a_long_cell_is_cut_visibly() -> None:
    assert cell("x" * 10_000).endswith("…")


def test_a_long_table_says_how_much_is_left_out() -> None:
    assert "500 more rows" in table(("a",), ((number,) for number in range(1000)))
