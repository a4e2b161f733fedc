"""Which paths may be sent to Vault, and printed in a line of its policy language."""

import re
from typing import Final

_FORBIDDEN: Final = re.compile(r"[\x00-\x1f\x7f?#%*\"'\\{}]")
"""Control characters; what begins a query, a fragment or an escape in a URL; what means more in a policy."""


def path_problem(path: str) -> str | None:
    """Why this is no path of one thing in Vault, in words that follow "the path"; None when it is one.

    Spaces and letters of all alphabets are allowed, as Vault allows them.
    """
    found = _FORBIDDEN.search(path)
    if found is not None:
        return f"may not contain {found.group()!a}"
    if path != path.strip("/"):
        return "may not begin or end with a slash"
    segments = path.split("/")
    if "" in segments:
        return "has an empty part"
    if {".", ".."} & set(segments):
        return "may not contain . or .. as a part"
    if "+" in segments:
        return "may not contain + as a part, which stands for any part in a policy"
    return None
