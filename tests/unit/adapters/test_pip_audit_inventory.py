"""What a target holds."""

import sys
from pathlib import Path

import pytest

from holdtrue.adapters.pip_audit import PipAudit, find_package_folders
from holdtrue.adapters.pip_audit.inventory import list_installed, read_requirements
from holdtrue.core.audit import LOCAL_PROJECT
from holdtrue.core.requirements import Pin
from holdtrue.errors import RejectedError, ToolMissing
from holdtrue.models.advisory import AuditTarget, InventoryKind


def install(folder: Path, name: str, version: str, direct_url: str | None = None) -> None:
    metadata = folder / f"{name}-{version}.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    if direct_url is not None:
        (metadata / "direct_url.json").write_text(direct_url)


def test_includes_are_read_beside_the_file_that_names_them(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "top.txt").write_text("demo-a==1.0\n-r sub/more.txt\n-c sub/limits.txt\nlimited\n")
    (tmp_path / "sub/more.txt").write_text("demo-b==2.0\n-r last.txt\n-r ../top.txt\n")
    (tmp_path / "sub/last.txt").write_bytes(b"\xef\xbb\xbfdemo-c==3.0\r\n")
    (tmp_path / "sub/limits.txt").write_text("limited==4.0\nunused==5.0\n")

    inventory = read_requirements(tmp_path / "top.txt")

    assert {pin.name: pin.version for pin in inventory.pins} == {
        "demo-a": "1.0", "demo-b": "2.0", "demo-c": "3.0", "limited": "4.0",
    }  # fmt: skip
    assert inventory.unjudged == ()


def test_what_a_constraints_file_includes_stays_a_constraint(tmp_path: Path) -> None:
    (tmp_path / "top.txt").write_text("-c limits.txt\ndemo\n")
    (tmp_path / "limits.txt").write_text("-r more.txt\n")
    (tmp_path / "more.txt").write_text("demo==1.0\nunused==2.0\n")

    assert read_requirements(tmp_path / "top.txt").pins == (Pin("demo", "1.0"),)


@pytest.mark.parametrize(
    "content", [None, b"\x89PNG\xff\xfe", b"-r missing.txt\n"], ids=["missing", "binary", "include"]
)
def test_an_unreadable_file_is_refused_by_name(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "requirements.txt"
    if content is not None:
        file.write_bytes(content)

    with pytest.raises(RejectedError) as caught:
        read_requirements(file)

    assert "requirements.txt" in caught.value.where


def test_installed_packages_by_origin(tmp_path: Path) -> None:
    install(tmp_path, "Demo_A", "1.0")
    install(tmp_path, "editable", "1.0", '{"url": "file:///src", "dir_info": {"editable": true}}')
    install(tmp_path, "wheel", "1.0", '{"url": "file:///dist/wheel.whl", "archive_info": {}}')
    install(tmp_path, "cloned", "1.0", '{"url": "https://h.example/x", "vcs_info": {"vcs": "git", "commit_id": "0"}}')
    install(tmp_path, "broken", "1.0", "{")
    install(tmp_path, "odd", "nineteen")
    (tmp_path / "half_gone-1.0.dist-info").mkdir()

    inventory = list_installed(tmp_path)

    reasons = {item.name: item.reason for item in inventory.unjudged}
    assert inventory.pins == (Pin("demo-a", "1.0"),)
    assert reasons.keys() == {"editable", "wheel", "cloned", "broken", "odd", "half_gone-1.0.dist-info"}
    assert [name for name, reason in sorted(reasons.items()) if reason == LOCAL_PROJECT] == ["editable", "wheel"]


def test_two_versions_of_one_installed_package_are_both_listed(tmp_path: Path) -> None:
    install(tmp_path, "demo", "1.0")
    install(tmp_path, "demo", "2.0")

    assert {pin.version for pin in list_installed(tmp_path).pins} == {"1.0", "2.0"}


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RejectedError):
        list_installed(tmp_path / "site-packages")


def test_this_interpreter_shows_its_packages() -> None:
    folders = find_package_folders(Path(sys.executable))

    assert any(pin.name == "pytest" for folder in folders for pin in list_installed(folder).pins)


def test_what_is_no_interpreter_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ToolMissing):
        find_package_folders(tmp_path / "python")
    with pytest.raises(RejectedError):
        find_package_folders(Path("/bin/true"))


@pytest.mark.parametrize(
    "url", ["", "junk", "ftp://h.example", "https://", "https://user:pass@h.example", "https://h.example/?key=1"]
)
def test_an_address_that_is_none_or_holds_a_credential_is_refused(url: str) -> None:
    with pytest.raises(RejectedError) as caught:
        PipAudit(osv_url=url, timeout_seconds=1)

    assert "pass" not in caught.value.where


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "-e .\n"])
def test_a_file_without_packages_audits_nothing_and_says_so(tmp_path: Path, text: str) -> None:
    file = tmp_path / "requirements.txt"
    file.write_text(text)

    # Nothing listens there: without a package there is no question.
    result = PipAudit(osv_url="http://127.0.0.1:1", timeout_seconds=1).audit(
        AuditTarget(label="app", kind=InventoryKind.REQUIREMENTS, path=file)
    )

    assert result.audited == 0
    assert len(result.not_audited) == 1
