"""``claif-tui leaderboard``: the project's results among the papers' rows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from claif_tui.cli import diagnostics, output
from claif_tui.cli.shared import json_option, project_folder, project_option

if TYPE_CHECKING:
    from collections.abc import Sequence

    from claif_tui.core.evaluations import Evaluation
    from claif_tui.core.leaderboard import Board
    from claif_tui.core.reference import Kind

KINDS: tuple[Kind, ...] = ("sts", "transfer", "rerank")


@click.command("leaderboard")
@click.option(
    "--format",
    "form",
    type=click.Choice(("table", "md", "csv", "tex")),
    default="table",
    show_default=True,
    help="Layout of the rows.",
)
@click.option(
    "--tasks",
    "kinds",
    type=click.Choice((*KINDS, "all")),
    default="all",
    show_default=True,
    help="Which tasks' rows; of rerank the papers have none.",
)
@click.option(
    "--against",
    default="",
    metavar="ID",
    help="Compare with this row of the papers.  [default: the best like row]",
)
@click.option(
    "--compare",
    nargs=2,
    default=None,
    metavar="A B",
    help="Test A against B, task by task: names of results, or ids of rows.",
)
@click.option("--backbone", metavar="NAME", help="Only rows of this backbone, as in bert-base.")
@click.option("--ours", is_flag=True, help="Only the project's own rows.")
@json_option
@project_option
def command(
    form: str,
    kinds: str,
    against: str,
    compare: tuple[str, str] | None,
    backbone: str | None,
    ours: bool,
    as_json: bool,
    project: Path | None,
) -> None:
    """Show the project's results among the papers' rows, the best average first.

    A difference is only given between rows of the same backbone, supervision and scorer; else the reason why not.
    Without a project the papers' rows alone are shown. --compare tests two results on what they predicted: a paired
    bootstrap on STS, McNemar's test on transfer tasks.
    """
    from claif_tui.core import leaderboard_formats as formats
    from claif_tui.core.evaluations import kept
    from claif_tui.core.leaderboard import board, only

    found = kept(project_folder(project))
    for problem in found.problems:
        diagnostics.warn(problem)
    wanted = [kind for kind in KINDS if kinds in (kind, "all")]
    if kinds == "all" and compare is None and not any("rerank" in one.tasks for one in found.evaluations):
        wanted.remove("rerank")  # no paper's rows are there, and none of ours
    if compare is not None:
        _compare(compare, wanted, found.evaluations, project_folder(project), as_json)
        return
    boards = [only(board(kind, found.evaluations, against), backbone=backbone, ours=ours) for kind in wanted]
    if as_json:
        output.document({"rows": [row for one in boards for row in formats.document(one)]})
    elif form == "csv":
        output.raw(formats.csv_text(boards))
    elif form == "table":
        for number, one in enumerate(boards):
            if number:
                output.line()
            _show(one)
    else:
        write = formats.markdown if form == "md" else formats.latex
        output.raw("\n".join(write(one) for one in boards))


def _compare(
    words: tuple[str, str],
    kinds: Sequence[Kind],
    evaluations: Sequence[Evaluation],
    project: Path,
    as_json: bool,
) -> None:
    """Compare two rows on each kind of task that both have figures for."""
    from claif_tui.cli.comparing import show
    from claif_tui.core.errors import InputError
    from claif_tui.core.significance import contest, find
    from claif_tui.core.significance_formats import document

    contests = []
    for kind in kinds:
        first, second = (find(kind, word, evaluations, project) for word in words)
        if first is not None and second is not None:
            contests.append(contest(kind, first, second))
    if not contests:
        raise InputError(
            f"{words[0]} and {words[1]} have no kind of task in common", "Evaluate both on the same tasks."
        )
    if as_json:
        output.document({"comparisons": [document(one) for one in contests]})
    else:
        show(contests)


def _show(board: Board) -> None:
    from claif_tui.core import leaderboard_formats as formats

    output.line(formats.TITLES[board.kind])
    rows, notes = formats.lines(board)
    names = formats.head(board)
    figures = range(names.index("scorer") + 1, names.index("notes"))
    output.table(rows, head=names, right=tuple(figures))
    if not any(entry.row.ours for entry in board.entries):
        output.line("No results of this project here. Make one: claif-tui evaluate MODEL --data DIR")
    for note in notes:
        output.line(note)
