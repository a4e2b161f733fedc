"""The child process that talks to the vendor's site; runs in the virtual environment, which holds the Pulumi SDK.

`python -m tools.pulumi.vendor_install probe` answers whether the site is there; `... install VERSION ROOT` installs.
"""

from __future__ import annotations

import socket
import sys
import urllib.request

from pulumi.automation import PulumiCommand
from semver import VersionInfo

_CONNECT_TIMEOUT_SECONDS = 5.0


def main(arguments: list[str]) -> None:
    """Do what the command line asks; any failure ends the process with its traceback and a non-zero exit code."""
    # `PulumiCommand.install` opens its URL without a timeout of its own.
    socket.setdefaulttimeout(_CONNECT_TIMEOUT_SECONDS)
    match arguments:
        case ["probe"]:
            # What `PulumiCommand.install` downloads first (pulumi 3.272, automation/_cmd.py).
            with urllib.request.urlopen("https://get.pulumi.com/install.sh") as answer:
                answer.read(1)
        case ["install", version, root]:
            PulumiCommand.install(root=root, version=VersionInfo.parse(version))
        case _:
            raise SystemExit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
