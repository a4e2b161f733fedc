"""uv as the resolver: what unpinned requirements would install, and versions that go together without findings.

Nothing is installed, and nothing is written beside the user's files. What uv does write is its own cache; building an
sdist runs its code, as pip would, in the environment that `command` makes (UV_NO_BUILD forbids it).
"""

from holdtrue.adapters.uv_resolver.command import UvResolver, find_uv
from holdtrue.adapters.uv_resolver.proposal import propose_fix
from holdtrue.adapters.uv_resolver.requirements import KIND, read_resolved, resolve_requirements

__all__ = ["KIND", "UvResolver", "find_uv", "propose_fix", "read_resolved", "resolve_requirements"]
