"""Whatever ends a shift, its exit says where traffic is: each kind of end, with a fake of the load balancer."""

import logging
from asyncio import CancelledError
from collections.abc import Callable, Mapping, Sequence

import pytest
from prefect.exceptions import TerminationSignal

from holdtrue.errors import (
    GateClosed,
    HoldtrueError,
    LockLost,
    ServiceUnreachable,
    TrafficRefused,
    TrafficRestored,
    TrafficStranded,
    ValidationFailed,
    done_before,
)
from holdtrue.models.traffic import TrafficShift
from holdtrue.testing import FakeTrafficSwitch
from tasks.traffic_frame import ShiftUnderWay, traffic_frame

BEFORE = {"standby": 100, "web-1": 0}
STEP = {"standby": 120, "web-1": 120}
OF_ANOTHER = {"standby": 7, "web-1": 70}
LOST = LockLost("the lock of demo was taken over", next_step="look at holdtrue locks")
GONE = ServiceUnreachable("the socket is gone", where="lb.sock")
SIGNALS: Sequence[BaseException] = (KeyboardInterrupt(), SystemExit(), CancelledError(), TerminationSignal(15))


def lose_lock() -> None:
    raise LOST


def end_of(
    switch: FakeTrafficSwitch,
    body: Callable[[ShiftUnderWay], object],
    require_lock: Callable[[], None] = lambda: None,
) -> BaseException:
    """The exception with which a shift with this body ends."""

    def shift() -> None:
        with traffic_frame(switch, ["web-1"], place="backend web", require_lock=require_lock) as under_way:
            under_way.read_weights()
            body(under_way)

    with pytest.raises(BaseException) as raised:  # noqa: PT011 - any, signals too
        shift()
    return raised.value


def raising(error: BaseException) -> Callable[[ShiftUnderWay], None]:
    def body(shift: ShiftUnderWay) -> None:
        shift.set_weights(STEP)
        raise error

    return body


def done_of(error: BaseException) -> TrafficShift:
    done = done_before(error)
    assert isinstance(done, TrafficShift)
    return done


@pytest.mark.parametrize("signal", SIGNALS, ids=lambda signal: type(signal).__name__)
def test_a_signal_leaves_when_traffic_is_back(signal: BaseException) -> None:
    switch = FakeTrafficSwitch(dict(BEFORE))
    assert end_of(switch, raising(signal)) is signal
    assert switch.requests == [STEP, BEFORE]
    assert done_of(signal).after == BEFORE


@pytest.mark.parametrize(
    "first", [*SIGNALS, ValidationFailed("a probe failed")], ids=lambda error: type(error).__name__
)
def test_a_signal_in_the_middle_of_the_way_back_does_not_stop_it(first: BaseException) -> None:
    second, third = KeyboardInterrupt(), TerminationSignal(15)
    switch = FakeTrafficSwitch(dict(BEFORE), failures=(None, second, third, None))
    assert end_of(switch, raising(first)) is third
    assert switch.current == BEFORE
    assert done_of(third).after == BEFORE


@pytest.mark.parametrize("cause", [*SIGNALS, GONE, LOST, RuntimeError()], ids=lambda error: type(error).__name__)
def test_traffic_that_cannot_go_back_outweighs_every_other_end(cause: BaseException) -> None:
    ending = end_of(FakeTrafficSwitch(dict(BEFORE), failures=(None, GONE)), raising(cause))
    assert isinstance(ending, TrafficStranded)
    assert "standby=100, web-1=0" in ending.next_step
    assert "standby=120, web-1=120" in ending.what
    assert done_of(ending).after == STEP


def test_a_defect_is_told_with_traffic_back_and_its_traceback_logged(caplog: pytest.LogCaptureFixture) -> None:
    switch = FakeTrafficSwitch(dict(BEFORE))
    with caplog.at_level(logging.ERROR):
        ending = end_of(switch, raising(RuntimeError("a defect")))
    assert isinstance(ending, TrafficRestored)
    assert "RuntimeError" in ending.what
    assert switch.current == BEFORE
    assert any(record.exc_info for record in caplog.records)


