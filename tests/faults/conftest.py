"""The same services as the integration tests', in a session of their own."""

from tests.integration.conftest import clean_sandbox, sandbox, ssh_login

__all__ = ["clean_sandbox", "sandbox", "ssh_login"]
