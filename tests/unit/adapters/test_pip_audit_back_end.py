"""What pip-audit said, left out, and died of."""

import pytest

from holdtrue.adapters.pip_audit_source.answer import read_dependencies
from holdtrue.adapters.pip_audit_source.command import Choked, Dependency, Vulnerability, explain_death
from holdtrue.errors import HoldtrueError, ServiceNotReady, ServiceUnreachable, ToolMissing, UnavailableError
from holdtrue.models.dependency import Pin
from holdtrue.runtime.process import ToolRun

A, B, C = Pin("demo-a", "1.0"), Pin("demo-b", "2.0"), Pin("demo-c", "3.0")
URL = "http://osv.example/v1/query"
TRACE = "Traceback (most recent call last):\n  File x\n    s3cr3t-value = line of code\n"


def death(text: str, exit_code: int = 1) -> ToolRun:
    return ToolRun(exit_code=exit_code, error_tail=text)


def test_each_pin_is_found_skipped_or_missing() -> None:
    answer = read_dependencies(
        [A, B, C],
        [
            Dependency(name="Demo_A", version="1.0.0", vulns=(Vulnerability(id="X", aliases=("Y",)),)),
            Dependency(name="demo-a", version="1.0", vulns=(Vulnerability(id="X", aliases=("Y",)),)),
            Dependency(name="demo-b", skip_reason="not on the index"),
            Dependency(name="uninvited", version="9"),
        ],
    )

    assert {pin: [item.advisory.id for item in found] for pin, found in answer.matches.items()} == {A: ["X"]}
    assert answer.reported(A) == {"X", "Y"}
    assert answer.reasons.keys() == {B, C}
    assert "not on the index" in answer.reasons[B]


def test_an_answer_about_another_version_is_no_answer() -> None:
    answer = read_dependencies([A], [Dependency(name="demo-a", version="1.1")])

    assert answer.reasons.keys() == {A}


def test_fixes_below_the_installed_version_are_no_fixes() -> None:
    vulnerability = Vulnerability(id="X", fix_versions=("1.9", "2.0.1", "odd"), description="a\n b" * 200)

    (found,) = read_dependencies([B], [Dependency(name="demo-b", version="2.0", vulns=(vulnerability,))]).matches[B]

    assert found.fixed_in == ("2.0.1", "odd")
    assert "\n" not in found.advisory.summary


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("python: No module named pip_audit", ToolMissing),
        (TRACE + "requests.exceptions.HTTPError: 503 Server Error: Down for url: x\n" + TRACE
         + "pip_audit._service.interface.ServiceError", ServiceNotReady),
        (TRACE + "requests.exceptions.HTTPError: 429 Client Error: Slow for url: x", ServiceNotReady),
        (TRACE + "requests.exceptions.JSONDecodeError: Expecting value: line 1 column 1 (char 0)", ServiceNotReady),
        (TRACE + "requests.exceptions.ReadTimeout: HTTPConnectionPool(...)", ServiceUnreachable),
        (TRACE + "requests.exceptions.ConnectionError: ('Connection aborted.')", ServiceUnreachable),
        (TRACE + "requests.exceptions.SSLError: certificate", ServiceUnreachable),
        ("ERROR:pip_audit._cli:Could not connect to OSV's vulnerability feed\nERROR: Tip", ServiceUnreachable),
        ("usage: pip-audit [-h]\npip-audit: error: unrecognized arguments", UnavailableError),
        ("", UnavailableError),
    ],
)  # fmt: skip
def test_why_it_could_not_ask(text: str, kind: type[HoldtrueError]) -> None:
    with pytest.raises(kind) as caught:
        explain_death(death(text), [A, B], URL)

    assert "s3cr3t-value" not in str(caught.value)
    assert caught.value.next_step


@pytest.mark.parametrize(
    ("audited", "culprit"), [((), A), (("demo-a (1.0)",), B), (("demo-a (1.0)", "Demo_B (2.0)"), C)]
)
def test_the_package_it_choked_on(audited: tuple[str, ...], culprit: Pin) -> None:
    lines = "".join(f"DEBUG:pip_audit._cli:Auditing {item}\n" for item in audited)
    text = f"{lines}{TRACE}packaging.version.InvalidVersion: Invalid version: '0.2.0-n653'"

    assert explain_death(death(text), [A, B, C], URL) == Choked(culprit, "InvalidVersion")


def test_a_death_after_the_last_package_has_no_culprit() -> None:
    with pytest.raises(UnavailableError):
        explain_death(death(f"DEBUG:pip_audit._cli:Auditing demo-a (1.0)\n{TRACE}OSError: disk full"), [A], URL)


def test_a_silent_source_is_named_with_the_package() -> None:
    text = f"DEBUG:pip_audit._cli:Auditing demo-a (1.0)\n{TRACE}requests.exceptions.ReadTimeout: slow"

    with pytest.raises(ServiceUnreachable) as caught:
        explain_death(death(text), [A, B], URL)

    assert URL in caught.value.where
    assert "demo-b 2.0" in caught.value.where
