"""``claif-tui train``: start a training run, in a process of its own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from claif_tui.cli import diagnostics, following, output
from claif_tui.cli.shared import F, json_option, project_folder, project_option
from claif_tui.core.errors import UsageError
from engine.config import FIELDS, WHERE, Field, parse
from engine.errors import ConfigError

if TYPE_CHECKING:
    from claif_tui.core.overlap import Overlap
    from claif_tui.core.training import Plan
    from engine.config import TrainConfig

_METAVARS = {
    "data": "FILE|SNAPSHOT",
    "dev": "FILE",
    "out": "DIR",
    "model": "NAME|DIR",
    "mask_model": "NAME|DIR",
    "compat": "NAME[,NAME]",
}
_KINDS = {"int": "N", "float": "X"}


class Setting(click.ParamType):  # type: ignore[type-arg]
    """A value of one field of the configuration, read and checked as everywhere else."""

    def __init__(self, field: Field) -> None:
        self.name = field.kind
        self._field = field

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the typed value; fails with what was expected."""
        try:
            return parse(self._field.name, value)
        except ConfigError as error:
            self.fail(f"{error.message}. {error.hint}".strip(), param, ctx)


def setting_options(command: F) -> F:
    """Add an option for every field of the configuration, in its order."""
    for field in reversed(list(FIELDS.values())):
        command = _option(field)(command)
    return command


def _option(field: Field) -> Any:
    flag = f"--{field.name.replace('_', '-')}"
    if field.kind == "bool":
        return click.option(f"{flag}/--no-{flag[2:]}", field.name, default=None, help=f"{field.help}.")
    if field.kind == "choice":
        return click.option(flag, field.name, type=click.Choice(field.choices), help=f"{field.help}.")
    if field.kind == "lines":
        words = f"{field.help}; may be given several times."
        return click.option(flag, field.name, multiple=True, default=None, metavar="LINE", help=words)
    metavar = _METAVARS.get(field.name) or _KINDS.get(field.kind, "TEXT")
    return click.option(flag, field.name, type=Setting(field), metavar=metavar, help=f"{field.help}.")


@click.command("train")
@click.option(
    "--config",
    "file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Settings as TOML, or the config.json of a run; options go before them.",
)
@setting_options
@click.option(
    "--check-overlap",
    metavar="DIR|no",
    help="Compare the training sentences with the evaluation sets in DIR and warn; no leaves it out.  "
    "[default: the setting evaluation_data, or the folder of the last evaluation]",
)
@click.option(
    "--remove-overlap",
    metavar="exact|near[:TASK,…]",
    help="Train on a snapshot without the rows of which a sentence stands in a test set: the same, or nearly too.",
)
@click.option(
    "--resume",
    is_flag=True,
    help="Go on with a run that stopped, failed or died: --out, or the newest. --launcher takes it elsewhere.",
)
@click.option(
    "--lr-grid",
    metavar="X,X,…",
    help="Train at each of these learning rates, one run after the other, and say which has the best dev score.",
)
@click.option("--follow", is_flag=True, help="Show the progress until the run ends.")
@click.option("--dry-run", is_flag=True, help="Only read the data and say what would be done.")
@json_option
@project_option
def command(
    file: Path | None,
    check_overlap: str | None,
    remove_overlap: str | None,
    resume: bool,
    lr_grid: str | None,
    follow: bool,
    dry_run: bool,
    as_json: bool,
    project: Path | None,
    **settings: Any,
) -> int:
    """Train a model on a snapshot or a file, in a process that outlives this one.

    --system chooses the settings that a paper or official script gives; every other option changes one of them. The
    run goes to runs/ of the project, or to --out, which needs no project.
    """
    from claif_tui.cli import overlap
    from claif_tui.core import runs, training

    folder = project_folder(project).absolute()
    options = {name: value for name, value in settings.items() if value not in (None, ())}
    if resume:
        words = {"check_overlap": check_overlap, "remove_overlap": remove_overlap, "lr_grid": lr_grid}
        path = _resumed(folder, options | {name: word for name, word in words.items() if word}, file)
        plan = found = None
    else:
        grid = _grid(lr_grid, options)
        config = training.configured(file, options, project=folder)
        if grid and config.out:
            raise UsageError("--lr-grid does not go with --out", "The runs of a grid go to runs/ of a project.")
        place = training.place_for(folder, config)
        if remove_overlap:
            config = overlap.cleaned(folder, config, check_overlap, remove_overlap)
        plan = training.planned(config)
        _tell(config, plan)
        found = overlap.checked(folder, config, check_overlap)
        if dry_run:
            if as_json:
                output.document(_document(plan, found))
            else:
                output.line(f"{plan.total_steps:,} steps")
            return 0

        def launched(path: Path) -> None:
            if found is not None:
                overlap.noted(path, found)

        if grid:
            from claif_tui.cli.lr_grid import train

            return train(place, config, plan, grid, launched, as_json=as_json)
        path = runs.launch(place, config)
        launched(path)
    diagnostics.note(f"{path.name} {_how(path, resume=resume)} in {path}")
    if follow:
        return following.follow(path, as_json=as_json)
    diagnostics.note(f"Follow it: {following.again(path)}   Stop it: claif-tui runs stop {path}")
    if as_json:
        output.document(
            {"run": path.name, "path": str(path), **({} if plan is None else _document(plan, found))}
        )
    else:
        output.line(str(path))
    return 0


