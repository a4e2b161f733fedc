import pytest

from holdtrue.core.galaxy_requirements import Requirement, RequirementKind, fits, parse_requirements
from holdtrue.errors import RejectedError

ROLE, COLLECTION = RequirementKind.ROLE, RequirementKind.COLLECTION


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("- geerlingguy.nginx\n", [Requirement(ROLE, "geerlingguy.nginx")]),
        ("- src: geerlingguy.nginx\n  version: 1.10\n", [Requirement(ROLE, "geerlingguy.nginx", "1.10")]),
        ("- {src: https://example.org/git/web.git, name: front}\n", [Requirement(ROLE, "front")]),
        ("- {src: https://example.org/git/web.git, scm: git}\n", [Requirement(ROLE, "web")]),
        ("- src: git@example.org:ops/web.git\n", [Requirement(ROLE, "web")]),
        ("- https://example.org/web-1.0.tar.gz\n", [Requirement(ROLE, "web-1.0")]),
        ("- owner.web,v1.2,front\n", [Requirement(ROLE, "front", "v1.2")]),
        ("- include: more.yml\n", [Requirement(ROLE, "")]),
        ("roles: [a.b]\ncollections: [c.d]\n", [Requirement(ROLE, "a.b"), Requirement(COLLECTION, "c.d")]),
        ("collections: ['c.d:1.0.0']\n", [Requirement(COLLECTION, "c.d", "1.0.0")]),
        ("collections: [{name: c.d, version: '>=1.0.0,<2'}]\n", [Requirement(COLLECTION, "c.d", ">=1.0.0,<2")]),
        ("collections: [{name: https://example.org/c.git, type: git}]\n", [Requirement(COLLECTION, "")]),
        ("roles:\ncollections: []\n", []),
    ],
)
def test_every_form_that_galaxy_reads(text: str, expected: list[Requirement]) -> None:
    assert list(parse_requirements(text, "requirements.yml")) == expected


@pytest.mark.parametrize(
    "text", ["", "- [", "name: x\n", "just text", "- - a\n", "collections: [[a]]\n", "roles: a.b\n"]
)
def test_what_galaxy_does_not_read_is_refused_with_its_file(text: str) -> None:
    with pytest.raises(RejectedError) as refusal:
        parse_requirements(text, "requirements.yml")
    assert "requirements.yml" in refusal.value.where


@pytest.mark.parametrize(
    ("kind", "wanted", "installed", "answer"),
    [
        (COLLECTION, "", "1.0.0", True),
        (COLLECTION, "*", "1.0.0", True),
        (COLLECTION, "1.0.0", "1.0.0", True),
        (COLLECTION, "=1.0.0", "1.0.0", True),
        (COLLECTION, "==1.0.0", "1.0.1", False),
        (COLLECTION, "1.0.0", "1.0.1", False),
        (COLLECTION, ">=1.0.0,<2.0.0", "1.9.0", True),
        (COLLECTION, ">=1.0.0, <2.0.0", "2.0.0", False),
        (COLLECTION, "!=1.5.0", "1.5.0", False),
        (COLLECTION, ">=2.0.0", "2.1.0-beta.1", True),
        (COLLECTION, "main", "1.0.0", True),
        (COLLECTION, "1.0.0", "", True),
        (ROLE, "v1.2.0", "1.2.0", True),
        (ROLE, "1.2.0", "1.3.0", False),
        (ROLE, "1.2.0", "", True),
    ],
)
def test_a_version_fits_or_does_not(kind: RequirementKind, wanted: str, installed: str, *, answer: bool) -> None:
    assert fits(Requirement(kind, "a.b", wanted), installed) is answer
