"""Real services on this machine, for the demo, the tests and the benchmarks.

Linux only; nothing that is deployed imports it.
"""

from sandbox.assembly import Sandbox
from sandbox.errors import SandboxError
from sandbox.options import HostKind, SandboxOptions, Service

__all__ = ["HostKind", "Sandbox", "SandboxError", "SandboxOptions", "Service"]
