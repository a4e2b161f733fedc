"""Errors in service logs: each service's own words are found, and what a run says about itself is not one."""

from pathlib import Path

import pytest

from sandbox.service_logs import EXPECTED, ExpectedError, LoggedError, describe, errors_in, errors_of, without_expected

TRACEBACK = """\
Traceback (most recent call last):
  File "server.py", line 1, in <module>
    start()
ValueError: no
"""
PREFECT = "03:35:04.552 | {level} | {logger} - {text}\n"


def write(folder: Path, service: str, text: str) -> Path:
    path = folder / f"{service}.log"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("service", "line"),
    [
        ("prefect", "03:35:04.552 | ERROR   | prefect.server.services.scheduler - Error scheduling deployment"),
        ("prefect", "03:35:04.552 | CRITICAL | MainThread   | prefect._internal - It is over"),
        ("worker-1", "03:35:04.552 | ERROR   | prefect.flow_runs.worker - Failed to submit flow run"),
        ("openbao", '2026-11-30T03:34:32.913Z [ERROR] core: failed: error="no"'),
        ("openbao", "panic: runtime error: invalid memory address"),
        ("postgres", '2026-11-30 03:39:37.586 UTC [24603] FATAL:  password authentication failed for user "x"'),
        ("postgres", "2026-11-30 03:39:37.586 UTC [24603] PANIC:  could not write to file"),
        ("load_balancer", "[ALERT]    (25127) : backend 'web' has no server available!"),
        ("load_balancer", "Exception ignored in: <function f at 0x1>"),
        ("aws", "[2026-11-30 03:34:32,913] ERROR in app: Exception on / [POST]"),
    ],
)
def test_each_services_words_for_an_error_are_found(tmp_path: Path, service: str, line: str) -> None:
    path = write(tmp_path, service, f"started\n{line}\n")
    (found,) = errors_of(path)
    assert (found.service, found.line, found.offset, found.text) == (service, 2, len("started\n"), line)


@pytest.mark.parametrize(
    "line",
    [
        "03:35:04.552 | WARNING | prefect.server - ERROR is a word here",
        "03:35:04.552 | ERROR   | Flow run 'drift' - Finished in state Drifted('3 differences', type=FAILED)",
        "03:35:04.552 | ERROR   | Task run 'preflight-7' - web-1 | error: no connection",
        "2026-11-30T03:34:32.913Z [WARN]  storage.raft: ERROR in an election",
        "2026-11-30 03:39:37.586 UTC [24603] LOG:  database system was shut down",
        "[WARNING]  (25127) : Server web/standby is going DOWN for maintenance.",
        "kex_exchange_identification: read: Connection reset by peer",
        '127.0.0.1 - - [30/Nov/2026 03:34:32] "POST / HTTP/1.1" 400 -',
    ],
)
def test_what_is_no_error_is_not_found(tmp_path: Path, line: str) -> None:
    assert errors_of(write(tmp_path, "any", f"{line}\n")) == []


@pytest.mark.parametrize(
    ("service", "before", "after"),
    [
        ("aws", "Press CTRL+C to quit\n", '127.0.0.1 - - [30/Nov/2026 03:34:32] "POST / HTTP/1.1" 500 -\n'),
        (
            "prefect",
            PREFECT.format(level="INFO   ", logger="prefect.server", text="started"),
            PREFECT.format(level="INFO   ", logger="prefect.server", text="stopped"),
        ),
    ],
)
def test_traceback_is_found_whole(tmp_path: Path, service: str, before: str, after: str) -> None:
    (found,) = errors_of(write(tmp_path, service, before + TRACEBACK + after))
    assert found.text.endswith(TRACEBACK.rstrip())
    assert after.strip() not in found.text


@pytest.mark.parametrize(
    "text",
    [
        f"Encountered an exception during execution: ValueError('no')\n{TRACEBACK}".rstrip(),
        "Crash detected! Execution was aborted by a termination signal.",
        "Finished in state Crashed('Execution was aborted by a termination signal.')",
    ],
)
def test_traceback_and_crash_of_a_run_are_errors(tmp_path: Path, text: str) -> None:
    line = f"03:35:04.552 | ERROR   | Flow run 'drift' - {text}"
    assert [found.text for found in errors_of(write(tmp_path, "worker-1", f"{line}\n"))] == [line]


def test_all_logs_are_read_and_lines_are_counted_in_each(tmp_path: Path) -> None:
    write(tmp_path, "lb", "[ALERT] one\nfine\n[ALERT] two\n")
    write(tmp_path, "aws", "é\n" + TRACEBACK)
    write(tmp_path, "empty", "")
    (tmp_path / "bytes.log").write_bytes(b"\xff\xfe\x00")
    found = [(error.service, error.line, error.offset) for error in errors_in(tmp_path)]
    assert found == [("aws", 2, len("é\n".encode())), ("lb", 1, 0), ("lb", 3, len("[ALERT] one\nfine\n"))]


def error(service: str, text: str) -> LoggedError:
    return LoggedError(service, Path(f"/run/log/{service}.log"), 7, 0, text)


def test_only_what_is_expected_of_that_service_is_left_out() -> None:
    expected = [ExpectedError("worker-*", "ValueError: no$", "why")]
    ours, other = error("worker-2", TRACEBACK.rstrip()), error("worker-2", TRACEBACK.replace("no", "yes"))
    elsewhere = error("prefect", TRACEBACK.rstrip())
    assert without_expected([ours, other, elsewhere], expected) == [other, elsewhere]


def test_every_expected_error_has_a_reason() -> None:
    assert [entry for entry in EXPECTED if len(entry.reason.split()) < 5] == []


def test_description_says_where_and_what() -> None:
    text = describe(error("aws", "\n".join(f"line {number}" for number in range(100))), "test_x")
    assert all(part in text for part in ("aws", "/run/log/aws.log", "line 7", "test_x", "line 0", "70 more"))
    assert "line 99" not in text
