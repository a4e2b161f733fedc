"""The README's credentials section, copied and pasted on an empty namespace."""

import os
import re
import subprocess
import sys
from pathlib import Path

import hvac

from holdtrue.adapters.ledger import open_ledger
from sandbox import Sandbox
from sandbox.openbao import server_binary

CHECKOUT = Path(__file__).parents[2]
NAMESPACE = "readme-test"


def test_from_an_empty_vault_to_a_working_block(sandbox: Sandbox, tmp_path: Path) -> None:
    section = (CHECKOUT / "README.md").read_text().split("\n## Credentials\n", 1)[1].split("\n## ", 1)[0]
    (shell,) = re.findall(r"^```sh\n(.*?)^```", section, re.DOTALL | re.MULTILINE)
    (python,) = re.findall(r"^```python\n(.*?)^```", section, re.DOTALL | re.MULTILINE)
    sandbox.openbao.client().sys.create_namespace(path=NAMESPACE)
    (tmp_path / "vault").symlink_to(server_binary())
    (tmp_path / "page.py").write_text(python)
    done = subprocess.run(
        ("bash", "-euo", "pipefail", "-c", f'{shell}\nexec "{sys.executable}" "{tmp_path / "page.py"}"'),
        env={
            **sandbox.prefect.environment(),
            "PATH": f"{tmp_path}:{os.environ['PATH']}",
            "PYTHONPATH": str(CHECKOUT),
            "HOME": str(tmp_path),
            "VAULT_ADDR": sandbox.openbao.address,
            "VAULT_CACERT": str(sandbox.openbao.ca_file),
            "VAULT_NAMESPACE": NAMESPACE,
            "VAULT_TOKEN": sandbox.openbao.root_token.get_secret_value(),
        },
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "32"
    there = hvac.Client(
        sandbox.openbao.address,
        sandbox.openbao.root_token.get_secret_value(),
        verify=str(sandbox.openbao.ca_file),
        namespace=NAMESPACE,
    )
    assert there.list("auth/token/accessors") is None, "a token of the block is left"
    there.auth.token.create()
    assert there.list("auth/token/accessors"), "the question above sees no token at all"
    assert open_ledger(f"sqlite:///{tmp_path}/.local/state/holdtrue/ledger.db").unsettled() == ()
