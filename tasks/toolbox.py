"""Where tasks get their tools: the real adapters with the credentials of saved blocks, fakes in tests."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from holdtrue.models.environment import Environment
from holdtrue.models.preflight import Prerequisite
from holdtrue.toolbox import Toolbox, real_tools

Ask = Callable[[Environment], tuple[Prerequisite, ...]]

_current: ContextVar[tuple[Toolbox, Ask] | None] = ContextVar("holdtrue_toolbox", default=None)


def toolbox() -> Toolbox:
    """The tools of this run."""
    replaced = _current.get()
    if replaced is not None:
        return replaced[0]
    from blocks.loading import load_reference  # noqa: PLC0415 - tests with fakes need no blocks

    return real_tools(load_reference)


def ask_prerequisites(environment: Environment) -> tuple[Prerequisite, ...]:
    """The chain that the run stands on, link by link."""
    replaced = _current.get()
    if replaced is not None:
        return replaced[1](environment)
    from blocks.loading import load_reference  # noqa: PLC0415 - tests with fakes need no blocks
    from holdtrue.preflight import ask_chain  # noqa: PLC0415 - with it come the adapters

    return ask_chain(environment, load_reference, toolbox(), keeps_login=True)


@contextmanager
def use_toolbox(tools: Toolbox, ask: Ask) -> Iterator[None]:
    """Run what is inside with these tools, and with this answer about the prerequisites."""
    token = _current.set((tools, ask))
    try:
        yield
    finally:
        _current.reset(token)
