import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdtrue.core.traffic import plan_steps
from holdtrue.errors import ResourceMissing

STANDBY = {"standby": 100, "web-1": 0, "web-2": 0}


def test_first_move_goes_through_every_step_to_everything() -> None:
    steps = plan_steps(STANDBY, ["web-1", "web-2"], [10, 50, 100])

    assert [step.percent for step in steps] == [10, 50, 100]
    assert steps[-1].weights == {"standby": 0, "web-1": 240, "web-2": 240}
    assert steps[1].weights["standby"] == steps[1].weights["web-1"] + steps[1].weights["web-2"]


def test_nothing_to_do_when_traffic_is_there() -> None:
    assert plan_steps({"standby": 0, "web-1": 7, "web-2": 7}, ["web-1", "web-2"], [10, 100]) == ()


def test_a_run_that_was_cut_goes_on_from_where_traffic_is() -> None:
    halfway = plan_steps(STANDBY, ["web-1", "web-2"], [10, 50, 100])[1].weights

    assert [step.percent for step in plan_steps(halfway, ["web-1", "web-2"], [10, 50, 100])] == [100]


def test_uneven_hosts_are_evened() -> None:
    (step,) = plan_steps({"standby": 0, "web-1": 1, "web-2": 9}, ["web-1", "web-2"], [50, 100])

    assert step.weights["web-1"] == step.weights["web-2"] > 0


def test_all_weights_zero_still_moves() -> None:
    steps = plan_steps({"standby": 0, "web-1": 0}, ["web-1"], [50, 100])

    assert steps[0].weights["standby"] == steps[0].weights["web-1"] > 0


def test_a_host_the_load_balancer_does_not_know_is_named() -> None:
    with pytest.raises(ResourceMissing, match="web-3"):
        plan_steps(STANDBY, ["web-1", "web-3"], [100])


@given(
    hosts=st.integers(1, 40),
    others=st.dictionaries(st.sampled_from(["x", "y", "z"]), st.integers(1, 256), min_size=1),
    percent=st.integers(1, 99),
)
def test_shares_are_close_and_weights_in_haproxys_range(hosts: int, others: dict[str, int], percent: int) -> None:
    names = [f"web-{number}" for number in range(hosts)]
    before = {**others, **dict.fromkeys(names, 0)}

    weights = plan_steps(before, names, [percent, 100])[0].weights

    assert all(1 <= weight <= 256 for weight in weights.values())
    share = sum(weights[name] for name in names) / sum(weights.values())
    # Rounding to whole weights moves each server by at most half a weight of 240 (or up to one).
    assert abs(share - percent / 100) < 0.02 + hosts / sum(weights.values())
