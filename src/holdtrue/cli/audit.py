"""`holdtrue audit`: dependencies of files, projects and environments against the advisory sources that are named."""

import argparse
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, assert_never

from holdtrue.cli.arguments import Once, as_days, as_path
from holdtrue.cli.audit_formats import FORMATS, is_document, render
from holdtrue.cli.audit_inputs import add_inputs, default_to_current_folder, files_read, read_inputs
from holdtrue.cli.report_file import is_standard_output, refuse_inputs, replacing
from holdtrue.cli.session import (
    ExitCode,
    complain,
    show,
    terminal_width,
    unwound_on_termination,
)

if TYPE_CHECKING:
    from holdtrue.auditing import Judgement
    from holdtrue.models.audit import AuditReport, AuditVerdict
    from holdtrue.models.dependency import Inventory
    from holdtrue.models.osv import AdvisorySource
    from holdtrue.settings import Settings

_SEVERITIES: Final = ("none", "low", "medium", "high", "critical")


def add_audit(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    add_inputs(parser)
    add_sources(parser)
    judged = parser.add_argument_group("which findings count")
    judged.add_argument(
        "--waivers", metavar="FILE", type=as_path, action="append", default=[],
        help="waivers with reason, owner and expiry (YAML or JSON; repeatable)",
    )  # fmt: skip
    judged.add_argument(
        "--vex", metavar="FILE", type=as_path, action="append", default=[],
        help="OpenVEX or CycloneDX VEX documents (repeatable)",
    )  # fmt: skip
    judged.add_argument("--epss", metavar="FILE", type=as_path, help="EPSS scores (CSV, may be gzip)")
    judged.add_argument(
        "--kev", metavar="FILE", type=as_path, help="CISA's catalogue of exploited vulnerabilities (JSON)"
    )
    judged.add_argument(
        "--minimum-severity", choices=_SEVERITIES, default="none", help="tolerate what is known to be below"
    )
    judged.add_argument("--only-fixable", action="store_true", help="tolerate what no version mends")
    judged.add_argument("--only-direct", action="store_true", help="tolerate what is known to be transitive only")
    judged.add_argument(
        "--trust-internal", action="store_true",
        help="list your own packages (--internal), and do not be incomplete for them: they are audited elsewhere",
    )  # fmt: skip
    output = parser.add_argument_group("the report")
    output.add_argument("--format", choices=FORMATS, default="table", help="default: table")
    output.add_argument("--json", dest="format", action=Once, nargs=0, const="json", help="the same as --format json")
    output.add_argument("--output", metavar="FILE", type=as_path, help="write it there instead of to standard output")
    parser.set_defaults(run=run_audit)


def add_sources(parser: argparse.ArgumentParser) -> None:
    """The options that name advisory sources."""
    sources = parser.add_argument_group(
        "advisory sources (those named are the only ones asked; default: HOLDTRUE_AUDIT_SOURCES)"
    )
    sources.add_argument("--osv-url", metavar="URL", help="an OSV API, such as https://api.osv.dev")
    sources.add_argument("--osv-db", metavar="FILE", type=as_path, help="an OSV dump: .jsonl, .jsonl.gz or .zip")
    sources.add_argument("--pypi-url", metavar="URL", help="a PyPI that serves advisories, such as https://pypi.org")
    sources.add_argument("--pip-audit-url", metavar="URL", help="an OSV API, asked by pip-audit")
    sources.add_argument("--max-age-days", metavar="N", type=as_days, help="a dump with older data is not enough")


def run_audit(options: argparse.Namespace) -> ExitCode:
    """Read, ask, judge, report."""
    from holdtrue.auditing import audit  # noqa: PLC0415 - a command imports what it needs when it runs
    from holdtrue.settings import load_settings  # noqa: PLC0415

    settings = load_settings()
    default_to_current_folder(options)
    with unwound_on_termination(), _destination(options) as deliver:
        sources, judgement = open_sources(options, settings), _judgement(options)
        inventories = read_inputs(options)
        report = audit(inventories, sources, judgement)
        deliver(report, inventories)
    for source in report.sources:
        if source.failure:
            complain(f"{source.name}: {source.failure}")
    complain_of_age(options, settings, report)
    return exit_code(report.verdict)


def complain_of_age(options: argparse.Namespace, settings: "Settings", report: "AuditReport") -> None:
    """Say which dumps are old, where nobody said how old they may be."""
    if options.max_age_days is not None or settings.osv_db_max_age_days is not None:
        return
    from holdtrue.core.audit_age import stale_sources  # noqa: PLC0415 - a command imports what it needs when it runs

    for source in stale_sources(report):
        from holdtrue.core.audit_output.phrases import stale_text  # noqa: PLC0415 - hardly ever wanted

        complain(stale_text(source, report.started_at))


@contextmanager
def _destination(options: argparse.Namespace) -> "Iterator[Callable[[AuditReport, Sequence[Inventory]], None]]":
    """What takes the report to where it is wanted; that it can be written there is known before anything is asked."""

    def print_it(report: "AuditReport", inventories: "Sequence[Inventory]") -> None:
        text = render(options.format, report, inventories, width=terminal_width())
        show(text, is_document=is_document(options.format))

    if is_standard_output(options.output):
        yield print_it
        return
    refuse_inputs(options.output, files_read(options))
    with replacing(options.output) as write:

        def file_it(report: "AuditReport", inventories: "Sequence[Inventory]") -> None:
            from holdtrue.core.audit_output.phrases import verdict_text  # noqa: PLC0415

            write(render(options.format, report, inventories) + "\n")
            complain(f"{verdict_text(report)}. Report: {options.output}")

        yield file_it


def exit_code(verdict: "AuditVerdict") -> ExitCode:
    """What the command ends with; findings outweigh gaps."""
    from holdtrue.models.audit import AuditVerdict  # noqa: PLC0415

    match verdict:
        case AuditVerdict.CLEAN:
            return ExitCode.GOOD
        case AuditVerdict.VULNERABLE:
            return ExitCode.FINDINGS
        case AuditVerdict.INCOMPLETE:
            return ExitCode.COULD_NOT_LOOK
        case _:
            assert_never(verdict)


def open_sources(options: argparse.Namespace, settings: "Settings") -> "tuple[AdvisorySource, ...]":
    """The sources that the options name, or else those of the settings.

    Raises:
        RejectedError: an address is none, or the settings ask for a dump and name none.
    """
    from holdtrue.auditing import SourceAddresses, advisory_sources  # noqa: PLC0415

    named = SourceAddresses(
        osv_url=options.osv_url, osv_db=options.osv_db, pypi_url=options.pypi_url, pip_audit_url=options.pip_audit_url
    )
    return advisory_sources(settings, named=named, maximum_age_days=options.max_age_days)


def _judgement(options: argparse.Namespace) -> "Judgement":
    from holdtrue.auditing import Judgement  # noqa: PLC0415
    from holdtrue.models.audit import AuditPolicy, Severity  # noqa: PLC0415

    policy = AuditPolicy(
        minimum_severity=Severity(options.minimum_severity),
        only_fixable=options.only_fixable,
        only_direct=options.only_direct,
        internal_is_audited_elsewhere=options.trust_internal,
    )
    if not (options.waivers or options.vex or options.epss or options.kev):
        return Judgement(policy)
    from holdtrue.adapters.audit_inputs import read_judgement_files  # noqa: PLC0415

    waivers, exploitation = read_judgement_files(
        waivers=options.waivers, vex=options.vex, epss=options.epss, kev=options.kev
    )
    return Judgement(policy, waivers, exploitation)
