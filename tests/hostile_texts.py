"""The one list of texts that somebody outside may write, and what would obey them, for every place that shows texts."""

import re
from collections.abc import Iterable
from typing import Final

from holdtrue.core.neutral import CONTINUED

FORGED: Final = "12:00:00.000 | INFO    | Flow run 'calm-owl' - Provisioned: demo is as declared"
"""Looks like a record of a run's log."""

HOSTILE_TEXTS: Final[tuple[str, ...]] = (
    "\x1b[2J\x1b]0;owned\x07 gone",
    "first\n::error::forged\r\n##[error]forged ##vso[task.setvariable]x",
    "<script>alert(1)</script><img src=x onerror=alert(1)>\"' onload='x",
    "a | b || c \\| d `code` **bold** ![x](http://evil.example/x.png)",
    "[click](javascript:alert(1)) ](javascript:alert(1)) {0} https://evil.example www.evil.example @everyone",
    "evil\u202etxt.exe\u2066 \u200b\u2028\u2029\x85 \x00 \x7f",
    "half \ud800 pair \udfff",
    "\n# heading\n\n- item\n\n| a |\n|---|\n",
    "x" * 50_000,
    "\n" * 50_000 + "hidden",
    f"harmless\n{FORGED}",
    f"harmless\r{FORGED}\x0b{FORGED}\x0c{FORGED}\x1c{FORGED}",
    "failed\rpassed \x08\x08\x08\x08\x08\x08\x08passed",
    "\x9b31mred\x9b0m \x9d0;owned\x9c \x90q\x9c",
    "\x1b]8;;http://evil.example\x1b\\link\x1b]8;;\x1b\\ \x1b]52;c;ZXZpbA==\x07",
    "web\u200b-1 web\u2060-1 web\ufeff-1 web\u00ad-1 web\u3164-1 web\ufe01-1 \U000e0041\U000e0100 \u061c\u200f",
    "- item",
    "1. item",
    "===",
    "--- | ---",
    ":-:",
    "+ item\n> quote\n```\nfence\n~~~\n    code\n\ttab",
    "<!-- comment --> <b><a href='http://evil.example'>x</a> &lt;b&gt; <http://evil.example> [^1] [x]: http://evil.example",
    "]]><x/><![CDATA[ &x; <?x?>",
    "::warning file=app.py::forged",
    "%s %d %(x)s %n {x!r} {0.__class__} [bold red]x[/] [link=http://evil.example]y[/link] $HOME `id` \\033[31m",
)

READABLE_TEXTS: Final[tuple[str, ...]] = (
    "Größe der Zone: 12 µm² (≤ 5 %), naïve café",
    "データベース web-1 に接続できません",
    "الخادم لا يستجيب",
    "сервер не отвечает",
    "⚠\ufe0f disk is 97 % full 😀",
)
"""Texts in which nothing has to be changed."""

_COMMAND: Final = re.compile(r"^\s*::\w|##(\w+)?\[")
_INVISIBLE: Final = re.compile("[\u115f\u1160\u3164\uffa0\ufe00-\ufe0d\U000e0100-\U000e01ef]")


def terminal_dangers(lines: Iterable[str]) -> list[str]:
    """Lines that a terminal or a build agent would obey, or that hide something from the person who reads them."""
    return [line for line in lines if not line.isprintable() or _COMMAND.search(line) or _INVISIBLE.search(line)]


def log_dangers(record: str) -> list[str]:
    """Lines of one log record that a terminal would obey, and those that look like a record of their own."""
    lines = record.split("\n")
    return [*terminal_dangers(lines), *(line for line in lines[1:] if not line.startswith(CONTINUED))]
