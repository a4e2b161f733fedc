from pathlib import Path

import pytest

from tools.console import SetupFailedError
from tools.prerequisites import PREREQUISITES, Machine, ensure_prerequisites, find_missing

# Stands in for apt-get: "installs" the packages it is asked for, and notes whether services were forbidden to start.
_APT = """#!/bin/sh
root="{root}"
echo "$@" >> "$root/apt.log"
[ "{fails}" = yes ] && {{ echo "E: Unable to locate package"; exit 100; }}
case "$*" in *install*) ;; *) exit 0 ;; esac
"$root/usr/sbin/policy-rc.d"; echo "policy $?" >> "$root/apt.log"
for package in "$@"; do
    case "$package" in
        openssh-server) program=sshd ;; openssh-client) program=ssh ;;
        haproxy) program=haproxy ;; iproute2) program=ip ;;
        *) continue ;;
    esac
    printf '#!/bin/sh\\n' > "$root/usr/sbin/$program" && chmod 755 "$root/usr/sbin/$program"
done
"""


def _program(folder: Path, name: str, text: str = "#!/bin/sh\n") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text, encoding="utf-8")
    (folder / name).chmod(0o755)


def _machine(root: Path, *, is_root: bool = True, debian: bool = True, apt_fails: bool = False) -> Machine:
    for folder in ("usr/sbin", "usr/bin", "etc"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    name = 'ID=ubuntu\nID_LIKE="debian"\n' if debian else 'ID=fedora\nID_LIKE="rhel"\n'
    (root / "etc/os-release").write_text(name, encoding="utf-8")
    _program(root / "usr/bin", "apt-get", _APT.format(root=root, fails="yes" if apt_fails else "no"))
    return Machine(is_root=is_root, search_path=f"{root}/usr/bin", root_folder=root)


def _install_all(root: Path) -> None:
    for item in PREREQUISITES:
        _program(root / "usr/sbin", item.command)


def test_nothing_is_installed_where_all_is_there(tmp_path: Path) -> None:
    machine = _machine(tmp_path)
    _install_all(tmp_path)

    ensure_prerequisites(machine)

    assert not (tmp_path / "apt.log").exists()


def test_system_folders_are_searched_although_a_user_has_them_not_on_path(tmp_path: Path) -> None:
    machine = _machine(tmp_path, is_root=False)
    _install_all(tmp_path)

    assert find_missing(machine) == ()


def test_root_on_debian_gets_the_missing_programs_with_their_services_stopped(tmp_path: Path) -> None:
    machine = _machine(tmp_path)
    _program(tmp_path / "usr/bin", "ssh")

    ensure_prerequisites(machine)

    assert find_missing(machine) == ()
    log = (tmp_path / "apt.log").read_text(encoding="utf-8")
    assert "policy 101" in log
    assert "openssh-client" not in log, "what is there is not installed again"
    assert not (tmp_path / "usr/sbin/policy-rc.d").exists()


def test_a_policy_of_the_administrator_is_kept(tmp_path: Path) -> None:
    machine = _machine(tmp_path)
    _program(tmp_path / "usr/sbin", "policy-rc.d", "#!/bin/sh\nexit 104\n")

    ensure_prerequisites(machine)

    assert "policy 104" in (tmp_path / "apt.log").read_text(encoding="utf-8")
    assert (tmp_path / "usr/sbin/policy-rc.d").exists()


def test_a_failed_installation_is_a_failure_and_leaves_no_policy(tmp_path: Path) -> None:
    machine = _machine(tmp_path, apt_fails=True)

    with pytest.raises(SetupFailedError, match="openssh-server"):
        ensure_prerequisites(machine)

    assert not (tmp_path / "usr/sbin/policy-rc.d").exists()


@pytest.mark.parametrize(("is_root", "debian"), [(False, True), (True, False)])
def test_where_nothing_can_be_installed_the_packages_are_named(tmp_path: Path, *, is_root: bool, debian: bool) -> None:
    machine = _machine(tmp_path, is_root=is_root, debian=debian)

    with pytest.raises(SetupFailedError, match=r"sshd.*haproxy") as failure:
        ensure_prerequisites(machine)

    assert ("iproute2" in str(failure.value).split("elsewhere")[0]) == is_root, "only root can make network namespaces"
    assert not (tmp_path / "apt.log").exists()
