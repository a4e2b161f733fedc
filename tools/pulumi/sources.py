"""Where the Pulumi CLI can come from: the vendor's installer, or a build of the module that `go.mod` pins."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tools.child import run_child
from tools.console import say
from tools.versions import Version, find_version

_PROBE_TIMEOUT_SECONDS = 15.0
_INSTALL_TIMEOUT_SECONDS = 420.0
_QUESTION_TIMEOUT_SECONDS = 60.0
_BUILD_TIMEOUT_SECONDS = 2400.0
OLDEST_GO = Version(1, 26)
_PACKAGE = "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi"
_VERSION_VARIABLE = "github.com/pulumi/pulumi/sdk/v3/go/common/version.Version"
_DYNAMIC_PROVIDER = '#!/bin/sh\nexec "${PULUMI_PYTHON_CMD:-python3}" -u -m pulumi.dynamic "$@"\n'


class SourceUnavailableError(Exception):
    """This source cannot deliver here; the text is one reason for the person who reads the end of a failed set-up."""


class CliSource(Protocol):
    """One way to get the CLI."""

    def fill(self, folder: Path, version: Version) -> None:
        """Put the program `pulumi` and what must lie beside it into the empty `folder`.

        Raises:
            SourceUnavailableError: this way is closed on this machine.
        """
        ...


@dataclass(frozen=True, slots=True)
class VendorInstaller:
    """The vendor's own installer, through `pulumi.automation.PulumiCommand.install`."""

    venv_python: Path
    checkout: Path

    def fill(self, folder: Path, version: Version) -> None:
        """Install the CLI with its language hosts; give up within seconds where the vendor's site is out of reach."""
        command = (self.venv_python, "-m", "tools.pulumi.vendor_install")
        if not run_child((*command, "probe"), cwd=self.checkout, timeout_seconds=_PROBE_TIMEOUT_SECONDS).succeeded:
            raise SourceUnavailableError("the vendor's site get.pulumi.com is out of reach")
        say(f"installing the Pulumi CLI {version} from get.pulumi.com")
        root = folder / "vendor"
        result = run_child(
            (*command, "install", str(version), root), cwd=self.checkout, timeout_seconds=_INSTALL_TIMEOUT_SECONDS
        )
        if not result.succeeded:
            raise SourceUnavailableError(f"the vendor's installer failed:\n{result.tail()}")
        for program in (root / "bin").iterdir():
            program.rename(folder / program.name)
        shutil.rmtree(root)


@dataclass(frozen=True, slots=True)
class GoBuild:
    """A build of the Go module beside this file, every byte of its sources verified against `go.sum`."""

    module_folder: Path
    search_path: str

    def fill(self, folder: Path, version: Version) -> None:
        """Build the CLI, and put the launcher of Python's dynamic providers beside it as the vendor's archive does."""
        # A go.work above the checkout must not take part.
        environment = {**os.environ, "GOWORK": "off"}
        go, go_version = self._find_go(environment)
        # Go leaves its work folder behind when it is terminated; here it goes with the draft.
        work_folder = folder / "work"
        work_folder.mkdir()
        say(f"building the Pulumi CLI {version} with Go {go_version}: about 4 minutes on 2 cores, once a machine")
        result = run_child(
            build_command(go, version, folder / "pulumi"),
            cwd=self.module_folder,
            environment=environment | {"GOTMPDIR": str(work_folder)},
            timeout_seconds=_BUILD_TIMEOUT_SECONDS,
        )
        shutil.rmtree(work_folder, ignore_errors=True)
        if not result.succeeded:
            raise SourceUnavailableError(f"`go build` in {self.module_folder} failed:\n{result.tail()}")
        launcher = folder / "pulumi-resource-pulumi-python"
        launcher.write_text(_DYNAMIC_PROVIDER, encoding="utf-8")
        launcher.chmod(0o755)

    def _find_go(self, environment: dict[str, str]) -> tuple[str, Version]:
        wanted = f"Go {OLDEST_GO.major}.{OLDEST_GO.minor} or newer (https://go.dev/dl/)"
        go = shutil.which("go", path=self.search_path)
        if go is None:
            raise SourceUnavailableError(f"no `go` on PATH to build it with; install {wanted}")
        # Asked inside the module, an older Go that may switch its toolchain answers with the one it switches to.
        answer = run_child(
            (go, "env", "GOVERSION"),
            cwd=self.module_folder,
            environment=environment,
            timeout_seconds=_QUESTION_TIMEOUT_SECONDS,
        )
        version = find_version(answer.output) if answer.succeeded else None
        if version is None or version < OLDEST_GO:
            raise SourceUnavailableError(f"{go} is too old or does not start; install {wanted}\n{answer.tail(3)}")
        return go, version


def build_command(go: str, version: Version, output: Path) -> tuple[str, ...]:
    """Give the command that builds the CLI; run it in the folder of the module.

    Without the version variable the CLI has no version and the Automation API refuses it (InvalidVersionError).
    """
    linker_flags = f"-s -w -X {_VERSION_VARIABLE}=v{version}"
    reproducible = ("-trimpath", "-buildvcs=false", "-mod=readonly")
    return (go, "build", *reproducible, "-ldflags", linker_flags, "-o", str(output), _PACKAGE)
