"""Read environment manifests from the fleet folder; a wrong one is refused with file, line and field."""

from pathlib import Path
from typing import Final

from holdtrue.core.secret_detection import find_secrets
from holdtrue.errors import ManifestError, ResourceMissing
from holdtrue.models.environment import Environment, Infrastructure
from holdtrue.runtime.yaml_document import FieldPath, YamlDocument, read_yaml

_SUFFIXES: Final = (".yaml", ".yml")


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
            outside, a file that is not there, or a secret among the variables.
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
    document = _read(fleet / "environments" / f"{name}.yaml")
    environment = _parse(document)
    if environment.name != name:
        raise document.error(("name",), f"is '{environment.name}', but the file is called {document.path.name}")
    _require_tests(document, fleet, environment.infrastructure)
    for field, relative in _named_paths(environment):
        if not (fleet / relative).exists():
            raise document.error(field, f"{relative} does not exist in {fleet}")
    return environment


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
