"""What stands in the table of results: its lines, their order, and the columns that a width has room for. No widget.

Figures and comparisons are the leaderboard's; here they are only read, put in order and written with fixed decimals.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from claif_tui.core.evaluations import FOLDER, Evaluation, kept
from claif_tui.core.leaderboard import Board, Entry, board, only
from claif_tui.core.leaderboard_formats import SHORT
from claif_tui.core.reference import TASKS, Kind
from engine.tasks import RERANK

AVERAGE, DIFFERENCE, MODEL, NEWEST = "average", "difference", "model", "newest"
"""Orders beside those by a task's figure; ``NEWEST`` has our results first, the last made on top."""
UNKNOWN = "?"
MARK = 7
"""Cells of ``◆ ours ``, before each name."""
NAME_LEAST, NAME_MOST = 17, 30
_SCORERS = {"bi-encoder": "bi", "cross-encoder": "cross"}
_NOT, _NOT_SHORT = "not comparable", "n/c"


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of the table. ``margin`` is half the 95 % interval of its average; of our own results only."""

    id: int
    entry: Entry
    margin: float | None = None
    evaluation: Evaluation | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """Which rows are wanted, and in which order. ``against`` is the id of the row that ours are compared with."""

    kind: Kind = "sts"
    sort: str = AVERAGE
    backbone: str | None = None
    against: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """What was read: the rows that are shown, in order, and what is worth knowing beside them."""

    board: Board
    lines: tuple[Line, ...]
    backbones: tuple[str, ...]
    """Every backbone that a row of this kind has."""
    own: int
    """How many results this project has, of whatever kind."""
    problems: tuple[str, ...]
    newest: str
    """The row id of the newest result."""
    data: str
    """The data folder of that result."""
    kinds: tuple[Kind, ...] = ("sts", "transfer")
    """The kinds of tasks that any row has figures of."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its name, and how many cells it takes, the gap to its left included."""

    key: str
    head: str
    width: int
    right: bool = True


@dataclass(frozen=True, slots=True)
class Layout:
    """The columns in the order in which they stand right of the model's name."""

    name: int
    columns: tuple[Column, ...]
    room: int
    """Cells right of the name."""

    def shown(self, first: int) -> tuple[Column, ...]:
        """Return the columns that fit, from the ``first`` on; half a figure is none."""
        found: list[Column] = []
        used = 0
        for column in self.columns[first:]:
            used += column.width
            if used > self.room and found:
                break
            found.append(column)
        return tuple(found)

    @property
    def last(self) -> int:
        """The first column from which on all others fit."""
        first = 0
        while first + len(self.shown(first)) < len(self.columns):
            first += 1
        return first


def read(project: Path | None, view: View, ids: dict[str, int]) -> Table:
    """Read the results of a project (None: the papers' rows alone). ``ids`` keeps the number of each row. Blocks."""
    found = kept(project) if project is not None else None
    evaluations = found.evaluations if found else ()
    whole = board(view.kind, evaluations, view.against)
    backbones = sorted({entry.row.backbone for entry in whole.entries if entry.row.backbone})
    part = only(whole, backbone=view.backbone) if view.backbone in backbones else whole
    by_id = {one.file_name.removesuffix(".json"): one for one in evaluations}
    lines = []
    for entry in part.entries:
        evaluation = by_id.get(entry.row.id) if entry.row.ours else None
        number = ids.setdefault(f"{entry.row.ours:d}{entry.row.id}", len(ids))
        known = evaluation is not None and entry.row.average is not None
        margin = margin_of(evaluation, whole.tasks) if known and evaluation is not None else None
        lines.append(Line(id=number, entry=entry, margin=margin, evaluation=evaluation))
    ordered = sort(lines, view.sort)
    return Table(
        board=replace(part, entries=tuple(line.entry for line in ordered)),
        lines=tuple(ordered),
        backbones=tuple(backbones),
        own=len(evaluations),
        problems=found.problems if found else (),
        newest=next(iter(by_id), ""),
        data=evaluations[0].data if evaluations else "",
        kinds=tuple(
            kind for kind in TASKS if kind != "rerank" or any(RERANK in one.tasks for one in evaluations)
        ),
    )


def signature(project: Path) -> tuple[tuple[str, int, int], ...]:
    """Return what changes when a result is kept, by whatever process: names, sizes and times of the files. Blocks."""
    found = []
    for path in sorted((project / FOLDER).glob("*.json")):
        try:
            about = path.stat()
        except OSError:  # gone since it was listed
            continue
        found.append((path.name, about.st_size, about.st_mtime_ns))
    return tuple(found)


