"""Ask many hosts at once, each within its time; one that does not answer costs the others nothing."""

import re
import time
import uuid
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from signal import SIGKILL
from typing import Final

from holdtrue.adapters.inventory_hosts.answer import AnswerUnreadable, Lines, read_answer
from holdtrue.adapters.inventory_hosts.script import render_script
from holdtrue.errors import HoldtrueError, RejectedError
from holdtrue.models.dependency import Inventory
from holdtrue.runtime.folder import private_folder
from holdtrue.runtime.process import find_marked, run_tool, signal_processes, tool_environment
from holdtrue.runtime.tracing import span

STANDARD_ROOTS: Final = ("/usr", "/opt", "/srv", "/home", "/root", "/var/lib")

_HOST: Final = re.compile(r"(?:[A-Za-z0-9_][A-Za-z0-9._-]{0,63}@)?[A-Za-z0-9][A-Za-z0-9._:-]{0,252}")
"""Never begins with `-`: it would be an option to ssh."""

_MARKER: Final = "HOLDTRUE_HOST_INVENTORY"
_SHARE_FOR_SEARCH: Final = 0.75
"""Of a host's time; what is left is for the login, the reading and the way back."""


@dataclass(frozen=True, slots=True)
class HostInventory:
    """What one host holds, or why that is not known.

    Attributes:
        host: As it was named.
        inventories: One for each package folder, labelled `host:folder`, and one labelled `host` for what could not be
            searched there.
        failure: Why the host did not answer; empty when it did.
    """

    host: str
    inventories: tuple[Inventory, ...] = ()
    failure: str = ""


def list_hosts(
    hosts: Sequence[str],
    *,
    config: Path,
    environment: Mapping[str, str],
    roots: Sequence[str] = STANDARD_ROOTS,
    timeout_seconds: float = 120.0,
    total_seconds: float = 1_800.0,
    at_once: int = 8,
) -> tuple[HostInventory, ...]:
    """What is installed on each host, in the order given; a host that is named twice is asked once.

    Args:
        hosts: Names as `config` has them, with or without `user@`.
        config: The ssh_config(5) file: users, ports, host keys, shared connections, if any.
        environment: What ssh gets besides the usual, above all SSH_AUTH_SOCK.
        roots: Folders of the hosts to search. One that is not there is a gap, but for the standard ones.
        timeout_seconds: For one host, from login to answer.
        total_seconds: For all; those whose turn has not come by then are failures.
        at_once: How many hosts are asked at the same time.

    Raises:
        RejectedError: a root is no absolute path, or there is none.
    """
    if not roots or not all(root.startswith("/") and root.isprintable() for root in roots):
        raise RejectedError(
            "folders to search on hosts must be absolute paths", where=f"{len(roots)} roots", next_step="name such"
        )
    needs_all_roots = tuple(roots) != STANDARD_ROOTS
    roots = [*dict.fromkeys(root.rstrip("/") or "/" for root in roots)]
    names = [*dict.fromkeys(hosts)]
    marker = uuid.uuid4().hex
    with private_folder("holdtrue-hosts") as folder, span("inventory of hosts", hosts=len(names)):
        question = _Question(
            arguments=["ssh", "-F", str(config), "-T", "-o", "BatchMode=yes", "-o", "ControlMaster=no", "--"],
            # The marker finds our ssh processes again when this process is told to end.
            environment=tool_environment({**environment, _MARKER: marker}),
            script=render_script(
                roots,
                needs_all_roots=needs_all_roots,
                seconds=timeout_seconds * _SHARE_FOR_SEARCH,
            ),
            folder=folder,
            timeout_seconds=timeout_seconds,
            deadline=time.monotonic() + total_seconds,
        )
        return _put_to_all(question, names, at_once, marker)


@dataclass(frozen=True, slots=True)
class _Question:
    arguments: list[str]
    environment: Mapping[str, str]
    script: str
    folder: Path
    timeout_seconds: float
    deadline: float

    def put(self, host: str) -> HostInventory:
        """Ask one host. Whatever comes of it, it is a value: other hosts are asked as well."""
        if not _HOST.fullmatch(host):
            return HostInventory(host, failure="refused: not a name of a host")
        seconds = min(self.timeout_seconds, self.deadline - time.monotonic())
        if seconds <= 0:
            return HostInventory(host, failure="not asked: the time for all hosts was over")
        output = Lines()
        try:
            # ControlMaster=no above: a shared connection is used, but must not begin here and end with this ssh.
            run = run_tool(
                [*self.arguments, host, "sh -s"],
                environment=self.environment,
                folder=self.folder,
                on_line=output.take,
                timeout_seconds=seconds,
                grace_seconds=1.0,
                standard_input=self.script,
            )
            if run.exit_code != 0:
                return HostInventory(host, failure=f"ssh ended with {run.exit_code}: {_last_words(run.error_tail)}")
            return HostInventory(host, read_answer(output.lines, host))
        except HoldtrueError as error:
            return HostInventory(host, failure=error.what)
        except AnswerUnreadable as error:
            return HostInventory(host, failure=str(error))


def _put_to_all(question: _Question, hosts: Sequence[str], at_once: int, marker: str) -> tuple[HostInventory, ...]:
    pool = ThreadPoolExecutor(at_once, thread_name_prefix="host-inventory")
    try:
        futures = [pool.submit(question.put, host) for host in hosts]
        try:
            return tuple(future.result() for future in futures)
        except BaseException:
            # This thread is told to end and the others are not: they end when their ssh does.
            for future in futures:
                future.cancel()
            while running := [future for future in futures if not future.done()]:
                signal_processes(find_marked(_MARKER, marker), SIGKILL)
                wait(running, timeout=0.1)
            raise
    finally:
        pool.shutdown()


def _last_words(said: str) -> str:
    """The end of what ssh or the host said, as one line that can be shown."""
    return " ".join(re.sub(r"[^\x20-\x7e\n]", "?", said).split())[-300:] or "it said nothing"
