"""What a run reads from Vault is in nothing that Prefect keeps, whatever way the run takes to leave it there."""

import json
import secrets
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import Final

import pytest
from pydantic import SecretStr

from holdtrue.adapters.leaks import search
from holdtrue.models.leak import Database, Files, KnownValue, LeakReport, PrefectApi
from sandbox import Sandbox
from sandbox.deployment import flow_environment
from tests.faults.texts_program import SECRET
from tests.flows.ways_into_prefect import DATA, TEXTS
from tests.integration.flow_stage import Stage

_RUN_SECONDS: Final = 200.0
_ARRIVAL_SECONDS: Final = 60.0
_WAYS: Final = tuple(way.__name__ for way in (*TEXTS, *DATA))


@dataclass(frozen=True, slots=True)
class Left:
    """What one run has left that took each way with a secret, and with a control that nothing knows."""

    refused: frozenset[str]
    report: LeakReport

    def found(self, kind: str) -> set[str]:
        """Ways whose secret or control was found."""
        return {leak.name.removeprefix(f"{kind} ") for leak in self.report.leaks if leak.name.startswith(f"{kind} ")}


@pytest.fixture(scope="module")
def left(joined_stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> Left:
    sandbox = joined_stage.sandbox
    folder = tmp_path_factory.mktemp("texts")
    known, unknown = ({way: str(10**15 + secrets.randbelow(10**15)) for way in _WAYS} for _ in range(2))
    sandbox.openbao.write_secret(SECRET, known)
    controls = folder / "controls.json"
    controls.write_text(json.dumps(unknown))
    log = folder / "log"
    log.mkdir()
    with (log / "terminal").open("wb") as output:
        subprocess.run(
            (sys.executable, "-m", "tests.faults.texts_program", str(controls)),
            env=flow_environment(sandbox),
            stdout=output,
            stderr=subprocess.STDOUT,
            check=True,
            timeout=_RUN_SECONDS,
        )
    _wait_for(sandbox, unknown)
    values = [(f"secret {way}", value) for way, value in known.items()]
    values += [(f"control {way}", value) for way, value in unknown.items()]
    places = (
        Database(url=SecretStr(f"sqlite:///{sandbox.prefect.home / 'prefect.db'}")),
        PrefectApi(url=sandbox.prefect.api_url),
        Files(path=sandbox.prefect.home),
        Files(path=log),
    )
    report = search([KnownValue(name=name, value=SecretStr(value)) for name, value in values], places)
    refused = (log / "terminal").read_text().rpartition("refused: ")[2]
    return Left(frozenset(json.loads(refused)), report)


def _wait_for(sandbox: Sandbox, controls: dict[str, str]) -> None:
    """Events come into the database some seconds after they were sent."""
    deadline = time.monotonic() + _ARRIVAL_SECONDS
    while True:
        kept = b"".join(path.read_bytes() for path in sandbox.prefect.home.glob("prefect.db*"))
        missing = {way for way, value in controls.items() if value.encode() not in kept}
        if not missing:
            return
        assert time.monotonic() < deadline, f"Prefect has not kept the controls of {missing}"
        time.sleep(0.5)


def test_no_secret_of_the_run_rests_with_prefect(left: Left) -> None:
    assert left.found("secret") == set()
    assert left.report.not_searched == ()


def test_positive_control_each_way_leads_into_prefect(left: Left) -> None:
    assert left.found("control") == set(_WAYS)


def test_data_is_refused_and_texts_are_not(left: Left) -> None:
    assert left.refused == {way.__name__ for way in DATA}
