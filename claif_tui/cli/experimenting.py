"""An experiment on the command line: what it would do, its progress, its tables, stopping it. No logic of it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING

from claif_tui.cli import diagnostics, output, running
from claif_tui.core.experiment import formats
from claif_tui.core.experiment.journal import Journal
from claif_tui.core.experiment.outcome import outcome
from claif_tui.core.experiment.standing import standing
from claif_tui.core.text import display_text

if TYPE_CHECKING:
    from claif_tui.core.events import Finished, Progress
    from claif_tui.core.experiment.data import Asking
    from claif_tui.core.experiment.models import Grid
    from claif_tui.core.experiment.outcome import Outcome
    from claif_tui.core.experiment.planning import Plan
    from claif_tui.core.experiment.running import Step
    from claif_tui.core.settings import Settings


def describe(grid: Grid, plan: Plan) -> list[str]:
    """Say what is missing and what it costs."""
    spec = grid.spec
    rows = len({cell.row for cell in grid.cells})
    lines = [
        f"{spec.name}: {_many(rows, 'system')} on {', '.join(spec.backbones)}, "
        f"seeds {', '.join(map(str, spec.seeds))}: "
        f"{_many(len(grid.cells), 'cell')}, {len(plan.missing):,} to do, {_many(plan.trainings, 'training')}"
    ]
    for one in plan.data:
        lines.append(
            f"data {one.data.title}: up to {one.calls:,} calls, tokens {one.tokens[0]:,} to {one.tokens[1]:,}"
            + ("" if one.usd is None or not one.costs else f", {_range(one.usd)}")
        )
    if plan.usd is None:
        lines.append("cost unknown: no price is known for a model (price_in and price_out in [model])")
    elif plan.costs:
        lines.append(f"cost {_range(plan.usd)} in all; what is stored already costs nothing")
    else:
        lines.append("cost nothing")
    if spec.budget_usd is not None:
        lines.append(
            f"budget {formats.dollars(spec.budget_usd)}, of which {formats.dollars(plan.spent_usd)} is spent"
        )
    lines.append(f"everything is kept in {spec.folder}")
    return [*lines, *grid.notes]


def show_plan(grid: Grid, plan: Plan, lines: list[str], as_json: bool) -> int:
    """Print a dry run."""
    now = standing(grid)
    if as_json:
        output.document(
            {
                "experiment": grid.spec.name,
                "folder": str(grid.spec.folder),
                "cells": [
                    {"title": one.cell.title, "id": one.cell.id, "state": one.state, "demo": one.cell.demo}
                    for one in now.cells
                ],
                "missing": len(plan.missing),
                "trainings": plan.trainings,
                "calls": sum(one.calls for one in plan.data),
                "usd": None if plan.usd is None else list(plan.usd),
                "spent_usd": plan.spent_usd,
                "budget_usd": grid.spec.budget_usd,
            }
        )
        return 0
    for line in lines:
        output.line(line)
    output.table(
        [
            (one.cell.row, one.cell.backbone, "" if one.cell.seed is None else one.cell.seed, one.state)
            for one in now.cells
        ],
        head=("system", "backbone", "seed", "state"),
        right=(2,),
    )
    return 0


def run(grid: Grid, settings: Settings, form: str, as_json: bool) -> int:
    """Run what is missing and print the tables, also when it is stopped; returns the exit code.

    The caller holds the experiment.
    """
    from claif_tui.core.experiment.running import Experiment

    with _Teller() as teller:
        experiment = Experiment(grid, settings, teller.drive, teller.tell, teller.said)
        try:
            ended = experiment.run()
        except (KeyboardInterrupt, diagnostics.Terminated):
            teller.close()
            show(grid, form, as_json, write=True)
            raise
    show(grid, form, as_json, write=True)
    if ended.failed:
        diagnostics.note("Run the same command again: what failed is tried anew, what is done is left alone.")
    return 1 if ended.failed else 0


def show(grid: Grid, form: str, as_json: bool, *, write: bool = False) -> None:
    """Print what there is so far; with ``write`` keep it in the experiment's folder too."""
    now = standing(grid)
    found = outcome(now)
    if write:
        journal = Journal(grid.spec.folder)
        for name, text in formats.files(found, _aligned(found)):
            journal.write_text(name, text)
    if as_json:
        states = {one.cell.id: one.state for one in now.cells}
        output.document({**formats.document(found), "folder": str(grid.spec.folder), "states": states})
    elif form == "table":
        output.raw(_aligned(found))
        if write:
            diagnostics.note(f"also in {grid.spec.folder}: table.txt, table.md, table.csv, table.tex")
    else:
        written = {"md": formats.markdown, "csv": formats.comma, "tex": formats.latex}[form](found)
        output.raw(written)


def stop(grid: Grid, as_json: bool) -> int:
    """Ask the process that runs the experiment to end."""
    from claif_tui.core.experiment.stopping import stop as send

    pid = send(grid.spec.folder)
    diagnostics.note(f"Asked process {pid} to stop; what is in hand is saved first.")
    if as_json:
        output.document({"asked": "stop", "pid": pid})
    return 0


def detach(grid: Grid, as_json: bool) -> int:
    """Start the same command in a session of its own, and return once it is on."""
    from claif_tui.core.experiment.stopping import LOG, start

    pid = start(grid.spec.path, grid.spec.folder)
    if as_json:
        output.document({"detached": True, "pid": pid, "log": str(grid.spec.folder / LOG)})
    else:
        output.line(f"Running in the background (process {pid}).")
        output.line("Follow it: the same command with --table. Stop it: with --stop")
    return 0


class _Teller:
    """Shows where an experiment is: one bar at a time, as a generation brings its own."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._bar: diagnostics.Bar | None = None
        self._title = ""

    def __enter__(self) -> _Teller:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Take the bar away."""
        self._stack.close()
        self._bar, self._title = None, ""

    def tell(self, step: Step) -> None:
        """Show a step."""
        if step.stage == "generating":
            self.close()
            return
        title = f"{step.ended + 1}/{step.cells} {step.stage} {step.title}"
        if self._bar is None or title != self._title:
            self.close()
            self._title = title
            self._bar = self._stack.enter_context(diagnostics.Bar(title))
        rest = "" if step.eta_seconds is None else f"all: about {formats.seconds(step.eta_seconds)} left"
        self._bar.update(step.done, step.total, " · ".join(filter(None, (step.words, rest))))

    def said(self, words: str) -> None:
        """Say a sentence."""
        self.close()
        diagnostics.note(words)

    def drive(self, make: Callable[[], Asking], title: str, watch: Callable[[Progress], None]) -> Finished:
        """Run a generation with its own bar; a signal ends the experiment once what is in flight has landed."""
        self.close()
        ended = running.run(make, f"data {title}", watch)
        if ended.signal is not None:
            raise diagnostics.Terminated(ended.signal)
        return ended.finished


def _aligned(found: Outcome) -> str:
    parts = [
        f"{title}\n{output.aligned(rows, head, right)}" for title, head, rows, right in formats.table(found)
    ]
    return (
        "\n".join(parts)
        + "\n"
        + "".join(f"{display_text(line, one_line=True)}\n" for line in formats.closing(found))
    )


def _range(usd: tuple[float, float]) -> str:
    return f"{formats.dollars(usd[0])} to {formats.dollars(usd[1])}"


def _many(count: int, word: str) -> str:
    return f"{count:,} {word}{'' if count == 1 else 's'}"
