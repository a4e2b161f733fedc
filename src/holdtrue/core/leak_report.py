"""What a search for leaked values concludes, and how a person reads it."""

from collections.abc import Sequence

from holdtrue.core.redaction import Redactor
from holdtrue.models.leak import KnownValue, Leak, LeakReport, LeakVerdict, NotSearched


def conclude(
    values: Sequence[KnownValue],
    leaks: Sequence[Leak],
    not_searched: Sequence[NotSearched],
    left_out: Sequence[NotSearched],
    *,
    searched: int,
    searched_bytes: int,
) -> LeakReport:
    """The report, without the values: a file may be called like one, and an error may quote one.

    A search that looked at nothing, or not at everything, is incomplete; one that found something says so anyway.
    """
    clean = Redactor(item.value.get_secret_value() for item in values).redact
    gaps, omissions = (
        [NotSearched(place=clean(item.place), reason=clean(item.reason)) for item in items]
        for items in (not_searched, left_out)
    )
    if not searched and not gaps:
        gaps.append(NotSearched(place="everything", reason="there was nothing to look at"))
    verdict = LeakVerdict.LEAKED if leaks else LeakVerdict.INCOMPLETE if gaps else LeakVerdict.CLEAN
    return LeakReport(
        verdict=verdict,
        leaks=tuple(item.model_copy(update={"place": clean(item.place)}) for item in leaks),
        not_searched=tuple(gaps),
        left_out=tuple(omissions),
        values=len(values),
        searched=searched,
        searched_bytes=searched_bytes,
    )


def describe(report: LeakReport) -> list[str]:
    """One line for each leak, gap and omission, and one for the verdict."""
    return [
        *(_describe_leak(item) for item in report.leaks),
        *(f"not searched: {item.place}: {item.reason}" for item in report.not_searched),
        *(f"left out: {item.place}: {item.reason}" for item in report.left_out),
        f"{report.verdict}: values {report.values}, leaks {len(report.leaks)}, not searched {len(report.not_searched)};"
        f" searched items {report.searched}, bytes {report.searched_bytes}",
    ]


def _describe_leak(leak: Leak) -> str:
    part = " (a part)" if leak.form.is_partial else ""
    times = f", {leak.count} times" if leak.count > 1 else ""
    return f"{leak.name}: in {leak.place}, {leak.form}{part}, at byte {leak.offset}{times}"
