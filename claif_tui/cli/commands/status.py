"""``claif-tui status``: where the project stands."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from claif_tui.cli import output
from claif_tui.cli.shared import json_option, open_project, project_option, spent, usd

if TYPE_CHECKING:
    from claif_tui.core.models import Run
    from claif_tui.core.status import Status


@click.command("status")
@json_option
@project_option
def command(as_json: bool, project: Path | None) -> None:
    """Say where the project stands: planned, answered, failed, decided, spent."""
    from claif_tui.core.session import load_recipe
    from claif_tui.core.status import status

    with open_project(project) as store:
        found = status(store, load_recipe(store.folder))
        seeds = store.seeds.count("train")
    if as_json:
        run = found.active
        shown = (
            None if run is None else {"kind": run.kind, "state": run.state, "pid": run.pid, "host": run.host}
        )
        output.document({**found.to_dict(), "seeds": seeds, "run": shown})
        return
    for name, value in _lines(found, seeds):
        output.line(f"{name:<9} {value}")


def _lines(found: Status, seeds: int) -> list[tuple[str, str]]:
    lines = [
        ("seeds", f"{seeds:,}"),
        ("planned", f"{found.planned:,}"),
        ("answered", f"{found.answered:,} ({found.open:,} open)"),
    ]
    if found.failed:
        lines.append(("failed", ", ".join(f"{count:,} {reason}" for reason, count in found.failed.items())))
    pairs = found.pairs
    lines.append(
        ("pairs", f"{pairs.pending:,} pending, {pairs.accepted:,} accepted, {pairs.rejected:,} rejected")
    )
    cap = "no cap" if found.cap_nano is None else f"cap {usd(found.cap_nano)}"
    held = f", {usd(found.reserved_nano)} reserved" if found.reserved_nano else ""
    lines.append(("spent", f"{spent(found)} ({cap}{held})"))
    if found.active is not None:
        run = found.active
        lines.append(
            ("run", f"{run.kind} is {run.state}: process {run.pid} on {run.host}, since {run.started[:19]}")
        )
    elif found.last_run is not None:
        lines.append(("last run", f"{found.last_run.state}. {found.last_run.message}".strip()))
    lines.append(("next", _next(found, seeds, found.active)))
    return lines


def _next(found: Status, seeds: int, active: Run | None) -> str:
    if active is not None:
        return "wait, or stop it: claif-tui generate --stop"
    if not seeds and not found.pairs.total:
        return "claif-tui import FILE"
    if found.open:
        return "claif-tui generate"
    if found.failed:
        return "claif-tui retry"
    if found.pairs.pending:
        return "claif-tui review list --filter 'status = pending', or review them in the app"
    return "claif-tui export --out FILE"
