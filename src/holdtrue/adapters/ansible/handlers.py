"""Which handlers were notified on which host and have not run there."""

from collections.abc import Iterable

from holdtrue.adapters.ansible.events import HandlerNotified, TaskEnded
from holdtrue.models.configuration import HandlerNote, HandlerSink, LostHandler, TaskOutcome


class HandlerRecord:
    """Takes the events of handlers in their order, and reports what a later run has to know."""

    def __init__(self, on_handler: HandlerSink) -> None:
        self._open: dict[tuple[str, str], LostHandler] = {}
        self._on_handler = on_handler

    @property
    def lost(self) -> tuple[LostHandler, ...]:
        """The handlers that have not run so far, or failed, ordered by host."""
        return tuple(self._open[place] for place in sorted(self._open))

    def notify(self, event: HandlerNotified) -> None:
        """A handler has to run."""
        # A provisional name, from before templating, is replaced by the final one.
        if self._drop(event.host, event.replaces):
            self._on_handler(HandlerNote(host=event.host, handlers=event.replaces, is_open=False))
        self._add(LostHandler(host=event.host, handler=event.handler))

    def note(self, event: TaskEnded, outcome: TaskOutcome, hosts: Iterable[str]) -> None:
        """A task ended. A handler with run_once has run for all `hosts`; one whose `when` is false is not needed."""
        if not event.handler_names:
            return
        if outcome in {TaskOutcome.FAILED, TaskOutcome.UNREACHABLE}:
            self._drop(event.host, event.handler_names)
            self._add(LostHandler(host=event.host, handler=event.handler_names[0], failed=True))
            return
        for host in sorted({event.host, *hosts}) if event.run_once else (event.host,):
            self._drop(host, event.handler_names)
            self._on_handler(HandlerNote(host=host, handlers=event.handler_names, is_open=False))

    def _add(self, lost: LostHandler) -> None:
        if self._open.get((lost.host, lost.handler)) != lost:
            self._open[lost.host, lost.handler] = lost
            self._on_handler(HandlerNote(host=lost.host, handlers=(lost.handler,), is_open=True))

    def _drop(self, host: str, names: Iterable[str]) -> bool:
        dropped = [self._open.pop((host, name), None) for name in names]
        return any(dropped)
