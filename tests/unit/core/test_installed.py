"""What lies in a package folder becomes a dependency or a gap; nothing is passed over."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdtrue.core.dependency_chains import find_chains
from holdtrue.core.installed import InstalledEntry, read_package_folder
from holdtrue.models.dependency import Dependency, Inventory, Origin

_VENV = "/srv/app/venv/lib/python3.12/site-packages"


def _entry(
    name: str = "demo",
    version: str = "1.0",
    *,
    requires: tuple[str, ...] = (),
    installer: str = "pip\n",
    is_requested: bool = False,
    direct_url: object = None,
    vendored_in: str = "",
) -> InstalledEntry:
    text = "\n".join(["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"])
    text += "".join(f"\nRequires-Dist: {item}" for item in requires)
    return InstalledEntry(
        name=f"{name.replace('-', '_')}-{version}.dist-info",
        text=text,
        direct_url=None if direct_url is None else json.dumps(direct_url),
        installer=installer,
        is_requested=is_requested,
        vendored_in=vendored_in,
    )


def _read(*entries: InstalledEntry, folder: str = _VENV) -> Inventory:
    return read_package_folder(entries, folder=folder, label="the folder")


def _only(*entries: InstalledEntry, folder: str = _VENV) -> Dependency:
    inventory = _read(*entries, folder=folder)
    assert inventory.gaps == ()
    (dependency,) = inventory.dependencies
    return dependency


def test_a_package_of_an_index_is_judged() -> None:
    found = _only(_entry("Demo_A.b", "1.0.RC1"))

    assert (found.name, found.version, found.origin, found.reason) == ("demo-a-b", "1.0rc1", Origin.INDEX, "")
    assert found.place == "Demo_A.b-1.0.RC1.dist-info"


@pytest.mark.parametrize(
    ("direct_url", "origin"),
    [
        ({"url": "https://h.example/x", "vcs_info": {"vcs": "git", "commit_id": "0"}}, Origin.VCS),
        ({"url": "https://h.example/x.whl", "archive_info": {}}, Origin.URL),
        ({"url": "file:///dist/x.whl", "archive_info": {}}, Origin.LOCAL),
        ({"url": "file:///src", "dir_info": {}}, Origin.LOCAL),
        ({"url": "file:///src", "dir_info": {"editable": True}}, Origin.EDITABLE),
        ({"url": "file:///src", "dir_info": {"editable": "no"}}, Origin.LOCAL),
        ([], Origin.URL),
        ({"url": 7}, Origin.URL),
    ],
)
def test_what_came_from_elsewhere_is_a_class_of_its_own(direct_url: object, origin: Origin) -> None:
    found = _only(_entry(direct_url=direct_url))

    assert found.origin is origin
    assert found.version == "1.0"
    assert found.reason


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000])
def test_an_origin_that_cannot_be_read_is_not_an_index(text: str) -> None:
    found = _only(InstalledEntry("demo-1.0.dist-info", "Name: demo\nVersion: 1.0", direct_url=text))

    assert found.origin is not Origin.INDEX
    assert found.reason


def test_no_address_is_repeated() -> None:
    url = "https://user:s3cr3t-value@h.example/x?token=s3cr3t-value"

    assert "s3cr3t-value" not in repr(_read(_entry(direct_url={"url": url, "vcs_info": {}})))
    assert "s3cr3t-value" not in repr(_read(_entry(direct_url={"url": url})))


@pytest.mark.parametrize(
    ("folder", "installer", "origin"),
    [
        ("/usr/lib/python3/dist-packages", "", Origin.DISTRO),
        ("/usr/lib/python3/dist-packages", "pip", Origin.DISTRO),
        ("/usr/lib/python2.7/dist-packages", "", Origin.DISTRO),
        ("/usr/lib/python3.12/site-packages", "", Origin.DISTRO),
        ("/usr/lib64/python3.9/site-packages/", "rpm", Origin.DISTRO),
        ("/usr/lib/python3.12/site-packages", "pip\n", Origin.INDEX),
        ("/usr/lib/python3.12/site-packages", "Poetry 2.1.0", Origin.INDEX),
        ("/usr/local/lib/python3.12/dist-packages", "pip", Origin.INDEX),
        ("/usr/local/lib/python3.12/site-packages", "", Origin.INDEX),
        (_VENV, "", Origin.INDEX),
        (_VENV, "uv", Origin.INDEX),
        (_VENV, "debian", Origin.DISTRO),
        ("/opt/conda/lib/python3.12/site-packages", "conda", Origin.CONDA),
    ],
)
def test_who_installed_it_and_where_decide_whether_it_is_patched(folder: str, installer: str, origin: Origin) -> None:
    found = _only(_entry(installer=installer), folder=folder)

    assert found.origin is origin
    assert bool(found.reason) is (origin is not Origin.INDEX)


@pytest.mark.parametrize("version", ["nineteen", "9" * 5_000])
def test_a_version_that_is_none_has_a_reason(version: str) -> None:
    found = _only(InstalledEntry("demo.egg-info", f"Name: demo\nVersion: {version}"))

    assert found.name == "demo"
    assert found.reason


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("half_gone-1.0.dist-info", ("half-gone", "1.0")),
        ("half.gone-1.0_1.egg-info", ("half-gone", "1.0.post1")),
        ("half_gone-1.0-py3.8.egg-info", ("half-gone", "1.0")),
        ("half_gone-1.0-py3.8-linux-x86_64.egg", ("half-gone", "1.0")),
    ],
)
@pytest.mark.parametrize("text", [None, "", "Name: half-gone", "Version: 1.0", "\nName: x\nVersion: 2"])
def test_broken_metadata_leave_name_and_version_of_their_folder_in_doubt(
    name: str, expected: tuple[str, str], text: str | None
) -> None:
    found = _only(InstalledEntry(name, text, problem="cannot be read"))

    assert (found.name, found.version) == expected
    assert found.reason


@pytest.mark.parametrize("name", ["demo.dist-info", "demo.egg-info", "~emo-1.0.dist-info", "-1.0.dist-info", ".egg"])
def test_what_has_no_name_at_all_is_a_gap(name: str) -> None:
    inventory = _read(InstalledEntry(name, None, problem="cannot be read"))

    assert inventory.dependencies == ()
    assert [gap.name for gap in inventory.gaps] == [name]


def test_a_hostile_name_is_a_gap() -> None:
    inventory = _read(InstalledEntry("x-1.dist-info", "Name: --index-url=x\nVersion: 1"))

    assert inventory.dependencies == ()
    assert [gap.name for gap in inventory.gaps] == ["x-1.dist-info"]


def test_the_description_is_no_header() -> None:
    text = "Name: demo\r\nVersion: 1.0\r\nSummary: a\u2028Version: 2\r\n\r\nVersion: 3\nRequires-Dist: other"

    assert _only(InstalledEntry("demo-1.0.dist-info", text)).version == "1.0"


def test_who_brought_in_whom() -> None:
    found = {
        item.name: item
        for item in _read(
            _entry("app", requires=("middle>=1", "tests; extra == 'dev'", "absent"), is_requested=True),
            _entry("middle", requires=("leaf (>=2) ; python_version > '3'",)),
            _entry("leaf", requires=("app",)),
            _entry("tests"),
            _entry("both", is_requested=True),
        ).dependencies
    }

    assert {name: (item.chain, item.is_direct) for name, item in found.items()} == {
        "app": ((), True),
        "middle": (("app",), False),
        "leaf": (("app", "middle"), False),
        "tests": ((), None),
        "both": ((), True),
    }


def test_an_installer_that_marks_everything_as_requested_tells_nothing() -> None:
    app, leaf = _read(
        _entry("app", requires=("leaf",), installer="uv", is_requested=True),
        _entry("leaf", installer="uv", is_requested=True),
    ).dependencies

    assert (app.chain, app.is_direct) == ((), None)
    assert (leaf.chain, leaf.is_direct) == (("app",), None)


def test_a_circle_that_nobody_asked_for_has_no_chain() -> None:
    inventory = _read(_entry("one", requires=("two",)), _entry("two", requires=("one",)))

    assert [(item.chain, item.is_direct) for item in inventory.dependencies] == [((), None), ((), None)]


def test_two_versions_stand_side_by_side_and_the_same_one_once() -> None:
    inventory = _read(_entry(), _entry(), _entry(version="2.0"))

    assert [item.version for item in inventory.dependencies] == ["1.0", "2.0"]


def test_vendored_copies_are_dependencies() -> None:
    pins = "CacheControl==0.14.3  # Make sure to update the license\n\nrequests[x]==2.32.5\n    idna==3.10\n# note\n"
    inventory = _read(
        _entry("pip", "25.0"),
        _entry("idna", "3.10"),
        InstalledEntry("vendor.txt", pins, vendored_in="pip"),
        _entry("wheel", "0.43.0", vendored_in="setuptools"),
    )

    vendored = [item for item in inventory.dependencies if item.place.startswith("vendored in")]
    assert [(item.name, item.version, item.place, item.chain, item.is_direct) for item in vendored] == [
        ("cachecontrol", "0.14.3", "vendored in pip", ("pip",), False),
        ("requests", "2.32.5", "vendored in pip", ("pip",), False),
        ("wheel", "0.43.0", "vendored in setuptools", ("setuptools",), False),
    ]
    assert {(item.origin, item.reason) for item in vendored} == {(Origin.INDEX, "")}
    assert inventory.gaps == ()


def test_vendored_copies_of_the_distribution_are_patched_too() -> None:
    inventory = _read(
        InstalledEntry("vendor.txt", "demo==1.0", vendored_in="pip"), folder="/usr/lib/python3/dist-packages"
    )

    assert [item.origin for item in inventory.dependencies] == [Origin.DISTRO]


@pytest.mark.parametrize("text", [None, "demo>=1", "-r more.txt", "demo_==1"])
def test_a_list_of_copies_that_cannot_be_read_is_a_gap(text: str | None) -> None:
    inventory = _read(InstalledEntry("vendor.txt", text, vendored_in="pip", problem="cannot be read"))

    assert inventory.dependencies == ()
    assert len(inventory.gaps) == 1
    assert "pip" in inventory.gaps[0].name


def test_an_editable_project_of_the_old_kind_is_listed() -> None:
    inventory = _read(
        InstalledEntry("My.Project.egg-link", "/src/project\n."), InstalledEntry("easy-install.pth", "/src/project\n")
    )

    (found,) = inventory.dependencies
    assert (found.name, found.version, found.origin) == ("my-project", "", Origin.EDITABLE)
    assert found.reason
    assert inventory.gaps == ()


def test_a_path_file_that_leads_to_other_packages_is_a_gap() -> None:
    inventory = _read(
        InstalledEntry("more.pth", "# note\nimport sys\n/elsewhere\nwin32/lib\n../site-packages/x\n../../more\n")
    )

    assert [gap.name for gap in inventory.gaps] == ["more.pth"]
    assert "2 " in inventory.gaps[0].reason


@pytest.mark.parametrize("text", ["", "import os; os.getpid()", "/src/app/src\n/src/app", "/other/site-packages/"])
def test_a_path_file_that_hides_nothing_is_none(text: str) -> None:
    inventory = read_package_folder(
        [_entry(direct_url={"url": "file:///src/app", "dir_info": {"editable": True}}), InstalledEntry("x.pth", text)],
        folder=_VENV,
        label="the folder",
        listed_folders=["/other/site-packages"],
    )

    assert inventory.gaps == ()


def test_a_project_at_the_root_does_not_cover_everything() -> None:
    inventory = _read(
        _entry(direct_url={"url": "file:///", "dir_info": {"editable": True}}), InstalledEntry("x.pth", "/elsewhere")
    )

    assert len(inventory.gaps) == 1


def test_a_path_file_that_cannot_be_read_is_a_gap() -> None:
    assert len(_read(InstalledEntry("x.pth", None, problem="cannot be read")).gaps) == 1


def test_a_long_line_of_packages_stays_small() -> None:
    chains = find_chains({str(number): [str(number + 1)] for number in range(5_000)}, ["0"])

    assert len(chains) == 5_001
    assert chains["2"] == ("0", "1")
    assert max(map(len, chains.values())) == 50


_ENTRY = st.builds(
    InstalledEntry,
    name=st.one_of(
        st.sampled_from(["demo-1.0.dist-info", "x.egg-info", "y-2-py3.8.egg", "z.egg-link", "p.pth", "vendor.txt"]),
        st.text(max_size=8).map("{}.dist-info".format),
    ),
    text=st.none() | st.text(max_size=60) | st.text(max_size=8).map("Name: demo\nVersion: {}".format),
    direct_url=st.none() | st.text(max_size=20) | st.just('{"url": "file:///a", "dir_info": {"editable": true}}'),
    installer=st.sampled_from(["", "pip", "uv", "conda", "\n"]),
    is_requested=st.booleans(),
    vendored_in=st.sampled_from(["", "pip"]),
    problem=st.just("cannot be read"),
)


@settings(deadline=None, max_examples=200)
@given(st.lists(_ENTRY, max_size=5))
def test_whatever_lies_there_is_read_and_leaves_a_trace(entries: list[InstalledEntry]) -> None:
    inventory = _read(*entries)

    if any(item.name.endswith((".dist-info", ".egg-info", ".egg", ".egg-link")) for item in entries):
        assert inventory.dependencies or inventory.gaps
