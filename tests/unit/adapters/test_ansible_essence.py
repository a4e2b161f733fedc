import json
from typing import Any

from holdtrue.adapters.ansible import child
from holdtrue.adapters.ansible.essence import essence, focus
from holdtrue.core.redaction import Redactor

_LINE_LIMIT = 1 << 20
"""What run_tool passes on in one piece."""


def _line(result: dict[str, Any], secrets: list[str] | None = None) -> str:
    return json.dumps(child._presentable({"result": essence(result)}, Redactor(secrets or ())), ensure_ascii=False)


def test_a_huge_result_of_the_worst_characters_stays_one_line() -> None:
    text = "\x00\x1b\ud800" * 20_000
    diff = {"before": text, "after": text[::-1]}
    item = {"msg": text, "stderr": text, "stdout": text, "changed": True, "item": text, "diff": diff}
    result = item | {"module_stderr": text, "module_stdout": text, "reason": text, "results": [item] * 60}
    assert len(_line(result).encode(errors="replace")) < _LINE_LIMIT
    assert json.loads(_line(result))["result"]["changed"] is True


def test_a_hidden_result_keeps_its_verdict_and_nothing_else() -> None:
    hidden = {"_ansible_no_log": True, "changed": True, "msg": "canary", "diff": {"before": "canary", "after": "x"}}
    looped = {"changed": True, "results": [hidden | {"item": "canary"}]}
    for result in (hidden, looped):
        kept = essence(result)
        assert kept["changed"] is True
        assert "canary" not in json.dumps(kept)


def test_a_diff_shows_the_difference_however_far_down_it_is() -> None:
    same = [f"line {number}\n" for number in range(50_000)]
    before, after = "".join([*same, "old\n", *same]), "".join([*same, "new\n", *same])
    shown = essence({"changed": True, "diff": [{"before": before, "after": after, "before_header": "/etc/x"}]})["diffs"]
    assert shown[0]["path"] == "/etc/x"
    assert "old\n" in shown[0]["before"]
    assert "new\n" in shown[0]["after"]
    assert len(shown[0]["before"].splitlines()) == 7


def test_focus_of_texts_that_overlap_loses_nothing() -> None:
    assert focus("a\na\n", "a\na\na\n") == ("a\na\n", "a\na\na\n")
    assert focus("", "x") == ("", "x")
    assert focus("x\n", "x\n") == ("x\n", "x\n")


def test_attribute_and_binary_diffs_are_readable() -> None:
    modes = {"before": {"path": "/x", "mode": "0600"}, "after": {"path": "/x", "mode": "0644"}}
    binary = {"dst_binary": 1, "before": "", "after": ""}
    kept = essence({"changed": True, "path": "/x", "diff": [modes, binary]})["diffs"]
    assert kept[0] == {"path": "/x", "before": "path: /x\nmode: 0600\n", "after": "path: /x\nmode: 0644\n"}
    assert kept[1]["before"] != kept[1]["after"]


def test_a_diff_of_something_unchanged_is_no_diff() -> None:
    assert essence({"changed": False, "diff": {"before": "a", "after": "b"}})["diffs"] == []


def test_a_secret_is_removed_before_a_text_is_cut() -> None:
    secret = "canary-" + "x" * 40
    for length in range(2_950, 3_010):
        line = _line({"msg": "m" * length + secret, "stderr": secret + "e" * length, "changed": True}, [secret])
        assert "canary-" not in line
        assert secret[-9:] not in line


def test_the_end_of_an_output_counts_and_the_start_of_a_message() -> None:
    kept = json.loads(_line({"msg": "first" + "m" * 9_000, "stderr": "e" * 9_000 + "last"}))["result"]
    assert kept["msg"].startswith("first")
    assert kept["stderr"].endswith("last")


def test_bytes_that_are_not_utf8_survive() -> None:
    broken = b"\xff\xfe".decode(errors="surrogateescape")
    assert json.loads(_line({"msg": broken, "stdout": b"\xff"}))["result"]["msg"] == "??"
