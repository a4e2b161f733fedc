"""What it means that a handler was notified and has not run."""

import shlex
from collections.abc import Sequence

from holdtrue.errors import HandlersLost
from holdtrue.models.configuration import ConfigurationRun
from holdtrue.models.handlers import OpenHandler


def require_all_run(missing: Sequence[OpenHandler], run: ConfigurationRun, *, where: str) -> None:
    """Refuse to call a configuration proved while the work of a handler is missing.

    Raises:
        HandlersLost: naming every host and handler; `run` is what was done.
    """
    if missing:
        raise HandlersLost(
            f"handlers were notified and have not run since: {'; '.join(open_line(item) for item in missing)}",
            where=where,
            next_step="a run that changes nothing does not notify them again. Let the task that notifies them change"
            " something again, or do their work by hand and then acknowledge each: "
            + "; ".join(acknowledgement(item) for item in missing[:3]),
            done=run,
        )


def open_line(item: OpenHandler) -> str:
    """One handler, for a person."""
    return f"{item.host}: {item.handler} (notified {item.notified_at:%Y-%m-%d %H:%M} UTC)"


def acknowledgement(item: OpenHandler) -> str:
    """The command that says that a person has done its work."""
    return f"holdtrue acknowledge {item.environment} {shlex.quote(item.host)} {shlex.quote(item.handler)}"
