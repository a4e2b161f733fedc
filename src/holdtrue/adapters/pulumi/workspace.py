"""The private folder in which one operation works, with copies of the project's settings but not of the project."""

import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

import yaml

from holdtrue.adapters.pulumi.remedies import StackPlace, change_key_command
from holdtrue.errors import AccessDenied, ProgramFailed, RejectedError
from holdtrue.models.credentials import StackAccess
from holdtrue.runtime.folder import private_folder
from holdtrue.runtime.process import tool_environment

_PLACES = re.compile(r".*_(?:ADDR|ENDPOINT_URL|URL|REGION|CACERT|CAPATH|NAMESPACE)(?:_\w+)?|AWS_ENDPOINT_URL_\w+")
_PROJECT_FILES = ("Pulumi.yaml", "Pulumi.yml")
_PASSPHRASES = frozenset({"PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE"})
_ADVICE = "point `infrastructure.project` at a folder with a Pulumi.yaml whose runtime is python"


@dataclass(frozen=True, slots=True)
class Project:
    """The parts of Pulumi.yaml that are needed to run the program."""

    folder: Path
    name: str
    program: Path
    """Folder or file of the program."""
    settings_folder: str
    """Folder of the stacks' settings files, relative to the project's."""
    text: str
    """The project file for the private folder."""


@dataclass(frozen=True, slots=True)
class Workspace:
    """An open private folder."""

    folder: Path
    environment: dict[str, str]
    settings_file: Path
    plan_file: Path


