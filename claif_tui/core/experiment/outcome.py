"""What an experiment came to: a row for each system and backbone, over its seeds, among the papers' rows.

Computes and compares; how rows are written is ``formats``. Rows whose data a stand-in made are compared with nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from claif_tui.core.evaluations import Evaluation, read_document
from claif_tui.core.experiment.methods import BASELINE
from claif_tui.core.experiment.models import Cell, DataFacts, DataSet, Result, Standing
from claif_tui.core.leaderboard import Difference, compare, own_rows, unlike
from claif_tui.core.models import NANO
from claif_tui.core.provenance import backbone_of
from claif_tui.core.reference import TASKS, Kind, Row, reference_rows
from engine.stats import mean, mean_interval
from engine.tasks import select

DEMO_REASON = "a demo: a stand-in made its data"


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One system on one backbone. ``row`` has means over the seeds that are done; ``margin`` is half the 95 % interval
    of the average over seeds, and ``no_margin`` says why there is none. Money in dollars, times in seconds, means over
    the seeds; ``gain`` is the average less that of the untrained backbone, ``per_point`` the cost of a point of it.
    """

    row: Row
    cells: tuple[Cell, ...]
    seeds: int
    margin: float | None
    no_margin: str
    difference: Difference | None
    demo: bool
    gain: float | None
    cost_usd: float
    per_point: float | None
    no_per_point: str
    train_seconds: float
    failures: tuple[str, ...]
    waiting: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DataLine:
    """One data set: what became of it (None: not made yet) and the rows that it serves."""

    data: DataSet
    facts: DataFacts | None
    rows: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The whole result. ``papers`` are the papers' own rows of the systems in it; ``notes`` are sentences."""

    name: str
    kinds: tuple[Kind, ...]
    lines: dict[Kind, tuple[Line, ...]]
    papers: dict[Kind, tuple[Row, ...]]
    data: tuple[DataLine, ...]
    spent_usd: float
    budget_usd: float | None
    notes: tuple[str, ...]


def outcome(standing: Standing) -> Outcome:
    """Put together what is known so far."""
    grid = standing.grid
    chosen = select(grid.spec.tasks)
    kinds: tuple[Kind, ...] = tuple(kind for kind in TASKS if set(TASKS[kind]) & set(chosen))
    lines = {kind: _lines(kind, standing) for kind in kinds}
    data = [
        DataLine(
            data=one,
            facts=standing.facts.get(one.id),
            rows=tuple(
                dict.fromkeys(
                    cell.row for cell in grid.cells if cell.data is not None and cell.data.id == one.id
                )
            ),
        )
        for one in grid.datasets
    ]
    return Outcome(
        name=grid.spec.name,
        kinds=kinds,
        lines=lines,
        papers={kind: _papers(kind, standing) for kind in kinds},
        data=tuple(data),
        spent_usd=standing.spent_nano / NANO,
        budget_usd=grid.spec.budget_usd,
        notes=_notes(standing, lines),
    )


def figure(result: Result) -> float | None:
    """What a cell came to in one number, x100: its average over all STS or transfer tasks, or that of its only task."""
    found = _evaluation(result)
    if found is None:
        return None
    for tasks in TASKS.values():
        average = found.average(tasks)
        if average is not None:
            return average
    return found.value(next(iter(found.tasks))) if len(found.tasks) == 1 else None


def _lines(kind: Kind, standing: Standing) -> tuple[Line, ...]:
    groups: dict[tuple[str, str], list[Cell]] = {}
    results: dict[str, Result | None] = {}
    for status in standing.cells:
        groups.setdefault((status.cell.row, status.cell.backbone), []).append(status.cell)
        results[status.cell.id] = status.result
    evaluated = {name: _evaluation(result) for name, result in results.items()}
    floors: dict[str, float] = {}
    for cells in groups.values():
        if cells[0].system == BASELINE and (found := evaluated[cells[0].id]) is not None:
            average = found.average(TASKS[kind])
            if average is not None:
                floors.setdefault(cells[0].backbone, average)
    return tuple(_line(kind, cells, results, evaluated, floors, standing) for cells in groups.values())


