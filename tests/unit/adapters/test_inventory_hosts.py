"""Hosts behind an `ssh` of ours, which may be anything a hostile host is. A real one is in the integration tests."""

import ast
import json
import os
import signal
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdtrue.adapters.inventory.installed import list_venv
from holdtrue.adapters.inventory_hosts import HostInventory, list_hosts
from holdtrue.adapters.inventory_hosts.answer import AnswerUnreadable, read_answer
from holdtrue.adapters.inventory_hosts.script import FOLDERS_BEGIN
from holdtrue.errors import RejectedError
from holdtrue.models.dependency import Dependency, Origin
from holdtrue.runtime import package_probe
from holdtrue.runtime.package_probe import BEGIN, END
from holdtrue.runtime.process import find_marked

_SSH = """#!/bin/sh
# Ends with: -- HOST "sh -s". A host is a script beside this one; without one it is this machine.
while [ "$1" != -- ]; do shift; done
[ $# = 3 ] || exit 9
[ -x "$0-$2" ] && exec "$0-$2"
exec sh -c "$3"
"""
_GOOD = json.dumps({"folders": [], "problems": []})


class _Site:
    """A folder to search, and a fake ssh with hosts of any kind."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "root"
        self.packages = self.root / "venv/lib/python3.12/site-packages"
        self.packages.mkdir(parents=True)
        self.ssh = folder / "bin/ssh"
        self.ssh.parent.mkdir()
        self._write(self.ssh, _SSH)

    def _write(self, path: Path, text: str) -> None:
        path.write_text(text)
        path.chmod(0o755)

    def host(self, name: str, script: str) -> str:
        self._write(self.ssh.with_name(f"ssh-{name}"), f"#!/bin/sh\n{script}\n")
        return name

    def install(self, name: str = "demo", *, direct_url: str = "", metadata: str | None = None) -> Path:
        place = self.packages / f"{name}-1.0.dist-info"
        place.mkdir()
        (place / "METADATA").write_text(f"Name: {name}\nVersion: 1.0\n\nText\n" if metadata is None else metadata)
        if direct_url:
            (place / "direct_url.json").write_text(direct_url)
        return place

    def ask(self, *hosts: str, timeout_seconds: float = 20, total_seconds: float = 60) -> tuple[HostInventory, ...]:
        return list_hosts(
            hosts,
            config=Path("/dev/null"),
            environment={"SSH_AUTH_SOCK": "/no/agent"},
            roots=[str(self.root)],
            timeout_seconds=timeout_seconds,
            total_seconds=total_seconds,
        )


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> _Site:
    made = _Site(tmp_path)
    monkeypatch.setenv("PATH", f"{made.ssh.parent}{os.pathsep}{os.environ['PATH']}")
    return made


def _dependencies(answer: HostInventory) -> dict[str, Dependency]:
    return {item.name: item for inventory in answer.inventories for item in inventory.dependencies}


def test_a_host_tells_what_this_machine_would_say_of_the_same_folder(site: _Site) -> None:
    site.install(
        "app", metadata="Name: app\nVersion: 1.0\nLicense: MIT\nRequires-Dist: leaf\nRequires-Dist: x; extra=='y'\n"
    )
    site.install("leaf")
    site.install("cloned", direct_url='{"url": "https://s3cr3t@h.example", "vcs_info": {}}')
    (site.packages / "half_gone-1.0.dist-info").mkdir()
    (site.packages / "more.pth").write_text("/elsewhere\n")
    (site.packages / "pip/_vendor").mkdir(parents=True)
    (site.packages / "pip/_vendor/vendor.txt").write_text("urllib3==1.26.20\n")
    (local,) = list_venv(site.root / "venv")

    first, second = site.ask("web-1", "deploy@web-2", "web-1")

    assert (first.host, first.failure, second.host, second.failure) == ("web-1", "", "deploy@web-2", "")
    (inventory,) = first.inventories
    assert inventory.label == f"web-1:{site.packages}"
    assert inventory.dependencies == local.dependencies
    assert inventory.gaps == local.gaps
    assert _dependencies(first)["leaf"].chain == ("app",)
    assert "s3cr3t" not in repr((first, second))


def test_a_host_without_python_tells_names_in_doubt(site: _Site) -> None:
    site.install()
    (site.packages / "old-2.0-py3.8.egg-info").mkdir()
    site.host("bare", "sed 's/^for python in .*/for python in no-such-python/' | sh -s")

    (answer,) = site.ask("bare")

    assert answer.failure == ""
    found = _dependencies(answer)
    assert {name: item.version for name, item in found.items()} == {"demo": "1.0", "old": "2.0"}
    assert all(item.reason for item in found.values())
    assert any(gap.reason for inventory in answer.inventories for gap in inventory.gaps)


def test_a_host_that_holds_nothing_says_so(site: _Site) -> None:
    (answer,) = site.ask("empty")

    (inventory,) = answer.inventories
    assert (inventory.label, inventory.dependencies, len(inventory.gaps)) == ("empty", (), 1)


def test_a_root_that_is_not_there_is_a_gap(site: _Site) -> None:
    site.install()
    site.root = site.root / "missing"

    (answer,) = site.ask("web-1")

    assert str(site.root) in {gap.name for inventory in answer.inventories for gap in inventory.gaps}


def test_a_root_may_be_a_package_folder_itself(site: _Site) -> None:
    (site.packages / "old-2.0-py3.8.egg-info").mkdir()
    site.root = site.packages

    (answer,) = site.ask("web-1")

    assert _dependencies(answer).keys() == {"old"}
    assert [inventory.label for inventory in answer.inventories] == [f"web-1:{site.packages}"]


def test_a_shell_that_greets_hides_nothing(site: _Site) -> None:
    site.install()
    site.host("chatty", "echo Welcome; echo '{}'; sh -s; echo Bye")

    (answer,) = site.ask("chatty")

    assert _dependencies(answer).keys() == {"demo"}


@pytest.mark.parametrize(
    "script",
    [
        "exit 0",
        "echo junk",
        "echo 'ssh: connect to host x port 22: Connection refused' >&2; exit 255",
        "kill -KILL $$",
        f"echo '{BEGIN}'; echo '{_GOOD}'",
        f"echo '{BEGIN}'; echo '{_GOOD}'; echo '{END} 1'",
        f"echo '{BEGIN}'; echo '{_GOOD}'; echo '{END}'",
        f"echo '{BEGIN}'; echo '[]'; echo '{END} 2'",
        f"echo '{BEGIN}'; echo 'not'; echo '{END} 3'",
        f"printf '{BEGIN}\\n\\377\\376x\\n{END} 3\\n'",
        f"echo '{FOLDERS_BEGIN}'",
        "exec head -c 50000000 /dev/zero",
        "sh -s; exit 1",
    ],
)
def test_a_host_that_fails_or_lies_is_a_failure_and_the_others_are_kept(site: _Site, script: str) -> None:
    site.install()
    site.host("bad", script)

    bad, good = site.ask("bad", "good")

    assert (bad.host, bad.inventories) == ("bad", ())
    assert bad.failure
    assert bad.failure.isprintable()
    assert _dependencies(good).keys() == {"demo"}


@pytest.mark.parametrize("script", ["exec yes", "yes greeting >&2 & sleep 30"])
def test_a_host_that_never_ends_is_a_failure_in_time(site: _Site, script: str) -> None:
    site.host("bad", script)
    began = time.monotonic()

    (bad,) = site.ask("bad", timeout_seconds=0.5)

    assert time.monotonic() - began < 10
    assert bad.failure
    assert bad.inventories == ()


def _answer(folders: object, problems: object = ()) -> list[str]:
    text = json.dumps({"folders": folders, "problems": problems})
    return [BEGIN, text, f"{END} {len(text)}"]


@pytest.mark.parametrize(
    "folders",
    [
        {},
        [7],
        [{"path": 7, "entries": []}],
        [{"path": "/x", "entries": [{"name": 7, "text": ""}]}],
        [{"path": "/x", "entries": [{"name": "x.dist-info", "text": []}]}],
        [{"path": "/x", "entries": [{"text": ""}]}],
        [{"path": "/x", "entries": [], "more": 1}],
        [{"path": "/\ud800", "entries": []}],
    ],
)
def test_other_types_than_the_program_prints_are_refused(folders: object) -> None:
    with pytest.raises(AnswerUnreadable):
        read_answer(_answer(folders), "web-1")


def test_deep_json_is_refused() -> None:
    text = "[" * 100_000

    with pytest.raises(AnswerUnreadable):
        read_answer([BEGIN, text, f"{END} {len(text)}"], "web-1")


def test_an_answer_in_many_lines_is_one() -> None:
    entries = [
        {"name": f"demo{number}-1.0.dist-info", "text": f"Name: demo{number}\nVersion: 1.0"} for number in range(9)
    ]
    begin, text, end = _answer([{"path": "/x", "entries": entries}], [["/root", "cannot be searched"]])

    first, last = read_answer([begin, *(text[at : at + 7] for at in range(0, len(text), 7)), end], "web-1")

    assert len(first.dependencies) == 9
    assert (last.label, [gap.name for gap in last.gaps]) == ("web-1", ["/root"])


@settings(deadline=None, max_examples=100)
@given(st.lists(st.one_of(st.just(BEGIN), st.just(FOLDERS_BEGIN), st.just(END), st.text(max_size=30)), max_size=6))
def test_any_output_is_read_or_refused(lines: list[str]) -> None:
    try:
        read_answer(lines, "web-1")
    except AnswerUnreadable:
        return


@pytest.mark.parametrize("host", ["-oProxyCommand=touch x", "", "-w", "user@-w", "-l@web-1", "a b", "a;b", "a\nb", "ü"])
def test_a_name_that_is_none_of_a_host_never_reaches_ssh(site: _Site, host: str) -> None:
    site.ssh.write_text('#!/bin/sh\ntouch "$0-started"\n')

    (answer,) = site.ask(host)

    assert answer.host == host
    assert answer.failure
    assert not site.ssh.with_name("ssh-started").exists()


def test_hosts_whose_turn_does_not_come_are_failures(site: _Site) -> None:
    answers = site.ask("web-1", "web-2", total_seconds=0)

    assert [bool(answer.failure) for answer in answers] == [True, True]


@pytest.mark.parametrize("roots", [[], ["relative"], ["-delete"], ["/a\n/b"]])
def test_a_root_that_is_no_absolute_path_is_refused(roots: list[str]) -> None:
    with pytest.raises(RejectedError):
        list_hosts(["web-1"], config=Path("/dev/null"), environment={}, roots=roots)


def test_a_root_is_a_path_whatever_it_holds(site: _Site) -> None:
    site.root = site.root / 'it\'s $(touch started) `x` "y"'
    (site.root / "site-packages/demo-1.0.dist-info").mkdir(parents=True)

    (answer,) = site.ask("web-1")

    assert _dependencies(answer).keys() == {"demo"}


def test_a_run_that_is_told_to_end_ends_its_hosts(site: _Site) -> None:
    for number in range(3):
        site.host(f"slow-{number}", "sleep 30")

    class _Terminated(BaseException):
        pass

    def end(*_: object) -> None:
        raise _Terminated

    before = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, 0.5)
    began = time.monotonic()
    try:
        with pytest.raises(_Terminated):
            list_hosts(
                [f"slow-{number}" for number in range(3)],
                config=Path("/dev/null"),
                environment={"HOLDTRUE_TEST": "hosts-that-end"},
                roots=["/srv"],
                at_once=2,
            )
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)

    assert time.monotonic() - began < 10
    assert find_marked("HOLDTRUE_TEST", "hosts-that-end") == set()


def test_the_program_runs_on_old_pythons() -> None:
    source = Path(package_probe.__file__).read_text(encoding="ascii")

    tree = ast.parse(source, feature_version=(3, 6))

    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert imported <= {"json", "os", "stat", "sys", "time", "typing", "collections.abc"}


def _run_program(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], **request: object) -> list[str]:
    monkeypatch.setattr(sys, "argv", ["probe", json.dumps({"needs_all_roots": True, **request})])
    package_probe.main()
    return capsys.readouterr().out.splitlines()


def test_what_does_not_fit_into_an_answer_is_a_gap(
    site: _Site, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    site.install("one")
    site.install("two")
    monkeypatch.setattr(package_probe, "_MOST_CHARACTERS", 10)

    first, last = read_answer(_run_program(monkeypatch, capsys, roots=[str(site.root)], seconds=10), "web-1")

    assert [item.name for item in first.dependencies] == ["one"]
    assert [gap.name for gap in last.gaps] == [str(site.packages)]


def test_a_search_that_has_no_time_says_so(
    site: _Site, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    site.install()

    (inventory,) = read_answer(_run_program(monkeypatch, capsys, roots=[str(site.root)], seconds=-1), "web-1")

    assert inventory.dependencies == ()
    assert any("ended early" in gap.reason for gap in inventory.gaps)


def test_container_storage_is_not_searched_and_said_so(
    site: _Site, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    site.install()
    monkeypatch.setattr(package_probe, "_CONTAINERS", (str(site.root / "venv"),))

    (inventory,) = read_answer(_run_program(monkeypatch, capsys, roots=[str(site.root)], seconds=10), "web-1")

    assert str(site.root / "venv") in {gap.name for gap in inventory.gaps}


def test_a_python_of_the_distribution_is_known_by_its_path() -> None:
    entry = {"name": "demo-1.0.dist-info", "text": "Name: demo\nVersion: 1.0"}
    lines = _answer([{"path": "/usr/lib/python3/dist-packages", "entries": [entry]}])

    (inventory,) = read_answer(lines, "web-1")

    assert inventory.dependencies[0].origin is Origin.DISTRO
