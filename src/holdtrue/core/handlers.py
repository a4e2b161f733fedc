"""The consequences of a handler that was notified and has not run."""

import shlex
from collections.abc import Sequence
from typing import Final

from holdtrue.errors import HandlersLost
from holdtrue.models.configuration import ConfigurationRun
from holdtrue.models.handlers import OpenHandler

_NAMED_COMMANDS: Final = 3


def require_all_run(missing: Sequence[OpenHandler], run: ConfigurationRun, *, where: str) -> None:
    """Refuse to call a configuration proved while a handler still has to run.

    Raises:
        HandlersLost: naming every host and handler; `run` is what was done.
    """
    if missing:
        commands = "; ".join(f"`{acknowledgement(item)}`" for item in missing[:_NAMED_COMMANDS])
        unnamed = len(missing) - _NAMED_COMMANDS
        more = f"; and {unnamed} more, which `holdtrue handlers` lists" if unnamed > 0 else ""
        raise HandlersLost(
            f"handlers were notified and have not run since: {'; '.join(open_line(item) for item in missing)}."
            " A run that changes nothing does not notify them again",
            where=where,
            next_step="make the task that notifies them change something again, or do their work by hand and then run"
            f" {commands}{more}",
            done=run,
        )


def open_line(item: OpenHandler) -> str:
    """One handler, for a person."""
    return f"{item.host}: {item.handler} (notified {item.notified_at:%Y-%m-%d %H:%M} UTC)"


def acknowledgement(item: OpenHandler) -> str:
    """The command with which a person acknowledges it, after doing its work by hand."""
    return f"holdtrue acknowledge {item.environment} {shlex.quote(item.host)} {shlex.quote(item.handler)}"
