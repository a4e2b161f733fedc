import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tools.console import SetupFailedError
from tools.pulumi.obtain import ask_version, find_on_path, obtain_cached, obtain_pulumi, read_wanted_version
from tools.pulumi.sources import GoBuild, SourceUnavailableError, VendorInstaller
from tools.versions import Version

CHECKOUT = Path(__file__).parents[2]
WANTED = Version(3, 259, 0)

# Stands in for the Go tool: answers `go env GOVERSION`, and "builds" a CLI that reports the version it was linked with.
_GO = """#!/bin/sh
[ "$1" = env ] && {{ echo {go_version}; exit 0; }}
echo build >> "{log}"
while [ $# -gt 0 ]; do
    case "$1" in -ldflags) flags="$2" ;; -o) output="$2" ;; esac
    shift
done
{before}
printf '#!/bin/sh\\necho %s\\n' "${{flags##*=}}" > "$output"
chmod 755 "$output"
"""


def _script(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(0o755)
    return path


def _go(folder: Path, *, go_version: str = "go1.26.8", before: str = "") -> GoBuild:
    _script(folder / "bin/go", _GO.format(log=folder / "log", go_version=go_version, before=before))
    return GoBuild(folder, f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}")


def _cli(folder: Path, version: str) -> Path:
    return _script(folder / "pulumi", f"#!/bin/sh\necho {version}\n")


@dataclass(frozen=True, slots=True)
class FakeSource:
    """Delivers `version`, or writes half of it and gives up."""

    version: str | None
    calls: list[Path] = field(default_factory=list)

    def fill(self, folder: Path, version: Version) -> None:
        self.calls.append(folder)
        if self.version is None:
            (folder / "pulumi").write_text("half", encoding="utf-8")
            raise SourceUnavailableError(f"closed for {version}")
        _cli(folder, self.version)


def _leftovers(cache: Path) -> list[str]:
    return sorted(path.name for path in (cache / "pulumi").iterdir() if path.suffix != ".lock")


def test_the_pinned_version_is_read_from_the_module() -> None:
    assert read_wanted_version(CHECKOUT / "tools/pulumi/go.mod") >= WANTED


def test_a_module_without_the_pin_is_refused(tmp_path: Path) -> None:
    (tmp_path / "go.mod").write_text("module example\n", encoding="utf-8")

    with pytest.raises(SetupFailedError, match=r"go\.mod"):
        read_wanted_version(tmp_path / "go.mod")


@pytest.mark.parametrize("version", ["v3.259.0", "v3.1000.0", "3.260.0"])
def test_a_cli_on_path_that_is_new_enough_is_used(tmp_path: Path, version: str) -> None:
    assert find_on_path(str(tmp_path), WANTED) is None
    cli = _cli(tmp_path, version)

    assert find_on_path(str(tmp_path), WANTED) == cli


@pytest.mark.parametrize("version", ["v3.99.0", "v3.258.9", "v3.259.0-alpha.1", "v4.0.0", "", "oops"])
def test_a_cli_on_path_that_is_old_foreign_or_broken_is_left_alone(tmp_path: Path, version: str) -> None:
    _cli(tmp_path, version)

    assert find_on_path(str(tmp_path), WANTED) is None


def test_the_first_source_that_delivers_fills_the_cache_once(tmp_path: Path) -> None:
    closed, good, spare = FakeSource(None), FakeSource("v3.259.0"), FakeSource("v3.259.0")

    first = obtain_cached(tmp_path, WANTED, (closed, good, spare))
    second = obtain_cached(tmp_path, WANTED, (closed, good, spare))

    assert first == second == tmp_path / "pulumi/3.259.0/pulumi"
    assert ask_version(first) == WANTED
    assert (len(closed.calls), len(good.calls), len(spare.calls)) == (1, 1, 0)
    assert _leftovers(tmp_path) == ["3.259.0"]


def test_a_half_install_never_stays_and_every_reason_is_told(tmp_path: Path) -> None:
    with pytest.raises(SetupFailedError) as failure:
        obtain_cached(tmp_path, WANTED, (FakeSource(None), FakeSource("v1.0.0")))

    assert "closed for 3.259.0" in str(failure.value)
    assert "1.0.0" in str(failure.value)
    assert _leftovers(tmp_path) == []


def test_a_damaged_cache_is_made_new(tmp_path: Path) -> None:
    _cli(tmp_path / "pulumi/3.259.0", "").write_text("damaged", encoding="utf-8")
    _cli(tmp_path / "pulumi/3.259.0.draft", "v0.0.1")

    assert ask_version(obtain_cached(tmp_path, WANTED, (FakeSource("v3.259.0"),))) == WANTED
    assert _leftovers(tmp_path) == ["3.259.0"]


def test_two_set_ups_at_once_build_once(tmp_path: Path) -> None:
    go = _go(tmp_path / "go", before="sleep 0.3")

    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(lambda _: obtain_cached(tmp_path / "cache", WANTED, (go,)), range(2)))

    assert both[0] == both[1]
    assert (tmp_path / "go/log").read_text(encoding="utf-8").split() == ["build"]


