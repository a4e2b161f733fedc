import pytest
from synthesis import Synthesized, synthesize


@pytest.fixture(scope="session")
def stack() -> Synthesized:
    return synthesize()
