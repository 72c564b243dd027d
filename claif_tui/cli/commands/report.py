"""``claif-tui report``: what a paper needs of this project, in one folder."""

from __future__ import annotations

from pathlib import Path

import click

from claif_tui.cli import diagnostics, output
from claif_tui.cli.shared import json_option, open_project, project_option


@click.command("report")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Where the folder goes.  [default: exports/report]",
)
@click.option("--study", metavar="NAME", help="Which study it tells of.  [default: the newest]")
@click.option("--force", is_flag=True, help="Replace a report that is there.")
@json_option
@project_option
def command(out: Path | None, study: str | None, force: bool, as_json: bool, project: Path | None) -> None:
    """Write the tables and the figure of a paper, with cost, dates, models, hashes and BibTeX.

    Table 2 (sizes of the data), table 9 (generated examples), table 10 (scores with explanations) and figure 2 (scores
    at each mask rate), as the CLAIF paper has them, of this project; LaTeX, CSV and SVG. What is missing is said, with
    the command that makes it.
    """
    from claif_tui.core.paper.writing import write

    told = "claif-tui report" + (f" --study {study}" if study else "")
    with open_project(project) as store:
        made = write(store, out, study=study, replace=force, command=told)
    content = made.document
    for warning in content["warnings"]:
        diagnostics.warn(warning)
    if as_json:
        output.document({"path": str(made.path), "files": dict(made.files), **content})
        return
    output.line(f"{made.path}")
    output.table([(f"  {name}", f"{size:,}") for name, size in made.files], right=(1,))
    if content["missing"]:
        output.line("Missing:")
        output.table([(f"  {one['part']}", one["why"], one["command"]) for one in content["missing"]])