def _line(
    kind: Kind,
    cells: list[Cell],
    results: dict[str, Result | None],
    evaluated: dict[str, Evaluation | None],
    floors: dict[str, float],
    standing: Standing,
) -> Line:
    first = cells[0]
    found = [one for cell in cells if (one := evaluated[cell.id]) is not None]
    rows = own_rows(kind, found)
    averages = [row.average for row in rows if row.average is not None]
    average = mean(averages)
    row = Row(
        id=f"{first.row} {first.backbone}",
        system=first.row,
        backbone=rows[0].backbone if rows else backbone_of(first.backbone),
        supervision=rows[0].supervision if rows else None,
        scorer=rows[0].scorer if rows else None,
        values={task: _mean([row.values[task] for row in rows]) for task in TASKS[kind]},
        average=average,
        source="this experiment",
        notes=tuple(dict.fromkeys(note for one in rows for note in one.notes)),
        ours=True,
        apart=rows[0].apart if rows else "",
    )
    interval = mean_interval(averages)
    facts = [
        standing.facts[cell.data.id]
        for cell in cells
        if cell.data is not None and cell.data.id in standing.facts
    ]
    cost = (mean([one.spent_nano for one in facts]) or 0.0) / NANO
    trained = [
        result.train_seconds
        for cell in cells
        if (result := results[cell.id]) is not None and result.state == "done"
    ]
    floor = floors.get(first.backbone)
    gain = None if average is None or floor is None or first.system == BASELINE else average - floor
    per_point, why = _per_point(cost, gain, first, floor)
    failures = [
        f"{cell.title}: {result.reason}"
        for cell in cells
        if (result := results[cell.id]) is not None and result.state == "failed"
    ]
    return Line(
        row=row,
        cells=tuple(cells),
        seeds=len(found),
        margin=None if interval is None else interval.half_width,
        no_margin="" if interval is not None else _no_margin(first, len(averages)),
        difference=_difference(kind, first, row) if found else None,
        demo=first.demo,
        gain=gain,
        cost_usd=cost,
        per_point=per_point,
        no_per_point=why,
        train_seconds=mean(trained) or 0.0,
        failures=tuple(failures),
        waiting=sum(results[cell.id] is None for cell in cells),
    )


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return mean(known) if known and len(known) == len(values) else None


def _no_margin(cell: Cell, count: int) -> str:
    if cell.seed is None:
        return "nothing about it is random"
    return "one seed has no spread" if count == 1 else "there is no average yet"


def _per_point(cost: float, gain: float | None, cell: Cell, floor: float | None) -> tuple[float | None, str]:
    if not cell.data or not cell.data.recipe:
        return None, "no model was asked"
    if not cost:
        return None, "it cost nothing"
    if floor is None:
        return None, f"no row of system {BASELINE} on {cell.backbone} to count from"
    if gain is None:
        return None, "no average yet"
    return (cost / gain, "") if gain > 0 else (None, "no better than the untrained backbone")


def _difference(kind: Kind, cell: Cell, row: Row) -> Difference:
    """Compare with the paper's row of the same system, if there is one and it is alike."""
    if cell.demo:
        return Difference(value=None, against="", reason=DEMO_REASON)
    rows = [one for one in reference_rows(kind) if one.system in cell.paper]
    if not rows:
        return Difference(value=None, against="", reason="the papers have no row of it")
    alike = [one for one in rows if not unlike(row, one)]
    if alike:
        return compare(row, alike[0])
    near = next((one for one in rows if one.backbone == row.backbone), rows[0])
    return Difference(value=None, against=near.id, reason=unlike(row, near))


def _papers(kind: Kind, standing: Standing) -> tuple[Row, ...]:
    """The papers' rows of the systems in the grid: of its backbones, or of BERT base where they have none of those."""
    wanted = {name for cell in standing.grid.cells for name in cell.paper}
    rows = [row for row in reference_rows(kind) if row.system in wanted]
    backbones = {backbone_of(name) for name in standing.grid.spec.backbones}
    mine = [row for row in rows if row.backbone in backbones]
    return tuple(mine or [row for row in rows if row.backbone == "bert-base"])


def _evaluation(result: Result | None) -> Evaluation | None:
    if result is None or result.evaluation is None:
        return None
    with suppress(ValueError):
        return read_document(dict(result.evaluation))
    return None


def _notes(standing: Standing, lines: dict[Kind, tuple[Line, ...]]) -> tuple[str, ...]:
    notes = list(standing.grid.notes)
    every = [line for some in lines.values() for line in some]
    if any(line.demo for line in every):
        notes.append("demo: a stand-in language model made the data; these rows are compared with nothing.")
    partial = sorted({one.data.title for one in _made(standing) if one.facts and one.facts.failed})
    if partial:
        notes.append(
            f"Some requests have no usable answer, and their items are left out: {', '.join(partial)}."
        )
    notes += dict.fromkeys(failure for line in every for failure in line.failures)
    if standing.others:
        results = "1 result is" if standing.others == 1 else f"{standing.others:,} results are"
        notes.append(f"{results} kept of other settings than the file's now.")
    return tuple(notes)


def _made(standing: Standing) -> list[DataLine]:
    return [DataLine(data=one, facts=standing.facts.get(one.id), rows=()) for one in standing.grid.datasets]
