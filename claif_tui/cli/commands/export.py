"""``claif-tui export``: write training data."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from claif_tui.cli import output
from claif_tui.cli.shared import json_option, open_project, project_option
from claif_tui.core.errors import UsageError
from claif_tui.core.models import STATUSES, Status

if TYPE_CHECKING:
    from claif_tui.core.postprocess import Funnel

FORMATS = ("jsonl", "csv", "parquet", "dino", "sentence-transformers")


@click.command("export")
@click.option(
    "--out", type=click.Path(path_type=Path), metavar="FILE", help="File to write.  [default: in exports/]"
)
@click.option(
    "--format", "form", type=click.Choice(FORMATS), default="jsonl", show_default=True, help="File layout."
)
@click.option(
    "--status",
    "statuses",
    default="accepted",
    show_default=True,
    metavar="S[,S]",
    help="pending, accepted, rejected, or all.",
)
@click.option("--preset", metavar="NAME", help="Post-process as a preset says, or raw.  [default: the recipe]")
@click.option(
    "--filter", "expression", default="", metavar="EXPR", help="Only these pairs, e.g. 'model = gpt-4o-mini'."
)
@click.option("--dry-run", is_flag=True, help="Only show the funnel.")
@json_option
@project_option
def command(
    out: Path | None,
    form: Any,
    statuses: str,
    preset: str | None,
    expression: str,
    dry_run: bool,
    as_json: bool,
    project: Path | None,
) -> None:
    """Write training data with its manifest and the list of dropped rows beside it.

    Every rule of post-processing is counted. The same project gives the same bytes.
    """
    from claif_tui.core.export import SUFFIXES
    from claif_tui.core.exporting import ExportWish, export, preview
    from claif_tui.core.session import load_recipe

    wish = ExportWish(statuses=statuses_of(statuses), preset=preset, filter=expression)
    with open_project(project) as store:
        recipe = load_recipe(store.folder)
        if dry_run:
            funnel = preview(store, recipe, wish, samples=0).funnel
            written: dict[str, object] = {}
        else:
            place = out or store.folder / "exports" / f"{form}{SUFFIXES[form]}"
            result, funnel = export(store, recipe, wish, place, form)
            written = {"path": str(place), "sha256": result.sha256, "manifest": str(result.manifest)}
            written["dropped"] = None if result.dropped is None else str(result.dropped)
    if as_json:
        output.document({"rows": funnel.rows, "funnel": funnel.to_dict(), **written})
        return
    show_funnel(funnel)
    if written:
        output.line(f"wrote {written['path']}, with {Path(str(written['manifest'])).name} beside it")


def statuses_of(text: str) -> tuple[Status, ...]:
    """Read the words of --status."""
    if text.strip() == "all":
        return STATUSES
    words = [word.strip() for word in text.split(",") if word.strip()]
    chosen = tuple(status for status in STATUSES if status in words)
    if not words or len(chosen) != len(set(words)):
        raise UsageError(f"--status is {text!r}: expected pending, accepted, rejected (with commas), or all")
    return chosen


def show_funnel(funnel: Funnel) -> None:
    """Write how pairs became rows, rule by rule."""
    from claif_tui.core.exporting import why_nothing
    from claif_tui.core.postprocess import RULES

    rows = [("pairs", f"{funnel.pairs:,}", "")]
    if funnel.split:
        rows.append(("+ split", f"{funnel.split:,}", "a scored triplet gives two pairs"))
    rows += [(f"- {rule}", f"{count:,}", RULES[rule]) for rule, count in funnel.drops.items() if count]
    rows.append(("+ zero pairs", f"{funnel.zero_pairs:,}", "random pairs with score 0"))
    rows.append(("rows", f"{funnel.rows:,}", ""))
    output.table(rows, right=(1,))
    if funnel.swapped:
        output.line(
            f"{funnel.swapped:,} triplets have swapped roles: the hard negative scored above the positive"
        )
    if funnel.zero_missing:
        output.line(f"{funnel.zero_missing:,} zero pairs are missing: there was no partner for them")
    if funnel.pairs and not funnel.kept:
        output.line(f"No row is left. {why_nothing(funnel)}")
