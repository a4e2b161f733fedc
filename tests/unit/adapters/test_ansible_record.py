import json
from typing import Any

import pytest

from holdtrue.adapters.ansible.events import parse_event
from holdtrue.adapters.ansible.failures import find_failure
from holdtrue.adapters.ansible.record import RunRecord
from holdtrue.errors import ConfigurationFailed, HostUnreachable, UnavailableError
from holdtrue.models.base import Progress, ProgressLevel
from holdtrue.models.configuration import TaskOutcome

_OK = {"ok": {"web-1": 1}, "changed": {}, "failures": {}, "skipped": {}, "dark": {}, "processed": {"web-1": 1}}


def _result(event: str = "ok", *, host: str = "web-1", ignored: bool = False, **result: Any) -> dict[str, Any]:
    verdict = {"failed": event == "failed", "skipped": event == "skipped"}
    return {
        "kind": "result",
        "event": f"runner_on_{event}",
        "host": host,
        "task": "Do it",
        "module": "ansible.builtin.command",
        "ignored": ignored,
        "result": verdict | result,
    }


def _record(*events: dict[str, Any]) -> tuple[RunRecord, list[Progress]]:
    seen: list[Progress] = []
    record = RunRecord(seen.append)
    for event in events:
        record.take(parse_event(json.dumps(event)))
    return record, seen


def _end(exit_code: int = 0, status: str = "successful") -> dict[str, Any]:
    return {"kind": "end", "status": status, "exit_code": exit_code}


def _failure(*events: dict[str, Any], check: bool = False, error_tail: str = "") -> Exception | None:
    record, _ = _record(*events)
    return find_failure(record, hosts=["web-1"], playbook="site.yml", check=check, error_tail=error_tail)


@pytest.mark.parametrize(
    ("event", "outcome"),
    [
        (_result(), None),
        (_result(changed=True), TaskOutcome.CHANGED),
        (_result("skipped", skip_reason="Conditional result was False"), None),
        (_result("skipped", msg="skipped, since /x exists"), None),
        (_result("skipped", msg="/x exists, matching creates option"), None),
        (_result("ok", skipped_reason="No items in the list"), None),
        (_result("skipped", msg="Command would have run if not in check mode"), TaskOutcome.SKIPPED),
        (_result("skipped"), TaskOutcome.SKIPPED),
        (_result("skipped", items=[{"skipped": True, "skip_reason": "no"}]), None),
        (_result("skipped", items=[{"skipped": True, "skip_reason": "no"}, {"skipped": True}]), TaskOutcome.SKIPPED),
        (_result("ok", items=[{"skipped": True}, {"changed": False}]), TaskOutcome.SKIPPED),
        (_result("ok", changed=True, items=[{"skipped": True}]), TaskOutcome.CHANGED),
        (_result("failed", msg="no"), TaskOutcome.FAILED),
        (_result("failed", ignored=True), None),
        (_result("failed", ignored=True, changed=True), TaskOutcome.CHANGED),
        (_result("unreachable", msg="gone"), TaskOutcome.UNREACHABLE),
    ],
)
def test_what_an_event_means(event: dict[str, Any], outcome: TaskOutcome | None) -> None:
    record, _ = _record(event)
    assert [result.outcome for result in record.results] == ([outcome] if outcome else [])


def test_progress_names_host_outcome_and_task() -> None:
    task = {"kind": "task", "task": "Do it"}
    _, seen = _record(task, task, _result(), _result(changed=True), _result("failed", msg="bad", rc=2, stderr="why\n"))
    assert [(line.level, line.message) for line in seen] == [
        (ProgressLevel.INFO, "task | Do it"),
        (ProgressLevel.INFO, "web-1 | changed | Do it"),
        (ProgressLevel.ERROR, "web-1 | failed | Do it | bad (exit code 2): why"),
    ]


