"""What an argument may be, and what is said of one that is wrong: nobody's password, and no value is dropped."""

import argparse
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NoReturn

from holdtrue.cli.session import ExitCode, complain

_ADDRESS: Final = re.compile(r"\S*://(?:.*@)?\S*", re.DOTALL)
"""A word with an address in it, whatever its password is made of."""


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, as every other error does, and drops no value of an option."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.register("action", None, Once)

    def error(self, message: str) -> NoReturn:
        """Complain, and end."""
        complain(f"{_ADDRESS.sub('[an address]', message)}. Next: {self.prog} --help")
        self.exit(ExitCode.BAD_INPUT)


class Once(argparse.Action):
    """Keeps the value of an option, or its constant where it takes none.

    A second value that differs is refused: argparse would let it take the place of the first without a word.
    """

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        """Set it."""
        del parser, option_string
        given: set[str] = vars(namespace).setdefault("given_once", set())
        value = self.const if self.nargs == 0 else values
        if self.dest in given and value != getattr(namespace, self.dest):
            raise argparse.ArgumentError(self, f"the {self.dest.replace('_', ' ')} can be given only once")
        given.add(self.dest)
        setattr(namespace, self.dest, value)


def as_name(text: str) -> str:
    """A name or path; an address is refused here, before an error or a label repeats the password in it."""
    if "://" in text:
        raise argparse.ArgumentTypeError("an address is not wanted here")
    return text


def as_path(text: str) -> Path:
    """A file or folder."""
    return Path(as_name(text))


def as_name_pattern(text: str) -> str:
    """A shell pattern for names of packages; one that can match no name would hide nothing, and nobody would know."""
    if not text or re.search(r"[\s,]", text):
        raise argparse.ArgumentTypeError("a pattern without blanks and commas is wanted; repeat the option for each")
    return text


def as_index(text: str) -> str:
    """The address or folder of an index."""
    if not text.strip():
        raise argparse.ArgumentTypeError("the address of an index is wanted")
    return text


def as_days(text: str) -> float:
    """A limit that something can be above: nothing is older than `nan` days."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not number > 0:
        raise argparse.ArgumentTypeError("a number of days above 0 is wanted")
    return number
