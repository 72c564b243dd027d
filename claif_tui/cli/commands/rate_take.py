"""``rate take``: one person rates in this terminal, in an app that has nothing but rater mode."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from claif_tui.cli.commands.rate import rater_option, study_option
from claif_tui.cli.shared import open_project, project_option
from claif_tui.core.errors import UsageError


@click.command("take")
@study_option
@rater_option
@click.option("--same-person", is_flag=True, help="Go on under a name used from another seat.")
@project_option
@click.pass_context
def take_command(
    ctx: click.Context, study: str | None, rater: str, same_person: bool, project: Path | None
) -> int:
    """Rate one's items, one at a time; each answer is on disk before the next item shows."""
    from claif_tui.core.rating.session import RaterSession

    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError(
            "rating needs a terminal, and stdin or stdout is none", "In scripts: claif-tui rate answer"
        )
    with open_project(project) as store:
        name = study or store.studies.get().name
        with RaterSession(store, name, rater, same_person=same_person) as session:
            code: int = ctx.find_root().meta["open_rating"](lambda: session)
    return code
