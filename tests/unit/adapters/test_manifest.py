from datetime import date
from pathlib import Path

import pytest
import yaml

from holdtrue.adapters.manifest import environment_names, load_environment
from holdtrue.errors import ManifestError, ResourceMissing

DEMO = Path(__file__).parents[3] / "fleet" / "environments" / "demo.yaml"


@pytest.fixture
def fleet(tmp_path: Path) -> Path:
    for path in ("environments", "pulumi/demo/tests", "ansible", "checks", "app"):
        (tmp_path / path).mkdir(parents=True)
    for path in ("pulumi/demo/Pulumi.yaml", "ansible/site.yml", "checks/test_web.py", "app/requirements.txt"):
        (tmp_path / path).touch()
    (tmp_path / "environments" / "demo.yaml").write_text(DEMO.read_text())
    return tmp_path


def rewrite(fleet: Path, old: str, new: str) -> None:
    path = fleet / "environments" / "demo.yaml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def line_of(fleet: Path, text: str) -> int:
    lines = (fleet / "environments" / "demo.yaml").read_text().splitlines()
    return next(number for number, line in enumerate(lines, start=1) if text in line)


def test_the_example_manifest_is_valid(fleet: Path) -> None:
    environment = load_environment(fleet, "demo")

    assert environment.name == "demo"
    assert environment.traffic is not None
    assert environment_names(fleet) == ("demo",)


def test_an_unknown_environment_names_the_known_ones(fleet: Path) -> None:
    with pytest.raises(ManifestError, match="demo"):
        load_environment(fleet, "../demo")


def test_a_fleet_without_manifests_is_said_to_be_one(tmp_path: Path) -> None:
    with pytest.raises(ResourceMissing, match="HOLDTRUE_FLEET"):
        environment_names(tmp_path)


@pytest.mark.parametrize(
    ("old", "new", "marker", "field"),
    [
        ("  stack: demo", "  stack: 'no way'", "stack: 'no way'", "infrastructure.stack"),
        ("  stack: demo", "  stack: demo\n  stakc: x", "stakc", "infrastructure.stakc"),
        ("  steps: [10, 50, 100]", "  steps: [50, 10]", "traffic:", "traffic"),
        ("  steps: [10, 50, 100]", "  steps: [0, 100]", "steps:", "traffic.steps.0"),
        ("  backend: web\n", "", "traffic:", "traffic.backend"),
        ("  worker: true", "  worker: perhaps", "worker: perhaps", "audit.worker"),
        ("      contains: ok", "      status: 700", "status: 700", "validation.probes.0.status"),
        ("/health", "/{health", "/{health", "validation.probes.0.url"),
        ("{address}", "{address.x}", "{address.x}", "validation.probes.0.url"),
        ("{load_balancer_socket}", "{}", "socket:", "traffic.socket"),
        ("pulumi/demo", "../outside", "../outside", "infrastructure.project"),
        ("pulumi/demo", "/etc", "project: /etc", "infrastructure.project"),
        ("ansible/site.yml", "ansible/none.yml", "none.yml", "configuration.playbook"),
        ("checks/test_web.py", "checks/none.py", "none.py", "validation.suites.0"),
        ("name: demo", "name: other", "name: other", "name"),
    ],
)
def test_a_wrong_manifest_is_refused_with_file_line_and_field(
    fleet: Path, old: str, new: str, marker: str, field: str
) -> None:
    rewrite(fleet, old, new)

    with pytest.raises(ManifestError) as refusal:
        load_environment(fleet, "demo")

    expected = f"{fleet / 'environments' / 'demo.yaml'}:{line_of(fleet, marker)} {field}"
    assert refusal.value.where == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "- a list",
        "name: [unclosed",
        "name: &a [*a]",
        "a: &a [x]\nb: *a",
        "name: demo\nname: demo",
        "name: !!python/object/apply:os.system [id]",
        "name: \x00",
        "[" * 600,
        "a: " + "x" * (1 << 20),
    ],
    ids=["empty", "list", "unclosed", "cycle", "alias", "twice", "object", "nul", "deep", "huge"],
)
def test_hostile_yaml_is_refused(fleet: Path, text: str) -> None:
    (fleet / "environments" / "demo.yaml").write_text(text)

    with pytest.raises(ManifestError):
        load_environment(fleet, "demo")


def test_a_manifest_that_is_not_utf8_is_refused(fleet: Path) -> None:
    (fleet / "environments" / "demo.yaml").write_bytes(b"name: \xff\xfe")

    with pytest.raises(ManifestError):
        load_environment(fleet, "demo")


def test_a_program_without_tests_needs_a_reason_in_the_manifest(fleet: Path) -> None:
    (fleet / "pulumi/demo/tests").rmdir()
    with pytest.raises(ManifestError, match=r"infrastructure\.without_tests") as refusal:
        load_environment(fleet, "demo")
    assert refusal.value.where.endswith(" infrastructure.tests")

    rewrite(fleet, "  stack: demo", "  stack: demo\n  without_tests: generated code")
    assert load_environment(fleet, "demo").infrastructure.without_tests == "generated code"


