"""`holdtrue fix`: the smallest version bumps that remove the findings, as a patch. It never changes a file."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from holdtrue.cli.arguments import as_path
from holdtrue.cli.audit import add_sources, exit_code, open_sources
from holdtrue.cli.session import ExitCode, complain, note, show, unwound_on_termination

if TYPE_CHECKING:
    from holdtrue.core.fix_resolution import Audit
    from holdtrue.models.audit import Finding
    from holdtrue.models.dependency import Pin
    from holdtrue.models.fix import FixProposal
    from holdtrue.models.osv import AdvisorySource


def add_fix(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("file", metavar="FILE", type=as_path, help="a requirements file or a uv.lock")
    parser.add_argument(
        "--timeout-seconds", metavar="N", type=float, default=300.0, help="for each run of uv (default: 300)"
    )
    parser.add_argument("--json", action="store_true", help="print the proposal, the patch in it, as JSON")
    add_sources(parser)
    parser.set_defaults(run=run_fix)


def run_fix(options: argparse.Namespace) -> ExitCode:
    """Audit the file, search on a copy, and print the patch; what it does and leaves goes to standard error."""
    from holdtrue.adapters.inventory.files import read_file  # noqa: PLC0415 - a command imports what it needs
    from holdtrue.auditing import Judgement, audit  # noqa: PLC0415
    from holdtrue.settings import load_settings  # noqa: PLC0415

    with unwound_on_termination():
        sources = open_sources(options, load_settings())
        report = audit([read_file(options.file)], sources, Judgement())
        proposal = _search(options, report.findings, sources)
    _print(proposal.model_copy(update={"not_audited": report.not_audited}), as_json=options.json)
    # The summary names the sources that failed, but a document is for programs.
    for source in report.sources:
        if source.failure and options.json:
            complain(f"{source.name}: {source.failure}")
    return exit_code(report.verdict)


def _search(
    options: argparse.Namespace, findings: "Sequence[Finding]", sources: "Sequence[AdvisorySource]"
) -> "FixProposal":
    """The proposal; a search that fails hides no finding."""
    from holdtrue.adapters.uv_resolver import UvResolver, propose_fix  # noqa: PLC0415
    from holdtrue.core.fix_proposal import decline  # noqa: PLC0415
    from holdtrue.errors import HoldtrueError  # noqa: PLC0415
    from holdtrue.models.fix import Obstacle  # noqa: PLC0415

    try:
        return propose_fix(
            options.file,
            findings,
            audit=_second_audit(sources),
            resolver=UvResolver(timeout_seconds=options.timeout_seconds),
            patch_folder=Path.cwd(),
        )
    except HoldtrueError as error:
        return decline(str(options.file), findings, str(error), obstacle=Obstacle.SEARCH_FAILED)


def _second_audit(sources: "Sequence[AdvisorySource]") -> "Audit":
    from holdtrue.auditing import Judgement, audit  # noqa: PLC0415
    from holdtrue.errors import ServiceNotReady  # noqa: PLC0415
    from holdtrue.models.dependency import Dependency, Inventory  # noqa: PLC0415

    def look(pins: "Sequence[Pin]") -> "Sequence[Finding]":
        if not pins:
            return ()
        held = tuple(Dependency(pin.name, pin.version) for pin in pins)
        report = audit([Inventory("the proposal", "pins", held)], sources, Judgement())
        if report.not_audited:
            first = report.not_audited[0]
            raise ServiceNotReady(
                f"the second audit is incomplete: {first.reason}", where=first.name, next_step="try again later"
            )
        return report.findings

    return look


def _print(proposal: "FixProposal", *, as_json: bool) -> None:
    from holdtrue.core.fix_report import summary_lines  # noqa: PLC0415

    if as_json:
        show(proposal.model_dump_json(indent=2), is_document=True)
        return
    for line in summary_lines(proposal):
        note(line)
    if proposal.patch:
        show(proposal.patch.rstrip("\n"), is_document=True)
