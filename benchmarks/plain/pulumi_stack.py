"""The plain script's Pulumi step, as the Automation API's documentation writes it: `pulumi_stack.py preview|up`."""

import json
import os
import runpy
import sys
from pathlib import Path

from pulumi import automation

PROJECT = Path(os.environ["PLAIN_PROJECT"])


def program() -> None:
    """The project's own program, unchanged."""
    os.chdir(PROJECT)
    sys.path.insert(0, str(PROJECT))
    runpy.run_path(str(PROJECT / "__main__.py"), run_name="__main__")


stack = automation.create_or_select_stack(
    stack_name="demo",
    project_name=os.environ["PLAIN_PROJECT_NAME"],
    program=program,
    opts=automation.LocalWorkspaceOptions(
        work_dir=os.environ["PLAIN_WORK_DIR"], secrets_provider=os.environ["PLAIN_SECRETS_PROVIDER"]
    ),
)
if sys.argv[1] == "preview":
    stack.preview(refresh=True, on_output=print)
else:
    result = stack.up(refresh=True, on_output=print)
    public = {name: output.value for name, output in result.outputs.items() if not output.secret}
    Path(os.environ["PLAIN_WORK_DIR"], "outputs.json").write_text(json.dumps(public))
