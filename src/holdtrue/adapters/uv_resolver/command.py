"""One run of uv: which uv, with which environment, and what its end means."""

import os
import re
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

from holdtrue.adapters.uv_resolver.failures import explain_failure
from holdtrue.core.fix_resolution import NoSolution
from holdtrue.errors import ToolMissing
from holdtrue.runtime.process import run_tool, tool_environment

_PASSED_ON: Final = frozenset({
    "UV_DEFAULT_INDEX", "UV_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS", "UV_INDEX_STRATEGY",
    "UV_KEYRING_PROVIDER", "UV_INSECURE_HOST", "UV_NATIVE_TLS", "UV_SYSTEM_CERTS", "UV_HTTP_TIMEOUT",
    "UV_HTTP_RETRIES", "UV_OFFLINE", "UV_CACHE_DIR", "UV_NO_CACHE", "UV_CONFIG_FILE", "UV_NO_CONFIG",
    "UV_CREDENTIALS_DIR", "UV_CONCURRENT_DOWNLOADS", "UV_EXCLUDE_NEWER", "UV_PRERELEASE", "UV_NO_BUILD",
    "UV_NO_BUILD_PACKAGE", "UV_NO_BINARY", "UV_NO_BINARY_PACKAGE", "UV_TORCH_BACKEND", "NETRC", "XDG_CONFIG_HOME",
    "XDG_CONFIG_DIRS", "XDG_CACHE_HOME", "XDG_DATA_HOME",
})  # fmt: skip
"""Where packages come from and which are allowed. Not the tokens for publishing, and nothing that moves the work."""

_NAMED_INDEX: Final = re.compile(r"UV_INDEX_[A-Z0-9_]+_(?:USERNAME|PASSWORD)")
_OWN_INDEX: Final = ("UV_DEFAULT_INDEX", "UV_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS")
_FROM_PIP: Final = (
    ("PIP_INDEX_URL", "UV_DEFAULT_INDEX"),
    ("PIP_EXTRA_INDEX_URL", "UV_EXTRA_INDEX_URL"),
    ("PIP_TRUSTED_HOST", "UV_INSECURE_HOST"),
    ("PIP_CERT", "SSL_CERT_FILE"),
)
_NOTHING: Final[Mapping[str, str]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class UvResolver:
    """How uv is run.

    Attributes:
        python_version: The Python to resolve for, such as `3.12`; None for the one that runs this.
        index_url: The only index to ask; None for what the user's environment and configuration say. It may hold a
            credential, so it goes to uv by its environment.
        timeout_seconds: For one run.
    """

    python_version: str | None = None
    index_url: str | None = None
    timeout_seconds: float = 300.0

    def run(self, arguments: Sequence[str], folder: Path) -> str | NoSolution:
        """What uv prints, or why nothing goes together.

        Raises:
            ToolMissing: there is no uv.
            ServiceUnreachable, ServiceNotReady: an index did not answer, or uv took too long.
            AccessDenied: an index wants another credential.
            RejectedError: uv refuses the input.
        """
        lines: list[str] = []
        run = run_tool(
            [str(find_uv()), *arguments, "--no-progress", "--color", "never"],
            environment=tool_environment(resolver_environment(os.environ, index_url=self.index_url)),
            folder=folder,
            on_line=lines.append,
            timeout_seconds=self.timeout_seconds,
            grace_seconds=3.0,
        )
        if run.exit_code == 0:
            return "".join(f"{line}\n" for line in lines)
        return explain_failure(run.exit_code, run.error_tail)

    def python_arguments(self) -> list[str]:
        """For `uv pip compile`: the interpreter that runs this, which can resolve for other versions too."""
        return ["--python", sys.executable, *(["--python-version", self.python_version] if self.python_version else [])]


def find_uv() -> Path:
    """The uv beside this Python, or else on PATH.

    Raises:
        ToolMissing: there is none.
    """
    beside = Path(sys.executable).parent / "uv"
    if os.access(beside, os.X_OK):
        return beside
    found = shutil.which("uv")
    if found is None:
        raise ToolMissing(
            "uv is not installed", where=str(beside.parent), next_step="install it: https://docs.astral.sh/uv/"
        )
    return Path(found)


def resolver_environment(own: Mapping[str, str], *, index_url: str | None) -> dict[str, str]:
    """What uv needs of the user's environment. It does not read pip's variables, so those are translated for it.

    An index that is configured for uv goes before pip's. pip's configuration files are not read.
    """
    chosen = {name: own[name] for name in own if name in _PASSED_ON or _NAMED_INDEX.fullmatch(name)}
    if index_url is not None:
        chosen = {name: value for name, value in chosen.items() if name not in _OWN_INDEX}
        chosen["UV_DEFAULT_INDEX"] = index_url
    elif not any(name in chosen for name in _OWN_INDEX):
        chosen |= {new: own[old] for old, new in _FROM_PIP if own.get(old) and new not in own}
        if own.get("PIP_FIND_LINKS"):
            chosen["UV_FIND_LINKS"] = ",".join(own["PIP_FIND_LINKS"].split())
    return chosen | {"UV_PYTHON_DOWNLOADS": "never"}
