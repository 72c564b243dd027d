"""``claif-tui snapshot``: freeze training data under a hash, list it, check it, pack it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from claif_tui.cli import diagnostics, output
from claif_tui.cli.commands.export import show_funnel, statuses_of
from claif_tui.cli.shared import json_option, open_project, project_option

if TYPE_CHECKING:
    from claif_tui.core.snapshot import Snapshot


@click.group("snapshot")
def command() -> None:
    """Freeze training data under a hash of its content; list, check and pack what is frozen."""


@command.command("create")
@click.option(
    "--status",
    "statuses",
    default="accepted",
    show_default=True,
    metavar="S[,S]",
    help="pending, accepted, rejected, or all.",
)
@click.option(
    "--filter", "expression", default="", metavar="EXPR", help="Only these pairs, e.g. 'score >= 0.3'."
)
@click.option("--edited", is_flag=True, help="Only pairs whose text a person changed.")
@click.option("--preset", metavar="NAME", help="Post-process as a preset says, or raw.  [default: the recipe]")
@json_option
@project_option
def create(
    statuses: str, expression: str, edited: bool, preset: str | None, as_json: bool, project: Path | None
) -> None:
    """Freeze the chosen pairs, post-processed, in snapshots/ID.

    The same project gives the same bytes and the same ID. A snapshot never changes; training names it.
    """
    from claif_tui.core.session import load_recipe
    from claif_tui.core.snapshot import SnapshotWish
    from claif_tui.core.snapshot import create as freeze

    wish = SnapshotWish(statuses=statuses_of(statuses), preset=preset, filter=expression, edited_only=edited)
    with open_project(project) as store:
        made = freeze(store, load_recipe(store.folder), wish)
    snapshot = made.snapshot
    if snapshot.mixed:
        diagnostics.warn("it holds pairs and triplets; training takes one kind: --filter 'kind = llm', or nli")
    if as_json:
        output.document(
            {
                **_summary(snapshot),
                "existed": made.existed,
                "smoothing": snapshot.manifest["smoothing"],
                "funnel": made.funnel.to_dict(),
            }
        )
        return
    show_funnel(made.funnel)
    was = "was there already" if made.existed else "is frozen"
    output.line(f"snapshot {snapshot.id} {was}: {snapshot.path}")


@command.command("list")
@json_option
@project_option
def list_(as_json: bool, project: Path | None) -> None:
    """List the project's snapshots, oldest first."""
    from claif_tui.core.snapshot import snapshots

    with open_project(project) as store:
        found = snapshots(store.folder)
    if as_json:
        output.document({"snapshots": [_summary(one) for one in found]})
    elif not found:
        output.line("No snapshots yet. Make one: claif-tui snapshot create")
    else:
        rows = [
            (one.id, f"{one.rows:,}", one.made, one.problem or one.derived or one.manifest.get("filter", ""))
            for one in found
        ]
        output.table(rows, head=("id", "rows", "made", "filter"), right=(1,))


@command.command("show")
@click.argument("snapshot_id", metavar="ID")
@json_option
@project_option
def show(snapshot_id: str, as_json: bool, project: Path | None) -> int:
    """Show what a snapshot holds and where it came from, and hold it against its hashes.

    ID may be its beginning. Ends with 1 if the snapshot is no longer what was frozen.
    """
    from claif_tui.core.snapshot import find

    with open_project(project) as store:
        snapshot = find(store.folder, snapshot_id)
    if as_json:
        output.document({**snapshot.manifest, **_summary(snapshot)})
    else:
        _describe(snapshot)
    if snapshot.problem:
        diagnostics.warn(f"snapshot {snapshot.id}: {snapshot.problem}")
    return 1 if snapshot.problem else 0


@command.command("pack")
@click.argument("snapshot_id", metavar="ID")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Archive to write.  [default: exports/ID.zip]",
)
@json_option
@project_option
def pack(snapshot_id: str, out: Path | None, as_json: bool, project: Path | None) -> None:
    """Pack a snapshot into one zip archive, which training and another machine read as it is.

    The same snapshot gives the same bytes.
    """
    from claif_tui.core.snapshot import pack as write

    with open_project(project) as store:
        packed = write(store.folder, snapshot_id, out)
    if as_json:
        output.document({"path": str(packed.path), "sha256": packed.sha256, "bytes": packed.bytes})
    else:
        output.line(f"wrote {packed.path} ({packed.bytes:,} bytes)")


def _summary(snapshot: Snapshot) -> dict[str, object]:
    return {
        "id": snapshot.id,
        "path": str(snapshot.path),
        "made": snapshot.made,
        "rows": snapshot.rows,
        "sha256": snapshot.manifest.get("sha256"),
        "intact": not snapshot.problem,
        "problem": snapshot.problem,
    }


def _describe(snapshot: Snapshot) -> None:
    about = snapshot.manifest
    recipe = about.get("recipe") or {}
    smoothing = about.get("smoothing") or {}
    review = about.get("review") or {}
    facts = [
        ("id", snapshot.id),
        ("path", snapshot.path),
        ("made", snapshot.made),
        ("rows", f"{snapshot.rows:,}"),
        ("splits", _listed(about.get("splits"))),
        ("kinds", _listed(about.get("kinds"))),
        ("filter", about.get("filter") or "none"),
        ("recipe", recipe.get("id", about.get("preset") or "raw")),
        ("smoothing", smoothing.get("epsilon") if smoothing.get("applied") else "none"),
        ("reviewed", _listed(review.get("project"))),
        ("edited", review.get("edited", "")),
        *(
            [("rated", ", ".join(str(one.get("study")) for one in about["rating"]))]
            if about.get("rating")
            else []
        ),
        ("sha256", about.get("sha256", "")),
        *([("from", snapshot.derived)] if snapshot.derived else []),
    ]
    output.table(facts)
    funnel = about.get("funnel") or {}
    output.line()
    output.table([(name, f"{count:,}") for name, count in funnel.items() if count], right=(1,))


def _listed(counts: dict[str, int] | None) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in (counts or {}).items())
