"""The shortest way by which each package of a dependency graph came in."""

from collections.abc import Iterable, Mapping
from typing import Final

_LONGEST: Final = 50
"""Names of one chain. Each package keeps its own, so that a graph that is one long line would grow by its square."""


def find_chains(children: Mapping[str, Iterable[str]], roots: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """For every node that can be reached, the nodes from a root (included) to its parent; none for a root itself.

    Breadth first, so that the way is a shortest one; cycles do no harm. A chain of more than fifty nodes keeps the
    first fifty.
    """
    chains: dict[str, tuple[str, ...]] = dict.fromkeys(roots, ())
    row = [*chains]
    while row:
        following: list[str] = []
        for node in row:
            chain = (*chains[node], node)[:_LONGEST]
            for child in children.get(node, ()):
                if child not in chains:
                    chains[child] = chain
                    following.append(child)
        row = following
    return chains
