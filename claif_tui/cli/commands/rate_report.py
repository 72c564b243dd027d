"""``rate report``: what raters said, how far they agree and how sure that is, for those who run a study."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from claif_tui.cli import diagnostics, output
from claif_tui.cli.commands.rate import out_path, study_option
from claif_tui.cli.shared import json_option, open_project, project_option
from claif_tui.core.errors import UsageError

if TYPE_CHECKING:
    from claif_tui.core.rating.report_models import Report


@click.command("report")
@study_option
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "md", "tex", "json"]),
    help="Form of the report.  [default: by --out, else text]",
)
@click.option("--out", type=out_path, metavar="FILE", help="Write it there, replacing what is there.")
@json_option
@project_option
def report_command(
    study: str | None, form: str | None, out: Path | None, as_json: bool, project: Path | None
) -> None:
    """Report on a study: shares and means with intervals, agreement, repeats, gold, people against the AI.

    It says how many ratings are missing, who was excluded by the frozen rule, and what departed from the plan. The
    Markdown and text forms quote the items to look at; the LaTeX form is for a paper and quotes none.
    """
    from claif_tui.core.rating.report import report

    with open_project(project) as store:
        data = store.studies.data(study)
    made = report(data)
    if form is None:
        form = _form_of(out)
    if out is not None:
        _write(out, made, form)
    if as_json:
        from claif_tui.core.rating.report_formats import document

        output.document({**document(made), "file": None if out is None else str(out)})
    elif out is not None:
        output.line(f"Wrote the report on {made.study} to {out}")
    else:
        output.raw(_text(made, form))


def _form_of(out: Path | None) -> str:
    """Return the form that a file's name asks for."""
    known = {".md": "md", ".tex": "tex", ".json": "json", ".txt": "text", "": "text"}
    suffix = "" if out is None else out.suffix.lower()
    if suffix not in known:
        raise UsageError(
            f"{out}: no report has the form {suffix!r}",
            "Name a file .md, .tex, .json or .txt, or say --format.",
        )
    return known[suffix]


def _text(made: Report, form: str) -> str:
    from claif_tui.core.rating.report_formats import document, latex, markdown, text

    if form == "json":
        return json.dumps(document(made), ensure_ascii=True, indent=2) + "\n"
    return {"text": text, "md": markdown, "tex": latex}[form](made)


def _write(out: Path, made: Report, form: str) -> None:
    from claif_tui.core.atomic import replacing
    from claif_tui.core.errors import InputError

    try:
        with replacing(out) as file:
            file.write(_text(made, form).encode("utf-8", "replace"))
    except OSError as error:
        raise InputError(
            f"cannot write {out}: {error.strerror or error}", "Name a file in a folder that you may write to."
        ) from error
    if form == "tex":
        diagnostics.note("The tables need \\usepackage{booktabs} and \\usepackage[T1]{fontenc}.")
