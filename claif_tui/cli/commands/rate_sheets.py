"""``rate export --sheet`` and ``rate import``: rating in a spreadsheet, one file a rater."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from claif_tui.cli import diagnostics, output
from claif_tui.cli.commands.rate import out_path, study_option
from claif_tui.cli.shared import json_option, open_project, project_option
from claif_tui.core.errors import InputError, UsageError

if TYPE_CHECKING:
    from claif_tui.core.store.returned import Differing, Taken

_SHOWN = 10


@click.command("export")
@click.option("--sheet", is_flag=True, help="One sheet a rater, for a spreadsheet.")
@click.option("--packet", is_flag=True, help="One packet a rater, for claif-tui elsewhere.")
@study_option
@click.option("--rater", "raters", multiple=True, metavar="NAME", help="Whose; once for each.  [default: all]")
@click.option("--out", type=out_path, metavar="PATH", help="Folder, or file for one rater.  [default: exports]")
@click.option(
    "--format",
    "form",
    type=click.Choice(["csv", "json"]),
    default="csv",
    show_default=True,
    help="Form of the sheets.",
)
@click.option(
    "--delimiter",
    type=click.Choice(["comma", "semicolon", "tab"]),
    default="comma",
    show_default=True,
    help="Between cells of CSV; semicolon where spreadsheets have a decimal comma.",
)
@click.option("--force", is_flag=True, help="Replace sheets that exist.")
@json_option
@project_option
def export_command(
    sheet: bool,
    packet: bool,
    study: str | None,
    raters: tuple[str, ...],
    out: Path | None,
    form: str,
    delimiter: str,
    force: bool,
    as_json: bool,
    project: Path | None,
) -> None:
    """Write what each rater may see, in his or her order, to be answered elsewhere."""
    from claif_tui.core.rating.merging import export_packets
    from claif_tui.core.rating.sheets import export_sheets

    if sheet == packet:
        raise UsageError("expected --sheet or --packet")
    if packet:
        with open_project(project) as store:
            name = study or store.studies.get().name
            where = export_packets(store, name, raters, out or store.folder / "exports", force=force)
        if as_json:
            output.document({"study": name, "files": {rater: str(path) for rater, path in where.items()}})
            return
        output.table(list(where.items()), head=("rater", "packet"))
        return
    with open_project(project) as store:
        name = study or store.studies.get().name
        made = export_sheets(
            store,
            name,
            raters,
            out or store.folder / "exports",
            form="json" if form == "json" else "csv",
            delimiter=delimiter,
            force=force,
        )
    if as_json:
        files = {rater: str(path) for rater, path in made.sheets.items()}
        output.document({"study": made.study, "files": files, "guidelines": str(made.guidelines)})
        return
    output.table([(rater, path) for rater, path in made.sheets.items()], head=("rater", "sheet"))
    output.line(f"Send {made.guidelines.name} along: it explains the questions.")


@click.command("import")
@click.argument("files", nargs=-1, required=True, type=out_path, metavar="FILE...")
@study_option
@click.option("--replace", is_flag=True, help="Where answers differ, the file's count.")
@click.option("--keep", is_flag=True, help="Where answers differ, the project's count.")
@click.option("--dry-run", is_flag=True, help="Check, and store nothing.")
@json_option
@project_option
def import_command(
    files: tuple[Path, ...],
    study: str | None,
    replace: bool,
    keep: bool,
    dry_run: bool,
    as_json: bool,
    project: Path | None,
) -> None:
    """Read sheets that raters filled in. All of them are checked before anything is stored."""
    from claif_tui.core.rating.sheets import check_sheets

    if replace and keep:
        raise UsageError("--replace and --keep exclude each other")
    differing: Differing = "replace" if replace else "keep" if keep else "refuse"
    with open_project(project) as store:
        read = check_sheets(store, files, study)
        batches = [batch for one in read for batch in one.batches]
        taken = store.returned.take(batches, differing=differing, dry_run=dry_run)
    for path, one in zip(files, read, strict=True):
        for said in one.notes:
            diagnostics.note(f"{path}: {said}")
        for reason, count in one.dropped.items():
            diagnostics.note(f"{path}: {count} of {one.rows} rows {reason}")
    if differing == "refuse":
        refuse_differing(taken)
    if as_json:
        output.document(
            {
                "stored": not dry_run,
                "dropped": [one.dropped for one in read],
                "raters": [taken_document(one) for one in taken],
            }
        )
        return
    tell_taken(taken)
    if dry_run:
        output.line("Nothing was stored.")


def refuse_differing(taken: list[Taken]) -> None:
    """Raise ``InputError`` that lists the answers which are not the project's; nothing was stored then."""
    found = [(one, each) for one in taken for each in one.differing]
    if not found:
        return
    lines = [
        f"  {one.batch.file}, {each.cell.place}, {each.cell.criterion or 'comment'}: {each.cell.value}"
        f" in the file, {each.stands} in the project ({each.source}, {each.at[:16].replace('T', ' ')} UTC)"
        for one, each in found[:_SHOWN]
    ]
    if len(found) > _SHOWN:
        lines.append(f"  and {len(found) - _SHOWN} more")
    raise InputError(
        "\n".join([f"{len(found)} answers are not those of the project; nothing was stored", *lines]),
        "--replace takes the file's, --keep the project's; both are noted as a deviation.",
    )


def taken_document(taken: Taken) -> dict[str, object]:
    """Return what became of one rater's answers."""
    counts = ("new", "changed", "same", "comments", "missing", "total")
    return {
        "rater": taken.batch.rater,
        "file": taken.batch.file,
        **{name: getattr(taken, name) for name in counts},
        "differing": len(taken.differing),
    }


def tell_taken(taken: list[Taken]) -> None:
    """Write what became of each rater's answers."""
    head = ("rater", "new", "changed", "there already", "differing", "comments", "still missing", "file")
    rows = [
        (
            one.batch.rater,
            one.new,
            one.changed,
            one.same,
            len(one.differing),
            one.comments,
            f"{one.missing} / {one.total}",
            one.batch.file,
        )
        for one in taken
    ]
    output.table(rows, head=head, right=(1, 2, 3, 4, 5, 6))
