"""What a deployment would leave with Prefect in clear, and what it would not. The values are made up."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from holdtrue.adapters.deployment_file import read_deployment_file
from holdtrue.core.deployment_exposure import check_deployments, describe
from holdtrue.models.deployment import DeploymentCheck, DeploymentFile, ExposureVerdict

TOKEN = "hvs." + "Ab1" * 8
ENV = "deployments[0].work_pool.job_variables.env"
VALUE = "in-clear-text"


def check(path: Path, values: dict[str, Any]) -> DeploymentCheck:
    file = path / "prefect.yaml"
    file.write_text(yaml.safe_dump(values, sort_keys=False))
    return check_deployments([read_deployment_file(file)])


def deployment(**fields: Any) -> dict[str, Any]:
    return {"deployments": [{"name": "nightly", **fields}]}


def env(**variables: object) -> dict[str, Any]:
    return deployment(work_pool={"name": "p", "job_variables": {"env": variables}})


def pull(**inputs: str) -> dict[str, Any]:
    return {"pull": [{"some.step": inputs}], **deployment()}


def template(**environment: str) -> dict[str, Any]:
    return {
        "variables": {"properties": {"env": {"type": "object", "default": environment}}},
        "job_configuration": {"env": "{{ env }}", "command": "{{ command }}"},
    }


BUILD = [{"some.step": {"id": "login", "script": "./log-in"}}]

EXPOSED: dict[str, tuple[dict[str, Any], str]] = {
    "a parameter": (deployment(parameters={"note": TOKEN}), "deployments[0].parameters.note"),
    "a parameter by name": (
        deployment(parameters={"db": {"password": VALUE}}),
        "deployments[0].parameters.db.password",
    ),
    "a schedule": (
        deployment(schedules=[{"cron": "* * * * *"}, {"parameters": {"token": VALUE}}]),
        "deployments[0].schedules[1].parameters.token",
    ),
    "a trigger": (
        deployment(triggers=[{"job_variables": {"env": {"A": TOKEN}}}]),
        "deployments[0].triggers[0].job_variables.env.A",
    ),
    "a variable": (env(DB_PASSWORD=VALUE), f"{ENV}.DB_PASSWORD"),
    "a number": (env(DB_PASSWORD=13579246), f"{ENV}.DB_PASSWORD"),
    "a list of variables": (
        deployment(work_pool={"job_variables": {"env": [{"name": "API_KEY", "value": VALUE}]}}),
        f"{ENV}[0].value",
    ),
    "an option": (
        deployment(work_pool={"job_variables": {"command": f"run --db-password {VALUE}"}}),
        "deployments[0].work_pool.job_variables.command",
    ),
    "an assignment": (pull(script=f"export APP_TOKEN={VALUE} && ./fetch"), "pull[0].some.step.script"),
    "a connection string": (env(STORAGE=f"AccountName=a;AccountKey={VALUE};"), f"{ENV}.STORAGE"),
    "a variable within a command": (
        deployment(work_pool={"job_variables": {"command": f"sh -c 'export PGPASSWORD={VALUE}; run'"}}),
        "deployments[0].work_pool.job_variables.command",
    ),
    "a map of secrets": (deployment(parameters={"secrets": {"db": VALUE}}), "deployments[0].parameters.secrets.db"),
    "a map that is spelt otherwise": (env(dbPassword=VALUE), f"{ENV}.dbPassword"),
    "an address": (pull(repository=f"https://me:{VALUE}@git.example.org/a"), "pull[0].some.step.repository"),
    "the deployment's own pull": (
        deployment(pull=[{"some.step": {"access_token": VALUE}}]),
        "deployments[0].pull[0].some.step.access_token",
    ),
    "a build step": ({"build": [{"some.step": {"password": VALUE}}], **deployment()}, "build[0].some.step.password"),
    "a block in a variable": (env(A="{{ prefect.blocks.secret.db }}"), f"{ENV}.A"),
    "a block within a text": (env(A="x{{prefect.blocks.secret.db}}"), f"{ENV}.A"),
    "a block's secret field": (env(A="{{ prefect.blocks.json.db.value.password }}"), f"{ENV}.A"),
    "a block of credentials": (env(A="{{ prefect.blocks.aws-credentials.prod }}"), f"{ENV}.A"),
    "any block under a secret's name": (env(PASSWORD="{{ prefect.blocks.string.x }}"), f"{ENV}.PASSWORD"),
    "a block in a parameter": (
        deployment(parameters={"note": "{{ prefect.blocks.secret.db }}"}),
        "deployments[0].parameters.note",
    ),
    "the shell's variable": (env(A="{{ $DB_PASSWORD }}"), f"{ENV}.A"),
    "the shell's variable under a secret's name": (env(PASSWORD="{{ $X }}"), f"{ENV}.PASSWORD"),
    "the shell's variable in pull": (pull(script="x {{ $GITHUB_TOKEN }}"), "pull[0].some.step.script"),
    "a step's output": ({"build": BUILD, **env(PASSWORD="{{ login.stdout }}")}, f"{ENV}.PASSWORD"),
    "a build step's output in pull": (
        {"build": BUILD, **pull(access_token="{{ login.stdout }}")},
        "pull[0].some.step.access_token",
    ),
    "a Prefect variable": (pull(access_token="{{ prefect.variables.git }}"), "pull[0].some.step.access_token"),
    "a Prefect variable by name": (env(A="{{ prefect.variables.db_password }}"), f"{ENV}.A"),
    "a template's default": (template(DB_PASSWORD=VALUE), "variables.properties.env.default.DB_PASSWORD"),
    "a property's default": (
        {"variables": {"properties": {"db_password": {"type": "string", "default": VALUE}}}},
        "variables.properties.db_password.default",
    ),
    "a template's configuration": (
        {"job_configuration": {"containers": [{"env": [{"name": "TOKEN", "value": VALUE}]}]}},
        "job_configuration.containers[0].env[0].value",
    ),
    "what no deployment uses": ({"definitions": {"a": TOKEN}, **deployment()}, "definitions.a"),
}

FINE: dict[str, dict[str, Any]] = {
    "a reference": deployment(parameters={"database_password": {"block": "database"}}),
    "names of files": env(DB_PASSWORD_FILE="/run/secrets/db", TOKEN="/run/token"),
    "numbers and switches": env(PREFECT_WORKER_QUERY_SECONDS=2, DEBUG=True, EMPTY=None, ASK_PASSWORD=True),
    "names of blocks": deployment(parameters={"aws_credentials": "production", "next_token": "abc"}),
    "an address that the worker completes": template(DATABASE_URL="postgresql://app:$DB_PASSWORD@db/app"),
    "a block in pull": pull(access_token="{{ prefect.blocks.secret.git }}"),
    "a pull step's own output": pull(access_token="{{ log-in.stdout }}"),
    "the shell's folder in pull": pull(directory="{{ $HOLDTRUE_HOME }}"),
    "the shell's variable in a build step": {
        "build": [{"some.step": {"password": "{{ $REGISTRY_PASSWORD }}"}}],
        **deployment(),
    },
    "a block in a template": template(DB_PASSWORD="{{ prefect.blocks.secret.db }}"),
    "the worker's variable in a template": template(DB_PASSWORD="{{ $DB_PASSWORD }}"),
    "an image": {"build": BUILD, **deployment(work_pool={"job_variables": {"image": "{{ build-image.image }}"}})},
    "a block that holds references": env(A="{{ prefect.blocks.holdtrue-vault-secret.db }}"),
    "a field of the event": deployment(triggers=[{"parameters": {"token": "{{ event.payload.token }}"}}]),
    "the run's context": env(A="{{ ctx.flow_run.id }}"),
    "a script that reads a file": pull(script="TOKEN=$(cat /run/token) fetch --token-file /run/token --token $TOKEN"),
    "a docker build secret": {"build": [{"some.step": {"script": "docker build --secret id=token ."}}], **deployment()},
}


@pytest.mark.parametrize(("values", "at"), EXPOSED.values(), ids=EXPOSED)
def test_what_would_rest_in_clear_is_named_and_not_repeated(tmp_path: Path, values: dict[str, Any], at: str) -> None:
    found = check(tmp_path, values)
    assert found.verdict is ExposureVerdict.EXPOSED
    assert [item.at for item in found.exposures] == [at]
    said = "\n".join(describe(found)) + found.model_dump_json()
    assert at in said
    for value in (VALUE, TOKEN, "13579246"):
        assert value not in said


@pytest.mark.parametrize("values", FINE.values(), ids=FINE)
def test_what_holds_no_secret_is_clean(tmp_path: Path, values: dict[str, Any]) -> None:
    found = check(tmp_path, values)
    assert found.exposures == ()
    assert found.verdict is ExposureVerdict.CLEAN


@pytest.mark.parametrize(
    ("values", "instead"),
    [
        (deployment(parameters={"password": VALUE}), "SecretRef"),
        (env(DB_PASSWORD=VALUE), "worker's own environment"),
        (pull(access_token=VALUE), "prefect.blocks.secret"),
        (template(DB_PASSWORD=VALUE), "prefect.blocks.secret"),
        ({"push": [{"some.step": {"password": VALUE}}], **deployment()}, "$NAME"),
    ],
)
def test_each_place_is_told_what_belongs_there(tmp_path: Path, values: dict[str, Any], instead: str) -> None:
    (found,) = check(tmp_path, values).exposures
    assert instead in found.instead


def test_what_an_alias_brings_to_many_is_one_exposure_at_its_anchor(tmp_path: Path) -> None:
    file = tmp_path / "prefect.yaml"
    file.write_text(
        "definitions:\n"
        "  env: &env\n"
        f"    API_KEY: {VALUE}\n"
        "deployments:\n"
        "  - work_pool: {job_variables: {env: *env}}\n"
        "  - work_pool: {job_variables: {env: {<<: *env, MORE: x}}}\n"
        "  - work_pool: {job_variables: {env: {<<: *env, API_KEY: '${KEY}'}}}\n"
    )
    (found,) = check_deployments([read_deployment_file(file)]).exposures
    assert (found.line, found.at) == (3, f"{ENV}.API_KEY")
    assert found.also_at == (f"{ENV.replace('[0]', '[1]')}.API_KEY", "definitions.env.API_KEY")


@pytest.mark.parametrize(
    ("values", "at"),
    [
        (deployment(parameters="{{ login.stdout }}"), "deployments[0].parameters"),
        (deployment(work_pool={"job_variables": {"env": "{{ $ENVIRONMENT }}"}}), ENV),
        ({"deployments": []}, "deployments"),
        ({"pull": [], "deployments": None}, "deployments"),
    ],
)
def test_what_cannot_be_judged_is_listed_and_is_not_clean(tmp_path: Path, values: dict[str, Any], at: str) -> None:
    found = check(tmp_path, values)
    assert found.verdict is ExposureVerdict.INCOMPLETE
    assert [item.at for item in found.not_checked] == [at]


def test_nothing_looked_at_is_not_clean() -> None:
    assert check_deployments([]).verdict is ExposureVerdict.INCOMPLETE
    empty = DeploymentFile(path=Path("x"), values={"variables": {}}, positions={"": (1, 0)})
    assert check_deployments([empty]).verdict is ExposureVerdict.INCOMPLETE
