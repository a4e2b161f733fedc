"""What the manifests of a fleet name, read once."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from holdtrue.auditing import Estate, read_estate
from holdtrue.models.dependency import Dependency, Inventory, Origin
from holdtrue.models.environment import Audit, Environment


def environment(name: str = "one", **audit: Any) -> Environment:
    return Environment.model_validate(
        {
            "name": name,
            "infrastructure": {"project": "p", "stack": "s"},
            "configuration": {"playbook": "x.yml"},
            "validation": {"suites": ["x.py"]},
            "credentials": dict.fromkeys(("vault", "aws", "ssh", "pulumi"), "demo"),
            "audit": {"worker": False, **audit},
        }
    )


@pytest.fixture
def fleet(tmp_path: Path) -> Path:
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "requirements.txt").write_text("demo-a==1.0\nacme-core==2.0\n")
    (tmp_path / "other.txt").write_text("demo-b==1.0\n")
    worker = tmp_path / "worker" / "demo_w-3.0.dist-info"
    worker.mkdir(parents=True)
    (worker / "METADATA").write_text("Metadata-Version: 2.1\nName: demo-w\nVersion: 3.0\n\n")
    return tmp_path


def estate(fleet: Path, *environments: Environment, hosts: Mapping[str, tuple[Inventory, ...]] | None = None) -> Estate:
    return read_estate(environments, fleet=fleet, worker=fleet / "worker", hosts=hosts or {})


def labels(found: Estate) -> list[str]:
    return [item.label for item in found.inventories]


def test_each_thing_once_and_each_environment_its_own_labels(fleet: Path) -> None:
    found = estate(
        fleet,
        environment("one", requirements=["app/requirements.txt", "./other.txt"], worker=True),
        environment("two", requirements=["app//requirements.txt"], projects=["app"]),
    )

    assert labels(found) == ["app/requirements.txt", "other.txt", "worker"]
    assert [item.labels for item in found.judgements] == [
        frozenset({"app/requirements.txt", "other.txt", "worker"}), frozenset({"app/requirements.txt"}),
    ]  # fmt: skip
    assert [item.name for item in found.judgements] == ["one", "two"]
    assert [item.name for item in found.inventories[2].dependencies] == ["demo-w"]


def test_what_cannot_be_read_is_a_gap_beside_the_rest(fleet: Path) -> None:
    (fleet / "uv.lock").write_text("[")
    (fleet / "bare").mkdir()

    found = estate(
        fleet,
        environment(requirements=["uv.lock", "gone.txt", "other.txt"], projects=["bare", "gone"], waivers=["w.yaml"]),
    )

    assert {item.label for item in found.inventories if item.gaps} == {
        "uv.lock", "gone.txt", "bare", "gone", "one: waivers",
    }  # fmt: skip
    assert [item.label for item in found.inventories if item.dependencies] == ["other.txt"]
    assert found.judgements[0].waivers == ()


def test_a_worker_without_packages_is_a_gap(fleet: Path) -> None:
    found = read_estate([environment(worker=True)], fleet=fleet, worker=fleet / "nowhere")

    assert [(item.label, bool(item.gaps)) for item in found.inventories] == [("worker", True)]


def origins(found: Estate) -> dict[str, Origin]:
    return {item.name: item.origin for inventory in found.inventories for item in inventory.dependencies}


def test_what_any_environment_names_as_internal_is_kept_from_sources(fleet: Path) -> None:
    first = environment("one", requirements=["app/requirements.txt"])
    second = environment("two", requirements=["app/requirements.txt"], internal=["acme-*"])
    third = environment("three", requirements=["other.txt"], internal=["demo-a"])

    assert origins(estate(fleet, first))["acme-core"] is Origin.INDEX
    assert origins(estate(fleet, first, second, third)) == {
        "acme-core": Origin.INTERNAL, "demo-a": Origin.INTERNAL, "demo-b": Origin.INDEX,
    }  # fmt: skip


def test_a_mirror_that_any_environment_names_is_no_private_index(fleet: Path) -> None:
    registry = 'source = {{ registry = "https://{}/simple" }}'
    packages = (("demo-a", "pypi.org"), ("demo-b", "mirror.example"), ("acme-core", "index.acme.example"))
    (fleet / "uv.lock").write_text(
        "version = 1\n"
        + "".join(f'[[package]]\nname = "{name}"\nversion = "1"\n{registry.format(host)}\n' for name, host in packages)
    )
    first = environment("one", requirements=["uv.lock"])
    second = environment("two", mirrors=["https://mirror.example"])

    assert origins(estate(fleet, first)) == {
        "demo-a": Origin.INDEX, "demo-b": Origin.INTERNAL, "acme-core": Origin.INTERNAL,
    }  # fmt: skip
    assert origins(estate(fleet, first, second))["demo-b"] is Origin.INDEX


def test_hosts_belong_to_their_environment(fleet: Path) -> None:
    installed = Inventory("one/hosts/web-1:/srv", "installed", (Dependency("acme-core", "1.0"),))

    found = estate(fleet, environment("one", internal=["acme-*"]), environment("two"), hosts={"one": (installed,)})

    assert labels(found) == ["one/hosts/web-1:/srv"]
    assert origins(found) == {"acme-core": Origin.INTERNAL}
    assert [item.labels for item in found.judgements] == [frozenset({"one/hosts/web-1:/srv"}), frozenset()]


def test_what_is_known_of_attacks_comes_with_the_judgement(fleet: Path) -> None:
    (fleet / "epss.csv").write_text("cve,epss,percentile\nCVE-2099-0001,0.5,0.9\n")
    (fleet / "kev.json").write_text('{"vulnerabilities": [{"cveID": "CVE-2099-0002"}]}')
    (judgement,) = estate(fleet, environment(epss="epss.csv", kev="kev.json")).judgements
    assert judgement.exploitation is not None
    assert judgement.exploitation.of(["CVE-2099-0001"]).epss == 0.5
    assert judgement.exploitation.of(["CVE-2099-0002"]).is_known_exploited
    assert "one: waivers" in labels(estate(fleet, environment(kev="epss.csv")))


def test_waivers_and_policy_are_the_environments_own(fleet: Path) -> None:
    (fleet / "w.yaml").write_text("- {id: X, reason: known, owner: sre, expires: 2999-01-01}\n")

    (judgement,) = estate(fleet, environment(waivers=["w.yaml"], policy={"only_direct": True})).judgements

    assert ([item.names for item in judgement.waivers], judgement.policy.only_direct) == ([("X",)], True)
    assert judgement.name == ""


@pytest.mark.parametrize(
    "section",
    [
        {"projects": ["/etc"]}, {"waivers": ["../w.yaml"]}, {"vex": [""]}, {"host_roots": ["srv"]}, {"internal": [""]},
        {"internal": [" priv-*"]}, {"internal": ["priv-a,priv-b"]}, {"internal": ["priv a"]}, {"mirrors": [" "]},
        {"host_roots": ["/srv\n/etc"]}, {"policy": {"minimum_severity": "terrible"}}, {"blocks": True},
    ],
    ids=str,
)  # fmt: skip
def test_a_wrong_section_is_refused(section: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Audit.model_validate(section)


def test_an_audit_section_does_nothing_new_by_default() -> None:
    default = Audit()

    assert (default.worker, default.hosts, default.blocks_provision) == (True, False, False)
    assert default.policy.minimum_severity == "none"


def test_what_leads_out_of_the_fleet_is_a_gap(tmp_path: Path) -> None:
    root = tmp_path / "fleet"
    (root / "app" / "requirements").mkdir(parents=True)
    (tmp_path / "outside.txt").write_text("secret-name==1.0\n")
    (root / "app" / "requirements.txt").write_text("-r ../../outside.txt\n-r inside.txt\n")
    (root / "app" / "inside.txt").symlink_to("requirements/base.txt")
    (root / "app" / "requirements" / "base.txt").write_text("demo==1.0\n")
    (root / "app" / "requirements" / "linked.txt").symlink_to(tmp_path / "outside.txt")

    found = estate(root, environment(projects=["app"]))

    assert {item.name for inventory in found.inventories for item in inventory.dependencies} == {"demo"}
    gaps = [gap for inventory in found.inventories for gap in inventory.gaps]
    assert len(gaps) == 2
    assert all(f"outside of {root}: {tmp_path / 'outside.txt'}" in gap.reason for gap in gaps)
