"""The Configurator that runs an ordinary playbook."""

import itertools
import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import JsonValue, SecretStr

from holdtrue.adapters.ansible.events import parse_event
from holdtrue.adapters.ansible.failures import find_failure, playbook_missing
from holdtrue.adapters.ansible.inventory import render_inventory, render_variables
from holdtrue.adapters.ansible.overrides import overridden
from holdtrue.adapters.ansible.record import RunRecord
from holdtrue.adapters.ansible.selection import ALL_TASKS, TaskSelection
from holdtrue.adapters.ansible.settings import (
    UserSettings,
    ansible_environment,
    connection_variables,
    find_user_settings,
    forks,
    secret_environment,
)
from holdtrue.core.redaction import redact
from holdtrue.errors import ConfigurationFailed, ToolMissing, keeping_done
from holdtrue.models.base import Progress, ProgressLevel, ProgressSink, ignore_progress
from holdtrue.models.configuration import ConfigurationRun, HandlerSink, ignore_handlers
from holdtrue.models.credentials import SshAccess
from holdtrue.models.host import Host
from holdtrue.runtime.folder import private_folder
from holdtrue.runtime.process import ToolRun, ToolTimeout, run_tool, tool_environment
from holdtrue.runtime.tracing import span

_PROGRAM = "ansible-playbook"
_CALLBACKS = Path(__file__).with_name("callback")
_CHILD = Path(__file__).with_name("child.py")
"""Run by its path, because as a module it would import this package, and with it what only the parent needs."""
_GRACE_SECONDS = 10.0
_RUNNER_SETTINGS = {"pexpect_timeout": 1, "suppress_output_file": True}
"""Written to env/settings: ansible-runner 2.4 loses the argument of that name when it may write no env files.

A cancelled run is noticed every second, not every five; what Ansible prints is kept in no file.
"""


