"""What Ansible can say about a playbook before anything is changed: its syntax, its hosts, and what it requires."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from pydantic import JsonValue

from holdtrue.adapters.ansible.failures import playbook_error, playbook_missing
from holdtrue.adapters.ansible.galaxy import ask_requirements, find_requirement_files, search_paths
from holdtrue.adapters.ansible.inventory import render_inventory, render_variables
from holdtrue.adapters.ansible.overrides import overridden
from holdtrue.adapters.ansible.settings import UserSettings, ansible_environment, find_user_settings
from holdtrue.errors import ConfigurationFailed, HoldtrueError, UnavailableError
from holdtrue.models.credentials import SshAccess
from holdtrue.models.host import Host
from holdtrue.models.preflight import Prerequisite, PrerequisiteOutcome
from holdtrue.runtime.folder import private_folder
from holdtrue.runtime.process import ToolRun, run_tool, tool_environment

_HOST_LINE: Final = re.compile(r"^ {6}(\S+)$", re.MULTILINE)
_LATER: Final = re.compile(r"Error processing keyword")
"""A keyword of a play with a variable: it may come from facts, a group that an earlier play makes, or a secret."""
_DYNAMIC: Final = re.compile(r"\b(?:add_host|group_by)\b")


class PlaybookQuestions:
    """Asks about one playbook, with the ansible.cfg that a run would use. Connects to no host, writes nothing."""

    def __init__(
        self, *, playbook: Path, root: Path, timeout_seconds: float, variables: Mapping[str, JsonValue] | None = None
    ) -> None:
        self._playbook = playbook.absolute()
        self._variables = dict(variables or {})
        self._root = root.absolute()
        self._timeout_seconds = timeout_seconds

    def ask(self, hosts: Sequence[Host]) -> tuple[Prerequisite, ...]:
        """The playbook's prerequisites. `hosts` are those that the stack has now; none before its first apply."""
        user = find_user_settings(self._playbook, Path(tool_environment({}).get("HOME", "/")))
        if not self._playbook.is_file():
            return (_with_notice(_broken("playbook", playbook_missing(self._playbook)), user),)
        with private_folder("ht-ansible") as folder:
            inventory = folder / "hosts.yml"
            inventory.write_text(render_inventory(hosts), encoding="utf-8")
            (folder / "variables.yml").write_text(render_variables(self._variables), encoding="utf-8")
            environment = _environment(user, folder)
            return (
                _with_notice(self._syntax(hosts, folder, environment), user),
                *self._requirements(environment),
            )

    def _syntax(self, hosts: Sequence[Host], folder: Path, environment: Mapping[str, str]) -> Prerequisite:
        listing: list[str] = []
        command = ["ansible-playbook", "--list-hosts", "-i", str(folder / "hosts.yml")]
        command += [f"-e@{folder / 'variables.yml'}", str(self._playbook)]
        try:
            ended = self._run(command, environment, listing)
        except HoldtrueError as error:
            return _broken("playbook", error)
        if ended.exit_code:
            report, where = playbook_error(ended.error_tail or "\n".join(listing), str(self._playbook))
            if _LATER.search(report):
                return Prerequisite(
                    name="playbook",
                    outcome=PrerequisiteOutcome.DOUBTFUL,
                    detail=f"cannot be checked before it runs: {report} ({where}). If the run fails there, make sure"
                    " that the variables of that line have a value when the play starts",
                )
            failure = ConfigurationFailed(
                f"the playbook cannot run: {report or f'exit code {ended.exit_code}, no output'}",
                where=where,
                next_step="correct the playbook; `ansible-playbook --syntax-check` shows the same error",
            )
            return _broken("playbook", failure)
        return self._hosts_in_plays(hosts, "\n".join(listing))

    def _hosts_in_plays(self, hosts: Sequence[Host], listing: str) -> Prerequisite:
        """Hosts in no play are only doubtful: the coming apply may add them to the groups of a play."""
        listed = set(_HOST_LINE.findall(listing))
        unplayed = [host.name for host in hosts if host.name not in listed]
        if unplayed and not _DYNAMIC.search(self._playbook.read_text(encoding="utf-8", errors="replace")):
            return Prerequisite(
                name="playbook",
                outcome=PrerequisiteOutcome.DOUBTFUL,
                detail=f"no play matches {', '.join(unplayed)} as the stack has them now: unless this apply changes"
                f" their names or groups, the configuration will fail; check the `hosts:` patterns in {self._playbook}",
            )
        return Prerequisite(name="playbook", outcome=PrerequisiteOutcome.OK, detail=f"{self._playbook.name} is valid")

    def _requirements(self, environment: Mapping[str, str]) -> tuple[Prerequisite, ...]:
        """Empty when the fleet has no requirements file for the playbook."""
        files = find_requirement_files(self._playbook, self._root)
        if not files:
            return ()
        dump: list[str] = []
        name = "roles and collections"
        try:
            ended = self._run(["ansible-config", "dump", "--format", "json"], environment, dump)
            if ended.exit_code:
                report = ended.error_tail[-500:] or f"exit code {ended.exit_code}, no output"
                raise UnavailableError(
                    f"`ansible-config dump` failed: {report}",
                    where=str(self._playbook),
                    next_step="run `ansible-config dump` as the worker's user in the playbook's folder, and correct"
                    " what it reports",
                )
            detail = ask_requirements(files, search_paths("\n".join(dump), self._playbook))
        except HoldtrueError as error:
            return (_broken(name, error),)
        return (Prerequisite(name=name, outcome=PrerequisiteOutcome.OK, detail=detail),)

    def _run(self, command: Sequence[str], environment: Mapping[str, str], lines: list[str]) -> ToolRun:
        return run_tool(
            command,
            environment=environment,
            folder=self._playbook.parent,
            on_line=lines.append,
            timeout_seconds=self._timeout_seconds,
        )


def _environment(user: UserSettings, folder: Path) -> dict[str, str]:
    base = tool_environment({})
    nowhere = SshAccess(config=folder / "ssh_config", agent_socket=folder / "agent")
    home = Path(base.get("HOME", str(folder)))
    return base | ansible_environment(user, access=nowhere, folder=folder, home=home, callbacks=folder, locale=base)


def _with_notice(playbook: Prerequisite, user: UserSettings) -> Prerequisite:
    """Whatever the outcome: no other line of a preflight names the settings that are not used."""
    notice = overridden(user)
    return playbook.model_copy(update={"detail": f"{playbook.detail}; {notice}"}) if notice else playbook


def _broken(name: str, error: HoldtrueError) -> Prerequisite:
    where = f" ({error.where})" if error.where else ""
    return Prerequisite(
        name=name, outcome=PrerequisiteOutcome.BROKEN, detail=f"{error.what}{where}", next_step=error.next_step
    )