def test_a_build_carries_its_version_and_the_launcher_of_dynamic_providers(tmp_path: Path) -> None:
    cli = obtain_cached(tmp_path / "cache", WANTED, (_go(tmp_path / "go", before='echo x > "$GOTMPDIR/left"'),))

    assert ask_version(cli) == WANTED
    assert os.access(cli.with_name("pulumi-resource-pulumi-python"), os.X_OK)
    assert sorted(path.name for path in cli.parent.iterdir()) == ["pulumi", "pulumi-resource-pulumi-python"]


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ({"go_version": "go1.21.3"}, "too old"),
        ({"before": "echo no network; exit 1"}, "no network"),
    ],
)
def test_a_go_that_cannot_build_is_a_reason_not_a_crash(tmp_path: Path, source: dict[str, str], reason: str) -> None:
    with pytest.raises(SetupFailedError, match=reason):
        obtain_cached(tmp_path / "cache", WANTED, (_go(tmp_path / "go", **source),))


def test_without_go_the_user_is_told_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(SetupFailedError, match=r"https://go\.dev/dl/"):
        obtain_cached(tmp_path / "cache", WANTED, (GoBuild(tmp_path, str(tmp_path)),))


def test_an_unreachable_vendor_is_given_up_quickly(tmp_path: Path) -> None:
    no_network = _script(tmp_path / "bin/python", "#!/bin/sh\nexit 1\n")
    started = time.monotonic()

    with pytest.raises(SourceUnavailableError, match=r"get\.pulumi\.com"):
        VendorInstaller(no_network, CHECKOUT).fill(tmp_path, WANTED)

    assert time.monotonic() - started < 2


@pytest.mark.parametrize("installer_works", [True, False])
def test_the_vendor_installer_leaves_the_programs_or_nothing(tmp_path: Path, *, installer_works: bool) -> None:
    body = 'mkdir -p "$5/bin" && cp "$0.cli" "$5/bin/pulumi" && cp "$0.cli" "$5/bin/pulumi-language-python"'
    python = _script(
        tmp_path / "bin/python", f'#!/bin/sh\n[ "$3" = probe ] && exit 0\n{body}\nexit {1 - installer_works}'
    )
    _script(tmp_path / "bin/python.cli", "#!/bin/sh\necho v3.259.0\n")
    cache = tmp_path / "cache"
    source = VendorInstaller(python, CHECKOUT)

    if installer_works:
        assert obtain_cached(cache, WANTED, (source,)).with_name("pulumi-language-python").exists()
        assert sorted(path.name for path in (cache / "pulumi/3.259.0").iterdir()) == [
            "pulumi",
            "pulumi-language-python",
        ]
    else:
        with pytest.raises(SetupFailedError):
            obtain_cached(cache, WANTED, (source,))
        assert _leftovers(cache) == []


def test_a_terminated_set_up_leaves_no_draft_and_no_process(tmp_path: Path) -> None:
    _go(tmp_path / "go", before=f'echo $$ > "{tmp_path}/draft"; mv "{tmp_path}/draft" "{tmp_path}/pid"; sleep 60')
    script = (
        "import signal, sys\nfrom pathlib import Path\nfrom tools.setup import _stop\n"
        "from tools.pulumi.obtain import obtain_cached\nfrom tools.pulumi.sources import GoBuild\n"
        "from tools.versions import Version\nsignal.signal(signal.SIGTERM, _stop)\n"
        f"folder = Path({str(tmp_path)!r})\n"
        "source = GoBuild(folder / 'go', f'{folder}/go/bin:/usr/bin:/bin')\n"
        "obtain_cached(folder / 'cache', Version(3, 259, 0), (source,))\n"
    )
    owner = subprocess.Popen([sys.executable, "-c", script], cwd=CHECKOUT, stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 10
        while not (tmp_path / "pid").exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        builder = int((tmp_path / "pid").read_text(encoding="utf-8"))
        assert Path(f"/proc/{builder}").exists(), "the check must be able to see a process that lives"
        assert _leftovers(tmp_path / "cache") == ["3.259.0.draft"]
        owner.send_signal(signal.SIGTERM)
        owner.wait(10)
    finally:
        owner.kill()
        owner.wait()
    assert not Path(f"/proc/{builder}").exists()
    assert _leftovers(tmp_path / "cache") == []


def test_the_cli_is_linked_into_the_environment_and_does_not_find_itself(tmp_path: Path) -> None:
    checkout = tmp_path / "checkout"
    _script(checkout / "tools/pulumi/go.mod", "require github.com/pulumi/pulumi/pkg/v3 v3.259.0\n")
    own = _cli(tmp_path / "own", "v3.260.0")
    search_path = f"{checkout}/.venv/bin{os.pathsep}{own.parent}"

    for _ in range(2):
        link = obtain_pulumi(checkout, search_path=search_path, cache=tmp_path / "cache")
        assert link == checkout / ".venv/bin/pulumi"
        assert link.resolve() == own
