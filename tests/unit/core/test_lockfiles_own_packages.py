"""Which packages no advisory source is told the names of."""

import pytest

from holdtrue.core.lockfiles import (
    INTERNAL_NAME,
    OWN_PROJECT,
    is_asked,
    is_named_internal,
    mark_all_internal,
    mark_internal,
)
from holdtrue.core.lockfiles.own_packages import PRIVATE_ELSEWHERE, PRIVATE_INDEX, folder_name, index_name
from holdtrue.models.dependency import Dependency, Inventory, Origin

PYPI = "pypi.org/simple"
OWN = "index.acme.example/own"


def asked(*dependencies: Dependency, patterns: tuple[str, ...] = (), mirrors: tuple[str, ...] = ()) -> set[str]:
    marked = mark_internal(Inventory("x", "uv.lock", dependencies), patterns, mirrors)
    return {item.name for item in marked.dependencies if is_asked(item)}


@pytest.mark.parametrize("origin", Origin)
@pytest.mark.parametrize("reason", ["", OWN_PROJECT, "not pinned to one version"])
def test_a_name_under_a_pattern_is_never_asked_about(origin: Origin, reason: str) -> None:
    item = Dependency("acme-core", "1.0", origin, reason=reason)

    assert asked(item, patterns=("Acme_*",)) == set()
    assert asked(item, patterns=("acme",)) == asked(item)


@pytest.mark.parametrize(
    ("origin", "is_told"),
    [
        (Origin.INDEX, True), (Origin.VCS, True), (Origin.URL, True), (Origin.DISTRO, True), (Origin.CONDA, True),
        (Origin.LOCAL, False), (Origin.EDITABLE, False), (Origin.INTERNAL, False),
    ],
)  # fmt: skip
def test_a_package_from_a_path_is_never_asked_about(origin: Origin, *, is_told: bool) -> None:
    assert is_asked(Dependency("demo", "1.0", origin)) is is_told


def test_a_package_from_an_index_beside_pypi_is_ones_own() -> None:
    pypi, own = Dependency("demo", "1.0", index=PYPI), Dependency("core", "1.0", index=OWN)
    public = Dependency("torch", "1.0", index="download.pytorch.org/whl/cpu")

    assert asked(pypi, own, public) == {"demo", "torch"}
    assert asked(own, Dependency("demo", "1.0", index="files.pythonhosted.org/packages/x")) == {"demo"}
    (marked,) = [
        item for item in mark_internal(Inventory("x", "y", (pypi, own)), ()).dependencies if not is_asked(item)
    ]
    assert (marked.origin, marked.reason) == (Origin.INTERNAL, PRIVATE_INDEX)


def test_without_pypi_an_index_is_a_mirror_of_it() -> None:
    assert asked(Dependency("core", "1.0", index=OWN), Dependency("demo", "1.0")) == {"core", "demo"}


@pytest.mark.parametrize(
    ("index", "mirrors"),
    [
        ("mirror.corp.example/simple", ("https://mirror.corp.example/simple",)),
        ("pypi.tuna.tsinghua.edu.cn/simple", ()),
        ("mirrors.aliyun.com/pypi/simple", ()),
    ],
)
def test_beside_a_known_mirror_an_index_is_ones_own(index: str, mirrors: tuple[str, ...]) -> None:
    held = (Dependency("demo", "1.0", index=index), Dependency("core", "1.0", index=OWN))

    assert asked(*held, mirrors=mirrors) == {"demo"}
    assert asked(held[1], mirrors=(*mirrors, "https://mirror.corp.example")) == set()


@pytest.mark.parametrize(
    ("mirror", "is_told"),
    [
        ("https://index.acme.example/own", True),
        ("https://user:s3cr3t@INDEX.acme.example/own/", True),
        ("https://index.acme.example", True),
        ("https://index.acme.example/ow", False),
        ("https://other.example/own", False),
    ],
)
def test_a_mirror_that_is_named_is_asked_about(mirror: str, *, is_told: bool) -> None:
    held = (Dependency("demo", "1.0", index=PYPI), Dependency("core", "1.0", index=OWN))

    assert ("core" in asked(*held, mirrors=(mirror,))) is is_told


def test_only_what_somebody_names_is_trusted_as_internal() -> None:
    assert is_named_internal(Origin.INTERNAL, INTERNAL_NAME)
    assert is_named_internal(Origin.VCS, INTERNAL_NAME)
    assert is_named_internal(Origin.INTERNAL, "not pinned to one version")
    assert not is_named_internal(Origin.INTERNAL, PRIVATE_INDEX)
    assert not is_named_internal(Origin.INTERNAL, PRIVATE_ELSEWHERE)
    assert not is_named_internal(Origin.INDEX, "")


def test_an_index_is_named_without_what_may_be_secret() -> None:
    assert index_name("https://user:s3cr3t@Index.example:8443/a/B/?token=s3cr3t#s3cr3t") == "index.example:8443/a/B"
    assert index_name("../wheels") == "../wheels"
    assert index_name("") == ""


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("wheels", "./wheels"), ("./wheels/", "./wheels"), ("../wheels", "../wheels"), ("/srv/wheels", "/srv/wheels"),
        ("file:///srv/wheels/", "/srv/wheels"), ("file://localhost/srv/wheels", "/srv/wheels"), ("/", "./"),
        ("FILE:wheels", "./wheels"),
    ],
)  # fmt: skip
def test_a_folder_is_never_taken_for_a_host(address: str, name: str) -> None:
    assert folder_name(address) == name


@pytest.mark.parametrize("folder", ["wheels", "/srv/wheels", "file:///srv/wheels", "../wheels"])
@pytest.mark.parametrize("beside", [(), (Dependency("demo", "1.0", index=PYPI),)])
def test_a_folder_is_an_index_of_ones_own_unless_it_is_named_as_a_mirror(
    folder: str, beside: tuple[Dependency, ...]
) -> None:
    held = (Dependency("core", "1.0", index=folder_name(folder)), *beside)

    assert "core" not in asked(*held)
    assert "core" not in asked(*held, mirrors=("https://wheels",))
    assert "core" in asked(*held, mirrors=(folder,))


def asked_beside(*known: Dependency, item: Dependency, mirrors: tuple[str, ...] = ()) -> bool:
    _, marked = mark_all_internal([Inventory("x", "uv.lock", known), Inventory("y", "z", (item,))], (), mirrors)
    (found,) = marked.dependencies
    return is_asked(found)


KNOWN = (Dependency("demo", "1.0", index=PYPI), Dependency("core", "1.0", index=OWN))


@pytest.mark.parametrize("origin", [Origin.INDEX, Origin.VCS, Origin.URL])
def test_a_private_name_is_not_asked_about_because_of_another_inventory(origin: Origin) -> None:
    assert not asked_beside(*KNOWN, item=Dependency("core", "2.0", origin))
    assert not asked_beside(*KNOWN, item=Dependency("core", "2.0", index=OWN))
    assert asked_beside(*KNOWN, item=Dependency("other", "2.0", origin))


@pytest.mark.parametrize("origin", [Origin.LOCAL, Origin.EDITABLE])
def test_what_is_from_pypi_or_is_only_built_from_a_path_elsewhere_is_asked_about(origin: Origin) -> None:
    assert asked_beside(*KNOWN, item=Dependency("core", "2.0", index=PYPI))
    assert asked_beside(Dependency("core", "1.0", origin, reason=OWN_PROJECT), item=Dependency("core", "2.0"))
