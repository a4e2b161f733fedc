"""Testinfra: ordinary check files, unchanged, run by pytest in a child process against every host."""

import json
import os
import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from holdtrue.core.excerpt import excerpt
from holdtrue.models.base import Progress, ProgressLevel, ProgressSink, ignore_progress
from holdtrue.models.credentials import SshAccess
from holdtrue.models.host import Host
from holdtrue.models.validation import CheckOutcome, CheckResult
from holdtrue.runtime.folder import private_folder
from holdtrue.runtime.pytest_configuration import PytestConfiguration, find_configuration
from holdtrue.runtime.pytest_run import (
    NO_CONFIGURATION,
    CaseResult,
    CollectedCase,
    PytestEnd,
    PytestRequest,
    PytestRun,
    run_pytest,
)
from holdtrue.runtime.tracing import span

_KIND: Final = "testinfra"
_NO_HOST: Final = "worker"
"""Target of a check that asks for no host: it ran on the worker, and says nothing about any host."""

_SHORTEST_CASE_SECONDS: Final = 10.0
_DETAIL_CHARACTERS: Final = 500

_NOT_USED: Final = {
    "addopts": "every check runs, with the options that Holdtrue gives; a conftest.py may set what the checks need",
    "required_plugins": "no plugin of the worker is loaded; a conftest.py may name the needed ones in pytest_plugins",
}
"""Settings of a pytest configuration that would change which checks run, or where; and why they do not count."""

_EXCEPTION: Final = re.compile(r"^E   (\S.*)$", re.MULTILINE)
_MOLECULE: Final = re.compile(r"KeyError: '(MOLECULE_\w+)'")
_INVENTORY: Final = "MOLECULE_INVENTORY_FILE"


class TestinfraChecks:
    """A `HostChecks` over Testinfra suites (files or folders).

    The conftest.py and the pytest configuration of the suites are read, plugins of the worker are not; what does not
    count of the configuration is told. Connections are those of `access.config`; Testinfra itself gives no ControlPath
    and would open one for every command. Suites that were written for Molecule find the hosts' inventory where Molecule
    puts it.
    A check may take its share of `timeout_seconds`, so a host that hangs costs the others nothing.
    """

    __test__ = False

    def __init__(
        self, *, suites: Sequence[Path], access: SshAccess, timeout_seconds: float, boundary: Path | None = None
    ) -> None:
        """Above `boundary`, without it above the folder of all suites, no configuration is looked for."""
        self._suites = [suite.absolute() for suite in suites]
        self._boundary = None if boundary is None else boundary.absolute()
        self._access = access
        self._timeout_seconds = timeout_seconds

    def run(self, hosts: Sequence[Host], on_progress: ProgressSink = ignore_progress) -> tuple[CheckResult, ...]:
        """Run every suite on every host; empty when there is nothing to run, which proves nothing.

        A suite that cannot be collected, a file without a check, a host that is lost and a check that did not end are
        results with outcome `error`, one for every host they concern.

        Raises:
            ToolMissing: this Python cannot be started.
        """
        present = [suite for suite in self._suites if suite.exists()]
        names = [host.name for host in hosts]
        absent = [suite for suite in self._suites if suite not in present]
        results = [_error(name, suite.name, "the suite is not there") for suite in absent for name in names]
        if present and names:
            with span("testinfra", hosts=len(names), suites=len(present)), private_folder("holdtrue-suites") as folder:
                inventory = folder / "inventory.json"
                inventory.write_text(_inventory(hosts, self._access))
                results += self._run(present, names, inventory, on_progress)
        return tuple(results)

    def _run(
        self, suites: Sequence[Path], hosts: Sequence[str], inventory: Path, on_progress: ProgressSink
    ) -> list[CheckResult]:
        root = Path(os.path.commonpath([suite if suite.is_dir() else suite.parent for suite in suites]))
        within = self._boundary is not None and root.is_relative_to(self._boundary)
        configuration = find_configuration(root, boundary=self._boundary if within and self._boundary else root)
        results: list[CheckResult] = []
        for message in _of_configuration(configuration):
            on_progress(Progress(message=message, level=ProgressLevel.WARNING))

        def on_notice(text: str) -> None:
            if "cache_dir" not in text:  # There is no cache in a run of ours.
                on_progress(Progress(message=f"pytest: {text}", level=ProgressLevel.WARNING))

        def on_case(case: CollectedCase, result: CaseResult, done: int, total: int) -> None:
            results.append(_as_check(case, result))
            on_progress(_as_progress(results[-1], done, total))

        ended = run_pytest(
            PytestRequest(
                paths=suites,
                root=root,
                folder=root,
                options=[
                    *("-p", "testinfra.plugin", "-p", "holdtrue.adapters.testinfra_plugin"),
                    f"--hosts={','.join(f'ssh://{host}' for host in hosts)}",
                    f"--ssh-config={self._access.config}",
                    *([option for name in _NOT_USED for option in ("-o", f"{name}=")] if configuration else []),
                ],
                environment={"SSH_AUTH_SOCK": str(self._access.agent_socket), _INVENTORY: str(inventory)},
                configuration=configuration.path if configuration else NO_CONFIGURATION,
                conftest_root=configuration.path.parent if configuration else None,
                case_timeout_seconds=self._case_timeout_seconds(len(hosts)),
            ),
            timeout_seconds=self._timeout_seconds,
            on_case=on_case,
            on_notice=on_notice,
        )
        return [*results, *_unseen(ended, root, suites, hosts)]

    def _case_timeout_seconds(self, hosts: int) -> float:
        """A hanging host is given up after one check; with this share all of them may hang within the whole time."""
        share = self._timeout_seconds / (hosts + 1)
        return max(share, min(_SHORTEST_CASE_SECONDS, self._timeout_seconds / 2))