@pytest.mark.parametrize("given", ["''", "'   '", "true", "why not\n  tests: checks"])
def test_a_program_is_not_without_tests_for_no_reason(fleet: Path, given: str) -> None:
    rewrite(fleet, "  stack: demo", f"  stack: demo\n  without_tests: {given}")
    with pytest.raises(ManifestError) as refusal:
        load_environment(fleet, "demo")
    assert " infrastructure" in refusal.value.where


def test_an_ignore_rule_needs_reason_owner_and_date(fleet: Path) -> None:
    rule = {"layer": "runtime", "target": "*", "reason": "known", "owner": "sre", "expires": date(2031, 1, 1)}
    path = fleet / "environments" / "demo.yaml"
    manifest = yaml.safe_load(path.read_text())

    manifest["drift"]["ignore"] = [rule]
    path.write_text(yaml.safe_dump(manifest))
    assert load_environment(fleet, "demo").drift.ignore[0].expires == date(2031, 1, 1)

    for missing in ("reason", "owner", "expires"):
        manifest["drift"]["ignore"] = [{name: value for name, value in rule.items() if name != missing}]
        path.write_text(yaml.safe_dump(manifest))
        with pytest.raises(ManifestError, match=missing) as refusal:
            load_environment(fleet, "demo")
        assert "drift.ignore.0" in refusal.value.where


def give(fleet: Path, section: str) -> None:
    rewrite(fleet, "  playbook: ansible/site.yml\n", f"  playbook: ansible/site.yml\n{section}")


def test_variables_of_every_kind_secrets_and_tags_are_taken(fleet: Path) -> None:
    give(
        fleet,
        """\
  variables:
    colour: "{{ green }}"
    listeners: [{port: 8080, tls: true}, {port: 8443, tls: false}]
    limits: {files: 1024, share: 0.5}
    nothing: null
    ansible_become: true
  secrets:
    db_password: app-db
    ansible_become_password: app-sudo
  tags: [web, "db:main"]
  skip_tags: [slow]
""",
    )
    configuration = load_environment(fleet, "demo").configuration
    assert configuration.variables == {
        "colour": "{{ green }}",
        "listeners": [{"port": 8080, "tls": True}, {"port": 8443, "tls": False}],
        "limits": {"files": 1024, "share": 0.5},
        "nothing": None,
        "ansible_become": True,
    }
    assert configuration.secrets == {"db_password": "app-db", "ansible_become_password": "app-sudo"}
    assert (configuration.tags, configuration.skip_tags) == (("web", "db:main"), ("slow",))


@pytest.mark.parametrize("section", ["variables", "secrets"])
@pytest.mark.parametrize(
    "name",
    [
        *("a-b", "1a", "a b", "", "täst", "class", "not", "none", "a\u0661"),
        *("hostvars", "inventory_hostname", "groups"),
        *("ansible_connection", "ansible_python_interpreter", "ansible_ssh_common_args", "ansible_perl_interpreter"),
        *("ansible_ssh_executable", "ansible_host", "ansible_user", "_ansible_verbosity", "ansible_shell_executable"),
        *("ansible_become_exe", "ansible_become_flags", "ansible_facts", "ansible_password"),
    ],
)
def test_names_that_ansible_does_not_take_or_that_change_where_code_runs_are_refused(
    fleet: Path, section: str, name: str
) -> None:
    give(fleet, f'  {section}:\n    fine: app\n    "{name}": app\n')
    with pytest.raises(ManifestError) as caught:
        load_environment(fleet, "demo")
    assert name in caught.value.what
    line = line_of(fleet, f'"{name}": app')
    assert caught.value.where == f"{fleet / 'environments' / 'demo.yaml'}:{line} configuration.{section}.{name}"


@pytest.mark.parametrize(
    ("section", "field", "named"),
    [
        ("  variables: {ansible_become_password: x}\n", "variables.ansible_become_password", "configuration.secrets"),
        ("  secrets: {ansible_become: app}\n", "secrets.ansible_become", "ansible_become_password"),
        ("  variables: {word: a}\n  secrets: {word: app}\n", "", "word"),
        ("  secrets: {word: 'Not A Block'}\n", "secrets.word", "pattern"),
        ("  variables: {since: 2026-01-01}\n", "variables.since", "JSON"),
        ("  tags: [--limit]\n", "tags.0", "pattern"),
        ("  skip_tags: ['a,b']\n", "skip_tags.0", "pattern"),
        ("  variables: {db_password: hunter2hunter2}\n", "variables.db_password", "configuration.secrets"),
        (f"  variables: {{app: {{token: ghp_{'a1' * 20}}}}}\n", "variables.app", "app.token"),
    ],
)
def test_what_does_not_belong_there_is_refused_with_the_place_that_does(
    fleet: Path, section: str, field: str, named: str
) -> None:
    give(fleet, section)
    with pytest.raises(ManifestError) as caught:
        load_environment(fleet, "demo")
    assert f"configuration.{field}".rstrip(".") in caught.value.where
    assert named in caught.value.what
    assert "hunter2" not in str(caught.value)
    assert "a1a1" not in str(caught.value)


