"""`holdtrue approvals`: which plans needed an approval, and what became of each."""

import argparse

from holdtrue.cli.locks import open_configured_ledger
from holdtrue.cli.session import ExitCode, show_json, show_lines, unwound_on_termination


def add_approvals(parser: argparse.ArgumentParser) -> None:
    """The options of `approvals`."""
    parser.add_argument("--json", action="store_true", help="print the list as JSON")
    parser.set_defaults(run=run_approvals)


def run_approvals(options: argparse.Namespace) -> ExitCode:
    """List the requests for an approval. An open one waits for a person and counts as a finding."""
    from holdtrue.core.approval_text import approval_line  # noqa: PLC0415 - a command imports what it needs
    from holdtrue.models.approval import ApprovalList  # noqa: PLC0415 - same

    with unwound_on_termination():
        found = ApprovalList(approvals=tuple(open_configured_ledger().approvals.all()))
    if options.json:
        show_json(found)
    else:
        show_lines([approval_line(item) for item in found.approvals] or ["no plan has needed an approval"])
    return ExitCode.FINDINGS if any(item.is_open for item in found.approvals) else ExitCode.GOOD
