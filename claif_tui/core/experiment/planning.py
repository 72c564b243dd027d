"""What an experiment has still to do and what that costs, before anything is sent. Its sources are imported for it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from claif_tui.core.engine_child import require_train
from claif_tui.core.errors import ClaifError, UsageError
from claif_tui.core.experiment import data as making
from claif_tui.core.experiment.journal import Journal
from claif_tui.core.experiment.models import Cell, DataSet, Grid
from claif_tui.core.models import NANO
from claif_tui.core.settings import Settings
from claif_tui.core.store.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class DataPlan:
    """What one data set would ask: calls, tokens and dollars (low, high; None: the price is not known)."""

    data: DataSet
    calls: int
    tokens: tuple[int, int]
    usd: tuple[float, float] | None
    costs: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is missing of a grid. ``problems`` are failures of the last go, which are tried again."""

    missing: tuple[Cell, ...]
    trainings: int
    data: tuple[DataPlan, ...]
    spent_usd: float
    problems: tuple[str, ...]

    @property
    def costs(self) -> bool:
        """Whether going on may cost money."""
        return any(one.costs for one in self.data)

    @property
    def usd(self) -> tuple[float, float] | None:
        """Dollars in all, low and high; None where a price is not known."""
        known = [one.usd for one in self.data if one.usd is not None]
        if len(known) < len(self.data):
            return None
        return sum(low for low, _ in known), sum(high for _, high in known)


def plan(grid: Grid, settings: Settings, *, dry: bool) -> Plan:
    """Return what is to be done. With ``dry`` nothing is left behind; else the projects of the data sets are made.

    Raises ``ClaifError`` for sources that cannot be read, and for a model that costs without a budget.
    """
    if not dry:
        require_train("an experiment")
    journal = Journal(grid.spec.folder)
    results = {cell.id: journal.result(cell) for cell in grid.cells}
    missing = tuple(cell for cell in grid.cells if (found := results[cell.id]) is None or found.state != "done")
    wanted = {cell.data.id: cell.data for cell in missing if cell.data is not None}
    open_ones = [data for data in wanted.values() if journal.facts(data) is None]
    spent = making.spent_nano(journal, held=True) / NANO
    author = settings.text("author") or None
    plans: list[DataPlan] = []
    asked: set[str] = set()
    with _projects(journal, author, dry=dry) as opened:
        for data in open_ones:
            if data.labels is not None or (data.recipe is None and dry):
                continue
            with opened(data) as store:
                if (
                    data.project_id not in asked
                ):  # sets that differ in post-processing alone share their requests
                    asked.add(data.project_id)
                    plans += _asked(store, settings, data, grid.spec.budget_usd)
    if grid.spec.budget_usd is None and any(one.costs for one in plans):
        raise UsageError(
            f"{grid.spec.path.name} has no budget_usd, and its model may cost money",
            "Write the dollars that all of it may cost, as in budget_usd = 5.0",
        )
    problems = [
        f"{cell.title} failed the last time and is tried again: {result.reason}"
        for cell in missing
        if (result := results[cell.id]) is not None
    ]
    return Plan(
        missing=missing,
        trainings=sum(cell.config is not None for cell in missing),
        data=tuple(plans),
        spent_usd=spent,
        problems=tuple(problems),
    )


def _asked(store: Store, settings: Settings, data: DataSet, budget: float | None) -> list[DataPlan]:
    try:
        one = making.estimated(store, settings, data, budget)
    except ClaifError as error:
        error.message = f"{data.title}: {error.message}"
        raise
    if one is None:
        return []
    plan = one.plan
    return [DataPlan(data=data, calls=plan.calls, tokens=plan.tokens, usd=plan.usd, costs=one.ready.costs)]


@contextmanager
def _projects(journal: Journal, author: str | None, *, dry: bool) -> Iterator[making.Opener]:
    """Yield what opens a data set's project: its own, or in a dry run one that vanishes where it has none yet."""
    with tempfile.TemporaryDirectory(prefix="claif-tui-") as place:

        def opened(data: DataSet) -> Store:
            if dry and not (journal.project(data) / "claif.db").exists():
                return making.filled(Path(place) / data.project_id, Path(place), data, author)
            return making.open_project(journal, data, author)

        yield opened
