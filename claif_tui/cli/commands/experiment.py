"""``claif-tui experiment``: systems x backbones x seeds from one file, to the papers' tables."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from claif_tui.cli import diagnostics, output
from claif_tui.cli.shared import json_option, yes_option
from claif_tui.core.errors import UsageError

if TYPE_CHECKING:
    from claif_tui.core.experiment.models import Grid

READY = ("family", "ablation-negatives", "ablation-smoothing-cap")
FORMS = ("table", "md", "csv", "tex")


@click.command("experiment")
@click.argument("file", type=click.Path(path_type=Path), required=False)
@click.option("--show", type=click.Choice(READY), help="Print a ready file to start from.")
@click.option("--dry-run", is_flag=True, help="Only show the grid, what is missing of it, and its cost.")
@click.option("--table", "only_table", is_flag=True, help="Only show the table of what there is so far.")
@click.option(
    "--format",
    "form",
    type=click.Choice(FORMS),
    default="table",
    show_default=True,
    help="Form of the tables.",
)
@click.option("--stop", is_flag=True, help="Stop the experiment that is on; the same command goes on later.")
@click.option("--detach", is_flag=True, help="Go on in the background, whatever happens to this terminal.")
@yes_option
@json_option
def command(file: Path | None, show: str | None, **flags: Any) -> int:
    """Run what is missing of FILE's grid: systems x backbones x seeds, each to its row in the papers' tables.

    Data that several rows share are made once; what is finished is never asked, trained or paid again, also after a
    kill. One budget holds for everything. All of it is kept in a folder beside FILE, the tables too. A row that
    fails ends no other: it is told with its reason, and the exit code is 1.
    """
    if show is not None:
        return _show(show, flags["as_json"])
    if file is None:
        raise UsageError(
            "no experiment file is named", "Start from one: claif-tui experiment --show family > family.toml"
        )
    from claif_tui.cli import experimenting
    from claif_tui.cli.shared import settings
    from claif_tui.core.experiment.file import load
    from claif_tui.core.experiment.grid import build

    known = settings()
    grid = build(load(file), known)
    if flags["stop"]:
        return experimenting.stop(grid, flags["as_json"])
    if flags["only_table"]:
        experimenting.show(grid, flags["form"], flags["as_json"])
        return 0
    return _run(grid, known, flags)


def _show(name: str, as_json: bool) -> int:
    from claif_tui.core.experiment.file import ready

    if as_json:
        output.document({"name": name, "file": ready(name)})
    else:
        output.raw(ready(name))
    return 0


def _run(grid: Grid, known: Any, flags: dict[str, Any]) -> int:
    from claif_tui.cli import experimenting, running
    from claif_tui.core.experiment.journal import Journal
    from claif_tui.core.experiment.planning import plan

    if flags["dry_run"]:
        planned = plan(grid, known, dry=True)
        return experimenting.show_plan(grid, planned, experimenting.describe(grid, planned), flags["as_json"])
    with Journal(grid.spec.folder).held():
        planned = plan(grid, known, dry=False)
        for problem in planned.problems:
            diagnostics.note(problem)
        running.agree(planned.costs, experimenting.describe(grid, planned), flags["yes"])
        if not flags["detach"]:
            return experimenting.run(grid, known, flags["form"], flags["as_json"])
    return experimenting.detach(grid, flags["as_json"])
