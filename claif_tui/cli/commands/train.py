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
    "--resume",
    is_flag=True,
    help="Go on with a run that stopped, failed or died: --out, or the newest. --launcher takes it elsewhere.",
)
@click.option("--follow", is_flag=True, help="Show the progress until the run ends.")
@click.option("--dry-run", is_flag=True, help="Only read the data and say what would be done.")
@json_option
@project_option
def command(
    file: Path | None,
    resume: bool,
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
    from claif_tui.core import runs, training

    folder = project_folder(project).absolute()
    options = {name: value for name, value in settings.items() if value not in (None, ())}
    if resume:
        path = _resumed(folder, options, file)
        plan = None
    else:
        config = training.configured(file, options, project=folder)
        place = training.place_for(folder, config)
        plan = training.planned(config)
        _tell(config, plan)
        if dry_run:
            if as_json:
                output.document(_document(plan))
            else:
                output.line(f"{plan.total_steps:,} steps")
            return 0
        path = runs.launch(place, config)
    diagnostics.note(f"{path.name} {_how(path, resume=resume)} in {path}")
    if follow:
        return following.follow(path, as_json=as_json)
    diagnostics.note(f"Follow it: {following.again(path)}   Stop it: claif-tui runs stop {path}")
    if as_json:
        output.document({"run": path.name, "path": str(path), **({} if plan is None else _document(plan))})
    else:
        output.line(str(path))
    return 0


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


def _document(plan: Plan) -> dict[str, object]:
    return {
        "rows": plan.rows,
        "steps_per_epoch": plan.steps_per_epoch,
        "total_steps": plan.total_steps,
        "dev": dict(plan.dev),
        "dropped": dict(plan.dropped),
        "warnings": list(plan.warnings),
    }
