"""`holdtrue handlers` and `holdtrue acknowledge`: handlers that have not run, and how a person acknowledges one."""

import argparse

from holdtrue.cli.arguments import as_name
from holdtrue.cli.locks import open_configured_ledger
from holdtrue.cli.session import ExitCode, show_json, show_lines, unwound_on_termination


def add_handlers(parser: argparse.ArgumentParser) -> None:
    """The options of `handlers`."""
    parser.add_argument("--json", action="store_true", help="print the list as JSON")
    parser.set_defaults(run=run_handlers)


def add_acknowledge(parser: argparse.ArgumentParser) -> None:
    """The options of `acknowledge`."""
    parser.add_argument("environment", metavar="ENVIRONMENT", type=as_name, help="name of the environment")
    parser.add_argument("host", metavar="HOST", help="name of the host")
    parser.add_argument("handler", metavar="HANDLER", help="name of the handler, as `holdtrue handlers` shows it")
    parser.set_defaults(run=run_acknowledge)


def run_handlers(options: argparse.Namespace) -> ExitCode:
    """List the handlers that were notified and have not run; each is a finding."""
    from holdtrue.core.handlers import open_line  # noqa: PLC0415 - a command imports what it needs when it runs
    from holdtrue.models.handlers import OpenHandlers  # noqa: PLC0415 - same

    with unwound_on_termination():
        found = OpenHandlers(handlers=tuple(open_configured_ledger().handlers.all()))
    if options.json:
        show_json(found)
    else:
        lines = [f"{item.environment}: {open_line(item)}" for item in found.handlers]
        show_lines(lines or ["no handler is waiting to run"])
    return ExitCode.FINDINGS if found.handlers else ExitCode.GOOD


def run_acknowledge(options: argparse.Namespace) -> ExitCode:
    """Remove this handler from the ledger, because its work was done by hand or is not needed."""
    from holdtrue.errors import RejectedError  # noqa: PLC0415 - a command imports what it needs when it runs

    with unwound_on_termination():
        removed = open_configured_ledger().handlers.remove(options.environment, options.host, [options.handler])
    if not removed:
        raise RejectedError(
            f"the ledger has no such handler: {options.handler}",
            where=f"environment {options.environment}, host {options.host}",
            next_step="take the names from `holdtrue handlers`; HOLDTRUE_LEDGER_URL must be the workers' ledger",
        )
    show_lines([f"{options.environment}: {options.host}: {options.handler} is acknowledged"])
    return ExitCode.GOOD
