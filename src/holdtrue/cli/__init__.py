"""The `holdtrue` command: the library's decisions on a laptop, in pre-commit and in CI, without an orchestrator.

Each command imports what it needs when it runs, so that a shell's completion or a schema costs no adapter's start.
"""

import argparse
import gc
import json
import os
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, assert_never

from holdtrue.cli.approvals import add_approvals
from holdtrue.cli.arguments import Parser, as_name, as_path
from holdtrue.cli.audit import add_audit
from holdtrue.cli.fix import add_fix
from holdtrue.cli.handlers import add_acknowledge, add_handlers
from holdtrue.cli.locks import add_locks, add_unlock
from holdtrue.cli.session import ExitCode, complain, show, show_json, show_lines, unwound_on_termination

__all__ = ["ExitCode", "main"]

_COLLECTION_THRESHOLD: Final = 100_000
"""Objects made between two collections of the youngest."""

_ISSUES: Final = "https://github.com/holdtrue/holdtrue/issues"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; errors are printed on standard error."""
    from holdtrue.errors import HoldtrueError, RejectedError  # noqa: PLC0415 - after `--help` has had its chance

    options = _build_parser().parse_args(arguments)
    _start_quickly()
    run: Callable[[argparse.Namespace], ExitCode] = options.run
    try:
        return run(options)
    except RejectedError as error:
        complain(str(error))
        return ExitCode.BAD_INPUT
    except HoldtrueError as error:
        complain(str(error))
        return ExitCode.COULD_NOT_LOOK
    except KeyboardInterrupt:
        complain("interrupted")
        return 128 + signal.SIGINT
    except Exception as error:  # noqa: BLE001 - the last net: ended by Python, it would end with 1, which is a finding
        complain(_defect(error))
        return ExitCode.COULD_NOT_LOOK


def _start_quickly() -> None:
    """Leave out what takes a tenth of a short command.

    That is to look for cycles in modules that it has just loaded, and for plugins of pydantic in the metadata of
    everything that is installed.
    """
    gc.set_threshold(_COLLECTION_THRESHOLD, *gc.get_threshold()[1:])
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")


def _defect(error: Exception) -> str:
    """What and where, without the error's own text: it may hold anything."""
    from traceback import extract_tb  # noqa: PLC0415 - hardly ever wanted

    library = Path(__file__).parents[1]
    place = [frame for frame in extract_tb(error.__traceback__) if Path(frame.filename).is_relative_to(library)][-1]
    where = f"{Path(place.filename).relative_to(library)}, line {place.lineno}, {place.name}"
    return f"this is a defect of holdtrue: {type(error).__name__} ({where}). Next: report this line at {_ISSUES}"


def _build_parser() -> argparse.ArgumentParser:
    parser = Parser(prog="holdtrue", description=__doc__.splitlines()[0] if __doc__ else None)
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    schema = commands.add_parser("schema", help="print the JSON Schema of the environment manifest")
    schema.set_defaults(run=_print_schema)
    add_audit(commands.add_parser("audit", help="audit dependencies: 0 clean, 1 vulnerable, 2 bad input, 3 incomplete"))
    add_fix(
        commands.add_parser("fix", help="print the smallest bumps that remove findings, as a patch: 1 findings, 0 none")
    )
    preflight = commands.add_parser("preflight", help="ask everything a provision needs: 0 all there, 1 broken")
    _add_fleet(preflight)
    preflight.add_argument("--json", action="store_true", help="print the report as JSON")
    preflight.set_defaults(run=_preflight)
    policy = commands.add_parser("policy", help="print the Vault policy (HCL) that a flow needs for an environment")
    _add_fleet(policy)
    policy.add_argument("--flow", choices=("provision", "validate", "drift", "sweep"), default="provision")
    policy.set_defaults(run=_print_policy)
    add_locks(
        commands.add_parser("locks", help="list who locks which environment: 0 good, 1 a holder is silent, 3 no ledger")
    )
    add_unlock(commands.add_parser("unlock", help="release an environment's lock: 0 free, 2 refused, 3 no ledger"))
    add_handlers(
        commands.add_parser(
            "handlers", help="list handlers that were notified and have not run: 0 none, 1 some, 3 no ledger"
        )
    )
    add_acknowledge(
        commands.add_parser(
            "acknowledge", help="the work of a handler is done: 0 noted, 2 no such handler, 3 no ledger"
        )
    )
    add_approvals(
        commands.add_parser(
            "approvals", help="list the approvals that plans needed: 0 none is open, 1 one is open, 3 no ledger"
        )
    )
    _add_leaks(
        commands.add_parser("leaks", help="search places for secrets: 0 clean, 1 leaked, 2 bad input, 3 incomplete")
    )
    _add_check_deployments(
        commands.add_parser(
            "check-deployments",
            help="find secrets that deployments would keep in clear: 0 none, 1 some, 2 bad input, 3 incomplete",
        )
    )
    return parser


