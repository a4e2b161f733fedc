"""From findings and a project to a proposal: what to change, what that removes, and what stays for which reason."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from packaging.version import Version

from holdtrue.core.audit_aliases import version_order
from holdtrue.core.fix_judge import Judge, fixes_of, is_certain, names_of
from holdtrue.core.fix_patch import make_patch
from holdtrue.core.fix_resolution import Audit, FileChange, FixableProject, NoSolution, Resolution
from holdtrue.core.fix_search import GivenUp, Limits, Search
from holdtrue.core.version_match import read_version
from holdtrue.models.audit import Finding
from holdtrue.models.dependency import Pin
from holdtrue.models.fix import Bump, FixProposal, Obstacle, Unfixed

__all__ = ["Limits", "decline", "propose"]

_DEFAULT_LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class _Removal:
    """What becomes of the packages, and with it of the findings."""

    moves: dict[Pin, Pin | None]
    """From each pin that changes to what takes its place."""
    added: tuple[Pin, ...]


def decline(
    label: str, findings: Iterable[Finding], reason: str, *, obstacle: Obstacle = Obstacle.FORMAT
) -> FixProposal:
    """The proposal for a file for which there is no search: every finding stays."""
    return FixProposal(
        project=label, unfixed=tuple(_unfixed(item, obstacle, f"not proposed: {reason}") for item in findings)
    )


def propose(
    label: str, project: FixableProject, findings: Sequence[Finding], audit: Audit, *, limits: Limits = _DEFAULT_LIMITS
) -> FixProposal:
    """The smallest set of changes found that removes what can be removed; nothing is written.

    `findings` are those on this project. `audit` is asked about the project's pins, the candidates and the result; when
    it raises a HoldtrueError, the proposal is not verified.

    Raises:
        HoldtrueError: the resolver could not work at all.
    """
    counting = [finding for finding in findings if not finding.tolerated]
    targets, stays = _sort(project.pins, counting)
    if not targets:
        return FixProposal(project=label, unfixed=_listed(stays), notes=project.notes)
    judge = Judge(audit)
    judge.ask(project.pins)
    search = Search(project, judge, {}, limits)
    as_it_stands = search.start()
    if as_it_stands is not None:
        unused = as_it_stands.unused
        stays += (
            GivenUp(item, Obstacle.NOT_RESOLVED, "its marker does not hold for the Python that it was resolved for")
            for item in targets
            if Pin(item.package, item.version) in unused
        )
        targets = [item for item in targets if Pin(item.package, item.version) not in unused]
    _accept_others(project, judge, targets, counting)
    for item in targets:
        judge.want(item)
        search.targets.setdefault(item.package, []).append(item)
    solution = search.run()
    stays += search.given_up
    changes = project.rewrite(solution) if solution else ()
    if isinstance(changes, NoSolution):
        stays += (GivenUp(item, Obstacle.NO_SOLUTION, changes.reason) for item in targets)
        solution, changes = None, ()
    changes = tuple(change for change in changes if change.before != change.after)
    if solution is None or not changes:
        return FixProposal(
            project=label,
            unfixed=_listed(stays),
            is_bounded=search.is_bounded,
            resolver_runs=search.runs,
            notes=project.notes,
        )
    return _describe(label, search, solution, counting, stays, changes)


def _sort(pins: frozenset[Pin], findings: Iterable[Finding]) -> tuple[list[Finding], list[GivenUp]]:
    """Those that a version may remove, and the others."""
    targets: list[Finding] = []
    stays: list[GivenUp] = []
    for item in findings:
        if Pin(item.package, item.version) not in pins:
            stays.append(GivenUp(item, Obstacle.NOT_LISTED, "the file does not pin it"))
        elif not is_certain(item):
            stays.append(GivenUp(item, Obstacle.POSSIBLE, item.doubt))
        elif not fixes_of(item):
            unreadable = ", ".join(item.fixed_in)
            stays.append(GivenUp(item, Obstacle.NO_FIX, f"not comparable: {unreadable}" if unreadable else ""))
        else:
            targets.append(item)
    return targets, stays


def _accept_others(
    project: FixableProject, judge: Judge, targets: Sequence[Finding], findings: Sequence[Finding]
) -> None:
    """What the project has already and nobody asks to remove is no fault of a version that has it too."""
    wanted = {(item.package, name) for item in targets for name in names_of(item)}
    known = [found for pin in project.pins for found in judge.findings(pin)]
    for item in (*findings, *known):
        if not any((item.package, name) in wanted for name in names_of(item)):
            judge.accept(item)


def _describe(
    label: str,
    search: Search,
    solution: Resolution,
    findings: Sequence[Finding],
    stays: Sequence[GivenUp],
    changes: Sequence[FileChange],
) -> FixProposal:
    judge, removal = search.judge, _compare(search.project.pins, solution.pins)
    arrived = [*(pin for pin in removal.moves.values() if pin), *removal.added]
    judge.ask(arrived)
    is_looked_at = judge.knows(arrived)
    removed = {
        id(item)
        for item in findings
        if Pin(item.package, item.version) in removal.moves
        and _is_gone(item, removal.moves[Pin(item.package, item.version)], judge, is_looked_at=is_looked_at)
    }
    introduced = tuple(
        _unfixed(item, Obstacle.NO_SOLUTION if fixes_of(item) else Obstacle.NO_FIX, "the file did not have it before")
        for pin in sorted(set(arrived), key=_pin_order)
        for item in judge.faults(pin)
        if not any(item.package == old.package and names_of(item) & names_of(old) for old in findings)
    )
    reasons = {id(item.finding): item for item in stays}
    left = [
        reasons.get(id(item)) or GivenUp(item, _open_obstacle(search), "the versions that resolve have it too")
        for item in findings
        if id(item) not in removed
    ]
    doubt = ""
    if not is_looked_at:
        doubt = f"the second audit failed: {judge.failure}" if judge.failure else "the second audit did not answer"
    elif introduced:
        doubt = "the changed packages have findings of their own"
    return FixProposal(
        project=label,
        bumps=_bumps(removal, [item for item in findings if id(item) in removed]),
        unfixed=_listed(left),
        introduced=introduced,
        patch=make_patch(changes),
        is_verified=not doubt,
        doubt=doubt,
        is_bounded=search.is_bounded,
        resolver_runs=search.runs,
        notes=(*search.project.notes, *_outside(changes)),
    )


def _outside(changes: Iterable[FileChange]) -> Iterator[str]:
    names = [change.name for change in changes if change.name.startswith("../")]
    if names:
        yield (
            f"{', '.join(names)}: outside of the folder that the patch is for, so `git apply` refuses it there; start "
            "from a folder above"
        )


def _open_obstacle(search: Search) -> Obstacle:
    return Obstacle.NOT_TRIED if search.is_bounded else Obstacle.NO_SOLUTION


def _is_gone(finding: Finding, pin: Pin | None, judge: Judge, *, is_looked_at: bool) -> bool:
    """By the second audit; without it, by the fix versions."""
    if pin is None:
        return True
    if is_looked_at:
        return not any(names_of(finding) & names_of(item) for item in judge.findings(pin))
    version = read_version(pin.version)
    return version is not None and any(fix <= version for fix in fixes_of(finding))


def _compare(before: frozenset[Pin], after: frozenset[Pin]) -> _Removal:
    moves: dict[Pin, Pin | None] = {}
    added: list[Pin] = []
    for name in sorted({pin.name for pin in before | after}):
        # A package may stand there at several versions, for different platforms: lowest to lowest.
        old = sorted((pin for pin in before if pin.name == name), key=_pin_order)
        new = sorted((pin for pin in after if pin.name == name), key=_pin_order)
        kept = new
        if len(old) != len(new):
            old, new = [pin for pin in old if pin not in after], [pin for pin in new if pin not in before]
        joined = (_joined(was, kept) for was in old[len(new) :])
        moves |= {was: now for was, now in zip(old, [*new, *joined], strict=False) if was != now}
        added += new[len(old) :]
    return _Removal(moves, tuple(added))


def _joined(was: Pin, kept: Sequence[Pin]) -> Pin | None:
    """What takes the place of a version where a package has fewer of them afterwards; None when it has none at all."""
    above = [pin for pin in kept if _pin_order(pin) >= _pin_order(was)]
    return next(iter(above or kept[-1:]), None)


def _pin_order(pin: Pin) -> tuple[str, tuple[int, Version, str]]:
    return pin.name, version_order(pin.version)


def _bumps(removal: _Removal, removed: Sequence[Finding]) -> tuple[Bump, ...]:
    moved = [
        Bump(
            package=was.name,
            from_version=was.version,
            to_version=now.version if now else "",
            removes=tuple(item.id for item in removed if (item.package, item.version) == (was.name, was.version)),
        )
        for was, now in removal.moves.items()
    ]
    added = [Bump(package=pin.name, from_version="", to_version=pin.version) for pin in removal.added]
    return tuple(sorted((*moved, *added), key=lambda bump: (bump.package, bump.from_version)))


def _listed(stays: Iterable[GivenUp]) -> tuple[Unfixed, ...]:
    return tuple(_unfixed(item.finding, item.obstacle, item.detail) for item in stays)


def _unfixed(finding: Finding, obstacle: Obstacle, detail: str) -> Unfixed:
    return Unfixed(package=finding.package, version=finding.version, id=finding.id, obstacle=obstacle, detail=detail)
