"""A tiny project whose cloud is a folder: a resource is a file, and what is in the file makes the provider slow.

A file that holds `unreadable` cannot be read.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from pydantic import SecretStr

from holdtrue.adapters.pulumi.engine import PulumiEngine
from holdtrue.models.credentials import StackAccess

PASSPHRASE = "correct horse battery"
THINGS = """
import os, time
from pathlib import Path
import pulumi
from pulumi.dynamic import CreateResult, DiffResult, ReadResult, Resource, ResourceProvider, UpdateResult

def path(name):
    return Path(os.environ["THINGS"], name)

class ThingProvider(ResourceProvider):
    def create(self, props):
        if props["value"] == "slow":
            path("started").touch()
            time.sleep(2)
        path(props["name"]).write_text(props["value"])
        return CreateResult(props["name"], props)

    def read(self, id_, props):
        if not path(id_).exists():
            return ReadResult(None, {})
        value = path(id_).read_text()
        if value == "unreadable":
            raise RuntimeError(f"{id_} cannot be read")
        found = {"name": id_, "value": value}
        return ReadResult(id_, {**props, **found}, found)

    def diff(self, _id, _olds, _news):
        return DiffResult(changes=_olds["value"] != _news["value"])

    def update(self, _id, _olds, _news):
        if _news["value"] == "slow":
            path("started").touch()
            time.sleep(2)
        path(_id).write_text(_news["value"])
        return UpdateResult(_news)

    def delete(self, _id, _props):
        path(_id).unlink()

class Thing(Resource, name="Thing"):
    def __init__(self, name, value, opts=None):
        super().__init__(ThingProvider(), name, {"name": name, "value": value}, opts)
"""
PROGRAM = """
import pulumi
from things import Thing

a = Thing("a", "one")
b = Thing("b", "two", pulumi.ResourceOptions(depends_on=[a]))
"""


class Tiny:
    """The tiny project, its cloud and its backend, each a folder of one test; a second project shares the others."""

    def __init__(self, folder: Path, name: str = "tiny") -> None:
        self.name = name
        project = "project" if name == "tiny" else f"project-{name}"
        self.project, self.cloud, self.backend = (folder / name for name in (project, "cloud", "state"))
        for path in (self.project, self.cloud, self.backend):
            path.mkdir(exist_ok=True)
        (self.project / "Pulumi.yaml").write_text(f"name: {name}\nruntime: python\n")
        (self.project / "things.py").write_text(THINGS)
        self.write(PROGRAM)

    def write(self, program: str) -> None:
        (self.project / "__main__.py").write_text(program)

    def write_outside(self, program: str) -> None:
        """Write a program beside the project, where a plan's digest does not see that it changes."""
        (self.cloud.parent / "outside.py").write_text(program)
        self.write(
            "import os, runpy\nfrom pathlib import Path\n"
            "runpy.run_path(str(Path(os.environ['THINGS']).parent / 'outside.py'))\n"
        )

    def engine(
        self,
        environment: Mapping[str, str] = MappingProxyType({}),
        *,
        timeout_seconds: float = 60,
        provider: str = "passphrase",
    ) -> PulumiEngine:
        given = {"THINGS": str(self.cloud), "PULUMI_CONFIG_PASSPHRASE": PASSPHRASE, **environment}
        return PulumiEngine(
            project=self.project,
            stack="dev",
            access=StackAccess(
                backend_url=self.backend.as_uri(),
                secrets_provider=provider,
                environment={name: SecretStr(value) for name, value in given.items()},
            ),
            timeout_seconds=timeout_seconds,
        )

    def things(self) -> dict[str, str]:
        return {path.name: path.read_text() for path in sorted(self.cloud.iterdir())}

    @property
    def checkpoint(self) -> Path:
        return self.backend / f".pulumi/stacks/{self.name}/dev.json"

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        """Run a command that a message advises, as a person would: anywhere, with the credentials at hand."""
        environment = {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(self.cloud),
            "PULUMI_SKIP_UPDATE_CHECK": "1",
            "PULUMI_CONFIG_PASSPHRASE": PASSPHRASE,
        }
        return subprocess.run(
            ["/bin/sh", "-c", command], env=environment, cwd="/", capture_output=True, text=True, timeout=60, check=True
        )

    def locks(self) -> list[Path]:
        return list((self.backend / ".pulumi/locks").rglob("*.json"))


KILLED = """
import sys
from pathlib import Path
from pydantic import SecretStr
from holdtrue.adapters.pulumi.engine import PulumiEngine
from holdtrue.models.credentials import StackAccess

folder = Path(sys.argv[1])
environment = {"THINGS": str(folder / "cloud"), "PULUMI_CONFIG_PASSPHRASE": "correct horse battery"}
engine = PulumiEngine(
    project=folder / "project",
    stack="dev",
    access=StackAccess(
        backend_url=(folder / "state").as_uri(),
        secrets_provider="passphrase",
        environment={name: SecretStr(value) for name, value in environment.items()},
    ),
    timeout_seconds=60,
)
engine.apply(engine.preview())
"""
"""A worker to be killed: its argument is the folder of a `Tiny`."""


def wait_until(condition: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)
