"""What can go wrong with a sandbox."""


class SandboxError(Exception):
    """A service of the sandbox did not start, did not answer, or was asked for something it cannot do."""