def _grid(words: str | None, options: dict[str, Any]) -> list[float]:
    """The rates of a grid; none where none was asked for."""
    if words is None:
        return []
    if "lr" in options:
        raise UsageError("--lr does not go with --lr-grid", "The grid names every rate.")
    from claif_tui.core.lr_grid import rates

    return rates(words)


def _how(path: Path, *, resume: bool) -> str:
    from claif_tui.core import slurm_queue

    job = slurm_queue.submitted(path)
    if job is not None and slurm_queue.condition(path).state == "waiting":
        return f"waits in the queue of Slurm as job {job.job}"
    return "goes on" if resume else "runs"


def _resumed(folder: Path, options: dict[str, Any], file: Path | None) -> Path:
    from claif_tui.core import runs, training

    where = {name: value for name, value in options.items() if name in WHERE}
    given = sorted(options.keys() - {"out"} - where.keys())
    if file is not None or given:
        name = "--config" if file is not None else f"--{given[0].replace('_', '-')}"
        raise UsageError(
            f"{name} does not go with --resume",
            "A run goes on with the settings it began with; --out names it.",
        )
    path = following.locate(folder, options["out"]) if "out" in options else training.resumable(folder)
    runs.resume_at(path, where=where)
    return path


def _tell(config: TrainConfig, plan: Plan) -> None:
    for remark in plan.remarks:
        diagnostics.note(remark)
    for warning in plan.warnings:
        diagnostics.warn(warning)
    if plan.dropped:
        reasons = ", ".join(f"{reason}: {count:,}" for reason, count in plan.dropped.items())
        diagnostics.warn(f"rows left out of the data: {reasons}")
    dev = ", ".join(f"{name} ({pairs:,} pairs)" for name, pairs in plan.dev.items())
    diagnostics.note(
        f"{config.system} from {config.model}: {plan.rows:,} rows, {plan.total_steps:,} steps "
        f"({config.epochs:,} x {plan.steps_per_epoch:,}); selected on {dev}"
    )


def _document(plan: Plan, found: Overlap | None) -> dict[str, object]:
    from claif_tui.cli.overlap import summary

    return {
        "rows": plan.rows,
        "steps_per_epoch": plan.steps_per_epoch,
        "total_steps": plan.total_steps,
        "dev": dict(plan.dev),
        "dropped": dict(plan.dropped),
        "warnings": list(plan.warnings),
        "overlap": summary(found),
    }
