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


@pytest.mark.parametrize(("count", "more"), [(3, ""), (4, "1 more"), (12, "9 more")])
def test_handlers_whose_command_is_not_shown_are_counted(count: int, more: str) -> None:
    missing = [MISSING.model_copy(update={"host": f"web-{number}"}) for number in range(count)]
    with pytest.raises(HandlersLost) as refusal:
        require_all_run(missing, CONFIGURED, where="site.yml")
    assert all(f"web-{number}: " in refusal.value.what for number in range(count))
    assert refusal.value.next_step.count("holdtrue acknowledge demo") == 3
    assert more in refusal.value.next_step
    assert ("holdtrue handlers" in refusal.value.next_step) is bool(more)
