"""The same training at several learning rates: which runs there are already, and which one is best. Starts nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import engine.rundir as rundir
from claif_tui.core.errors import UsageError
from claif_tui.core.runs import EngineProblem, RunRow, list_runs, told
from engine.config import TrainConfig, digest, parse, resolved


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One rate of a grid. ``row`` is the newest run of exactly these settings, None where there is none yet."""

    config: TrainConfig
    row: RunRow | None


def rates(text: str) -> list[float]:
    """Return the rates of ``1e-5,2e-5``, each once, in that order; ``UsageError`` for fewer than two."""
    with told():
        found = [float(str(parse("lr", word.strip()))) for word in text.split(",")]
    if len(set(found)) < 2:
        raise UsageError("a grid has two rates or more", "Write --lr-grid 1e-5,2e-5; one rate alone is --lr.")
    return list(dict.fromkeys(found))


def points(project: Path, config: TrainConfig, grid: Sequence[float]) -> list[Point]:
    """Return the grid's points; runs are looked for in the project, so an interrupted grid is taken up again."""
    known: dict[str, RunRow] = {}
    for row in reversed(list_runs(project)):  # the newest counts
        try:
            with told():
                known[digest(rundir.read_config(row.path))] = row
        except EngineProblem:
            continue  # a damaged run is no result; the list of runs says what is wrong with it
    here = resolved(config, Path.cwd())
    wanted = [replace(here, lr=rate) for rate in grid]
    return [Point(config=one, row=known.get(digest(one))) for one in wanted]


def best(rows: Sequence[RunRow]) -> RunRow | None:
    """The run with the highest dev score, the first of equals; None where none has one."""
    scored = [row for row in rows if row.best_dev is not None]
    return max(scored, key=lambda row: row.best_dev or 0.0) if scored else None
