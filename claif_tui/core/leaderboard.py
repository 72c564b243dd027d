"""Our results among the papers' rows, and when two rows may be compared. Which files hold them is not known here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from claif_tui.core.errors import UsageError
from claif_tui.core.evaluations import Evaluation
from claif_tui.core.reference import TASKS, Kind, Row, reference_rows
from engine.errors import nearest

_MUST_AGREE = ("backbone", "supervision", "scorer")


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One of our averages less that of a paper's row; without a ``value`` the ``reason`` says why there is none."""

    value: float | None
    against: str
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A row and, if it is ours, how it compares."""

    row: Row
    difference: Difference | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """The rows of one kind of task, the best average first; those without one come after them, demos last."""

    kind: Kind
    tasks: tuple[str, ...]
    entries: tuple[Entry, ...]


def board(kind: Kind, evaluations: Sequence[Evaluation], against: str = "") -> Board:
    """Put our results among the papers' rows.

    Each of ours is compared with the row ``against`` (its id), else with the best of the rows that are like it.
    ``UsageError`` if there is no row of that id.
    """
    papers = reference_rows(kind)
    known = {row.id: row for row in papers}
    if against and against not in known:
        elsewhere = {row.id for other in TASKS if other != kind for row in reference_rows(other)}
        if against not in elsewhere:
            raise UsageError(f"there is no reference row {against!r}", nearest(against, known))
    entries = [Entry(row=row) for row in papers]
    for row in own_rows(kind, evaluations):
        if not against:
            found = closest(row, papers)
        elif against in known:
            found = compare(row, known[against])
        else:
            found = Difference(value=None, against=against, reason=f"{against} has no {kind} figures")
        entries.append(Entry(row=row, difference=found))
    entries.sort(
        key=lambda entry: (
            entry.row.demo,
            -(entry.row.average or 0.0),
            not entry.row.ours,
            entry.row.id,
        )
    )
    return Board(kind=kind, tasks=TASKS[kind], entries=tuple(entries))


def only(whole: Board, *, backbone: str | None = None, ours: bool = False) -> Board:
    """Return a part of a board, compared as before. ``UsageError`` if no row at all has such a backbone."""
    known = sorted({entry.row.backbone for entry in whole.entries if entry.row.backbone})
    if backbone is not None and backbone not in known:
        raise UsageError(f"no row has the backbone {backbone!r}", nearest(backbone, known))
    entries = [
        entry
        for entry in whole.entries
        if (entry.row.ours or not ours) and backbone in (None, entry.row.backbone)
    ]
    return replace(whole, entries=tuple(entries))


def own_rows(kind: Kind, evaluations: Iterable[Evaluation]) -> list[Row]:
    """Return a row for each result that has figures of this kind."""
    return [_row(kind, one) for one in evaluations if one.tasks.keys() & set(TASKS[kind])]


def demo_of(*rows: Row) -> str:
    """Say which of the rows is a demo, which nothing is compared with; "" if none is."""
    found = next((row for row in rows if row.demo), None)
    return f"{found.system} is a demo: its data were made with the offline model" if found else ""


def unlike(row: Row, reference: Row) -> str:
    """Say why two rows are not alike; "" if they are: same backbone, supervision and scorer, each of them known."""
    if reason := demo_of(row, reference):
        return reason
    reasons = []
    for name in _MUST_AGREE:
        mine, theirs = getattr(row, name), getattr(reference, name)
        if mine is None or theirs is None:
            reasons.append(f"{name} of {row.system if mine is None else reference.system} is not known")
        elif mine != theirs:
            reasons.append(f"{name} is {mine}, not {theirs}")
    if row.apart != reference.apart:
        reasons.append(f"{(row if row.apart else reference).system} is {row.apart or reference.apart}")
    return "; ".join(reasons)


def compare(row: Row, reference: Row) -> Difference:
    """Compare two averages if the rows are alike."""
    reason = unlike(row, reference) or _incomplete(row, reference)
    if reason or row.average is None or reference.average is None:
        return Difference(value=None, against=reference.id, reason=reason)
    return Difference(value=row.average - reference.average, against=reference.id)


def closest(row: Row, references: Sequence[Row]) -> Difference:
    """Compare with the best of the rows that are like this one."""
    if reason := demo_of(row):
        return Difference(value=None, against="", reason=reason)
    unknown = [name for name in _MUST_AGREE if getattr(row, name) is None]
    if unknown:
        return Difference(value=None, against="", reason=f"its {' and '.join(unknown)} is not known")
    if row.apart:
        return Difference(value=None, against="", reason=f"it is {row.apart}")
    alike = [one for one in references if not unlike(row, one) and one.average is not None]
    if not alike:
        wanted = ", ".join(f"{name} {getattr(row, name)}" for name in _MUST_AGREE)
        return Difference(value=None, against="", reason=f"no paper's row has {wanted}")
    return compare(row, max(alike, key=lambda one: one.average or 0.0))


def _incomplete(row: Row, reference: Row) -> str:
    if row.average is None:
        missing = [task for task, value in row.values.items() if value is None]
        if missing:
            return f"it has no figure for {', '.join(missing)}"
        return next((note for note in row.notes if note.startswith("Fast mode")), "it has no average")
    return "" if reference.average is not None else f"{reference.system} has no average"


def _row(kind: Kind, one: Evaluation) -> Row:
    tasks, fast = TASKS[kind], kind == "transfer" and "fast" in one.modes
    notes = list(one.notes)
    if fast:
        notes.append("Fast mode of the transfer protocol (5 folds, RMSprop): the papers report the full one.")
    return Row(
        id=one.file_name.removesuffix(".json"),
        system=one.name,
        backbone=one.backbone,
        supervision=one.supervision,
        scorer=one.scorer,
        values={task: one.value(task) for task in tasks},
        average=None if fast else one.average(tasks),
        exact=None if fast else one.average(tasks, rounded=False),
        source="this project",
        notes=tuple(notes),
        ours=True,
        demo=one.demo,
        apart="whitened on the test sentences" if one.settings.get("whitening") == "target" else "",
    )