def _add_fleet(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "environment", metavar="ENVIRONMENT", type=as_name, help="name of a file in the fleet's environments folder"
    )
    parser.add_argument("--fleet", metavar="FOLDER", type=as_path, help="the fleet (default: HOLDTRUE_FLEET)")


def _add_leaks(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("paths", metavar="PATH", type=as_path, nargs="*", help="a file or folder, packed ones included")
    parser.add_argument(
        "--values", metavar="FILE", type=as_path, default=Path("-"),
        help="the values, in a file that only you can read (default: standard input); lines, NAME=VALUE lines, or JSON",
    )  # fmt: skip
    parser.add_argument(
        "--exclude", metavar="PATH", type=as_path, action="append", default=[],
        help="a file or folder to leave out (repeatable)",
    )  # fmt: skip
    parser.add_argument(
        "--database", dest="databases", metavar="URL", action="append", default=[],
        help="a database, all its tables; env:NAME reads the URL from a variable (repeatable)",
    )  # fmt: skip
    parser.add_argument("--processes", action="store_true", help="command lines and environments on this machine")
    parser.add_argument(
        "--exclude-pid", dest="excluded_pids", metavar="PID", type=int, action="append", default=[],
        help="a process to leave out (repeatable)",
    )  # fmt: skip
    parser.add_argument("--prefect-api", metavar="URL", help="a Prefect server, with PREFECT_API_KEY or _AUTH_STRING")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.set_defaults(run=_search_leaks)


def _add_check_deployments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "files", metavar="FILE", type=as_path, nargs="*", default=[Path("prefect.yaml")],
        help="a prefect.yaml, or a work pool's base job template (default: prefect.yaml)",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.set_defaults(run=_check_deployments)


def _print_schema(_: argparse.Namespace) -> ExitCode:
    from holdtrue.models.environment import Environment  # noqa: PLC0415 - see the module's docstring

    show(json.dumps(Environment.model_json_schema(), indent=2), is_document=True)
    return ExitCode.GOOD


def _preflight(options: argparse.Namespace) -> ExitCode:
    from holdtrue.adapters.manifest import load_environment  # noqa: PLC0415 - see the module's docstring
    from holdtrue.credentials.documents import load_documents  # noqa: PLC0415
    from holdtrue.credentials.scope import RunLabel, credential_scope  # noqa: PLC0415
    from holdtrue.models.preflight import PreflightReport, PrerequisiteOutcome  # noqa: PLC0415
    from holdtrue.preflight import ask_chain  # noqa: PLC0415
    from holdtrue.toolbox import real_tools  # noqa: PLC0415

    fleet = _fleet(options)
    environment, documents = load_environment(fleet, options.environment), load_documents(fleet)
    with unwound_on_termination(), credential_scope(RunLabel(flow="holdtrue preflight")):
        found = ask_chain(environment, documents.load, real_tools(documents.load), keeps_login=False)
    report = PreflightReport(environment=environment.name, prerequisites=found)
    if options.json:
        show_json(report)
    for item in () if options.json else report.prerequisites:
        advice = f" Next: {item.next_step}" if item.outcome is PrerequisiteOutcome.BROKEN else ""
        show_lines([f"{item.outcome:<14} {item.name}: {item.detail}{advice}"])
    return ExitCode.FINDINGS if report.broken else ExitCode.GOOD


def _print_policy(options: argparse.Namespace) -> ExitCode:
    from holdtrue.adapters.manifest import load_environment  # noqa: PLC0415 - see the module's docstring
    from holdtrue.core.vault_policy import PREFLIGHT_CAPABILITIES, SWEEP_CAPABILITIES, policy  # noqa: PLC0415
    from holdtrue.credentials.documents import load_documents, load_references, load_secrets  # noqa: PLC0415

    fleet = _fleet(options)
    environment = load_environment(fleet, options.environment)
    documents = load_documents(fleet)
    references = load_references(documents, environment.credentials)
    if options.flow in ("provision", "drift"):  # The others run no playbook.
        references += load_secrets(documents, environment)
    match options.flow:
        case "sweep":
            needs = [dict(SWEEP_CAPABILITIES)]
        case "provision":
            needs = [dict(PREFLIGHT_CAPABILITIES), *(reference.capabilities() for reference in references)]
        case _:
            needs = [reference.reading_capabilities() for reference in references]
    show(policy(needs), is_document=True)
    return ExitCode.GOOD


def _search_leaks(options: argparse.Namespace) -> ExitCode:
    from holdtrue.adapters import leaks  # noqa: PLC0415 - see the module's docstring
    from holdtrue.core.leak_report import describe  # noqa: PLC0415
    from holdtrue.models.leak import Files, LeakVerdict, Place, Processes  # noqa: PLC0415

    # The values come from there, and are not found there.
    excluded = (*options.exclude, Path("/dev/stdin") if options.values == Path("-") else options.values)
    places: list[Place] = [Files(path=path, exclude=excluded) for path in options.paths]
    places += [leaks.database_at(url, os.environ) for url in options.databases]
    places += [Processes(exclude=frozenset(options.excluded_pids))] if options.processes else []
    places += [leaks.prefect_api_at(options.prefect_api, os.environ)] if options.prefect_api else []
    with unwound_on_termination():
        report = leaks.search(leaks.read_values(options.values), places)
    if options.json:
        show_json(report)
    else:
        show_lines(describe(report))
    match report.verdict:
        case LeakVerdict.CLEAN:
            return ExitCode.GOOD
        case LeakVerdict.LEAKED:
            return ExitCode.FINDINGS
        case LeakVerdict.INCOMPLETE:
            return ExitCode.COULD_NOT_LOOK
        case _:
            assert_never(report.verdict)


def _check_deployments(options: argparse.Namespace) -> ExitCode:
    from holdtrue.adapters.deployment_file import read_deployment_file  # noqa: PLC0415 - see the module's docstring
    from holdtrue.core.deployment_exposure import check_deployments, describe  # noqa: PLC0415
    from holdtrue.models.deployment import ExposureVerdict  # noqa: PLC0415

    check = check_deployments([read_deployment_file(path) for path in options.files])
    if options.json:
        show_json(check)
    else:
        show_lines(describe(check))
    match check.verdict:
        case ExposureVerdict.CLEAN:
            return ExitCode.GOOD
        case ExposureVerdict.EXPOSED:
            return ExitCode.FINDINGS
        case ExposureVerdict.INCOMPLETE:
            return ExitCode.COULD_NOT_LOOK
        case _:
            assert_never(check.verdict)


def _fleet(options: argparse.Namespace) -> Path:
    """The fleet of the command line, which the adapters find by the setting."""
    from holdtrue.settings import in_home, load_settings  # noqa: PLC0415 - see the module's docstring

    if options.fleet is not None:
        os.environ["HOLDTRUE_FLEET"] = str(options.fleet)
    return in_home(load_settings().fleet, setting="HOLDTRUE_FLEET")
