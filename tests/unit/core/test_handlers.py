from datetime import UTC, datetime

import pytest

from holdtrue.core.handlers import require_all_run
from holdtrue.errors import HandlersLost
from holdtrue.models.handlers import OpenHandler
from holdtrue.testing import CONFIGURED

MISSING = OpenHandler(
    environment="demo", host="web-1", handler="Restart it's", notified_at=datetime(2030, 1, 1, tzinfo=UTC)
)


def test_nothing_missing_is_good() -> None:
    require_all_run((), CONFIGURED, where="site.yml")


def test_a_missing_handler_is_named_with_its_host_and_the_way_to_acknowledge_it() -> None:
    with pytest.raises(HandlersLost) as refusal:
        require_all_run((MISSING,), CONFIGURED, where="site.yml")
    assert "web-1: Restart it's" in refusal.value.what
    assert "2030-01-01" in refusal.value.what
    assert """holdtrue acknowledge demo web-1 'Restart it'"'"'s'""" in refusal.value.next_step
    assert refusal.value.done == CONFIGURED
