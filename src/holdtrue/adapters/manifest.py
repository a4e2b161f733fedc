"""Read environment manifests from the fleet folder; a wrong one is refused with file, line and field.

Nothing that a manifest names leads out of the fleet, neither by `..` nor by a symbolic link. This is checked when the
manifest is read, so it does not protect against somebody who changes the fleet during the run.
"""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Final

from holdtrue.core.secret_detection import find_secrets
from holdtrue.errors import ManifestError, ResourceMissing
from holdtrue.models.environment import Environment, Infrastructure
from holdtrue.runtime.boundary import LinkOut, link_out_of, links_below
from holdtrue.runtime.pytest_configuration import CONFIGURATION_NAMES
from holdtrue.runtime.yaml_document import FieldPath, YamlDocument, read_yaml

_SUFFIXES: Final = (".yaml", ".yml")
_READ_ABOVE: Final = ("conftest.py", *CONFIGURATION_NAMES, "requirements.yml", "requirements.yaml")
"""Files above a suite, a test or a playbook that pytest and the check of Ansible's requirements read."""
_INSIDE: Final = "replace the link with the file or folder itself, or link to one inside the fleet"


def environment_names(fleet: Path) -> tuple[str, ...]:
    """Names of all environments of the fleet, sorted; those of files that are called `.yml` too, to be refused by name.

    Raises:
        ResourceMissing: the fleet folder has no manifest.
    """
    names = tuple(sorted({path.stem for path in (fleet / "environments").glob("*.y*ml") if path.suffix in _SUFFIXES}))
    if not names:
        raise ResourceMissing(
            "there is no environment manifest",
            where=str(fleet / "environments"),
            next_step="write environments/<name>.yaml there, or point HOLDTRUE_FLEET to the fleet",
        )
    return names


def load_environment(fleet: Path, name: str) -> Environment:
    """Read and check one manifest and that everything it names exists in the fleet.

    Raises:
        ManifestError: no environment of that name, not YAML, a wrong or extra field, another name inside than
            outside, a file that is not there, a link that leads out of the fleet, or a secret among the variables.
    """
    if name not in environment_names(fleet):
        raise ManifestError(
            f"there is no environment '{name}'",
            where=str(fleet / "environments"),
            next_step=f"use one of: {', '.join(environment_names(fleet))}",
        )
    misnamed = fleet / "environments" / f"{name}.yml"
    if misnamed.exists():
        raise ManifestError(
            "a manifest has to end in .yaml", where=str(misnamed), next_step=f"rename it to {name}.yaml"
        )
    path = fleet / "environments" / f"{name}.yaml"
    require_inside(fleet, path)
    document = _read(path)
    environment = _parse(document)
    if environment.name != name:
        raise document.error(("name",), f"is '{environment.name}', but the file is called {document.path.name}")
    _require_tests(document, fleet, environment.infrastructure)
    for field, relative in _named_paths(environment):
        _refuse_link(document, field, fleet, link_out_of(fleet, fleet / relative))
        if not (fleet / relative).exists():
            raise document.error(field, f"{relative} does not exist in {fleet}")
    for field, folder in _folders_in_use(environment):
        _refuse_link(document, field, fleet, next(_links_in_use(fleet, fleet / folder), None))
    return environment


def require_inside(fleet: Path, path: Path) -> None:
    """Check that a file of the fleet is not read through a link that leads out of it.

    Raises:
        ManifestError: the link leads out; names the link and where it leads.
    """
    if found := link_out_of(fleet, path):
        raise ManifestError(_described(fleet, found), where=str(path), next_step=_INSIDE)


def parse_environment(path: Path) -> Environment:
    """Read and check one manifest file by itself.

    Raises:
        ManifestError: what is wrong, with line and field.
    """
    return _parse(_read(path))


def _parse(document: YamlDocument) -> Environment:
    environment = document.parse(Environment.model_validate)
    for name, value in environment.configuration.variables.items():
        for suspect in find_secrets({name: value}):
            raise document.error(
                ("configuration", "variables", name),
                f"looks like a secret at {suspect.at}: {suspect.why}; keep it in Vault and name its block in "
                "configuration.secrets, or, if it is none, set it in the playbook's group_vars",
            )
    return environment


def _read(path: Path) -> YamlDocument:
    return read_yaml(path, help="fix the manifest; `holdtrue schema` prints what it may say")


def _require_tests(document: YamlDocument, fleet: Path, infrastructure: Infrastructure) -> None:
    if infrastructure.without_tests is None and not (fleet / infrastructure.tests_path).exists():
        raise document.error(
            ("infrastructure", "tests"),
            f"{infrastructure.tests_path} does not exist in {fleet}: put the program's unit tests there, or say in "
            "`infrastructure.without_tests` why it has none",
        )


def _refuse_link(document: YamlDocument, field: FieldPath, fleet: Path, found: LinkOut | None) -> None:
    if found is not None:
        error = document.error(field, _described(fleet, found))
        error.next_step = _INSIDE
        raise error


def _described(fleet: Path, found: LinkOut) -> str:
    return f"{found.link.relative_to(fleet)} is a symbolic link that leads out of the fleet, to {found.target}"


def _folders_in_use(environment: Environment) -> Iterator[tuple[FieldPath, PurePosixPath]]:
    """Folders below the fleet in which tools find files by themselves, with the manifest's field."""
    infrastructure = environment.infrastructure
    yield ("infrastructure", "project"), PurePosixPath(infrastructure.project)
    if infrastructure.without_tests is None:
        yield ("infrastructure", "tests"), PurePosixPath(infrastructure.tests_path)
    # Ansible takes roles, variables and files from the playbook's folder, pytest takes fixtures from the suite's.
    yield ("configuration", "playbook"), PurePosixPath(environment.configuration.playbook).parent
    for index, suite in enumerate(environment.validation.suites):
        yield ("validation", "suites", index), PurePosixPath(suite).parent


def _links_in_use(fleet: Path, folder: Path) -> Iterator[LinkOut]:
    yield from filter(None, [link_out_of(fleet, folder)])
    yield from links_below(fleet, folder)
    above = [parent for parent in folder.parents if parent.is_relative_to(fleet)]
    yield from filter(None, (link_out_of(fleet, parent / name) for parent in above for name in _READ_ABOVE))


def _named_paths(environment: Environment) -> list[tuple[FieldPath, str]]:
    """Every path below the fleet that the manifest names, with its field."""
    infrastructure = environment.infrastructure
    named: list[tuple[FieldPath, str]] = [
        (("infrastructure", "project"), f"{infrastructure.project}/Pulumi.yaml"),
        (("configuration", "playbook"), environment.configuration.playbook),
    ]
    named += [(("validation", "suites", index), path) for index, path in enumerate(environment.validation.suites)]
    audit = environment.audit
    for field, paths in (
        ("requirements", audit.requirements),
        ("projects", audit.projects),
        ("waivers", audit.waivers),
        ("vex", audit.vex),
        ("epss", [audit.epss] if audit.epss else []),
        ("kev", [audit.kev] if audit.kev else []),
    ):
        named += [(("audit", field, index), path) for index, path in enumerate(paths)]
    return named
