"""What programs, engines, hosts and services say through the real tools is shown in logs, pages and on a terminal.

None of it is obeyed. tests/flows/test_neutral_runs.py tries more places, with fakes in place of the tools.
"""

import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Final

import pytest

from flows.provision import provision
from flows.validate import validate
from sandbox.web import Answer, WebServer
from tests.hostile_texts import FORGED, HOSTILE_TEXTS, READABLE_TEXTS, log_dangers, terminal_dangers
from tests.integration.flow_stage import TINY_PROGRAM, EndedRun, Stage, free_port

TEXTS: Final = [text for text in HOSTILE_TEXTS if len(text) < 10_000 and "\ud800" not in text]
"""Those that fit between others, and that UTF-8 can hold: files and protocols take no others."""

_TALKATIVE: Final = """
texts = json.loads(Path("texts.json").read_text())
for text in texts:
    pulumi.log.warn(text)
"""
_NAMED: Final = """
for text in texts:
    if "\\x00" not in text:
        Note(text)
"""
_PLAYBOOK: Final = """\
- name: Read what the host says
  hosts: web-1
  gather_facts: false
  vars:
    ansible_remote_tmp: "{{ root }}/.ansible/tmp"
  tasks:
    - name: Read it
      ansible.builtin.command:
        argv: [cat, "{{ root }}/words"]
      changed_when: false
      failed_when: true
"""
_CHECK: Final = """\
import os

def test_what_the_host_says(host):
    words = host.run('cat "$HOLDTRUE_HOST_ROOT/words"').stdout
    assert not words, words
"""
_RICH_COLOURS: Final = re.compile(r"\x1b\[[0-9;]*m")


@pytest.fixture
def words(stage: Stage) -> Iterator[str]:
    """What the first host says: of a failed check the first line is shown, of a failed task the last ones."""
    said = "\n".join((TEXTS[0], *READABLE_TEXTS, *TEXTS, TEXTS[0])).replace("\x00", "")
    path = stage.sandbox.hosts[0].world / "words"
    path.write_text(said)
    yield said
    path.unlink()


def require_neutral(stage: Stage, run: EndedRun) -> dict[str, str]:
    texts = stage.texts(run)
    logs = [text for name, text in texts.items() if name.startswith("log ")]
    assert logs
    assert [danger for record in logs for danger in log_dangers(record)] == []
    pages = [json.loads(text)["data"] for name, text in texts.items() if "-report" in name and "{" in text]
    states = [json.loads(text)["state"] for name, text in texts.items() if "run" in name.split()[:2]]
    messages = [state["message"] or "" for state in states]
    assert len(messages) > 1
    shown = [*(page for page in pages if isinstance(page, str)), *messages]
    assert terminal_dangers(line for text in shown for line in text.split("\n")) == []
    return texts


def test_a_program_and_a_host_that_say_hostile_things(stage: Stage, words: str) -> None:
    stage.fleet.edit_manifest("tiny", infrastructure={"stack": "hostile"})
    stage.fleet.write("pulumi/tiny/texts.json", json.dumps([*TEXTS, *READABLE_TEXTS]))
    stage.fleet.write("pulumi/tiny/__main__.py", TINY_PROGRAM + _TALKATIVE + _NAMED)
    stage.fleet.write("ansible/tiny.yml", _PLAYBOOK)

    run = stage.run(provision, "tiny")

    assert run.name == "ConfigurationFailed", run.message
    texts = require_neutral(stage, run)
    logs = "\n".join(text for name, text in texts.items() if name.startswith("log "))
    assert [text for text in READABLE_TEXTS if text not in logs] == []
    urns = [change.urn for change in run.result.applied.changes]
    unnamed = [text for text in TEXTS if "\x00" not in text and not any(urn.endswith(f"::{text}") for urn in urns)]
    assert unnamed == [], "the report has the true names"
    (failed,) = run.result.configured.results
    assert words.splitlines()[-1] in failed.message, "the report has the host's own words"


def test_a_program_that_raises_hostile_things(stage: Stage) -> None:
    stage.fleet.write("pulumi/tiny/texts.json", json.dumps(TEXTS))
    stage.fleet.write("pulumi/tiny/__main__.py", TINY_PROGRAM + _TALKATIVE + 'raise LookupError(" ".join(texts))\n')

    run = stage.run(provision, "tiny")

    assert run.name == "ProgramFailed", run.message
    require_neutral(stage, run)


@pytest.mark.usefixtures("words")
def test_a_terminal_that_shows_checks_and_probes(stage: Stage) -> None:
    body = f"\x1b[2J\x1b]0;owned\x07\r\n{FORGED}".encode()
    server = WebServer(free_port(), lambda _: Answer(HTTPStatus.OK, "text/plain", body))
    stage.fleet.write("checks/tiny/test_tiny.py", _CHECK)
    probe = {"name": "front", "url": f"{server.url}/", "attempts": 1, "contains": "welcome"}
    stage.fleet.edit_manifest("tiny", validation={"probes": [probe]})
    try:
        status, shown = _on_a_terminal("from flows.validate import validate; validate('tiny', return_state=True)")
        run = stage.run(validate, "tiny")
    finally:
        server.stop()

    assert status == 0, shown
    assert run.name == "ChecksFailed", run.message
    require_neutral(stage, run)
    plain = _RICH_COLOURS.sub("", shown).replace("\r\n", "\n").removesuffix("\n")
    assert "ChecksFailed: " in plain
    assert "welcome" in plain
    records = re.split(r"^(?=\d\d:\d\d:\d\d\.\d{3} \| )", plain, flags=re.MULTILINE)
    assert [danger for record in records for danger in log_dangers(record.removesuffix("\n"))] == []
    assert not any(record.startswith("12:00:00.000") for record in records)


def test_the_control_sees_what_a_terminal_gets_from_a_program_without_the_guard() -> None:
    program = f"import logging; logging.warning({chr(27) + '[2J' + chr(10) + FORGED!r})"

    _, shown = _on_a_terminal(program)

    assert "\x1b[2J" in shown
    assert log_dangers(_RICH_COLOURS.sub("", shown).replace("\r\n", "\n").removesuffix("\n"))


def _on_a_terminal(program: str) -> tuple[int, str]:
    """Run Python code in a process whose output is a terminal; return its exit code and what the terminal got."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-c", program], cwd=Path(__file__).parents[2], stdin=theirs, stdout=theirs, stderr=theirs
    ) as process:
        os.close(theirs)
        chunks = [*_read(ours)]
    os.close(ours)
    return process.returncode, b"".join(chunks).decode(errors="replace")


def _read(terminal: int) -> Iterator[bytes]:
    while True:
        try:
            chunk = os.read(terminal, 65_536)
        except OSError:  # EIO: nobody has the other side open any more.
            return
        if not chunk:
            return
        yield chunk
