"""Reading what people write about deployments: positions, aliases, and files that cannot be read."""

import json
from pathlib import Path

import pytest
import yaml

from holdtrue.adapters.deployment_file import read_deployment_file
from holdtrue.errors import ManifestError

CHECKOUT = Path(__file__).parents[3]


def written(path: Path, text: str) -> Path:
    file = path / "prefect.yaml"
    file.write_text(text)
    return file


def as_texts(value: object) -> object:
    match value:
        case dict():
            return {key: as_texts(item) for key, item in value.items()}
        case list():
            return [as_texts(item) for item in value]
        case bool():
            return str(value).lower()
        case None:
            return None
        case _:
            return str(value)


def test_the_projects_own_file_is_read_as_prefect_reads_it() -> None:
    path = CHECKOUT / "prefect.yaml"
    read = read_deployment_file(path)
    assert read.values == as_texts(yaml.safe_load(path.read_text()))
    line, _ = read.positions["deployments[2].name"]
    assert path.read_text().splitlines()[line - 1].strip() == "- name: drift"
    anchored, _ = read.positions["deployments[4].work_pool.job_variables.command"]
    assert "python -m prefect.engine" in path.read_text().splitlines()[anchored - 1]


def test_merges_overrule_as_yaml_has_it(tmp_path: Path) -> None:
    text = "a: &a {x: 1, y: 2}\nb: &b {<<: *a, y: 3}\ndeployments: [{<<: *b}, {<<: [*b, *a]}, *b, *b]\n"
    read = read_deployment_file(written(tmp_path, text))
    assert read.values == as_texts(yaml.safe_load(text))


def test_a_base_job_template_is_json(tmp_path: Path) -> None:
    file = tmp_path / "template.json"
    file.write_text(json.dumps({"variables": {"properties": {}}, "job_configuration": {"env": "{{ env }}"}}, indent=2))
    read = read_deployment_file(file)
    assert read.values["job_configuration"] == {"env": "{{ env }}"}
    assert read.positions["job_configuration.env"][0] == 6


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("deployments:\n  - a: *nothing", ":2"),
        ("deployments: [", ":1"),
        ("deployments: []\ndeployments: []", ":2"),
        ("deployments: &a [*a]", ":1"),
        ("deployments: &a\n  b: *a", ":1"),
        ("deployments: {<<: 1}", ":1"),
        ("name: something else", ":1"),
        ("- a list", ":1"),
        ("just a text", ":1"),
        ("", ":1"),
        ("deployments: " + "[" * 5000, ":1"),
        ("deployments: '" + "x" * (1 << 20) + "'", ":1"),
        ("a: &a [x,x,x,x,x,x,x,x,x,x]\n"
         + "".join(f"{new}: &{new} [*{old},*{old},*{old},*{old},*{old},*{old},*{old},*{old},*{old},*{old}]\n"
                   for old, new in zip("abcdef", "bcdefg", strict=True))
         + "deployments: *g", ""),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_read_is_refused_with_its_line(tmp_path: Path, text: str, where: str) -> None:
    file = written(tmp_path, text)
    with pytest.raises(ManifestError) as caught:
        read_deployment_file(file)
    assert caught.value.where.startswith(f"{file}{where}")


def test_what_stops_the_parser_is_not_quoted(tmp_path: Path) -> None:
    with pytest.raises(ManifestError) as caught:
        read_deployment_file(written(tmp_path, "deployments:\n  - password: %in-clear-text"))
    assert "in-clear-text" not in str(caught.value)


def test_a_missing_file_and_one_that_is_no_text(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="No such file"):
        read_deployment_file(tmp_path / "absent.yaml")
    with pytest.raises(ManifestError, match="Is a directory"):
        read_deployment_file(tmp_path)
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(ManifestError, match="UTF-8"):
        read_deployment_file(tmp_path / "binary")
