"""`python -m sandbox.demo` with a fleet that is broken on purpose: it says which step, fails, and leaves nothing."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.deployment import ROOT

SECONDS = 240
PLAYBOOK = """\
- name: Configure the web hosts
  hosts: all
  gather_facts: false
  tasks:
    - name: Demand the impossible
      ansible.builtin.assert:
        that: false
"""


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """A temporary folder whose path leaves room for unix sockets."""
    folder = Path(tempfile.mkdtemp(prefix="htd-", dir="/tmp"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def test_broken_step_fails_the_demo_by_name(tmp_path: Path, short_folder: Path) -> None:
    fleet = tmp_path / "fleet"
    shutil.copytree(ROOT / "fleet", fleet, ignore=shutil.ignore_patterns("__pycache__", ".*"))
    (fleet / "ansible/site.yml").write_text(PLAYBOOK)
    done = subprocess.run(
        [sys.executable, "-m", "sandbox.demo"],
        cwd=ROOT,
        env=os.environ | {"HOLDTRUE_FLEET": str(fleet), "TMPDIR": str(short_folder)},
        check=False,
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    said = done.stderr.strip().splitlines()[-1]
    assert said.startswith("DEMO FAILED")
    for text in ("provision (first time)", "ConfigurationFailed", "web-1", "Demand the impossible"):
        assert text in said
    assert "provision again" not in done.stdout
    assert list(short_folder.iterdir()) == []
