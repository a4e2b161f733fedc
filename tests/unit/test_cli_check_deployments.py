"""`holdtrue check-deployments`: exit codes, the file it takes by itself, and what it never says."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from holdtrue.cli import ExitCode, main

CHECKOUT = Path(__file__).parents[2]
CLEAN = "deployments:\n  - name: nightly\n    parameters: {environment: demo}\n"
EXPOSED = "deployments:\n  - name: nightly\n    parameters:\n      password: in-clear-text\n"
UNKNOWN = "deployments:\n  - name: nightly\n    parameters: '{{ build.stdout }}'\n"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (CLEAN, ExitCode.GOOD),
        (EXPOSED, ExitCode.FINDINGS),
        ("deployments: [", ExitCode.BAD_INPUT),
        ("something: else", ExitCode.BAD_INPUT),
        (UNKNOWN, ExitCode.COULD_NOT_LOOK),
    ],
)
def test_the_exit_code_says_what_was_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], text: str, code: ExitCode
) -> None:
    (tmp_path / "prefect.yaml").write_text(text)
    monkeypatch.chdir(tmp_path)
    assert main(["check-deployments"]) == code
    streams = capsys.readouterr()
    assert "in-clear-text" not in streams.out + streams.err
    if code is ExitCode.FINDINGS:
        assert streams.out.startswith("prefect.yaml:4 deployments[0].parameters.password: ")


def test_several_files_are_one_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good, bad = tmp_path / "good.yaml", tmp_path / "bad.yaml"
    good.write_text(CLEAN)
    bad.write_text(EXPOSED)
    assert main(["check-deployments", "--json", str(good), str(bad)]) == ExitCode.FINDINGS
    report = json.loads(capsys.readouterr().out)
    assert report["verdict"] == "exposed"
    assert [(item["file"], item["line"]) for item in report["exposures"]] == [(str(bad), 4)]


def test_a_missing_file_is_bad_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check-deployments", str(tmp_path / "absent.yaml")]) == ExitCode.BAD_INPUT
    assert capsys.readouterr().err.count("\n") == 1


def test_it_works_without_prefect() -> None:
    code = (
        "import sys; sys.modules['prefect'] = None; import holdtrue.cli as c; sys.exit(c.main(['check-deployments']))"
    )
    child = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=30, cwd=CHECKOUT
    )
    assert child.stdout.startswith("clean: ")