def test_a_loop_is_one_result_that_names_its_items() -> None:
    items = [{"changed": True, "label": f"item {number}"} for number in range(7)]
    record, _ = _record(_result(changed=True, items=items, item_count=40))
    assert "7 of 40 items changed: item 0, item 1" in record.results[0].message
    failed = [{"label": "a"}, {"failed": True, "label": "b", "msg": "broken"}]
    record, _ = _record(_result("failed", msg="One or more items failed", items=failed, item_count=2))
    assert "b: broken" in record.results[0].message


def test_a_hidden_failure_says_nothing_but_that() -> None:
    record, _ = _record(_result("failed", censored="hidden", stderr="canary"))
    assert record.results[0].message == "hidden"


def test_what_runs_is_known_until_it_ends() -> None:
    start = {"kind": "start", "host": "web-1", "task": "Do it"}
    assert _record(start)[0].running == ("web-1 (Do it)",)
    assert _record(start, _result())[0].running == ()


@pytest.mark.parametrize("line", ["", "{", "null", '{"kind": "other"}', '{"kind": "result", "host": 1}', "\x00", "[]"])
def test_a_line_that_is_no_event_is_an_error_and_never_left_out(line: str) -> None:
    with pytest.raises(UnavailableError):
        parse_event(line)


def test_a_run_that_went_well_is_no_failure() -> None:
    assert _failure({"kind": "stats"} | _OK, _end()) is None


def test_a_child_that_vanished_is_not_a_success() -> None:
    failure = _failure({"kind": "stats"} | _OK, error_tail="Killed")
    assert isinstance(failure, UnavailableError)
    assert "Killed" in str(failure)


def test_a_playbook_that_cannot_run_is_named_with_its_line() -> None:
    text = "[WARNING]: something else\n[ERROR]: couldn't resolve module\nOrigin: /x/site.yml:4:7\n\n3 tasks:\n"
    failure = _failure({"kind": "text", "text": text}, _end(4, "failed"))
    assert isinstance(failure, ConfigurationFailed)
    assert failure.where == "/x/site.yml:4"
    assert "couldn't resolve module" in failure.what
    assert "something else" not in failure.what


def test_an_interrupted_run_is_not_the_playbooks_fault() -> None:
    assert isinstance(_failure(_end(254, "canceled")), UnavailableError)


def test_a_failed_task_is_named_with_host_and_message() -> None:
    stats = {"kind": "stats"} | _OK | {"failures": {"web-1": 1}}
    failure = _failure(_result("failed", msg="bad"), stats, _end(2, "failed"))
    assert isinstance(failure, ConfigurationFailed)
    assert "web-1" in failure.what
    assert "Do it" in failure.what
    assert "bad" in failure.what


def test_a_rescued_failure_is_a_success_with_a_record() -> None:
    events = (_result("failed", msg="bad"), {"kind": "stats"} | _OK, _end())
    assert _failure(*events) is None
    assert _record(*events)[0].results[0].outcome is TaskOutcome.FAILED


def test_an_unreachable_host_fails_an_apply_and_is_reported_by_a_check() -> None:
    stats = {"kind": "stats"} | _OK | {"dark": {"web-1": 1}}
    events = (_result("unreachable", msg="Connection refused"), stats, _end(4, "failed"))
    failure = _failure(*events)
    assert isinstance(failure, HostUnreachable)
    assert "Connection refused" in failure.what
    assert _failure(*events, check=True) is None
    assert _record(*events)[0].summaries()[0].unreachable


def test_a_host_in_no_play_is_never_a_pass() -> None:
    for processed in ({}, {"localhost": 1}):
        failure = _failure({"kind": "stats"} | _OK | {"processed": processed, "ok": {}}, _end())
        assert isinstance(failure, ConfigurationFailed)
        assert "web-1" in failure.what


def test_an_exit_code_that_no_count_explains_is_a_failure() -> None:
    text = {"kind": "text", "text": "ERROR! Unexpected Exception"}
    assert isinstance(_failure(text, {"kind": "stats"} | _OK, _end(250, "failed")), ConfigurationFailed)
