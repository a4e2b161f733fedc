"""The check of one environment and of each of its layers. When one cannot be checked, the others still are."""

from collections.abc import Callable
from datetime import date
from typing import TypeVar

from prefect import runtime
from prefect.artifacts import create_markdown_artifact

from holdtrue.core.drift import environment_unknown, judge, layer_unknown
from holdtrue.core.locks import writer_meanwhile
from holdtrue.core.neutral import for_markdown
from holdtrue.core.render_drift import environment_page
from holdtrue.core.run_subject import RunSubject
from holdtrue.credentials.environment_lock import lock_of
from holdtrue.errors import HoldtrueError, done_before
from holdtrue.models.base import Progress, ProgressLevel
from holdtrue.models.drift import EnvironmentDrift, LayerDrift
from holdtrue.models.environment import DriftLayer, Environment
from holdtrue.runtime.redaction import redact_text
from holdtrue.runtime.scrubbing import scrubbed
from tasks.configuration import check_configuration
from tasks.fleet import Fleet
from tasks.hosts import host_access_on_demand
from tasks.infrastructure import refresh_stack
from tasks.journal import current_journal, log_defect, watch
from tasks.validation import check_runtime

R = TypeVar("R")


def look_at(environment: Environment, *, today: date) -> EnvironmentDrift:
    """Check each layer that the manifest names, and judge them together.

    An environment that cannot be checked is unknown. So is one that another run held meanwhile, because then a part of
    what was seen is from before that run's changes and a part from after them.
    """

    def all_layers() -> EnvironmentDrift:
        before = lock_of(environment.name)
        if writer := writer_meanwhile(before, before):
            return _changed_meanwhile(environment, writer)
        with host_access_on_demand(environment) as access:
            looks = {
                DriftLayer.INFRASTRUCTURE: lambda: refresh_stack(environment),
                DriftLayer.CONFIGURATION: lambda: check_configuration(environment, access()),
                DriftLayer.RUNTIME: lambda: check_runtime(environment, access()),
            }
            layers = [_look_at_layer(layer, looks[layer]) for layer in environment.drift.layers]
        if writer := writer_meanwhile(before, lock_of(environment.name)):
            return _changed_meanwhile(environment, writer)
        return judge(environment.name, layers, environment.drift.ignore, today=today)

    found = _check_or_unknown(
        all_layers, environment.name, lambda reason, _: environment_unknown(environment.name, reason)
    )
    found = found.model_copy(update={"without_tests": environment.infrastructure.without_tests or ""})
    current_journal().results[f"drift of {environment.name}"] = found
    _publish(found)
    return found


def list_unreadable(fleet: Fleet) -> list[EnvironmentDrift]:
    """The environments whose manifest cannot be read, each with a page that takes the place of its last one."""
    found = [environment_unknown(name, reason) for name, reason in fleet.unreadable.items()]
    for drift in found:
        _publish(drift)
    return found


def _changed_meanwhile(environment: Environment, writer: str) -> EnvironmentDrift:
    reason = f"another run held it during this check: {writer}. Check again after that run has ended"
    watch(Progress(message=f"{environment.name}: {reason}", level=ProgressLevel.WARNING))
    return environment_unknown(environment.name, reason)


def _look_at_layer(layer: DriftLayer, look: Callable[[], LayerDrift]) -> LayerDrift:
    return _check_or_unknown(
        look, layer.value, lambda reason, seen: seen if isinstance(seen, LayerDrift) else layer_unknown(layer, reason)
    )


def _check_or_unknown(look: Callable[[], R], what: str, unknown: Callable[[str, object], R]) -> R:
    """What the check saw; when it failed, the unknown result of the reason and of what it had seen by then."""
    try:
        return look()
    except HoldtrueError as error:
        reason, seen = str(error), done_before(error)
    except Exception as error:  # noqa: BLE001 - a defect in one look must not end the others
        log_defect(error, f"the look at {what}")
        seen = None
        reason = f"unexpected {type(error).__name__}: {scrubbed(error)}"
    watch(Progress(message=f"{what} could not be checked: {reason}", level=ProgressLevel.ERROR))
    return unknown(reason, seen)


def _publish(drift: EnvironmentDrift) -> None:
    """A page of its own for each environment of several, with the same key as a drift run of that environment alone."""
    key = RunSubject.of({"environment": drift.environment}).key("drift-report")
    if key == RunSubject.of(runtime.flow_run.parameters).key("drift-report"):
        return
    create_markdown_artifact(
        markdown=redact_text(environment_page(drift)),
        key=key,
        description=for_markdown(f"{drift.environment}: {drift.verdict}"),
    )
