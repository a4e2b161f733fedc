"""What is registered is redacted in its scope, and forgotten with it."""

import logging
import pickle
import threading
from collections import UserList, UserString, deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from holdtrue.core.forms import REPLACEMENT
from holdtrue.runtime.redaction import SECRETS, SecretRegistry, redact_data, redact_shown, redact_text, register_secret

VALUE = "s3cr3t-canary/value"

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from([VALUE, f"a {VALUE} b", "plain", "s3cr3t"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["k", VALUE, "n"]), inner, max_size=3),
    max_leaves=8,
)


@pytest.fixture
def registry() -> SecretRegistry:
    return SecretRegistry(linger_seconds=0)


@pytest.fixture
def known() -> Iterator[None]:
    with SECRETS.open():
        assert register_secret(SecretStr(VALUE), name="canary")
        yield
    assert not SECRETS


def test_nothing_registered_nothing_touched(registry: SecretRegistry) -> None:
    data = {"text": VALUE, "list": [VALUE]}

    assert not registry
    assert registry.redact(VALUE) is VALUE
    assert registry.redact_data(data) is data


def test_a_scope_ends_what_was_registered_in_it(registry: SecretRegistry) -> None:
    with registry.open():
        assert registry.is_open
        registry.register(SecretStr(VALUE), name="canary")
        assert registry.redact(f"<{VALUE}>") == f"<{REPLACEMENT}>"
    assert not registry
    assert not registry.is_open
    assert registry.redact(VALUE) == VALUE


def test_an_inner_scope_takes_nothing_from_an_outer_one(registry: SecretRegistry) -> None:
    with registry.open():
        registry.register(SecretStr(VALUE), name="canary")
        with registry.open():
            registry.register(SecretStr(VALUE), name="canary")
            registry.register(SecretStr("another-s3cr3t"), name="other")
        assert registry.redact(f"{VALUE} another-s3cr3t") == f"{REPLACEMENT} another-s3cr3t"
    assert not registry


def test_an_error_in_a_scope_ends_it(registry: SecretRegistry) -> None:
    def run() -> None:
        with registry.open():
            registry.register(SecretStr(VALUE), name="canary")
            raise RuntimeError("boom")

    with pytest.raises(RuntimeError, match="boom"):
        run()
    assert not registry


def test_outside_of_any_scope_the_process_keeps_it(registry: SecretRegistry) -> None:
    registry.register(SecretStr(VALUE), name="canary")
    with registry.open():
        registry.register(SecretStr(VALUE), name="canary")
    assert registry.redact(VALUE) == REPLACEMENT


def test_two_runs_at_once_keep_their_own_secrets(registry: SecretRegistry) -> None:
    opened, ended = threading.Barrier(2), threading.Event()

    def run(value: str, *, first: bool) -> str:
        with registry.open():
            registry.register(SecretStr(value), name="canary")
            opened.wait(timeout=10)
            if first:
                return registry.redact(value)
            ended.wait(timeout=10)
            return registry.redact(f"{value} first-s3cr3t")

    with ThreadPoolExecutor(2) as pool:
        second = pool.submit(run, "second-s3cr3t", first=False)
        assert pool.submit(run, "first-s3cr3t", first=True).result(timeout=10) == REPLACEMENT
        ended.set()
        assert second.result(timeout=10) == f"{REPLACEMENT} first-s3cr3t"
    assert not registry


def test_a_thread_without_a_context_registers_for_the_runs_that_are_open(registry: SecretRegistry) -> None:
    with registry.open():
        renewal = threading.Thread(target=registry.register, args=[SecretStr(VALUE)], kwargs={"name": "renewed token"})
        renewal.start()
        renewal.join()
        assert registry.redact(VALUE) == REPLACEMENT
    assert not registry


def test_what_comes_late_from_a_run_that_has_ended_stays_known(registry: SecretRegistry) -> None:
    with registry.open():
        context = copy_context()
    context.run(registry.register, SecretStr(VALUE), name="late")

    assert registry.redact(VALUE) == REPLACEMENT


@pytest.mark.parametrize("value", ["short", "password", "eu-central-1", "aaaaaaaaaaaaaaaa", ""])
def test_a_refusal_is_told_once_by_name_and_never_by_value(
    registry: SecretRegistry, value: str, caplog: pytest.LogCaptureFixture
) -> None:
    with registry.open():
        for _ in range(3):
            assert registry.register(SecretStr(value), name="kv/app, field pin") is False
    assert not registry
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "kv/app, field pin" in record.getMessage()
    assert not value or value not in record.getMessage()


