"""The frame around a traffic shift: however the shift ends, its result or error says where traffic is."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress

from holdtrue.core.traffic import require_in_service, require_unchanged, weights_text
from holdtrue.errors import HoldtrueError, LockLost, TrafficRestored, TrafficStranded, keep_done
from holdtrue.models.base import Progress, ProgressLevel
from holdtrue.models.traffic import OutOfService, TrafficShift, TrafficStep, TrafficSwitch
from holdtrue.models.validation import CheckResult
from tasks.journal import log_defect, watch


@contextmanager
def traffic_frame(
    switch: TrafficSwitch, hosts: Sequence[str], *, place: str, require_lock: Callable[[], None]
) -> Iterator["ShiftUnderWay"]:
    """Give the block a shift, its only access to the switch. Whatever ends the block, the error says where traffic is.

    Before the first write, an exception passes through, and its message begins by saying that traffic was not moved.
    From the first write on, the weights found at the start are put back first.

    Raises:
        TrafficRestored: something failed, and the weights found at the start are back.
        TrafficStranded: they could not be put back. This also replaces a signal that ends the run.
        LockLost: another run may hold the environment by now. What this run has set is put back, unless somebody has
            changed it since.
    """
    shift = ShiftUnderWay(switch, hosts, place, require_lock)
    try:
        yield shift
    except BaseException as error:
        ending = shift.end_after(error)
        if ending is error:
            raise
        raise ending from error


class ShiftUnderWay:
    """What a shift found at its start, and what it has done so far."""

    def __init__(
        self, switch: TrafficSwitch, hosts: Sequence[str], place: str, require_lock: Callable[[], None]
    ) -> None:
        self.place = place
        self._require_lock = require_lock
        self._switch = switch
        self._hosts = hosts
        self._before: dict[str, int] = {}
        self._idle: Mapping[str, OutOfService] = {}
        self._last: Mapping[str, int] | None = None
        """What this run set last, or tried to set; None before the first write."""
        self._steps: list[TrafficStep] = []
        self._is_going_back = False
        """Whether traffic has begun to go back: this run has then also set any weights between the two."""

    def read_weights(self) -> dict[str, int]:
        """The weights at the start, to which traffic goes back."""
        self._before = self._switch.weights()
        return dict(self._before)

    def read_out_of_service(self) -> dict[str, OutOfService]:
        """The servers that get no requests at the start."""
        idle = self._switch.out_of_service()
        self._idle = idle
        return idle

    def set_weights(self, weights: Mapping[str, int]) -> None:
        """Carry out one step, from the weights that were found at the start or set by the step before.

        Raises:
            LockLost: the environment is not this run's any more; nothing was set.
            TrafficRefused: something else has changed the weights since, and may have a reason; nothing was set.
        """
        self._require_lock()
        self._require_as_set()
        self._last = weights
        self._switch.set_weights(weights)

    def record(self, percent: int, checks: tuple[CheckResult, ...]) -> int:
        """Note the checks of the last step, whose weights have to be in effect, and return the number of steps.

        Raises:
            TrafficRefused: the load balancer sends a host no requests any more, or as for `finish`.
            LockLost: as for `finish`.
        """
        self._steps.append(TrafficStep(percent=percent, weights=dict(self._last or {}), checks=checks))
        require_in_service(self._switch.out_of_service(), self._hosts, where=self.place)
        self._require_as_set()
        return len(self._steps)

    def finish(self) -> TrafficShift:
        """What was done, with the weights read back.

        Raises:
            TrafficRefused: they are not the ones that this run set.
            LockLost: they are not, and another run may hold the environment by now.
        """
        return self._done(self._require_as_set())

    def _require_as_set(self) -> dict[str, int]:
        wanted = self._before if self._last is None else self._last
        found = self._switch.weights()
        if found != wanted:
            self._require_lock()
        require_unchanged(found, wanted, where=self.place)
        return found

    def end_after(self, error: BaseException) -> BaseException:
        """Put traffic back if it was moved, and return the exception with which the shift ends."""
        if self._last is None:
            if isinstance(error, HoldtrueError):
                error.what = f"traffic was not moved: {error.what}"
            keep_done(error, self._done(self._before) if self._before else None)
            return error
        interruption, failure = self._put_back(self._last if isinstance(error, LockLost) else None)
        if failure is not None:
            return self._stranded(failure, self._last, cause=error)
        ending = interruption or self._restored(error)
        keep_done(ending, self._done(self._before))
        if isinstance(ending, LockLost):
            self._tell_what_the_loser_left(ending)
        return ending

    def _tell_what_the_loser_left(self, lost: LockLost) -> None:
        with suppress(Exception):  # The report then has the weights from the start; the lost lock is what counts.
            after = self._switch.weights()
            keep_done(lost, self._done(after))
            is_back = after == self._before
            state = "is back where it was" if is_back else "stays where somebody else has moved it"
            lost.what = f"{lost.what}; traffic {state}"

    def _put_back(self, unless_moved_from: Mapping[str, int] | None) -> tuple[BaseException | None, Exception | None]:
        """Put the weights back. Return a signal that arrived meanwhile, and the error if it failed.

        If a signal interrupts this, it starts again: to stop half way would leave weights that nobody chose.
        """
        interruption: BaseException | None = None
        while True:
            try:
                self._set_back(unless_moved_from)
            except Exception as error:  # noqa: BLE001 - whatever it is, the weights are not back
                return interruption, error
            except BaseException as signal:  # noqa: BLE001 - raised once the weights are back
                interruption = signal
            else:
                return interruption, None

    def _set_back(self, unless_moved_from: Mapping[str, int] | None) -> None:
        found = self._switch.weights()
        is_ours = unless_moved_from is None or self._is_going_back or found == unless_moved_from
        if not is_ours:
            message = "somebody else has changed the weights, so they are not put back"
            watch(Progress(message=message, level=ProgressLevel.WARNING))
        elif found != self._before:
            self._is_going_back = True
            self._switch.set_weights(self._before)
            watch(Progress(message="traffic was put back where it was", level=ProgressLevel.WARNING))

    def _restored(self, error: BaseException) -> BaseException:
        if isinstance(error, LockLost) or not isinstance(error, Exception):
            return error
        if isinstance(error, HoldtrueError):
            what, advice = error.what, error.next_step or "check what the message names"
        else:
            log_defect(error, "the traffic shift")
            what, advice = f"unexpected {type(error).__name__}", "report this as a bug, with the traceback from the log"
        return TrafficRestored(
            f"traffic is back where it was: {what}", where=self.place, next_step=f"{advice}, then provision again"
        )

    def _stranded(self, failure: Exception, last: Mapping[str, int], *, cause: BaseException) -> TrafficStranded:
        after = last
        with suppress(Exception):  # It could not be put back, so it may not be readable either.
            after = self._switch.weights()
        return TrafficStranded(
            f"traffic could not be put back: {_reason(failure)}. The weights that this run set last, or tried to set,"
            f" are {weights_text(last)}. Traffic had to go back because of this: {_reason(cause)}",
            where=self.place,
            next_step=f"set the weights back by hand now, to {weights_text(self._before)}",
            done=self._done(after),
        )

    def _done(self, after: Mapping[str, int]) -> TrafficShift:
        """What was done so far."""
        idle = {name: reason.state for name, reason in self._idle.items()}
        return TrafficShift(before=self._before, after=dict(after), steps=tuple(self._steps), out_of_service=idle)


def _reason(error: BaseException) -> str:
    if not isinstance(error, HoldtrueError):
        return type(error).__name__
    return f"{error.what} ({error.where})" if error.where else error.what