def project_file(folder: Path) -> tuple[Path, dict[str, Any]]:
    """The path and content of the project file; `name` and `runtime` are always in it.

    Raises:
        ProgramFailed: there is none, or it does not belong to an ordinary Python project.
    """
    path = next((folder / name for name in _PROJECT_FILES if (folder / name).is_file()), None)
    if path is None:
        raise ProgramFailed("there is no Pulumi project", where=str(folder), next_step=_ADVICE)
    try:
        raw: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
        runtime, _ = raw["runtime"], raw["name"]
        language = runtime["name"] if isinstance(runtime, dict) else runtime
    except (yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
        raise ProgramFailed(
            f"the project file is not valid ({type(error).__name__})", where=str(path), next_step=_ADVICE
        ) from error
    if language != "python":
        raise ProgramFailed(f"the project's runtime is {language}, not python", where=str(path), next_step=_ADVICE)
    return path, raw


def read_project(folder: Path) -> Project:
    """Read Pulumi.yaml.

    Raises:
        ProgramFailed: there is none, or it does not belong to an ordinary Python project.
    """
    _, raw = project_file(folder)
    name, main, settings = str(raw["name"]), raw.get("main") or ".", raw.get("stackConfigDir") or "."
    program = (folder / main).resolve()
    if not program.exists() or (program.is_dir() and not (program / "__main__.py").is_file()):
        raise ProgramFailed(
            "the program does not exist, or is a folder without __main__.py",
            where=str(program),
            next_step=f"correct `main` in the Pulumi.yaml of {folder}, or add the program",
        )
    return Project(folder=folder, name=name, program=program, settings_folder=settings, text=_relocated(raw, folder))


def _relocated(raw: dict[str, Any], folder: Path) -> str:
    """The project file for the private folder, with absolute paths.

    The child runs the program, so the engine needs neither a language host nor its options.
    """
    moved = {name: value for name, value in raw.items() if name != "main"} | {"runtime": "python"}
    plugins = raw.get("plugins")
    if isinstance(plugins, dict):
        moved["plugins"] = {
            kind: [{**item, "path": str(folder / item["path"])} if "path" in item else item for item in items]
            for kind, items in plugins.items()
        }
    return yaml.safe_dump(moved, sort_keys=False)


@contextmanager
def open_workspace(
    project: Project, stack: str, access: StackAccess, *, settings: str | None = None
) -> Iterator[Workspace]:
    """Create, fill and finally remove the folder. `settings` replaces the content of the stack's settings file."""
    with private_folder("holdtrue-pulumi") as folder:
        (folder / "Pulumi.yaml").write_text(project.text, encoding="utf-8")
        settings_file = folder / project.settings_folder / f"Pulumi.{stack}.yaml"
        settings_file.parent.mkdir(parents=True, exist_ok=True)
        text = settings if settings is not None else stack_settings(project, stack, access)
        settings_file.write_text(text, encoding="utf-8")
        yield Workspace(
            folder=folder,
            environment=_environment(folder, access),
            settings_file=settings_file,
            plan_file=folder / "plan.json",
        )


def stack_settings(project: Project, stack: str, access: StackAccess) -> str:
    """The stack's settings file, completed with the secrets provider and the data key in the state.

    Without the key the CLI would generate a new one for each operation, and re-encrypt the state with it.

    Raises:
        ProgramFailed: the file is not valid.
        AccessDenied: the state or the file was encrypted with another provider, or with a key that is in neither.
    """
    path = project.folder / project.settings_folder / f"Pulumi.{stack}.yaml"
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    try:
        raw = yaml.safe_load(text) or {}
        known = raw.keys()
    except (yaml.YAMLError, AttributeError) as error:
        raise ProgramFailed(
            f"the stack's settings are not valid YAML ({type(error).__name__})",
            where=str(path),
            next_step="correct the file, which has to be a YAML mapping",
        ) from error
    if access.secrets_provider in {"", "default"}:
        return text
    if known & {"secretsprovider", "encryptedkey", "encryptionsalt"}:
        _require_passphrase(raw, access, path, StackPlace(access.backend_url, project.name, stack))
        return text
    named = {} if access.secrets_provider == "passphrase" else {"secretsprovider": access.secrets_provider}
    recorded = _recorded_key(access, project.name, stack)
    if not recorded and urlsplit(access.backend_url).scheme == "file" and _has_secret(raw.get("config")):
        raise AccessDenied(
            "the stack's settings have secret values, but not the key that they were encrypted with; nor has the state",
            where=str(path),
            next_step="restore the line `encryptedkey` of that file from version control; without it the values are "
            "lost: set them again as docs/pulumi.md shows",
        )
    return _with_lines(text, named | recorded)


def _with_lines(text: str, lines: Mapping[str, str]) -> str:
    """The settings with further lines; the values stay as they are written.

    PyYAML reads `yes` as true and `12:30` as 750, and the engine does not: values must not be read and written again.
    """
    if not lines:
        return text
    settings, added = yaml.compose(text, yaml.SafeLoader), yaml.compose(yaml.safe_dump(dict(lines)), yaml.SafeLoader)
    if isinstance(settings, yaml.MappingNode) and isinstance(added, yaml.MappingNode):
        added.value = [*settings.value, *added.value]
    return yaml.serialize(added, Dumper=yaml.SafeDumper)


def _require_passphrase(raw: Mapping[str, Any], access: StackAccess, path: Path, place: StackPlace) -> None:
    """Refuse settings that need a passphrase if the run has none.

    A different provider that the user configured is left as it is.
    """
    named = raw.get("secretsprovider") or ("passphrase" if "encryptionsalt" in raw else "")
    given = access.environment.keys() | tool_environment({}).keys()
    if named == "passphrase" and access.secrets_provider != "passphrase" and not given & _PASSPHRASES:
        raise AccessDenied(
            f"the stack's settings were encrypted with a passphrase, and the run has {access.secrets_provider}",
            where=str(path),
            next_step=f"in the project's folder, run `{change_key_command(place, access.secrets_provider)}` with "
            "VAULT_ADDR and VAULT_TOKEN, or the login of your cloud, set (it asks for the passphrase); commit the file",
        )


def _has_secret(value: object) -> bool:
    match value:
        case {"secure": _}:
            return True
        case dict():
            return any(map(_has_secret, value.values()))
        case list():
            return any(map(_has_secret, value))
        case _:
            return False


def secret_values(access: StackAccess) -> tuple[str, ...]:
    """The values to redact: all except URLs and regions, which error messages need."""
    return tuple(
        value.get_secret_value()
        for name, value in access.environment.items()
        if not _PLACES.fullmatch(name) or "@" in value.get_secret_value()
    )


def locations(access: StackAccess) -> dict[str, str]:
    """The URLs and regions in the engine's environment, which say where an apply changes something.

    Those of the worker that HOLDTRUE_PASS_ENVIRONMENT passes on are among them. A URL is without its user and password.
    """
    given = {name: value.get_secret_value() for name, value in access.environment.items()}
    return {
        name: re.sub(r"[^/@]*@", "", value)
        for name, value in tool_environment(given).items()
        if _PLACES.fullmatch(name)
    }


def _recorded_key(access: StackAccess, project: str, stack: str) -> dict[str, str]:
    """The encrypted data key, or passphrase salt, in the checkpoint of a `file://` backend; empty without one."""
    location = urlsplit(access.backend_url)
    if location.scheme != "file":
        return {}
    root = Path(url2pathname(location.path)).expanduser()
    try:
        checkpoint = json.loads((root / f".pulumi/stacks/{project}/{stack}.json").read_bytes())
        recorded = checkpoint["checkpoint"]["latest"]["secrets_providers"]["state"]
    except (OSError, ValueError, KeyError, TypeError):
        return {}  # no stack yet, or a state that the engine will refuse with a message of its own
    except RecursionError as error:
        raise RejectedError(
            "the state has a value that is nested too deeply to be read",
            where=f"stack {stack}, backend {access.backend_url}",
            next_step="find out who changed the state, and restore it (`pulumi stack export`, `pulumi stack import`)",
        ) from error
    made_with = recorded.get("url", "passphrase")
    if made_with != access.secrets_provider:
        raise AccessDenied(
            f"the stack's secrets were encrypted with {made_with}, not with {access.secrets_provider}",
            where=f"stack {stack}, backend {access.backend_url}",
            next_step=f"set `secrets_provider` of the PulumiBackend block to {made_with}, or move the stack to "
            "another key with `pulumi stack change-secrets-provider` (docs/pulumi.md)",
        )
    found = {"encryptedkey": recorded.get("encryptedkey"), "encryptionsalt": recorded.get("salt")}
    return {name: value for name, value in found.items() if value}


def _environment(folder: Path, access: StackAccess) -> dict[str, str]:
    """The engine's environment: a private home, no downloads, the user's plugins, and the credentials."""
    home = folder / "home"
    home.mkdir()
    installed = Path(os.environ.get("PULUMI_HOME", "~/.pulumi")).expanduser() / "plugins"
    if installed.is_dir():
        (home / "plugins").symlink_to(installed)
    given: Mapping[str, str] = {name: value.get_secret_value() for name, value in access.environment.items()}
    return tool_environment(
        {
            "PULUMI_HOME": str(home),
            "PULUMI_BACKEND_URL": access.backend_url,
            "PULUMI_SKIP_UPDATE_CHECK": "1",
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONUNBUFFERED": "1",
            **given,
        }
    )