def link_out(fleet: Path, path: str) -> Path:
    """Move what is at `path` out of the fleet, and leave a link to it."""
    outside = fleet.parent / f"{fleet.name}-outside"
    outside.mkdir(exist_ok=True)
    moved = (fleet / path).rename(outside / Path(path).name)
    (fleet / path).symlink_to(moved)
    return moved


ROLE = "ansible/roles/web/tasks/main.yml"


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("environments/demo.yaml", ""),
        ("environments", ""),
        ("pulumi", "infrastructure.project"),
        ("pulumi/demo", "infrastructure.project"),
        ("pulumi/demo/Pulumi.yaml", "infrastructure.project"),
        ("pulumi/demo/__main__.py", "infrastructure.project"),
        ("pulumi/demo/tests", "infrastructure.project"),
        ("ansible/site.yml", "configuration.playbook"),
        ("ansible", "configuration.playbook"),
        (ROLE, "configuration.playbook"),
        ("ansible/roles", "configuration.playbook"),
        ("ansible/group_vars", "configuration.playbook"),
        ("checks/test_web.py", "validation.suites.0"),
        ("checks/conftest.py", "validation.suites.0"),
        ("conftest.py", "infrastructure.project"),
        ("app/requirements.txt", "audit.requirements.0"),
        ("app", "audit.requirements.0"),
    ],
)
def test_a_link_out_of_the_fleet_is_refused_with_where_it_leads(fleet: Path, path: str, field: str) -> None:
    for folder in ("ansible/roles/web/tasks", "ansible/group_vars"):
        (fleet / folder).mkdir(parents=True)
    for name in (ROLE, "pulumi/demo/__main__.py", "checks/conftest.py", "conftest.py"):
        (fleet / name).touch()
    assert load_environment(fleet, "demo").name == "demo"
    moved = link_out(fleet, path)

    with pytest.raises(ManifestError) as refusal:
        load_environment(fleet, "demo")

    assert f"{path} is a symbolic link that leads out of the fleet, to {moved}" in refusal.value.what
    assert refusal.value.where.endswith(field)
    assert str(fleet / "environments/demo.yaml") in refusal.value.where


def test_a_tests_folder_elsewhere_in_the_fleet_is_looked_at_too(fleet: Path) -> None:
    rewrite(fleet, "  stack: demo", "  stack: demo\n  tests: tests")
    (fleet / "tests").mkdir()
    assert load_environment(fleet, "demo").infrastructure.tests == "tests"
    link_out(fleet, "tests")
    with pytest.raises(ManifestError, match="tests is a symbolic link"):
        load_environment(fleet, "demo")


@pytest.mark.parametrize("field", ["waivers", "vex", "projects"])
def test_files_that_an_audit_reads_stay_inside_the_fleet(fleet: Path, field: str) -> None:
    rewrite(fleet, "  worker: true", f"  worker: true\n  {field}: [app/more]")
    (fleet / "app" / "more").touch()
    load_environment(fleet, "demo")
    link_out(fleet, "app/more")
    with pytest.raises(ManifestError, match="app/more is a symbolic link") as refusal:
        load_environment(fleet, "demo")
    assert refusal.value.where.endswith(f"audit.{field}.0")


def test_links_inside_the_fleet_are_fine(fleet: Path) -> None:
    (fleet / "shared").mkdir()
    (fleet / "ansible/site.yml").rename(fleet / "shared/site.yml")
    (fleet / "ansible/site.yml").symlink_to("../shared/site.yml")
    (fleet / "checks").rename(fleet / "shared/checks")
    (fleet / "checks").symlink_to(fleet / "shared/checks")
    assert load_environment(fleet, "demo").name == "demo"


def test_a_fleet_folder_may_be_a_link_itself(fleet: Path) -> None:
    alias = fleet.parent / f"{fleet.name}-alias"
    alias.symlink_to(fleet)
    assert load_environment(alias, "demo").name == "demo"
    link_out(fleet, "ansible/site.yml")
    with pytest.raises(ManifestError, match=r"ansible/site\.yml is a symbolic link"):
        load_environment(alias, "demo")


def test_folders_that_kubernetes_mounts_from_config_maps_work(fleet: Path) -> None:
    """Each file is a link into `..data`, and that is a link to the folder of the current version (kubelet)."""
    for folder in ("environments", "ansible", "checks", "app"):
        current = fleet / folder / "..2026_11_30_10_00_00.123"
        current.mkdir()
        for file in [path for path in (fleet / folder).iterdir() if path.is_file()]:
            file.rename(current / file.name)
            file.symlink_to(f"..data/{file.name}")
        (fleet / folder / "..data").symlink_to(current.name)
    assert load_environment(fleet, "demo").name == "demo"
    assert environment_names(fleet) == ("demo",)
    (fleet / "app" / "..data").unlink()
    (fleet / "app" / "..data").symlink_to("/etc")
    with pytest.raises(ManifestError, match=r"app/requirements\.txt is a .* link .* to /etc/requirements\.txt"):
        load_environment(fleet, "demo")
