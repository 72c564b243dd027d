"""``claif-tui import``: bring in seeds and other people's data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from claif_tui.cli import diagnostics, output
from claif_tui.cli.shared import json_option, open_project, project_option
from claif_tui.core.errors import ClaifError
from claif_tui.core.importing.types import FORMATS, REASONS, ROLES

if TYPE_CHECKING:
    from claif_tui.core.importing.types import ImportOptions, ImportReport, Preview, Progress, Tally
    from claif_tui.core.store.store import Store

_SHOWN = 20


@click.command("import")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE...")
@click.option(
    "--as", "role", type=click.Choice(ROLES), default="seeds", show_default=True, help="What the rows are."
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["auto", *FORMATS]),
    default="auto",
    show_default=True,
    help="File layout.",
)
@click.option(
    "--column",
    "columns",
    multiple=True,
    metavar="NAME",
    help="Column to use; may be repeated. For pairs: a=NAME, b=NAME, score=NAME, negative=NAME, gold=NAME.",
)
@click.option("--split", type=click.Choice(["train", "dev", "test"]), help="Where the rows belong.")
@click.option("--allow-test", is_flag=True, help="Let held-out data in, on purpose.")
@click.option(
    "--score-scale", type=click.Choice(["0-1", "0-5"]), help="Scale of the scores; guessed otherwise."
)
@click.option(
    "--smoothed",
    type=click.Choice(["yes", "no"]),
    help="Whether labels were smoothed before; guessed otherwise.",
)
@click.option("--encoding", metavar="NAME", help="Text encoding; found out otherwise.")
@click.option("--no-header", is_flag=True, help="The first row is data.")
@click.option("--dry-run", is_flag=True, help="Only show what would happen.")
@click.option("--show-dropped", is_flag=True, help="List the rows that were dropped or merged.")
@json_option
@project_option
def command(
    files: tuple[Path, ...],
    role: Any,
    form: Any,
    columns: tuple[str, ...],
    split: Any,
    allow_test: bool,
    score_scale: Any,
    smoothed: str | None,
    encoding: str | None,
    no_header: bool,
    dry_run: bool,
    show_dropped: bool,
    as_json: bool,
    project: Path | None,
) -> int:
    """Bring in seeds, or other people's pairs, triplets or gold labels.

    Every file is taken whole or not at all. Each row that is not taken is counted and can be looked up. Files that
    look like test or dev data are refused unless --split (and for test data --allow-test) says that it is meant.
    """
    from claif_tui.core.importing.types import ImportOptions

    options = ImportOptions(
        role=role,
        format=None if form == "auto" else form,
        columns=columns,
        split=split,
        allow_test=allow_test,
        score_scale=score_scale,
        smoothed=None if smoothed is None else smoothed == "yes",
        encoding=encoding,
        header=False if no_header else None,
    )
    with open_project(project) as store:
        if dry_run:
            return _preview(store, files, options, as_json)
        reports = _import(store, files, options)
        dropped = {report.source_id: _issues(store, report) for report in reports} if show_dropped else {}
    _show(reports, dropped, as_json)
    return 0


def _import(store: Store, files: Sequence[Path], options: ImportOptions) -> list[ImportReport]:
    from claif_tui.core.importing.run import import_file

    reports: list[ImportReport] = []
    for path in files:
        with diagnostics.Bar(f"import {path.name}") as bar:

            def tick(progress: Progress, bar: diagnostics.Bar = bar) -> None:
                bar.update(progress.done, progress.total, title=f"{progress.stage} {path.name}")  # noqa: B023

            try:
                report = import_file(store, path, options, tick)
            except ClaifError:
                if reports:
                    done = ", ".join(report.path.name for report in reports)
                    diagnostics.note(f"Imported before the error, and kept: {done}")
                raise
        reports.append(report)
        if report.repeated:
            diagnostics.note(report.repeated)
        for remark in report.notes:
            diagnostics.note(f"{path.name}: {remark}")
    return reports


def _issues(store: Store, report: ImportReport) -> list[tuple[int, str, str]]:
    return [] if report.repeated else list(store.sources.issues(report.source_id, limit=1_000_000))


def _counts(tallies: Sequence[Tally]) -> dict[str, object]:
    dropped: Counter[str] = Counter()
    for tally in tallies:
        dropped.update(tally.dropped)
    return {
        "rows": sum(tally.rows for tally in tallies),
        "sentences": sum(tally.sentences for tally in tallies),
        "unique": sum(tally.unique for tally in tallies),
        "duplicates": sum(tally.duplicates for tally in tallies),
        "empty": sum(tally.empty for tally in tallies),
        "dropped": dict(sorted(dropped.items())),
    }


def _show(reports: list[ImportReport], dropped: dict[int, list[tuple[int, str, str]]], as_json: bool) -> None:
    counts = _counts([report.tally for report in reports])
    if as_json:
        files = [
            {
                "path": str(report.path),
                "format": report.format,
                "split": report.split,
                "source": report.source_id,
                "repeated": bool(report.repeated),
                **_counts([report.tally]),
                "notes": list(report.notes),
                **(
                    {
                        "issues": [
                            {"line": line, "reason": reason, "detail": detail}
                            for line, reason, detail in dropped[report.source_id]
                        ]
                    }
                    if dropped
                    else {}
                ),
            }
            for report in reports
        ]
        output.document({**counts, "files": files})
        return
    what = "sentences" if reports[0].role == "seeds" else "pairs"
    for report in reports:
        if report.repeated:
            output.line(f"{report.path.name}: nothing new")
            continue
        output.line(f"{report.path.name}: {_sentence(report.tally, what)}")
        for line, reason, detail in dropped.get(report.source_id, []):
            output.line(f"  line {line:,}: {reason}: {detail}" if detail else f"  line {line:,}: {reason}")
    if len(reports) > 1:
        output.line(f"in all: {counts['unique']:,} new {what}")


def _sentence(tally: Tally, what: str) -> str:
    parts = [f"{tally.rows:,} rows", f"{tally.sentences:,} {what}", f"{tally.unique:,} unique"]
    parts.append(f"{tally.duplicates:,} duplicates")
    if tally.empty:
        parts.append(f"{tally.empty:,} empty")
    parts += [f"{count:,} dropped ({REASONS.get(reason, reason)})" for reason, count in tally.dropped.items()]
    return ", ".join(parts)


def _preview(store: Store, files: Sequence[Path], options: ImportOptions, as_json: bool) -> int:
    from claif_tui.core.importing.plan import preview

    previews = [preview(path, options, store.sources.list()) for path in files]
    if as_json:
        output.document(
            {
                **_counts([seen.tally for seen in previews]),
                "files": [_preview_document(seen) for seen in previews],
            }
        )
    else:
        for seen in previews:
            _show_preview(seen)
    return 2 if any(seen.refusal for seen in previews) else 0


def _preview_document(seen: Preview) -> dict[str, object]:
    return {
        "path": str(seen.path),
        "format": seen.format,
        "why": seen.format_reason,
        "encoding": seen.encoding,
        "split": seen.split,
        "columns": list(seen.columns),
        "used": [{"as": what, "column": name} for what, name in seen.used],
        "exact": seen.exact,
        **_counts([seen.tally]),
        "refusal": seen.refusal or None,
        "notes": list(seen.notes),
        "first_rows": [{"line": line, "cells": list(cells)} for line, cells in seen.rows],
    }


def _show_preview(seen: Preview) -> None:
    what = "sentences" if seen.role == "seeds" else "pairs"
    output.line(f"{seen.path}: {seen.format} ({seen.format_reason}), {seen.encoding}, split {seen.split}")
    for remark in seen.notes:
        output.line(f"  {remark}")
    scope = "all rows" if seen.exact else f"the first {seen.tally.rows:,} rows, {seen.share:.0%} of the file"
    output.line(f"  from {scope}: {_sentence(seen.tally, what)}")
    width = len(seen.columns)
    whole = [
        (line, *(cell[:60] for cell in cells)) for line, cells in seen.rows[:_SHOWN] if len(cells) == width
    ]
    output.table(whole, head=("line", *seen.columns), right=(0,))
    if seen.refusal:
        output.line(f"  would be refused: {seen.refusal}")
        output.line(f"  {seen.refusal_hint}")
