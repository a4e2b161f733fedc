"""`holdtrue fix`: the smallest version bumps that remove the findings, as a patch. It never changes a file."""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from holdtrue.cli.arguments import as_path
from holdtrue.cli.audit import add_sources, complain_of_age, exit_code, open_sources
from holdtrue.cli.audit_inputs import add_own_packages
from holdtrue.cli.session import ExitCode, complain, note, show, show_json, unwound_on_termination

if TYPE_CHECKING:
    from holdtrue.core.fix_resolution import Audit
    from holdtrue.models.audit import Finding
    from holdtrue.models.dependency import Inventory, Pin
    from holdtrue.models.fix import FixProposal
    from holdtrue.models.osv import AdvisorySource


def add_fix(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("file", metavar="FILE", type=as_path, help="a requirements file or a uv.lock")
    parser.add_argument(
        "--timeout-seconds", metavar="N", type=float, default=300.0, help="for each run of uv (default: 300)"
    )
    parser.add_argument("--json", action="store_true", help="print the proposal, the patch in it, as JSON")
    add_own_packages(parser)
    add_sources(parser)
    parser.set_defaults(run=run_fix)


def run_fix(options: argparse.Namespace) -> ExitCode:
    """Audit the file, search on a copy, and print the patch; what it does and leaves goes to standard error."""
    from holdtrue.adapters.inventory.files import read_file  # noqa: PLC0415 - a command imports what it needs
    from holdtrue.auditing import Judgement, audit  # noqa: PLC0415
    from holdtrue.core.lockfiles import mark_internal  # noqa: PLC0415
    from holdtrue.settings import load_settings  # noqa: PLC0415

    settings = load_settings()
    with unwound_on_termination():
        sources = open_sources(options, settings)
        inventory = mark_internal(read_file(options.file), options.internal_names, options.mirrors)
        report = audit([inventory], sources, Judgement())
        own = _own_names(inventory, options.internal_names)
        proposal = _unverified(_search(options, report.findings, _second_audit(sources, own)), own)
    complain_of_age(options, settings, report)
    _print(proposal.model_copy(update={"not_audited": report.not_audited}), as_json=options.json)
    # The summary names the sources that failed, but a document is for programs.
    for source in report.sources:
        if source.failure and options.json:
            complain(f"{source.name}: {source.failure}")
    return exit_code(report.verdict)


def _own_names(inventory: "Inventory", patterns: "Sequence[str]") -> "Callable[[Pin], bool]":
    """Whether a package is one of the organisation's own, so that the second audit does not ask about it either."""
    from holdtrue.core.lockfiles import is_asked, mark_internal  # noqa: PLC0415
    from holdtrue.models.dependency import Dependency, Inventory  # noqa: PLC0415

    known = {item.name for item in inventory.dependencies if not is_asked(item)}

    def is_own(pin: "Pin") -> bool:
        (item,) = mark_internal(Inventory("", "", (Dependency(pin.name, pin.version),)), patterns).dependencies
        return pin.name in known or not is_asked(item)

    return is_own


def _unverified(proposal: "FixProposal", is_own: "Callable[[Pin], bool]") -> "FixProposal":
    """What changes and is one's own was not looked at again."""
    from holdtrue.models.dependency import Pin  # noqa: PLC0415

    own = [bump.package for bump in proposal.bumps if is_own(Pin(bump.package, bump.to_version))]
    if not own:
        return proposal
    doubt = f"no source is asked about your own packages, of which these change: {', '.join(dict.fromkeys(own))}"
    return proposal.model_copy(update={"is_verified": False, "doubt": "; ".join(filter(None, (proposal.doubt, doubt)))})


def _search(options: argparse.Namespace, findings: "Sequence[Finding]", audit: "Audit") -> "FixProposal":
    """The proposal; a search that fails hides no finding."""
    from holdtrue.adapters.uv_resolver import UvResolver, propose_fix  # noqa: PLC0415
    from holdtrue.core.fix_proposal import decline  # noqa: PLC0415
    from holdtrue.errors import HoldtrueError  # noqa: PLC0415
    from holdtrue.models.fix import Obstacle  # noqa: PLC0415

    try:
        return propose_fix(
            options.file,
            findings,
            audit=audit,
            resolver=UvResolver(timeout_seconds=options.timeout_seconds),
            patch_folder=Path.cwd(),
        )
    except HoldtrueError as error:
        return decline(str(options.file), findings, str(error), obstacle=Obstacle.SEARCH_FAILED)


def _second_audit(sources: "Sequence[AdvisorySource]", is_own: "Callable[[Pin], bool]") -> "Audit":
    from holdtrue.auditing import Judgement, audit  # noqa: PLC0415
    from holdtrue.errors import ServiceNotReady  # noqa: PLC0415
    from holdtrue.models.dependency import Dependency, Inventory  # noqa: PLC0415

    def look(pins: "Sequence[Pin]") -> "Sequence[Finding]":
        held = tuple(Dependency(pin.name, pin.version) for pin in pins if not is_own(pin))
        if not held:
            return ()
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
        show_json(proposal)
        return
    for line in summary_lines(proposal):
        note(line)
    if proposal.patch:
        show(proposal.patch.rstrip("\n"), is_document=True)
