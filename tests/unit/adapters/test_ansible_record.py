import json
from typing import Any

import pytest

from holdtrue.adapters.ansible.events import parse_event
from holdtrue.adapters.ansible.failures import find_failure
from holdtrue.adapters.ansible.record import RunRecord
from holdtrue.adapters.ansible.selection import ALL_TASKS, TaskSelection
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


def _record(
    *events: dict[str, Any], check: bool = False, selection: TaskSelection = ALL_TASKS
) -> tuple[RunRecord, list[Progress]]:
    seen: list[Progress] = []
    record = RunRecord(seen.append, check=check, selection=selection)
    for event in events:
        record.take(parse_event(json.dumps(event)))
    return record, seen


def _end(exit_code: int = 0, status: str = "successful") -> dict[str, Any]:
    return {"kind": "end", "status": status, "exit_code": exit_code}


def _failure(*events: dict[str, Any], check: bool = False, error_tail: str = "") -> Exception | None:
    record, _ = _record(*events, check=check)
    return find_failure(record, hosts=["web-1"], playbook="site.yml", error_tail=error_tail)


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
    with pytest.raises(UnavailableError) as refused:
        parse_event(line, where="site.yml, line 7")
    assert refused.value.where == "site.yml, line 7"


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


def _play(*hosts: str) -> dict[str, Any]:
    return {"kind": "play", "hosts": hosts}


def _task(meta: str = "", *, run_once: bool = False) -> dict[str, Any]:
    return {"kind": "task", "task": "Do it", "meta": meta, "run_once": run_once}


_STATS = {"kind": "stats"} | _OK


def test_a_host_that_its_play_ended_is_neither_a_failure_nor_touched() -> None:
    events = (_play("web-1", "web-2"), _task("end_host"), _task(), _result(), _STATS, _end())
    record, seen = _record(*events)
    assert find_failure(record, hosts=["web-1", "web-2"], playbook="p", error_tail="") is None
    [untouched] = record.run().untouched
    assert untouched.host == "web-2"
    assert "end_host" in untouched.reason
    assert [line.level for line in seen if "web-2" in line.message] == [ProgressLevel.WARNING]


def test_a_run_that_did_not_end_by_itself_says_nothing_of_hosts_it_may_not_have_come_to() -> None:
    record, _ = _record(_play("web-1", "web-2"), _task(), _result())
    assert record.run().untouched == ()


@pytest.mark.parametrize("module", ["ansible.builtin.setup", "gather_facts", "ansible.builtin.meta"])
def test_facts_alone_do_not_touch_a_host(module: str) -> None:
    record, _ = _record(_play("web-1"), _result() | {"module": module}, _STATS, _end(), check=True)
    assert [host.host for host in record.run().untouched] == ["web-1"]


def test_facts_that_fail_are_a_failure_of_their_host() -> None:
    failed = _result("failed", msg="no python") | {"module": "ansible.builtin.setup"}
    record, _ = _record(_play("web-1"), failed, _STATS, _end(), check=True)
    assert record.run().untouched == ()


@pytest.mark.parametrize(
    "module", ["ansible.builtin.setup", "gather_facts", "ansible.legacy.setup", "ansible.builtin.include_tasks"]
)
def test_facts_and_includes_are_no_selected_task(module: str) -> None:
    idle = _result(host="idle") | {"module": module}
    events = (_play("busy", "idle", "silent"), idle, _result(host="busy"), _STATS, _end())
    record, _ = _record(*events, selection=TaskSelection(tags=("a",)))
    assert [host.host for host in record.run().untouched] == ["idle", "silent"]
    assert {host.reason for host in record.run().untouched} == {"no task with the tags a ran on it"}


def test_an_include_is_a_task_where_all_are_selected() -> None:
    record, _ = _record(_play("web-1"), _result() | {"module": "include_tasks"}, _STATS, _end())
    assert record.run().untouched == ()


@pytest.mark.parametrize("event", ["unreachable", "failed"])
def test_a_host_in_trouble_is_told_as_that(event: str) -> None:
    down = _result(event, host="down") | {"module": "ansible.builtin.setup"}
    record, _ = _record(_play("down", "idle"), down, _STATS, _end(), selection=TaskSelection(tags=("a",)))
    assert [host.host for host in record.run().untouched] == ["idle"]


def _notified(host: str = "web-1", handler: str = "Restart", *replaces: str) -> dict[str, Any]:
    return {"kind": "notified", "host": host, "handler": handler, "replaces": replaces}


def _handler(event: str = "ok", *, host: str = "web-1", run_once: bool = False, **result: Any) -> dict[str, Any]:
    names = ["Restart", "web : Restart"]
    return _result(event, host=host, **result) | {"handler_names": names, "run_once": run_once}


@pytest.mark.parametrize(
    ("events", "lost"),
    [
        ((_notified(),), [("web-1", "Restart", False)]),
        ((_notified(), _notified("web-2"), _handler()), [("web-2", "Restart", False)]),
        ((_notified(handler="web : Restart"), _handler()), []),
        ((_notified(handler="{{ name }}"), _notified("web-1", "Restart", "{{ name }}"), _handler()), []),
        ((_notified(), _handler("skipped", skip_reason="Conditional result was False")), []),
        ((_notified(), _handler("failed", msg="no")), [("web-1", "Restart", True)]),
        ((_notified(), _handler("unreachable", msg="gone")), [("web-1", "Restart", True)]),
        ((_notified(), _handler("failed", msg="no", ignored=True)), []),
        ((_play("web-1", "web-2"), _notified(), _notified("web-2"), _handler(run_once=True)), []),
        ((_notified(), _handler(), _notified()), [("web-1", "Restart", False)]),
        ((_notified(), _result()), [("web-1", "Restart", False)]),
    ],
)
def test_handlers_are_lost_until_they_have_run(
    events: tuple[dict[str, Any], ...], lost: list[tuple[str, str, bool]]
) -> None:
    record, _ = _record(*events)
    assert [(item.host, item.handler, item.failed) for item in record.run().lost_handlers] == lost
    checked, _ = _record(*events, check=True)
    assert checked.run().lost_handlers == ()


def test_lost_handlers_are_named_with_the_failure() -> None:
    stats = _STATS | {"failures": {"web-1": 1}}
    failure = _failure(_notified(), _result("failed", msg="bad"), stats, _end(2, "failed"))
    assert isinstance(failure, ConfigurationFailed)
    assert "web-1: Restart" in failure.what
    checked = _failure(_notified(), _result("failed", msg="bad"), stats, _end(2, "failed"), check=True)
    assert "Restart" not in str(checked)


def test_hosts_behind_an_unreachable_one_are_not_told_as_in_no_play() -> None:
    stats = _STATS | {"ok": {}, "processed": {}, "dark": {"web-1": 1}}
    record, _ = _record(_play("web-1"), _result("unreachable", msg="gone"), stats, _end(4, "failed"), check=True)
    failure = find_failure(record, hosts=["web-1", "web-2"], playbook="p", error_tail="")
    assert isinstance(failure, HostUnreachable)
    assert "web-2" in failure.what
