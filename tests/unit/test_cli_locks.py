"""`holdtrue locks` and `holdtrue unlock`: exit codes, who is named, and what is not released."""

import json
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest

from holdtrue.adapters.ledger import open_ledger
from holdtrue.cli import ExitCode, main
from holdtrue.models.lease import Holder, ProcessIdentity
from holdtrue.models.ledger import Ledger
from holdtrue.runtime.liveness import current_process

ELSEWHERE = {"machine": "another-boot/pid:[1]", "host": "worker-9"}


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    url = f"sqlite:///{tmp_path}/ledger.db"
    monkeypatch.setenv("HOLDTRUE_LEDGER_URL", url)
    return open_ledger(url)


def lock(ledger: Ledger, environment: str, process: ProcessIdentity) -> Holder:
    now = datetime.now(UTC)
    holder = Holder(
        id=uuid4(),
        run="0b5e",
        run_name=f"run-of-{environment}",
        flow="provision",
        process=process,
        opened_at=now,
        beat_at=now,
        closed_at=None,
    )
    ledger.open_holder(holder)
    assert ledger.locks.acquire(environment, holder.id)
    return holder


def fall_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("holdtrue.credentials.environment_lock.SILENCE_SECONDS", -1.0)


def dead_process() -> ProcessIdentity:
    """One of this machine that has ended: this process's id, begun at another time."""
    own = current_process()
    return own.model_copy(update={"started_ticks": own.started_ticks + 1})


def foreign_process() -> ProcessIdentity:
    return current_process().model_copy(update=ELSEWHERE)


def test_an_empty_ledger_is_good(ledger: Ledger, capsys: pytest.CaptureFixture[str]) -> None:
    assert ledger.locks.all() == ()
    assert main(["locks"]) == ExitCode.GOOD
    assert capsys.readouterr().out.strip()


@pytest.mark.parametrize(
    "command",
    [
        ["locks"],
        ["handlers"],
        ["approvals"],
        ["unlock", "demo", "--fence", "1"],
        ["acknowledge", "demo", "web-1", "restart web"],
    ],
)
@pytest.mark.parametrize("is_empty_file", [False, True])
def test_a_ledger_that_does_not_exist_is_not_an_empty_one(
    command: list[str],
    is_empty_file: bool,  # noqa: FBT001
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Such as after a typing error in its URL: nothing is known then, and no ledger is made."""
    file = tmp_path / "missing" / "ledger.db"
    if is_empty_file:
        file.parent.mkdir()
        file.touch()
    monkeypatch.setenv("HOLDTRUE_LEDGER_URL", f"sqlite:///{file}")
    assert main(command) == ExitCode.COULD_NOT_LOOK
    assert file.exists() is is_empty_file
    assert file.parent.exists() is is_empty_file
    assert main(command) == ExitCode.COULD_NOT_LOOK, "the first one has made none"


def test_each_lock_is_a_line_that_says_what_its_holder_is(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lock(ledger, "live", current_process())
    lock(ledger, "over", dead_process())
    lock(ledger, "free", current_process())
    ledger.locks.release("free", 1)
    assert main(["locks"]) == ExitCode.GOOD
    lock(ledger, "silent", foreign_process())
    assert main(["locks"]) == ExitCode.GOOD, "it was heard of just now"
    capsys.readouterr()
    fall_silent(monkeypatch)

    assert main(["locks"]) == ExitCode.FINDINGS

    lines = {line.split(":")[0]: line for line in capsys.readouterr().out.splitlines()}
    assert list(lines) == ["free", "live", "over", "silent"]
    assert all("fence 1" in line and name in line for name, line in lines.items())
    assert "run-of-silent (0b5e, flow provision) on host worker-9" in lines["silent"]


def test_the_list_is_also_a_document(ledger: Ledger, capsys: pytest.CaptureFixture[str]) -> None:
    holder = lock(ledger, "demo", current_process())

    assert main(["locks", "--json"]) == ExitCode.GOOD

    (found,) = json.loads(capsys.readouterr().out)["locks"]
    assert found["status"] == "live"
    assert (found["lock"]["fence"], found["lock"]["holder"]["id"]) == (1, str(holder.id))


@pytest.mark.parametrize("command", [["locks"], ["unlock", "demo", "--fence", "1"]])
@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("postgresql+psycopg://user:pass-word@127.0.0.1:9/ledger", ExitCode.COULD_NOT_LOOK),
        ("no url", ExitCode.BAD_INPUT),
    ],
)
def test_a_ledger_that_cannot_be_asked_is_told_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: list[str], url: str, code: ExitCode
) -> None:
    monkeypatch.setenv("HOLDTRUE_LEDGER_URL", url)

    assert main(command) == code

    streams = capsys.readouterr()
    assert streams.out == ""
    assert len(streams.err.splitlines()) == 1
    assert "pass-word" not in streams.err


@pytest.mark.parametrize("process", [dead_process(), foreign_process()])
def test_what_nobody_proves_to_be_alive_is_released_once(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, process: ProcessIdentity
) -> None:
    fall_silent(monkeypatch)
    lock(ledger, "demo", process)
    lock(ledger, "other", process)

    assert main(["unlock", "demo", "--fence", "1"]) == ExitCode.GOOD
    assert [lock.environment for lock in ledger.locks.all() if lock.holder] == ["other"]
    assert main(["unlock", "demo", "--fence", "1"]) == ExitCode.GOOD, "to release twice is to release"


@pytest.mark.parametrize(
    ("process", "arguments"),
    [
        (current_process(), ["demo", "--fence", "1"]),
        (foreign_process(), ["demo", "--fence", "1"]),  # Heard of just now.
        (dead_process(), ["demo", "--fence", "2"]),
        (dead_process(), ["demo", "--fence", "0"]),
        (dead_process(), ["demo", "--fence", "one"]),
        (dead_process(), ["demo"]),
        (dead_process(), ["no-such-environment", "--fence", "1"]),
    ],
)
def test_what_is_not_exactly_that_lock_of_a_dead_run_is_refused(
    ledger: Ledger, capsys: pytest.CaptureFixture[str], process: ProcessIdentity, arguments: list[str]
) -> None:
    holder = lock(ledger, "demo", process)

    try:
        code: int | str | None = main(["unlock", *arguments])
    except SystemExit as end:
        code = end.code
    assert code == ExitCode.BAD_INPUT

    assert "Next: " in capsys.readouterr().err
    (found,) = ledger.locks.all()
    assert found.holder is not None
    assert found.holder.id == holder.id
