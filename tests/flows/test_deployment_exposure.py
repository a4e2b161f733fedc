"""What `holdtrue check-deployments` says of a file is what a Prefect server is found to keep of it."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import prefect
import pytest
import yaml
from prefect.blocks.system import Secret
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.utilities.asyncutils import run_coro_as_sync
from prefect.workers.base import BaseJobConfiguration, BaseWorker
from prefect.workers.process import ProcessWorker
from prefect_aws.workers.ecs_worker import ECSWorker

from holdtrue.adapters.deployment_file import read_deployment_file
from holdtrue.core.deployment_exposure import check_deployments
from holdtrue.core.secret_detection import find_secrets, leaves

BLOCK, SHELL, STEP = "{{ prefect.blocks.secret.exposure }}", "{{ $EXPOSURE_TOKEN }}", "{{ login.stdout }}"
VALUES: Final = {BLOCK: "held-by-the-block", SHELL: "set-in-the-shell", STEP: "said-by-the-step"}
EACH: Final = {"password": BLOCK, "token": SHELL, "secret": STEP}
FILE: Final = {
    "name": "exposure",
    "prefect-version": "3.8.8",
    "build": [{"prefect.deployments.steps.run_shell_script": {"id": "login", "script": "echo " + VALUES[STEP]}}],
    "pull": [{"prefect.deployments.steps.run_shell_script": {"id": "pulled", "env": EACH, "script": "true"}}],
    "deployments": [
        {
            "name": "exposure",
            "entrypoint": "exposed.py:exposed",
            "parameters": EACH,
            "work_pool": {"name": "exposure", "job_variables": {"env": EACH}},
            "schedules": [{"cron": "0 0 1 1 *", "parameters": EACH}],
            "triggers": [
                {
                    "match": {"prefect.resource.id": "x"},
                    "expect": ["x.y"],
                    "parameters": EACH,
                    "job_variables": {"env": EACH},
                }
            ],
        }
    ],
}


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """The file, deployed with the command that people use, and what the server tells about it, by section."""
    folder = tmp_path_factory.mktemp("exposure")
    (folder / "exposed.py").write_text(
        "from prefect import flow\n\n\n@flow\ndef exposed(password='', token='', secret=''): ...\n"
    )
    (folder / "prefect.yaml").write_text(yaml.safe_dump(FILE, sort_keys=False))
    Secret(value=VALUES[BLOCK]).save("exposure")
    with get_client(sync_client=True) as client:
        client.create_work_pool(WorkPoolCreate(name="exposure", type="process"))
        # PATH is for the build step only.
        environment = {
            "PATH": os.environ["PATH"],
            "PREFECT_HOME": str(folder / "home"),
            "PREFECT_API_URL": str(client.api_url),
            "EXPOSURE_TOKEN": VALUES[SHELL],
            "DO_NOT_TRACK": "1",
        }
        command = (str(Path(sys.executable).with_name("prefect")), "--no-prompt", "deploy", "--all")
        subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True, timeout=120)
        deployments = client._client.post("/deployments/filter", json={}).json()
        (stored,) = [item for item in deployments if item["name"] == "exposure"]
        (automation,) = client._client.post("/automations/filter", json={}).json()
    return (
        folder / "prefect.yaml",
        {
            "deployments[0].parameters": stored["parameters"],
            "deployments[0].work_pool.job_variables.env": stored["job_variables"]["env"],
            "deployments[0].schedules[0].parameters": stored["schedules"][0]["parameters"],
            "deployments[0].triggers[0].parameters": automation["actions"][0]["parameters"],
            "deployments[0].triggers[0].job_variables.env": automation["actions"][0]["job_variables"]["env"],
            "pull[0].prefect.deployments.steps.run_shell_script.env": stored["pull_steps"][0][
                "prefect.deployments.steps.run_shell_script"
            ]["env"],
        },
    )


def test_the_check_names_exactly_what_the_server_keeps_in_clear(deployed: tuple[Path, dict[str, Any]]) -> None:
    path, stored = deployed
    kept = {
        f"{section}.{leaf.at}"
        for section, values in stored.items()
        for leaf in leaves(values)
        if str(leaf.value) in VALUES.values()
    }
    exposures = check_deployments([read_deployment_file(path)]).exposures
    named = {at for item in exposures for at in (item.at, *item.also_at)}
    assert named == kept
    assert len(kept) == 3 * len(stored) - 2, "all but the block in the pull step, and the trigger's step"


def test_a_block_in_a_base_job_template_is_filled_in_by_the_worker(tmp_path: Path) -> None:
    template = {
        "variables": {"properties": {"env": {"type": "object", "default": {"DB_PASSWORD": BLOCK}}}},
        "job_configuration": {"env": "{{ env }}"},
    }
    Secret(value=VALUES[BLOCK]).save("exposure", overwrite=True)
    with get_client(sync_client=True) as client:
        pool = client.create_work_pool(WorkPoolCreate(name="template", type="process", base_job_template=template))
        kept = client._client.get(f"/work_pools/{pool.name}").json()["base_job_template"]
        client.delete_work_pool(pool.name)
    assert kept["variables"]["properties"]["env"]["default"] == {"DB_PASSWORD": BLOCK}
    job = run_coro_as_sync(BaseJobConfiguration.from_template_and_values(kept, {}))
    assert job is not None
    assert job.env == {"DB_PASSWORD": VALUES[BLOCK]}

    file = tmp_path / "template.yaml"
    file.write_text(yaml.safe_dump(template))
    assert check_deployments([read_deployment_file(file)]).exposures == ()


@pytest.mark.parametrize("worker", [ProcessWorker, ECSWorker])
def test_what_workers_bring_along_holds_no_secret(worker: type[BaseWorker[Any, Any, Any]]) -> None:
    template = worker.get_default_base_job_template()
    assert "variables" in template
    assert find_secrets(template) == ()


PREFECT: Final = Path(prefect.__file__).parent
WORKERS: Final = PREFECT / "server/api/collections_data/views/aggregate-worker-metadata.json"


def test_files_that_come_with_prefect_hold_no_secret(tmp_path: Path) -> None:
    """Each example of a prefect.yaml, and the base job template of each kind of worker."""
    templates = [
        worker["default_base_job_configuration"]
        for collection in json.loads(WORKERS.read_text()).values()
        for worker in collection.values()
    ]
    files = sorted(PREFECT.glob("deployments/recipes/*/prefect.yaml"))
    for number, template in enumerate(templates):
        files.append(tmp_path / f"{number}.json")
        files[-1].write_text(json.dumps(template))
    assert len(files) > 15
    for file in files:
        assert find_secrets(read_deployment_file(file).values) == (), file


def test_a_secret_in_one_of_these_files_would_be_found(tmp_path: Path) -> None:
    for file in PREFECT.glob("deployments/recipes/*/prefect.yaml"):
        values = yaml.safe_load(file.read_text())
        values["deployments"][0]["description"] = "Nightly. password: hunter2"
        changed = tmp_path / "prefect.yaml"
        changed.write_text(yaml.safe_dump(values))
        assert [item.at for item in find_secrets(read_deployment_file(changed).values)] == [
            "deployments[0].description"
        ]
