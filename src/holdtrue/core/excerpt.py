"""An excerpt of a text that is too long for its place."""

_GAP = " … "


def excerpt(text: str, limit: int) -> str:
    """At most `limit` characters: one third from the beginning, two thirds from the end, where tools report errors."""
    if len(text) <= limit:
        return text
    room = max(0, limit - len(_GAP))
    beginning = room // 3
    return f"{text[:beginning]}{_GAP}{text[len(text) - (room - beginning) :]}"[:limit]
