import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdtrue.core.traffic import plan_steps, require_in_service, require_unchanged
from holdtrue.errors import RejectedError, ResourceMissing, TrafficRefused
from holdtrue.models.traffic import OutOfService, TrafficShift

STANDBY = {"standby": 100, "web-1": 0, "web-2": 0}


def test_first_move_goes_through_every_step_to_everything() -> None:
    steps = plan_steps(STANDBY, ["web-1", "web-2"], [10, 50, 100], where="backend web")

    assert [step.percent for step in steps] == [10, 50, 100]
    assert steps[-1].weights == {"standby": 0, "web-1": 240, "web-2": 240}
    assert steps[1].weights["standby"] == steps[1].weights["web-1"] + steps[1].weights["web-2"]


def test_nothing_to_do_when_traffic_is_there() -> None:
    assert plan_steps({"standby": 0, "web-1": 7, "web-2": 7}, ["web-1", "web-2"], [10, 100], where="backend web") == ()


def test_a_run_that_was_cut_goes_on_from_where_traffic_is() -> None:
    halfway = plan_steps(STANDBY, ["web-1", "web-2"], [10, 50, 100], where="backend web")[1].weights

    assert [step.percent for step in plan_steps(halfway, ["web-1", "web-2"], [10, 50, 100], where="backend web")] == [
        100
    ]


def test_uneven_hosts_are_evened() -> None:
    (step,) = plan_steps({"standby": 0, "web-1": 1, "web-2": 9}, ["web-1", "web-2"], [50, 100], where="backend web")

    assert step.weights["web-1"] == step.weights["web-2"] > 0


def test_all_weights_zero_still_moves() -> None:
    steps = plan_steps({"standby": 0, "web-1": 0}, ["web-1"], [50, 100], where="backend web")

    assert steps[0].weights["standby"] == steps[0].weights["web-1"] > 0


def test_a_host_the_load_balancer_does_not_know_is_named() -> None:
    with pytest.raises(ResourceMissing, match="web-3") as raised:
        plan_steps(STANDBY, ["web-1", "web-3"], [100], where="backend web")
    assert raised.value.where == "backend web"
    assert "standby" in raised.value.what


@given(
    hosts=st.integers(1, 40),
    others=st.dictionaries(st.sampled_from(["x", "y", "z"]), st.integers(1, 256), min_size=1),
    percent=st.integers(1, 99),
)
def test_shares_are_close_and_weights_in_haproxys_range(hosts: int, others: dict[str, int], percent: int) -> None:
    names = [f"web-{number}" for number in range(hosts)]
    before = {**others, **dict.fromkeys(names, 0)}

    weights = plan_steps(before, names, [percent, 100], where="backend web")[0].weights

    assert all(1 <= weight <= 256 for weight in weights.values())
    share = sum(weights[name] for name in names) / sum(weights.values())
    # Rounding to whole weights moves each server by at most half a weight of 240 (or up to one).
    assert abs(share - percent / 100) < 0.02 + hosts / sum(weights.values())


def shift(before: dict[str, int], after: dict[str, int], *idle: str) -> TrafficShift:
    return TrafficShift(before=before, after=after, steps=(), out_of_service=dict.fromkeys(idle, "down"))


def test_traffic_has_moved_when_other_servers_get_the_requests() -> None:
    assert shift(STANDBY, {"standby": 0, "web-1": 240, "web-2": 240}).moved
    assert shift({"a": 1, "b": 9}, {"a": 5, "b": 5}).moved
    assert not shift({"a": 1, "b": 1}, {"a": 240, "b": 240}).moved


@pytest.mark.parametrize("idle", ["standby", "web-2"])
def test_traffic_has_not_moved_when_only_servers_without_requests_changed(idle: str) -> None:
    others = {name: 50 for name in STANDBY if name != idle}

    assert shift({**others, idle: 100}, {**others, idle: 0}).moved is True
    still = shift({**others, idle: 100}, {**others, idle: 0}, idle)
    assert (still.moved, still.changed) == (False, True)


def test_a_host_that_gets_no_request_is_refused_with_what_to_do() -> None:
    idle = {"web-2": OutOfService(state="drained", by_operator=True, next_step="make it ready")}

    with pytest.raises(TrafficRefused, match="web-2 is drained") as raised:
        require_in_service(idle, ["web-1", "web-2"], where="backend web")
    assert raised.value.next_step == "make it ready"
    require_in_service(idle, ["web-1"], where="backend web")


def test_weights_that_are_not_in_effect_are_named_with_those_that_should_be() -> None:
    require_unchanged(STANDBY, dict(STANDBY), where="backend web")
    with pytest.raises(RejectedError, match="web-1=5") as raised:
        require_unchanged({"standby": 0, "web-1": 5}, {"standby": 0, "web-1": 240}, where="backend web")
    assert "web-1=240" in raised.value.what
    assert raised.value.next_step
