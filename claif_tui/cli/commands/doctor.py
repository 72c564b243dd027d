"""``claif-tui doctor``: is everything here in order?"""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path

import click

from claif_tui.cli import output
from claif_tui.cli.shared import json_option, project_folder, project_option

_MARKS = {"ok": "ok", "note": "note", "problem": "PROBLEM"}


@click.command("doctor")
@json_option
@project_option
def command(as_json: bool, project: Path | None) -> int:
    """Check this installation, the terminal, your settings and (with -P, or here) the project. Changes nothing."""
    from claif_tui.core.doctor import examine

    folder = project_folder(project)
    named = project is not None or "project" in click.get_current_context().meta
    here = named or (folder / "claif.db").exists()
    checks = list(examine(folder if here else None, tty=sys.stderr.isatty()))
    problems = sum(check.state == "problem" for check in checks)
    if as_json:
        output.document({"checks": [asdict(check) for check in checks], "problems": problems})
    else:
        output.table([(check.name, _MARKS[check.state], check.detail) for check in checks])
        for check in checks:
            if check.hint:
                output.line(f"{check.name}: {check.hint}")
    return 1 if problems else 0
