"""Which paths may be sent to Vault, and printed in a line of its policy language."""

import re
from typing import Final

_FORBIDDEN: Final = re.compile(r"[?#%*\"'\\{}]")
"""What begins a query, a fragment or an escape in a URL; what means more in a policy."""

_LONGEST: Final = 1024
"""Characters. OpenBao 2.7 works for more than 20 s on a path of 900,000, and cannot be sealed meanwhile."""


def path_problem(path: str) -> str | None:
    """Why this is no path of one thing in Vault, in words that follow "the path"; None when it is one.

    Spaces and letters of all alphabets are allowed, as Vault allows them. What cannot be seen is not, as Vault has it:
    a message would show another path than was asked for.
    """
    if len(path) > _LONGEST:
        return f"is longer than {_LONGEST} characters"
    found = _FORBIDDEN.search(path)
    unprintable = found.group() if found else next((letter for letter in path if not letter.isprintable()), None)
    if unprintable is not None:
        return f"may not contain {unprintable!a}"
    segments = path.split("/")
    if "" in segments:
        return "has an empty part, or begins or ends with a slash"
    if {".", ".."} & set(segments):
        return "may not contain . or .. as a part"
    if "+" in segments:
        return "may not contain + as a part, which stands for any part in a policy"
    return None
