from typing import Any

import pytest

from holdtrue.adapters.ansible.censor import Censor

TOKEN, OTHER = "canary-token/4Kd9", "canary-other+8Zq2"


@pytest.fixture
def censor() -> Censor:
    known = Censor("token,other,absent,number")
    known.learn({"token": TOKEN, "other": OTHER, "open": "canary-in-the-open", "number": 12345678})
    return known


@pytest.mark.parametrize(
    ("value", "clean"),
    [
        (f"a {TOKEN} b", "a [redacted] b"),
        ({"results": [{"msg": TOKEN, "rc": 0}]}, {"results": [{"msg": "[redacted]", "rc": 0}]}),
        ({OTHER: None}, {"[redacted]": None}),
        ((TOKEN, 1), ["[redacted]", 1]),
        (f"\udcff{TOKEN}".encode(errors="surrogateescape"), b"\xff[redacted]"),
        ("canary-in-the-open", "canary-in-the-open"),
        (None, None),
    ],
)
def test_the_values_of_the_named_variables_are_removed_wherever_they_stand(
    censor: Censor, value: Any, clean: Any
) -> None:
    assert censor.clean(value) == clean


@pytest.mark.parametrize("names", ["", "other"])
def test_nothing_is_touched_when_nothing_is_known(names: str) -> None:
    censor = Censor(names)
    value = {"msg": TOKEN}
    assert censor.clean(value) is value
    censor.learn({"token": TOKEN})
    assert censor.clean(value) is value


def test_a_huge_text_keeps_both_ends_without_the_value(censor: Censor) -> None:
    filler = "x" * 3_000_000
    clean = censor.clean(f"begin {TOKEN}{filler}{OTHER} end")
    assert len(clean) < 2_100_000
    assert clean.startswith("begin [redacted]x")
    assert clean.endswith("x[redacted] end")
