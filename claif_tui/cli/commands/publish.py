"""``claif-tui publish``: folders for the Hugging Face Hub, and sending them there when asked."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from claif_tui.cli import diagnostics, output
from claif_tui.cli.shared import json_option, open_project, project_option
from claif_tui.core.errors import UsageError

if TYPE_CHECKING:
    from claif_tui.core.publish import Publication
    from claif_tui.core.publish_hub import Hub, Pushed


@click.command("publish")
@click.option("--snapshot", metavar="ID", help="Publish this snapshot as a data set.  [default: the newest]")
@click.option(
    "--run", metavar="NAME", help="Publish the best model of this run.  [default: the newest with one]"
)
@click.option(
    "--licence", metavar="ID", help="Under which licence, as in cc-by-sa-4.0; for all that is published."
)
@click.option("--name", metavar="NAME", help="Name on the cards and at the Hub.  [default: the project's]")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Where the folders go.  [default: exports/publish]",
)
@click.option(
    "--with-names", is_flag=True, help="Show the reviewers' names; else they are reviewer-1 and so on."
)
@click.option(
    "--to-hub",
    "repo",
    is_flag=False,
    flag_value="",
    metavar="[OWNER/NAME]",
    help="Send the folders to the Hub, as whoever is logged in there.",
)
@click.option("--public", is_flag=True, help="Make new repositories public; they are private otherwise.")
@click.option("--yes", "-y", is_flag=True, help="Don't ask before anything is sent.")
@json_option
@project_option
def command(
    snapshot: str | None,
    run: str | None,
    licence: str | None,
    name: str | None,
    out: Path | None,
    with_names: bool,
    repo: str | None,
    public: bool,
    yes: bool,
    as_json: bool,
    project: Path | None,
) -> None:
    """Write a data set folder and a model folder, with their cards, as the Hugging Face Hub wants them.

    Without --snapshot and --run: the newest of each. Nothing is sent without --to-hub. A card that you edit is kept
    when the folder is written again. Rows of test splits, keys and places on your disk are never written.
    """
    from claif_tui.core.publish import PublishWish, prepare

    if public and repo is None:
        raise UsageError("--public goes with --to-hub", "Without it nothing is sent.")
    hub = None if repo is None else _hub()
    wish = PublishWish(
        snapshot=snapshot,
        run=run,
        licence=licence,
        name=name,
        out=out,
        names=with_names,
        repo=None if hub is None or repo is None else hub.repo_id(repo, _name(name, project)),
    )
    with open_project(project) as store:
        made = prepare(store, wish)
    for note in made.notes:
        diagnostics.note(note)
    for warning in made.warnings:
        diagnostics.warn(warning)
    if not as_json:
        _show(made)
    pushed = []
    if hub is not None and wish.repo is not None:
        _agree(made, wish.repo, hub, public, yes)
        for folder in made.folders:
            diagnostics.note(f"sending {folder.path.name} ({sum(size for _, size in folder.files):,} bytes)")
            pushed.append(hub.push(folder, wish.repo, public=public))
    if as_json:
        output.document(_document(made, pushed))
    else:
        for one in pushed:
            output.line(f"{one.type} {one.repo}: {one.url}")
            if public and not one.public:
                diagnostics.warn(f"{one.type} {one.repo} was there already and stays private")
        if not pushed:
            output.line("Nothing was sent. Read the cards, then: claif-tui publish --to-hub")


def _hub() -> Hub:
    from claif_tui.core.publish_hub import Hub

    return Hub()


def _name(name: str | None, project: Path | None) -> str:
    from claif_tui.cli.shared import project_folder
    from claif_tui.core.publish_text import repo_name

    return repo_name(name or project_folder(project).resolve().name)


def _agree(made: Publication, repo: str, hub: Hub, public: bool, yes: bool) -> None:
    """Say what goes where and for whose eyes; ``UsageError`` unless somebody agrees."""
    who = "for everybody to see" if public else "as private repositories"
    kinds = " and ".join(folder.type for folder in made.folders)
    diagnostics.note(f"To {hub.address}: {kinds} {repo}, {who}, licence {made.licence}.")
    if yes:
        return
    if not diagnostics.interactive():
        raise UsageError("nobody is there to agree to sending this", "Add --yes to agree beforehand.")
    if not diagnostics.confirm("Send it?"):
        raise UsageError("not sent", "The folders are there; nothing has left this machine.")


def _show(made: Publication) -> None:
    for folder in made.folders:
        output.line(f"{folder.type} from {folder.source}: {folder.path}")
        output.table([(f"  {name}", f"{size:,}") for name, size in folder.files], right=(1,))


def _document(made: Publication, pushed: list[Pushed]) -> dict[str, object]:
    sent = {
        one.type: {"repo": one.repo, "url": one.url, "commit": one.commit, "public": one.public}
        for one in pushed
    }
    folders: dict[str, object] = {
        folder.type: {
            "source": folder.source,
            "path": str(folder.path),
            "files": dict(folder.files),
            "card_kept": folder.card_kept,
        }
        for folder in made.folders
    }
    return {
        "name": made.name,
        "licence": made.licence,
        **folders,
        "sent": sent,
        "notes": list(made.notes),
        "warnings": list(made.warnings),
    }