def test_before_the_first_write_the_end_says_that_nothing_was_moved() -> None:
    for error in (GateClosed("the verdict expired"), ServiceUnreachable("away"), ValidationFailed("a probe failed")):
        switch = FakeTrafficSwitch(dict(BEFORE))

        def fail(_: ShiftUnderWay, error: HoldtrueError = error) -> None:
            raise error

        assert end_of(switch, fail) is error
        assert error.what.startswith("traffic was not moved: ")
        assert switch.requests == []
        assert done_of(error).after == BEFORE


def test_a_lock_lost_before_a_write_writes_nothing() -> None:
    switch = FakeTrafficSwitch(dict(BEFORE))
    assert end_of(switch, raising(RuntimeError()), lose_lock) is LOST
    assert switch.requests == []


def test_a_lost_lock_says_where_traffic_is() -> None:
    lost = LockLost("the lock of demo was taken over")
    switch = FakeTrafficSwitch(dict(BEFORE))
    assert end_of(switch, raising(lost)) is lost
    assert switch.current == BEFORE
    assert lost.what.endswith("traffic is back where it was")

    lost = LockLost("the lock of demo was taken over")
    switch = FakeTrafficSwitch(dict(BEFORE))

    def lose_to_another(shift: ShiftUnderWay) -> None:
        shift.set_weights(STEP)
        switch.current.update(OF_ANOTHER)
        raise lost

    assert end_of(switch, lose_to_another) is lost
    assert switch.current == OF_ANOTHER
    assert "somebody else" in lost.what


def test_the_half_of_an_interrupted_way_back_is_not_taken_for_somebody_else_s() -> None:
    lost, signal = LockLost("the lock of demo was taken over"), KeyboardInterrupt()

    class Half(FakeTrafficSwitch):
        def set_weights(self, weights: Mapping[str, int]) -> None:
            if weights == BEFORE and not done:
                done.append(True)
                self.current.update(standby=BEFORE["standby"])
                raise signal
            super().set_weights(weights)

    done: list[bool] = []
    switch = Half(dict(BEFORE))
    assert end_of(switch, raising(lost)) is signal
    assert switch.current == BEFORE


@pytest.mark.parametrize("look", [ShiftUnderWay.finish, lambda shift: shift.record(50, ())], ids=["end", "step"])
def test_weights_that_changed_meanwhile_are_no_success(look: Callable[[ShiftUnderWay], object]) -> None:
    switch = FakeTrafficSwitch(dict(BEFORE))

    def reset(shift: ShiftUnderWay) -> None:
        shift.set_weights(STEP)
        switch.current.update(standby=1)
        look(shift)

    ending = end_of(switch, reset)
    assert isinstance(ending, TrafficRestored)
    assert "standby=1," in ending.what
    assert switch.current == BEFORE


def test_weights_that_changed_before_the_first_step_are_not_overwritten() -> None:
    """Such as by an operator, while the run waits for a host's health check."""
    switch = FakeTrafficSwitch(dict(BEFORE))

    def change(shift: ShiftUnderWay) -> None:
        switch.current.update(OF_ANOTHER)
        shift.set_weights(STEP)

    ending = end_of(switch, change)
    assert isinstance(ending, TrafficRefused)
    assert ending.what.startswith("traffic was not moved: ")
    assert switch.current == OF_ANOTHER
    assert switch.requests == []


def test_weights_that_changed_between_two_steps_do_not_get_the_next_one() -> None:
    switch = FakeTrafficSwitch(dict(BEFORE))

    def change(shift: ShiftUnderWay) -> None:
        shift.set_weights(STEP)
        shift.record(50, ())
        switch.current.update(standby=1)
        shift.set_weights({"standby": 0, "web-1": 240})

    ending = end_of(switch, change)
    assert isinstance(ending, TrafficRestored)
    assert "standby=1," in ending.what
    assert switch.requests == [STEP, BEFORE]


def test_weights_of_the_run_that_has_the_lock_by_now_stay() -> None:
    switch = FakeTrafficSwitch(dict(BEFORE))
    is_lost: list[bool] = []

    def require_lock() -> None:
        if is_lost:
            raise LockLost("the lock of demo was taken over")

    def lose_to_another(shift: ShiftUnderWay) -> None:
        shift.set_weights(STEP)
        is_lost.append(True)
        switch.current.update(OF_ANOTHER)
        shift.finish()

    assert isinstance(end_of(switch, lose_to_another, require_lock), LockLost)
    assert switch.current == OF_ANOTHER
