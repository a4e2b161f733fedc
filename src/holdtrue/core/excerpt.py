"""A part of a text that is too long for its place."""

_GAP = " … "


def excerpt(text: str, limit: int) -> str:
    """At most `limit` characters: the beginning and, longer, the end, where tools say what went wrong."""
    if len(text) <= limit:
        return text
    room = max(0, limit - len(_GAP))
    beginning = room // 3
    return f"{text[:beginning]}{_GAP}{text[len(text) - (room - beginning) :]}"[:limit]
