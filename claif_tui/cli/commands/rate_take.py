"""``rate take``: one person rates in this terminal, in an app that has nothing but rater mode."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from claif_tui.cli.commands.rate import study_option
from claif_tui.cli.shared import open_project, project_option
from claif_tui.core.errors import UsageError


@click.command("take")
@study_option
@click.option("--rater", metavar="NAME", help="Under which name.")
@click.option(
    "--packet",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Rate a packet instead of a project; answers are kept in it.",
)
@click.option("--same-person", is_flag=True, help="Go on under a name used from another seat.")
@project_option
@click.pass_context
def take_command(
    ctx: click.Context,
    study: str | None,
    rater: str | None,
    packet: Path | None,
    same_person: bool,
    project: Path | None,
) -> int:
    """Rate one's items, one at a time; each answer is on disk before the next item shows."""
    if packet is not None and (rater is not None or study is not None):
        raise UsageError("a packet knows its study and its rater", "Leave --study and --rater out.")
    if packet is None and rater is None:
        raise UsageError("who rates is not said", "Name yourself: --rater NAME. A packet: --packet FILE")
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError(
            "rating needs a terminal, and stdin or stdout is none", "In scripts: claif-tui rate answer"
        )
    open_rating = ctx.find_root().meta["open_rating"]
    if packet is not None:
        from claif_tui.core.rating.packets import PacketSession
        from claif_tui.core.rating.session import seat_of
        from claif_tui.core.store.store import default_author

        with PacketSession(packet, seat_of(default_author()), same_person=same_person) as desk:
            code: int = open_rating(lambda: desk)
        return code
    from claif_tui.core.rating.session import RaterSession

    assert rater is not None
    with open_project(project) as store:
        name = study or store.studies.get().name
        with RaterSession(store, name, rater, same_person=same_person) as session:
            code = open_rating(lambda: session)
    return code