def test_the_next_run_is_told_again(registry: SecretRegistry, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(2):
        with registry.open():
            registry.register(SecretStr("short"), name="pin")
    assert len(caplog.records) == 2


def test_many_threads_register_and_redact_at_once(registry: SecretRegistry) -> None:
    values = [f"s3cr3t-{number:04}-{'x' * (number % 7)}y" for number in range(300)]

    def use(value: str) -> str:
        with registry.open():
            registry.register(SecretStr(value), name="canary")
            return registry.redact(f"<{value}>")

    with ThreadPoolExecutor(16) as pool:
        assert set(pool.map(use, values)) == {f"<{REPLACEMENT}>"}
    assert not registry


@pytest.mark.usefixtures("known")
@given(data=JSON)
def test_no_place_in_a_structure_is_left_out(data: object) -> None:
    clean = redact_data(data)

    assert VALUE not in str(clean)
    assert str(clean).replace(REPLACEMENT, VALUE).count(VALUE) >= str(data).count(VALUE)
    assert (clean is data) == (VALUE not in str(data))


@pytest.mark.usefixtures("known")
def test_structures_keep_their_shape() -> None:
    looped: list[object] = [VALUE]
    looped.append(looped)

    assert redact_data((VALUE, [VALUE], {VALUE})) == (REPLACEMENT, [REPLACEMENT], {REPLACEMENT})
    assert redact_data(b"\xff" + VALUE.encode() + b"\xfe") == b"\xff" + REPLACEMENT.encode() + b"\xfe"
    assert redact_data(bytearray(VALUE.encode())) == bytearray(REPLACEMENT.encode())
    assert redact_data(deque([VALUE, 1], maxlen=2)) == deque([REPLACEMENT, 1], maxlen=2)
    assert redact_data(MappingProxyType({VALUE: [VALUE]})) == {REPLACEMENT: [REPLACEMENT]}
    assert redact_data(UserList(["x", VALUE])) == ["x", REPLACEMENT]
    assert redact_data(UserString(f"<{VALUE}>")) == f"<{REPLACEMENT}>"
    plain = UserString("plain")
    assert redact_data(plain) is plain
    assert redact_data(range(10**12)) == range(10**12)
    assert redact_data({VALUE: 1, REPLACEMENT: 2}) == {REPLACEMENT: 1, f"{REPLACEMENT} 2": 2}
    assert VALUE not in str(redact_data(looped))


@pytest.mark.usefixtures("known")
def test_objects_are_data_to_a_run_and_text_to_a_reader() -> None:
    class Shown(dict[str, str]):
        def __repr__(self) -> str:
            return VALUE

    error = OSError(5, VALUE)

    assert redact_data([error])[0] is error
    assert VALUE not in str(redact_shown([error, Shown()]))
    plain = [OSError(5, "plain"), 1, None]
    assert redact_shown(plain) is plain


def test_a_registry_shows_nothing_of_what_it_holds(registry: SecretRegistry) -> None:
    registry.register(SecretStr(VALUE), name="canary")

    assert VALUE not in f"{registry!r} {registry._redactor!r} {registry._process!r}"
    assert redact_text("unrelated") == "unrelated"


# Holders beside the run


def test_what_a_cache_still_serves_stays_known_after_the_run_that_fetched_it(registry: SecretRegistry) -> None:
    cache = registry.holder()
    with registry.open(), cache.collecting():
        registry.register(SecretStr(VALUE), name="canary")
    assert registry.redact(VALUE) == REPLACEMENT
    cache.release()
    assert not registry
    assert registry.redact(VALUE) == VALUE


def test_a_run_that_is_served_from_a_cache_keeps_it_when_the_cache_lets_go(registry: SecretRegistry) -> None:
    cache = registry.holder()
    with registry.open():
        for _ in range(3):
            with cache.collecting():
                registry.register(SecretStr(VALUE), name="canary")
        cache.release()
        cache.release()
        assert registry.redact(VALUE) == REPLACEMENT
    assert not registry


def test_collectors_nest_and_take_only_what_is_registered_inside(registry: SecretRegistry) -> None:
    outer, inner = registry.holder(), registry.holder()
    with registry.open():
        with outer.collecting(), inner.collecting():
            registry.register(SecretStr(VALUE), name="canary")
        registry.register(SecretStr("of-the-run-only"), name="other")
    assert (outer.values, inner.values) == ({VALUE}, {VALUE})
    outer.release()
    assert registry.redact(f"{VALUE} of-the-run-only") == f"{REPLACEMENT} of-the-run-only"
    inner.release()
    assert not registry


def test_a_collector_spares_the_process_what_no_run_asked_for(registry: SecretRegistry) -> None:
    cache = registry.holder()
    with cache.collecting():
        registry.register(SecretStr(VALUE), name="canary")
    assert registry.redact(VALUE) == REPLACEMENT
    cache.release()
    assert not registry


def test_a_keeper_holds_beside_the_run_and_in_its_place(registry: SecretRegistry) -> None:
    keeper = registry.holder()
    with registry.open():
        registry.register(SecretStr(VALUE), name="canary", keeper=keeper)
    registry.register(SecretStr("of-no-run-at-all"), name="other", keeper=keeper)
    assert registry.redact(f"{VALUE} of-no-run-at-all") == f"{REPLACEMENT} {REPLACEMENT}"
    keeper.release()
    assert not registry


def test_a_released_holder_holds_nothing_more(registry: SecretRegistry) -> None:
    cache = registry.holder()
    cache.release()
    with registry.open(), cache.collecting():
        registry.register(SecretStr(VALUE), name="canary")
    assert not registry


def test_a_refusal_is_told_once_a_run_whoever_else_collects(
    registry: SecretRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    cache = registry.holder()
    for _ in range(2):
        with registry.open():
            for _ in range(3):
                with cache.collecting(), registry.holder().collecting():
                    assert not registry.register(SecretStr("short"), name="pin")
    assert len(caplog.records) == 2


def test_a_thousand_runs_leave_nothing(registry: SecretRegistry) -> None:
    for number in range(1_000):
        lease = registry.holder()
        with registry.open():
            with lease.collecting():
                registry.register(SecretStr(f"s3cr3t-of-run-{number:04}"), name="token")
            registry.register(SecretStr(VALUE), name="canary")
            lease.release()
    assert not registry
    assert (registry._holders, registry._lingering, registry._redactor._spellings) == ({}, {}, {})
    assert not registry._redactor._times_known


# After the last holder


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr("holdtrue.runtime.redaction.time.monotonic", lambda: now[0])
    return now


def test_a_text_that_comes_out_after_the_run_is_still_redacted(clock: list[float]) -> None:
    registry = SecretRegistry(linger_seconds=60)
    with registry.open():
        registry.register(SecretStr(VALUE), name="canary")
    clock[0] += 59
    assert registry
    assert registry.redact(VALUE) == REPLACEMENT
    clock[0] += 2
    assert registry.redact(VALUE) == VALUE
    assert not registry
    assert registry._redactor._spellings == {}


def test_what_is_held_again_meanwhile_is_not_forgotten(clock: list[float]) -> None:
    registry = SecretRegistry(linger_seconds=60)
    with registry.open():
        registry.register(SecretStr(VALUE), name="canary")
    clock[0] += 30
    with registry.open():
        registry.register(SecretStr(VALUE), name="canary")
        clock[0] += 100
        assert registry.redact(VALUE) == REPLACEMENT
    clock[0] += 59
    assert registry.redact(VALUE) == REPLACEMENT
    clock[0] += 2
    assert not registry


def test_each_is_forgotten_at_its_own_time(clock: list[float]) -> None:
    registry = SecretRegistry(linger_seconds=60)
    for number in range(1_000):
        with registry.open():
            registry.register(SecretStr(f"s3cr3t-of-run-{number:04}"), name="token")
        clock[0] += 1
        assert registry
    assert len(registry._lingering) == 59
    assert registry.redact("s3cr3t-of-run-0941 s3cr3t-of-run-0940") == f"{REPLACEMENT} s3cr3t-of-run-0940"


def test_a_signal_handler_that_logs_waits_for_nobody(clock: list[float]) -> None:
    registry = SecretRegistry(linger_seconds=60)
    with registry.open():
        registry.register(SecretStr(VALUE), name="canary")
    clock[0] += 61
    with registry._lock:
        assert registry.redact(VALUE) == REPLACEMENT, "known until somebody can forget it"
    assert not registry


def test_the_registry_is_pickled_by_name_and_no_other_is() -> None:
    with SECRETS.open():
        register_secret(SecretStr(VALUE), name="canary")
        pickled = pickle.dumps(SECRETS)
    assert pickle.loads(pickled) is SECRETS  # noqa: S301 - it was made here
    assert VALUE.encode() not in pickled
    with pytest.raises(pickle.PicklingError):
        pickle.dumps(SecretRegistry())