def _inventory(hosts: Sequence[Host], access: SshAccess) -> str:
    """An Ansible inventory of the names by which the run's ssh_config knows the hosts; nothing in it is secret."""
    arguments = f"-F {shlex.quote(str(access.config))}"
    named = {host.name: {"ansible_user": host.user, "ansible_ssh_common_args": arguments} for host in hosts}
    return json.dumps({"all": {"hosts": named}})


def _of_configuration(configuration: PytestConfiguration | None) -> Iterator[str]:
    """What does not count of it."""
    for name, reason in _NOT_USED.items() if configuration else ():
        if configuration and (value := configuration.settings.get(name)):
            shown = excerpt(" ".join(str(value).split()), _DETAIL_CHARACTERS)
            yield f"{configuration.path} is used, but not its {name} ({shown}): {reason}"


def _unseen(run: PytestRun, root: Path, suites: Sequence[Path], hosts: Sequence[str]) -> Iterator[CheckResult]:
    """What was to be checked and has no result, as results."""
    why = _why(run)
    for case in run.unfinished:
        yield _error(case.target or _NO_HOST, case.name, why)
    for file in run.uncollected:
        outcome = CheckOutcome.SKIPPED if file.skipped else CheckOutcome.ERROR
        name = Path(file.node_id).name or root.name
        for host in hosts:
            yield CheckResult(target=host, name=name, kind=_KIND, outcome=outcome, detail=_advised(file.detail))
    for empty in run.empty:
        detail = "all its tests are deselected" if empty.deselected else "the file has no test"
        detail += ": add one, or take the file out of the suites"
        yield from (_error(host, Path(empty.node_id).name, detail) for host in hosts)
    if run.end in {PytestEnd.COMPLETED, PytestEnd.NOTHING_COLLECTED}:
        for suite in suites:
            if not _is_collected(suite, root, run):
                yield from (_error(host, suite.name, "the suite holds no check") for host in hosts)
    elif not run.unfinished:
        yield from (_error(host, suite.name, why) for suite in suites for host in hosts)


def _is_collected(suite: Path, root: Path, run: PytestRun) -> bool:
    node_ids = [case.node_id for case in run.collected]
    node_ids += [file.node_id for file in run.uncollected] + [file.node_id for file in run.empty]
    return any((root / node_id.partition("::")[0]).is_relative_to(suite) for node_id in node_ids)


def _why(run: PytestRun) -> str:
    if run.end is PytestEnd.TIMED_OUT:
        return run.output_tail
    last_lines = "\n".join(run.output_tail.splitlines()[-8:])
    exceptions = _EXCEPTION.findall(run.output_tail)
    said = f"{exceptions[-1]}\n{last_lines}" if exceptions else last_lines
    return _advised(excerpt(f"pytest {run.end}: {said}", 2 * _DETAIL_CHARACTERS))


def _advised(detail: str) -> str:
    """The detail, after what to do about a suite that needs more of Molecule than its inventory."""
    missing = _MOLECULE.search(detail)
    if missing is None:
        return detail
    return (
        f"the suite was written for Molecule and needs {missing[1]}, which Molecule sets; here {_INVENTORY} is set, and"
        f" no other: let it do without, as with os.environ.get\n{detail}"
    )


def _as_check(case: CollectedCase, result: CaseResult) -> CheckResult:
    place = f"{result.where}: " if result.where else ""
    return CheckResult(
        target=case.target or _NO_HOST,
        name=case.name,
        kind=_KIND,
        outcome=CheckOutcome(result.outcome.value),
        detail=excerpt(f"{place}{result.detail}", _DETAIL_CHARACTERS),
        duration_seconds=result.duration_seconds,
    )


def _as_progress(check: CheckResult, done: int, total: int) -> Progress:
    level = {
        CheckOutcome.PASSED: ProgressLevel.INFO,
        CheckOutcome.SKIPPED: ProgressLevel.WARNING,
        CheckOutcome.FAILED: ProgressLevel.ERROR,
        CheckOutcome.ERROR: ProgressLevel.ERROR,
    }[check.outcome]
    first_line = next(iter(check.detail.splitlines()), "")
    parts = [check.target, check.outcome, check.name, *([first_line] if first_line else [])]
    return Progress(message=" | ".join(parts), level=level, done=done, total=total)


def _error(target: str, name: str, detail: str) -> CheckResult:
    return CheckResult(target=target, name=name, kind=_KIND, outcome=CheckOutcome.ERROR, detail=detail)
