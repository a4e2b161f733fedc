"""What Ansible can say of a playbook before anything is changed: its syntax, its hosts, and what it requires."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from pydantic import JsonValue

from holdtrue.adapters.ansible.failures import playbook_error
from holdtrue.adapters.ansible.galaxy import ask_requirements, find_requirement_files, search_paths
from holdtrue.adapters.ansible.inventory import render_inventory, render_variables
from holdtrue.adapters.ansible.overrides import overridden
from holdtrue.adapters.ansible.settings import UserSettings, ansible_environment, find_user_settings
from holdtrue.errors import ConfigurationFailed, HoldtrueError, ResourceMissing, UnavailableError
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
        """Each prerequisite as it is. `hosts` are those that the stack has now; none before its first apply."""
        if not self._playbook.is_file():
            missing = ResourceMissing("the playbook is not there", where=str(self._playbook))
            return (_broken("playbook", missing),)
        with private_folder("ht-ansible") as folder:
            inventory = folder / "hosts.yml"
            inventory.write_text(render_inventory(hosts), encoding="utf-8")
            (folder / "variables.yml").write_text(render_variables(self._variables), encoding="utf-8")
            user = find_user_settings(self._playbook, Path(tool_environment({}).get("HOME", "/")))
            environment = _environment(user, folder)
            return (
                self._syntax(hosts, user, folder, environment),
                *self._requirements(environment),
            )

    def _syntax(
        self, hosts: Sequence[Host], user: UserSettings, folder: Path, environment: Mapping[str, str]
    ) -> Prerequisite:
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
                detail = f"cannot be judged before it runs: {report} ({where})"
                return Prerequisite(name="playbook", outcome=PrerequisiteOutcome.DOUBTFUL, detail=detail)
            failure = ConfigurationFailed(
                f"the playbook cannot run: {report or f'exit code {ended.exit_code}, without a word'}",
                where=where,
                next_step="correct it; `ansible-playbook --syntax-check` shows the same",
            )
            return _broken("playbook", failure)
        return self._hosts_in_plays(hosts, user, "\n".join(listing))

    def _hosts_in_plays(self, hosts: Sequence[Host], user: UserSettings, listing: str) -> Prerequisite:
        """Hosts in no play are not broken: the apply that follows may be what gives them their groups."""
        listed = set(_HOST_LINE.findall(listing))
        unplayed = [host.name for host in hosts if host.name not in listed]
        notice = f"; not followed of {user.path}: {overridden(user)}" if overridden(user) else ""
        if unplayed and not _DYNAMIC.search(self._playbook.read_text(encoding="utf-8", errors="replace")):
            return Prerequisite(
                name="playbook",
                outcome=PrerequisiteOutcome.DOUBTFUL,
                detail=f"no play matches {', '.join(unplayed)} as the stack has them now: unless this apply changes"
                f" their names or groups, the configuration will fail. Compare `hosts:` of {self._playbook}{notice}",
            )
        return Prerequisite(
            name="playbook", outcome=PrerequisiteOutcome.OK, detail=f"{self._playbook.name} is valid{notice}"
        )

    def _requirements(self, environment: Mapping[str, str]) -> tuple[Prerequisite, ...]:
        """Nothing where there is no file of them."""
        files = find_requirement_files(self._playbook, self._root)
        if not files:
            return ()
        dump: list[str] = []
        name = "roles and collections"
        try:
            ended = self._run(["ansible-config", "dump", "--format", "json"], environment, dump)
            if ended.exit_code:
                raise UnavailableError(f"ansible-config failed: {ended.error_tail[-500:]}", where=str(self._playbook))
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


def _broken(name: str, error: HoldtrueError) -> Prerequisite:
    where = f" ({error.where})" if error.where else ""
    return Prerequisite(
        name=name, outcome=PrerequisiteOutcome.BROKEN, detail=f"{error.what}{where}", next_step=error.next_step
    )
