"""``rate merge``: what raters answered in packets, on other machines, comes back into the project."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from claif_tui.cli import diagnostics, output
from claif_tui.cli.commands.rate import out_path, study_option
from claif_tui.cli.commands.rate_sheets import refuse_differing, taken_document, tell_taken
from claif_tui.cli.shared import json_option, open_project, project_option
from claif_tui.core.errors import UsageError

if TYPE_CHECKING:
    from claif_tui.core.store.returned import Differing


@click.command("merge")
@click.argument("files", nargs=-1, required=True, type=out_path, metavar="FILE...")
@study_option
@click.option("--replace", is_flag=True, help="Where answers differ, the file's count.")
@click.option("--keep", is_flag=True, help="Where answers differ, the project's count.")
@click.option("--same-person", is_flag=True, help="Take a packet from another seat than before.")
@click.option("--dry-run", is_flag=True, help="Check, and store nothing.")
@json_option
@project_option
def merge_command(
    files: tuple[Path, ...],
    study: str | None,
    replace: bool,
    keep: bool,
    same_person: bool,
    dry_run: bool,
    as_json: bool,
    project: Path | None,
) -> None:
    """Merge packets. All of them are checked before anything is stored; the same one twice adds nothing."""
    from claif_tui.core.rating.merging import read_merge

    if replace and keep:
        raise UsageError("--replace and --keep exclude each other")
    differing: Differing = "replace" if replace else "keep" if keep else "refuse"
    with open_project(project) as store:
        read = [read_merge(store, path, study) for path in files]
        taken = store.returned.take(
            [batch for batch, _ in read], differing=differing, same_person=same_person, dry_run=dry_run
        )
    for path, (_, torn) in zip(files, read, strict=True):
        if torn:
            diagnostics.warn(f"{path}: its last record is cut off and was left out; was the file sent whole?")
    if differing == "refuse":
        refuse_differing(taken)
    if as_json:
        output.document({"stored": not dry_run, "raters": [taken_document(one) for one in taken]})
        return
    tell_taken(taken)
    if dry_run:
        output.line("Nothing was stored.")
