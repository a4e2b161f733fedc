import pytest

pytest_plugins = ["pytester"]

SKIPPING = "import pytest\ndef test_needed(): pytest.skip('no server')\ndef test_good(): pass\n"
PLUGIN = "tools.required_tests"


@pytest.fixture(autouse=True)
def _only_pytest_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")


def test_a_skipped_test_goes_unnoticed_without_the_plugin(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(SKIPPING)

    assert pytester.inline_run().ret == pytest.ExitCode.OK


def test_a_skipped_test_fails_the_session_and_is_named(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_sample=SKIPPING)

    result = pytester.runpytest_inprocess("-p", PLUGIN)

    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["test_sample.py::test_needed"])


@pytest.mark.parametrize(
    ("text", "all_ran"),
    [
        ("import pytest\n@pytest.mark.xfail\ndef test_known(): assert False\n", True),
        ("import pytest\npytest.skip('no module', allow_module_level=True)\n", False),
        ("", False),
    ],
)
def test_only_tests_that_ran_count(pytester: pytest.Pytester, text: str, *, all_ran: bool) -> None:
    pytester.makepyfile(text)

    assert (pytester.inline_run("-p", PLUGIN).ret == pytest.ExitCode.OK) is all_ran
