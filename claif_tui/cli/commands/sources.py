"""``claif-tui sources``: what was imported, and what became of each row that was not taken."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from claif_tui.cli import output
from claif_tui.cli.shared import json_option, open_project, project_option
from claif_tui.core.errors import InputError


@click.command("sources")
@click.argument("number", type=int, required=False)
@click.option("--limit", type=click.IntRange(1), default=200, show_default=True, help="Rows to list.")
@click.option("--offset", type=click.IntRange(0), default=0, help="Rows to skip.")
@json_option
@project_option
def command(number: int | None, limit: int, offset: int, as_json: bool, project: Path | None) -> None:
    """List what was imported; with the NUMBER of an import, its rows that were dropped or merged."""
    with open_project(project) as store:
        sources = store.sources.list()
        if number is None:
            if as_json:
                output.document({"sources": [asdict(source) for source in sources]})
            elif not sources:
                output.line("Nothing was imported yet. Next: claif-tui import FILE")
            else:
                output.table(
                    [
                        (
                            source.id,
                            source.role,
                            source.split,
                            f"{source.rows:,}",
                            f"{source.unique:,}",
                            f"{source.duplicates:,}",
                            f"{source.empty + sum(source.dropped.values()):,}",
                            source.created[:16].replace("T", " "),
                            source.path,
                        )
                        for source in sources
                    ],
                    head=(
                        "no.",
                        "as",
                        "split",
                        "rows",
                        "unique",
                        "duplicates",
                        "dropped",
                        "when (UTC)",
                        "file",
                    ),
                    right=(0, 3, 4, 5, 6),
                )
            return
        found = next((source for source in sources if source.id == number), None)
        if found is None:
            raise InputError(f"there is no import number {number}", "claif-tui sources lists them.")
        issues = store.sources.issues(number, limit=limit, offset=offset)
    if as_json:
        rows = [{"line": line, "reason": reason, "detail": detail} for line, reason, detail in issues]
        output.document({"source": asdict(found), "issues": rows})
        return
    output.line(f"{found.path} ({found.role}, {found.format}, {found.split})")
    for remark in found.notes:
        output.line(f"  {remark}")
    output.table(issues, head=("line", "reason", "detail"), right=(0,))
