import pytest

pytest_plugins = ["pytester"]

SKIPPING = "import pytest\ndef test_needed(): pytest.skip('no server')\ndef test_good(): pass\n"
PLUGIN = ("-p", "tools.required_tests")
WORKERS = ("-p", "xdist.plugin", "-n", "2")

in_one_process_and_in_workers = pytest.mark.parametrize("workers", [(), WORKERS], ids=["one process", "workers"])


@pytest.fixture(autouse=True)
def _only_pytest_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")


@in_one_process_and_in_workers
def test_a_skipped_test_goes_unnoticed_without_the_plugin(pytester: pytest.Pytester, workers: tuple[str, ...]) -> None:
    pytester.makepyfile(SKIPPING)

    assert pytester.inline_run(*workers).ret == pytest.ExitCode.OK


@in_one_process_and_in_workers
def test_a_skipped_test_fails_the_session_and_is_named(pytester: pytest.Pytester, workers: tuple[str, ...]) -> None:
    pytester.makepyfile(test_sample=SKIPPING)

    result = pytester.runpytest_inprocess(*PLUGIN, *workers)

    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert result.outlines.count("test_sample.py::test_needed") == 1


@in_one_process_and_in_workers
@pytest.mark.parametrize(
    ("text", "all_ran"),
    [
        ("import pytest\n@pytest.mark.xfail\ndef test_known(): assert False\n", True),
        ("import pytest\npytest.skip('no module', allow_module_level=True)\n", False),
        ("", False),
    ],
    ids=["expected to fail", "a module", "nothing"],
)
def test_only_tests_that_ran_count(
    pytester: pytest.Pytester, text: str, workers: tuple[str, ...], *, all_ran: bool
) -> None:
    pytester.makepyfile(test_sample="def test_good(): pass\n" if text else "", test_other=text)

    assert (pytester.inline_run(*PLUGIN, *workers).ret == pytest.ExitCode.OK) is all_ran
