"""`holdtrue leaks`: what was planted is found however it is wrapped, and what was not looked at is never clean."""

import base64
import gzip
import html
import json
import os
import secrets
import shlex
import sqlite3
import subprocess
import sys
import zipfile
from pathlib import Path
from urllib.parse import quote
from xml.sax import saxutils

import httpx
import pytest
import yaml

VALUE = "pl@nted/value+of='the' \"leak\"-tést"
DOUBLED = VALUE.replace("'", "''")


def search(*arguments: str, values: str = f"planted={VALUE}\n") -> tuple[int, dict[str, object]]:
    done = subprocess.run(
        (sys.executable, "-m", "holdtrue", "leaks", "--json", *arguments),
        input=values,
        env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert VALUE not in done.stdout + done.stderr
    return done.returncode, json.loads(done.stdout) if done.stdout.startswith("{") else {}


@pytest.mark.parametrize(
    "text",
    [
        VALUE,
        quote(VALUE, safe=""),
        json.dumps({"a": VALUE}),
        VALUE.encode().hex(),
        base64.b64encode(b"x" + VALUE.encode() + b"yz").decode(),
        json.dumps({"a": shlex.quote(json.dumps(VALUE))}),
        saxutils.escape(VALUE, {"'": "&apos;", '"': "&quot;"}),
        html.escape(f"password: '{DOUBLED}'"),
        yaml.safe_dump({"a": VALUE}, default_style='"'),
        str(httpx.URL("https://h.example", username="app", password=VALUE)),
        repr(["INSERT INTO t VALUES", DOUBLED]),
    ],
)
def test_each_form_is_found_plain_packed_and_in_a_database(tmp_path: Path, text: str) -> None:
    (tmp_path / "plain.log").write_text("before " + text)
    with gzip.open(tmp_path / "old.log.gz", "wt") as packed:
        packed.write("x" * 100_000 + text)
    with zipfile.ZipFile(tmp_path / "artifact.zip", "w") as archive:
        archive.writestr("inner.txt", text)
    with sqlite3.connect(tmp_path / "some.db") as database:
        database.execute("CREATE TABLE logs (message TEXT)")
        database.execute("INSERT INTO logs VALUES (?)", (text,))
    database.close()
    code, report = search(str(tmp_path))
    assert code == 1
    shown = json.dumps(report)
    assert [name for name in ("plain.log", "old.log.gz", "artifact.zip", "some.db") if name not in shown] == []
    code, report = search("--database", f"sqlite:///{tmp_path / 'some.db'}")
    assert code == 1
    assert "logs" in json.dumps(report)


def test_nothing_planted_is_clean(tmp_path: Path) -> None:
    (tmp_path / "plain.log").write_text("nothing of interest")
    assert search(str(tmp_path))[0] == 0


def test_a_running_process_is_seen(tmp_path: Path) -> None:
    own = secrets.token_hex(16)  # A process of another test session may hold VALUE.
    child = subprocess.Popen((sys.executable, "-c", "import time; time.sleep(60)"), env={"TOKEN": own})
    try:
        assert search("--processes", values=f"own={own}\n")[0] == 1
        code, _ = search("--processes", "--exclude-pid", str(child.pid), str(tmp_path), values=f"own={own}\n")
        assert code != 1
    finally:
        child.kill()
        child.wait(5)


def test_what_cannot_be_looked_at_is_not_clean(tmp_path: Path) -> None:
    assert search(str(tmp_path / "not-there"))[0] == 3
    (tmp_path / "broken.gz").write_bytes(gzip.compress(os.urandom(500))[:-100])
    assert search(str(tmp_path))[0] == 3


@pytest.mark.parametrize("values", ["", "short=abc\n"])
def test_without_a_value_to_look_for_there_is_no_answer(tmp_path: Path, values: str) -> None:
    (tmp_path / "plain.log").write_text("anything")
    assert search(str(tmp_path), values=values)[0] == 2
