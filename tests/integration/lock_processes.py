"""Processes that take locks, and are told when."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from textwrap import dedent

Child = subprocess.Popen[str]


@contextmanager
def child(script: str, *arguments: str) -> Iterator[Child]:
    process = subprocess.Popen(
        # Tests that run in the background may hand down an ignored SIGHUP, which then stays ignored.
        ("env", "--default-signal=HUP", sys.executable, "-c", dedent(script), *arguments),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def line_of(process: Child) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def tell(process: Child) -> None:
    assert process.stdin is not None
    process.stdin.write("go\n")
    process.stdin.flush()