def margin_of(evaluation: Evaluation, tasks: Sequence[str]) -> float | None:
    """Return half the 95 % interval of the mean over ``tasks``, x100; None unless every task has an interval.

    The tasks are samples of their own, so that the half widths of their intervals add in squares.
    """
    squares = 0.0
    for task in tasks:
        ends = interval(evaluation.tasks.get(task, {}))
        if ends is None:
            return None
        squares += ((ends[1] - ends[0]) / 2) ** 2
    return math.sqrt(squares) / len(tasks)


def interval(about: Mapping[str, object]) -> tuple[float, float] | None:
    """Return a task's 95 % interval, None where the file holds none."""
    ends = about.get("interval")
    if not isinstance(ends, list) or len(ends) != 2:
        return None
    if not all(isinstance(end, int | float) and math.isfinite(end) for end in ends):
        return None
    return float(ends[0]), float(ends[1])


def sort(lines: Sequence[Line], key: str) -> list[Line]:
    """Put lines in order: figures from the best down, names from a to z; what has none comes last, as it stood.

    By a figure demos come after all others: an order is a comparison.
    """
    if key == MODEL:
        return sorted(lines, key=lambda line: line.entry.row.system.casefold())
    if key == NEWEST:
        ours = [line for line in lines if line.evaluation is not None]
        ours.sort(key=lambda line: line.evaluation.made if line.evaluation else "", reverse=True)
        return [*ours, *(line for line in lines if line.evaluation is None)]
    values = {line.id: None if line.entry.row.demo else figure(line, key) for line in lines}
    return sorted(
        lines, key=lambda line: -math.inf if (value := values[line.id]) is None else value, reverse=True
    )


def figure(line: Line, key: str) -> float | None:
    """Return what stands in a column of figures."""
    row, difference = line.entry.row, line.entry.difference
    if key == AVERAGE:
        return row.average
    if key == DIFFERENCE:
        return None if difference is None else difference.value
    return row.values.get(key)


def layout(tasks: Sequence[str], width: int) -> Layout:
    """Return the columns for a table of ``width`` cells.

    In the papers' order where all fit. Else average, margin and difference come before the tasks, so that they are
    seen first.
    """
    facts = (
        Column("backbone", "backbone", 14, right=False),
        Column("supervision", "superv.", 9, right=False),
        Column("scorer", "scorer", 7, right=False),
    )
    heads = [SHORT.get(task, task) for task in tasks]
    columns = tuple(Column(task, head, max(6, len(head) + 1)) for task, head in zip(tasks, heads, strict=True))
    summary = (Column(AVERAGE, "Avg.", 6), Column("margin", "±95%", 6))
    last = Column(DIFFERENCE, "Δ", 7)
    needed = sum(column.width for column in (*facts, *columns, *summary, last)) + MARK
    spare = width - needed - NAME_LEAST - 1
    if spare < 0:
        room = sum(column.width for column in (*facts, *summary, last))
        name = max(NAME_LEAST, min(NAME_MOST, width - MARK - 1 - room))
        return Layout(name, (*facts, *summary, last, *columns), width - MARK - name - 1)
    wide = len(_NOT) + 1 - last.width
    if spare >= wide:
        last, spare = replace(last, width=len(_NOT) + 1), spare - wide
    name = min(NAME_MOST, NAME_LEAST + spare)
    return Layout(name, (*facts, *columns, *summary, last), width - MARK - name - 1)


def cell(line: Line, column: Column) -> str:
    """Return the text of a cell, without padding."""
    row = line.entry.row
    if column.key == "backbone":
        return row.backbone or UNKNOWN
    if column.key == "supervision":
        return row.supervision or UNKNOWN
    if column.key == "scorer":
        return _SCORERS.get(row.scorer or "", row.scorer or UNKNOWN)
    if column.key == "margin":
        return "" if line.margin is None else f"±{line.margin:.2f}"
    if column.key == DIFFERENCE:
        difference = line.entry.difference
        if difference is None:
            return ""
        if difference.value is None:
            return _NOT if column.width > len(_NOT) else _NOT_SHORT
        return f"{difference.value:+.2f}"
    value = figure(line, column.key)
    return "" if value is None else f"{value:.2f}"
