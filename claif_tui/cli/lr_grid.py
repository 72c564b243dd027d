"""``train --lr-grid``: the runs of a grid one after the other, each followed to its end, and which one is best."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from claif_tui.cli import diagnostics, following, output
from claif_tui.core import lr_grid, runs
from claif_tui.core.errors import ClaifError
from claif_tui.core.lr_grid import Point
from claif_tui.core.runs import RESUMABLE, RunRow
from claif_tui.core.training import Plan
from engine.config import TrainConfig


def train(
    folder: Path,
    config: TrainConfig,
    plan: Plan,
    grid: list[float],
    launched: Callable[[Path], None],
    *,
    as_json: bool,
) -> int:
    """Run what is missing of a grid and print its table; ``launched`` is told of each new run.

    A rate whose run has finished is not trained again, one that was interrupted goes on. A run that fails is told
    and the grid goes on; the exit code is then 1.
    """
    done: list[tuple[float, RunRow]] = []
    for point in lr_grid.points(folder, config, grid, plan.content):
        path = _started(folder, point, launched)
        try:
            following.watch(path)
        except ClaifError as error:
            diagnostics.warn(f"lr {point.config.lr:g}: {error.message.rstrip('.')}. {error.hint}")
        row = runs.row_of(path)
        done.append((point.config.lr, row))
        if row.state == "stopped":
            diagnostics.note("The grid ends with a run that was stopped; the same command takes it up again.")
            break
    found = lr_grid.best([row for _, row in done])
    if as_json:
        output.document(
            {
                "grid": [{"lr": lr, **following.document(row)} for lr, row in done],
                "best": None if found is None else found.name,
            }
        )
    else:
        _table(done, found)
    return 0 if len(done) == len(grid) and all(row.state == "finished" for _, row in done) else 1


def _started(folder: Path, point: Point, launched: Callable[[Path], None]) -> Path:
    """The directory of the point's run: one there is already, gone on with if need be, or a new one."""
    lr, row = point.config.lr, point.row
    if row is None:
        path = runs.launch(folder, point.config)
        launched(path)
        diagnostics.note(f"lr {lr:g}: {path.name}")
        return path
    if row.state in RESUMABLE and row.state != "failed":
        runs.resume_at(row.path)
        diagnostics.note(f"lr {lr:g}: {row.name} goes on")
    else:
        diagnostics.note(f"lr {lr:g}: {row.name} is {row.state}")
    return row.path


def _table(done: list[tuple[float, RunRow]], best: RunRow | None) -> None:
    output.line(f"{'lr':>8}  {'best dev':>9}  {'step':>7}  run")
    for lr, row in done:
        dev = "–" if row.best_dev is None else f"{row.best_dev:.2f}"
        step = "–" if row.best_step is None else f"{row.best_step:,}"
        mark = "  best" if best is not None and row.path == best.path else ""
        state = "" if row.state == "finished" else f" ({row.state})"
        output.line(f"{lr:>8g}  {dev:>9}  {step:>7}  {row.name}{state}{mark}")
