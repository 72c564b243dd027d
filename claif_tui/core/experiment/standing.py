"""How an experiment stands, read from its files alone: for the screen, for a dry run, and for the table at the end."""

from __future__ import annotations

from claif_tui.core.experiment.journal import Journal
from claif_tui.core.experiment.models import Cell, CellState, CellStatus, Grid, Now, Standing


def standing(grid: Grid) -> Standing:
    """Read where the experiment stands now; blocks for milliseconds a cell."""
    journal = Journal(grid.spec.folder)
    now, running = journal.now()
    facts = {data.id: found for data in grid.datasets if (found := journal.facts(data)) is not None}
    return Standing(
        grid=grid,
        cells=tuple(_status(cell, journal, now if running else None) for cell in grid.cells),
        facts=facts,
        now=now,
        running=running,
        spent_nano=0 if now is None else now.spent_nano,
        others=journal.others(grid.cells),
    )


def _status(cell: Cell, journal: Journal, now: Now | None) -> CellStatus:
    result = journal.result(cell)
    if result is not None and result.state == "done":
        return CellStatus(cell=cell, state="done", result=result)
    if now is not None and cell.id in now.cells:
        return CellStatus(
            cell=cell, state=now.stage, result=None, done=now.done, total=now.total, words=now.words
        )
    state: CellState = "waiting" if result is None else "failed"
    return CellStatus(cell=cell, state=state, result=result)