class AnsibleConfigurator:
    """Runs `playbook` on `hosts` through `access`; implements `Configurator`.

    `variables` and `secrets` become extra variables, which win over all others; strings in them are literal. Secrets
    exist in memory only, and their values are removed from everything that comes back. A playbook's own files, its
    roles, group_vars and ansible.cfg are used as they are. Without a `selection` every task runs.
    """

    def __init__(
        self,
        *,
        playbook: Path,
        hosts: Sequence[Host],
        access: SshAccess,
        timeout_seconds: float,
        variables: Mapping[str, JsonValue] | None = None,
        secrets: Mapping[str, SecretStr] | None = None,
        selection: TaskSelection = ALL_TASKS,
    ) -> None:
        self._playbook = playbook.absolute()
        self._hosts = tuple(hosts)
        self._access = access
        self._timeout_seconds = timeout_seconds
        self._variables = dict(variables or {})
        self._selection = selection
        self._secrets = {name: value.get_secret_value() for name, value in (secrets or {}).items()}

    def apply(
        self, on_progress: ProgressSink = ignore_progress, on_handler: HandlerSink = ignore_handlers
    ) -> ConfigurationRun:
        """Run the playbook. If a run that has begun fails, the error's `done` is what was recorded until then.

        Raises:
            ConfigurationFailed: the playbook is wrong, a task failed, or a host was in no play.
            HostUnreachable: a host does not answer.
            ToolMissing: ansible-playbook is not installed.
            ResourceMissing: the playbook does not exist.
            UnavailableError: ansible-runner was interrupted, or ended without a result.
            ToolTimeout: it took longer than it may.
        """
        return self._run(RunRecord(on_progress, on_handler, selection=self._selection), on_progress)

    def check(self, on_progress: ProgressSink = ignore_progress) -> ConfigurationRun:
        """Report what would change, with diffs; change nothing. Unreachable hosts are in the result.

        Settings of ansible.cfg that are not used are reported first, because no preflight precedes a check.
        Tasks that cannot run in check mode are SKIPPED results. Raises what `apply` raises; HostUnreachable only if
        unreachable hosts kept Ansible from reaching others.
        """
        if notice := overridden(self._user_settings()):
            on_progress(Progress(message=notice))
        return self._run(RunRecord(on_progress, check=True, selection=self._selection), on_progress)

    def _run(self, record: RunRecord, on_progress: ProgressSink) -> ConfigurationRun:
        self._refuse_the_impossible()
        if self._selection:
            on_progress(Progress(message=f"only tasks {self._selection}"))
        with span(_PROGRAM, check=record.check) as current, private_folder("ht-ansible") as folder:
            with keeping_done(record.run):
                ended = self._run_child(folder, record, on_progress)
                failure = find_failure(
                    record,
                    hosts=[host.name for host in self._hosts],
                    playbook=str(self._playbook),
                    error_tail=redact(ended.error_tail, self._secrets.values()),
                )
                if failure is not None:
                    raise failure
                untouched = {host.host for host in record.run().untouched}
                if self._selection and untouched.issuperset(host.name for host in self._hosts):
                    raise self._nothing_selected()
            current.set_attribute("ansible.changed", sum(summary.changed for summary in record.summaries()))
        return record.run()

    def _nothing_selected(self) -> ConfigurationFailed:
        return ConfigurationFailed(
            f"no task {self._selection} ran on any host",
            where=str(self._playbook),
            next_step="correct `configuration.tags` and `configuration.skip_tags` in the manifest; `ansible-playbook"
            " --list-tags` lists the playbook's tags",
        )

    def _refuse_the_impossible(self) -> None:
        if not self._hosts:
            raise ConfigurationFailed(
                "there is no host to configure",
                where=str(self._playbook),
                next_step="check the stack output named by `infrastructure.hosts_output`",
            )
        if not self._playbook.is_file():
            raise playbook_missing(self._playbook)
        path = tool_environment({})["PATH"]
        if shutil.which(_PROGRAM, path=path) is None:
            raise ToolMissing(
                f"{_PROGRAM} is not on PATH",
                where=path,
                next_step="install ansible-core in the worker's Python environment, or elsewhere on its PATH",
            )

    def _user_settings(self) -> UserSettings:
        return find_user_settings(self._playbook, Path(tool_environment({}).get("HOME", "/")))

    def _run_child(self, folder: Path, record: RunRecord, on_progress: ProgressSink) -> ToolRun:
        base = tool_environment({})
        home = Path(base.get("HOME", str(folder)))
        (folder / "env").mkdir()
        _write(folder / "env" / "settings", json.dumps(_RUNNER_SETTINGS))
        user = self._user_settings()
        environment = ansible_environment(
            user, access=self._access, folder=folder, home=home, callbacks=_CALLBACKS, locale=base
        )
        environment |= secret_environment(user, tuple(self._secrets))
        if self._secrets and "log_path" in user.options:
            why = "Ansible's output may contain the playbook's secrets"
            message = f"log_path of {user.path} is not used: {why}"
            on_progress(Progress(message=message, level=ProgressLevel.WARNING))

        number = itertools.count(1)

        def take(line: str) -> None:
            record.take(parse_event(line, where=f"{self._playbook}, line {next(number)} of the run's events"))

        request = {
            "folder": str(folder),
            "project": str(self._playbook.parent),
            "playbook": str(self._playbook),
            "inventory": _write(folder / "hosts.yml", render_inventory(self._hosts)),
            "variables": _write(folder / "variables.yml", render_variables(self._variables)),
            "connection": _write(folder / "connection.yml", render_variables(connection_variables(self._access))),
            "secret_variables": render_variables(self._secrets) if self._secrets else "",
            "redact": list(self._secrets.values()),
            "forks": forks(user, len(self._hosts)),
            "selection": self._selection.arguments(),
            "check": record.check,
        }
        try:
            return run_tool(
                [sys.executable, "-P", str(_CHILD)],
                environment=base | environment,
                folder=folder,
                on_line=take,
                timeout_seconds=self._timeout_seconds,
                grace_seconds=_GRACE_SECONDS,
                standard_input=json.dumps(request),
            )
        except ToolTimeout as error:
            waiting = ", ".join(record.running) or "its start"
            raise ToolTimeout(
                f"{_PROGRAM} did not end within {self._timeout_seconds:g} s and was stopped; it waited for {waiting}",
                where=str(self._playbook),
                next_step="find out what the task waits for, or raise `configuration.timeout_seconds` in the manifest",
            ) from error


def _write(path: Path, text: str) -> str:
    path.write_text(text, encoding="utf-8")
    return str(path)
