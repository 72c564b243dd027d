"""``claif-tui runs``: the training runs of a project."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from claif_tui.cli import following, output
from claif_tui.cli.shared import json_option, project_folder, project_option
from claif_tui.core.errors import UsageError

if TYPE_CHECKING:
    from claif_tui.core.runs import RunDetail, RunRow


@click.group("runs")
def command() -> None:
    """List, show, follow, stop and bring in training runs."""


@command.command("list")
@json_option
@project_option
def list_(as_json: bool, project: Path | None) -> None:
    """List the project's runs, the newest first."""
    from claif_tui.core.runs import list_runs

    rows = list_runs(project_folder(project).absolute())
    if as_json:
        output.document({"runs": [following.document(row) for row in rows]})
    elif not rows:
        output.line("No runs yet. Start one: claif-tui train --data SNAPSHOT")
    else:
        lines = [
            (
                f"{row.name} (demo)" if row.demo else row.name,
                row.state,
                _steps(row),
                _best(row),
                _time(row.begun),
                row.model,
                row.why,
            )
            for row in rows
        ]
        head = ("name", "state", "steps", "best dev", "begun", "model", "known by")
        output.table(lines, head=head, right=(2, 3))


@command.command("show")
@click.argument("name", metavar="NAME|DIR")
@click.option("--follow", is_flag=True, help="Show its progress until it ends.")
@json_option
@project_option
def show(name: str, follow: bool, as_json: bool, project: Path | None) -> int:
    """Show one run: its state, settings, scores, and the end of what it said.

    With --follow the progress is shown until the run ends; Ctrl-C ends the following, not the run.
    """
    from claif_tui.core.runs import show_at

    path = following.locate(project_folder(project), name)
    detail = show_at(path)
    if follow:
        return following.follow(path, as_json=as_json)
    if as_json:
        output.document(_document(detail))
    else:
        _describe(detail)
    return 0


@command.command("import")
@click.argument("source", type=click.Path(path_type=Path), metavar="DIR|TAR")
@click.option("--name", default="", help="Its name in the project.  [default: the folder's]")
@click.option("--no-models", is_flag=True, help="Leave its checkpoints out: curves, metrics and settings only.")
@json_option
@project_option
def import_(source: Path, name: str, no_models: bool, as_json: bool, project: Path | None) -> None:
    """Copy a run directory, or a tar archive of one, into the project: from a cluster for instance."""
    from claif_tui.core.run_import import import_run

    folder = project_folder(project)
    done = import_run(folder, source, name, models=not no_models)
    if as_json:
        output.document({"name": done.name, "path": str(done.path), "state": done.state, "models": done.models})
    else:
        models = "" if done.models else ", without its models"
        output.line(f"the project has the run {done.name} now{models}: {done.state} ({done.why})")


@command.command("stop")
@click.argument("name", metavar="NAME|DIR")
@click.option("--force", is_flag=True, help="Kill it: what came after the last checkpoint is lost.")
@click.option("--gone", is_flag=True, help="You know that an unknown run is gone: it may be resumed then.")
@json_option
@project_option
def stop(name: str, force: bool, gone: bool, as_json: bool, project: Path | None) -> None:
    """Ask a run to save and end, on whatever host it is; a job that waits leaves the queue."""
    from claif_tui.core.runs import declare_gone, stop_at

    path = following.locate(project_folder(project), name)
    if gone:
        if force:
            raise UsageError("--force and --gone do not go together", "A run that is gone cannot be killed.")
        declare_gone(path)
        if as_json:
            output.document({"name": path.name, "path": str(path), "stop": "gone"})
        else:
            output.line(
                f"{path.name} is dead by your word. Go on with it: claif-tui train --resume --out {path}"
            )
        return
    done = stop_at(path, force=force)
    if as_json:
        output.document({"name": path.name, "path": str(path), "stop": done})
        return
    said = {
        "signalled": "was killed" if force else "was told to save and end",
        "asked": "will find the wish to end beside its files, wherever it runs",
        "cancelled": "was killed by Slurm" if force else "left the queue of Slurm",
        "over": "is over already: there was nothing to stop",
    }
    output.line(f"{path.name} {said[done]}")


def _document(detail: RunDetail) -> dict[str, object]:
    from engine.config import to_mapping

    progress = detail.progress
    return {
        **following.document(detail.row),
        "metrics": detail.metrics,
        "device": progress.device,
        "rows": progress.rows,
        "loss": progress.losses[-1][1] if progress.losses else None,
        "scores": [{"step": one.step, "dev": one.dev, "best": one.best} for one in progress.scores],
        "warnings": _warnings(detail),
        "message": progress.message,
        "config": to_mapping(detail.config),
        "log": detail.log,
    }


def _warnings(detail: RunDetail) -> list[str]:
    """What the run told, and what of its sentences stands in evaluation sets."""
    from claif_tui.core.overlap import noted, warnings

    found = noted(detail.row.path)
    return [*detail.progress.warnings, *([] if found is None else warnings(found))]


def _describe(detail: RunDetail) -> None:
    from claif_tui.core.runs import LIVE, RESUMABLE

    row, progress, config = detail.row, detail.progress, detail.config
    facts = [
        ("run", row.name),
        ("path", row.path),
        ("state", f"{row.state} ({row.why})"),
        ("begun", f"{_time(row.begun)} on {row.host}") if row.host else ("submitted", _time(row.begun)),
        *([("job", f"{row.job} of Slurm")] if row.job else []),
        ("system", row.system),
        ("model", row.model),
        ("data", f"{config.data}, {progress.rows:,} rows"),
        *([("snapshot", row.snapshot)] if row.snapshot else []),
        ("device", ", ".join(filter(None, (progress.device, config.precision)))),
        ("steps", _steps(row)),
        ("best dev", _best(row) or "none yet"),
        *([("demo", "its data were made with the offline model: it is not compared")] if row.demo else []),
    ]
    if progress.losses and progress.losses[-1][1] is not None:
        facts.append(("loss", f"{progress.losses[-1][1]:.4f}"))
    output.table(facts)
    for warning in _warnings(detail):
        output.line(f"warning: {warning}")
    if progress.message:
        output.line(progress.message)
    for line in detail.log.splitlines()[-10:]:
        output.line(f"  {line}")
    if row.state in RESUMABLE:
        output.line(f"Go on with it: claif-tui train --resume --out {row.path}")
    elif row.state in LIVE:
        output.line(f"Follow it: {following.again(row.path)}")
    elif row.state == "unknown" and row.begun:
        output.line(f"If you know that it is gone: claif-tui runs stop --gone {row.path}")


def _steps(row: RunRow) -> str:
    return f"{row.step:,}/{row.total:,}" if row.total else ""


def _best(row: RunRow) -> str:
    if row.best_step is None or row.best_dev is None:
        return ""
    return f"{row.best_dev:.2f} at {row.best_step:,}"


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(" ", "minutes")[:16] if seconds else ""
