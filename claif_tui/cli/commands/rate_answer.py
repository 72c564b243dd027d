"""``rate answer``: one rater's item at a time from a script, by the same rules as on the screen."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from claif_tui.cli import output
from claif_tui.cli.commands.rate import rater_option, study_option
from claif_tui.cli.shared import json_option, open_project, project_option
from claif_tui.core.errors import UsageError

if TYPE_CHECKING:
    from claif_tui.core.rating.models import Criterion, Desk, ScaleKind, Shown

ALLOWED: dict[ScaleKind, str] = {
    "yesno": "yes or no",
    "ordinal": "1 to 5",
    "tenths": "0.0 to 1.0 in tenths",
}
"""What may be answered on each scale, in words."""

_WORDS = {"yes": 1.0, "y": 1.0, "no": 0.0, "n": 0.0}


@click.command("answer")
@click.argument("answers", nargs=-1, metavar="[QUESTION=VALUE]...")
@study_option
@rater_option
@click.option("--comment", metavar="TEXT", help="Say something about the item.")
@click.option("--undo", is_flag=True, help="Take the latest answer back.")
@click.option("--same-person", is_flag=True, help="Go on under a name used from another seat.")
@json_option
@project_option
def answer_command(
    answers: tuple[str, ...],
    study: str | None,
    rater: str,
    comment: str | None,
    undo: bool,
    same_person: bool,
    as_json: bool,
    project: Path | None,
) -> None:
    """Answer the next item of a rater, e.g. fluent=yes consistent=no; without answers show it."""
    from claif_tui.core.rating.session import RaterSession

    with open_project(project) as store:
        name = study or store.studies.get().name
        with RaterSession(store, name, rater, source="command", same_person=same_person) as session:
            if undo:
                shown = session.undo()
                if shown is None:
                    raise UsageError(f"{rater} has no answer to take back")
            else:
                shown = session.current()
            given = _read(answers, session.desk.criteria)
            if (given or comment is not None) and shown is None:
                raise UsageError(f"{rater} has answered everything", "--undo takes the latest answer back.")
            if shown is not None:
                for criterion, value in given.items():
                    session.answer(shown.token, criterion, value)
                if comment is not None:
                    session.comment(shown.token, comment)
            shown, desk = session.current(), session.desk
    if as_json:
        output.document(
            {"done": desk.done, "total": desk.total, "next": None if shown is None else asdict(shown)}
        )
        return
    _tell(desk, shown)


def _read(answers: tuple[str, ...], criteria: tuple[Criterion, ...]) -> dict[str, float]:
    scales = {criterion.name: criterion.scale for criterion in criteria}
    given: dict[str, float] = {}
    for answer in answers:
        name, _, value = answer.partition("=")
        if name not in scales or not value:
            raise UsageError(f"{answer!r} is no answer", f"Expected {'=… or '.join(sorted(scales))}=…")
        scale = scales[name]
        try:
            given[name] = _WORDS[value.lower()] if value.lower() in _WORDS else float(value)
        except ValueError:
            raise UsageError(f"{answer!r}: {value!r} is no answer", f"Expected {ALLOWED[scale]}.") from None
    return given


def _tell(desk: Desk, shown: Shown | None) -> None:
    output.line(f"{desk.study} · {desk.rater} · {desk.done} of {desk.total} rated")
    if shown is None:
        output.line("All is rated. Thank you.")
        return
    output.line()
    output.line("practice" if shown.practice else f"item {shown.position}")
    output.line(f"  original   {shown.text_a}")
    output.line(f"  generated  {shown.text_b}")
    if shown.score is not None:
        output.line(f"  score      {shown.score:.2f}")
    if shown.explanation:
        output.line(f"  reason     {shown.explanation}")
    for criterion in desk.criteria:
        said = "" if criterion.name not in shown.mine else f"  ({shown.mine[criterion.name]:g})"
        output.line(f"  {criterion.name} ({ALLOWED[criterion.scale]}): {criterion.question}{said}")
