"""The shell script that a host runs: the Python program if it has a Python for it, else a search for names."""

import json
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from holdtrue.runtime import package_probe

FOLDERS_BEGIN: Final = "HOLDTRUE-FOLDERS 1"
MOST_FOLDERS: Final = 20_000

_FLAGS: Final = "-I -S -B"
"""Isolated, without site (its .pth files may hold code), and without writing bytecode."""

_SCRIPT: Final = """
LC_ALL=C
export LC_ALL
for python in python3 /usr/bin/python3 /usr/local/bin/python3 /usr/libexec/platform-python /opt/*/bin/python3 python
do
    command -v "$python" >/dev/null 2>&1 || continue
    "$python" {flags} -c 'import sys; sys.exit(sys.version_info < (3, 6))' </dev/null >/dev/null 2>&1 || continue
    exec "$python" {flags} -c {program} {request} </dev/null
done
ulimit -t {seconds}
echo '{begin}'
find {roots} \\( -name .git -o -name node_modules -o -path /proc -o -path /sys -o -path /dev \\) -prune -o \\
    \\( -name '*.dist-info' -o -path '*/site-packages/*.egg-info' -o -path '*/dist-packages/*.egg-info' \\) \\
    -prune -print 2>/dev/null | head -n {most_folders}
echo '{end}'
exit 0
"""
"""For any POSIX shell; it reads its own text from standard input, so whatever it starts must not."""


def render_script(roots: Sequence[str], *, needs_all_roots: bool, seconds: float) -> str:
    """The script that looks below `roots` (absolute paths) for at most about `seconds`."""
    request = {"roots": [*roots], "needs_all_roots": needs_all_roots, "seconds": seconds}
    program = Path(package_probe.__file__).read_text(encoding="ascii")
    return _SCRIPT.format(
        flags=_FLAGS,
        program=shlex.quote(program),
        request=shlex.quote(json.dumps(request)),
        seconds=max(1, int(seconds)),
        begin=FOLDERS_BEGIN,
        roots=shlex.join(roots),
        most_folders=MOST_FOLDERS,
        end=package_probe.END,
    )
