"""uv: what unpinned requirements would install, versions that go together without findings, and environments.

Environments are made in a folder of the cache. Nothing else is installed, and nothing is written beside the user's
files. uv writes its own cache too; building an sdist runs its code, as pip would, in the environment that `command`
makes (UV_NO_BUILD forbids it).
"""

from holdtrue.adapters.uv_resolver.command import UvResolver, find_uv
from holdtrue.adapters.uv_resolver.environments import EnvironmentMaker
from holdtrue.adapters.uv_resolver.proposal import propose_fix
from holdtrue.adapters.uv_resolver.requirements import KIND, read_resolved, resolve_requirements

__all__ = ["KIND", "EnvironmentMaker", "UvResolver", "find_uv", "propose_fix", "read_resolved", "resolve_requirements"]
