"""The training runs of a project: listing, showing, starting, resuming and stopping them. No torch, no UI.

A run is a process of its own and a run directory below ``runs/``; whoever started it may go.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import engine.rundir as rundir
from claif_tui.core import launching, slurm, slurm_queue
from claif_tui.core.engine_child import environment
from claif_tui.core.errors import ClaifError, InputError, UsageError
from claif_tui.core.provenance import is_demo
from claif_tui.core.run_progress import Follower as Follower
from claif_tui.core.run_progress import Progress as Progress
from claif_tui.core.run_progress import Score as Score
from engine.config import DEFAULTS, FIELDS, WHERE, TrainConfig, from_mapping, resolved, to_mapping
from engine.errors import EngineError, RunError, nearest
from engine.events import Event, ends_of
from engine.rundir import RunInfo, State, Stop

FOLDER = "runs"
END_SECONDS = 10.0
"""How long a process that did not begin may take to end what it started itself."""

NOWHERE_ELSE: Mapping[str, object] = {}
LIVE: frozenset[State] = frozenset({"waiting", "running", "stopping"})
"""States in which something is still to come without anybody's doing."""
RESUMABLE: frozenset[State] = frozenset({"stopped", "failed", "dead"})
Stopped = Stop | Literal["cancelled"]

_LOG_TAIL = 8192


class EngineProblem(ClaifError):
    """An error of the engine, told as one of the application."""

    def __init__(self, error: EngineError) -> None:
        super().__init__(error.message, error.hint)
        self.title = error.title
        self.exit_code = error.exit_code


@dataclass(frozen=True, slots=True)
class RunRow:
    """One run in a list. ``step`` of ``total`` steps; ``best_dev`` x100 at ``best_step``; times are seconds since 1970.

    ``why`` says in a few words how ``state`` is known. What a broken directory cannot tell is empty, None or 0.
    """

    name: str
    path: Path
    state: State
    why: str
    system: str = ""
    model: str = ""
    step: int = 0
    total: int = 0
    best_step: int | None = None
    best_dev: float | None = None
    begun: float = 0.0
    told: float | None = None
    host: str = ""
    launcher: str = ""
    job: str = ""
    snapshot: str = ""
    demo: bool = False
    """Its data are known to hold answers of the offline model."""


@dataclass(frozen=True, slots=True)
class RunDetail:
    """Everything about one run: its row, settings, owner, metrics, curves, and the end of what its process said."""

    row: RunRow
    config: TrainConfig
    info: RunInfo | None
    metrics: dict[str, Any]
    progress: Progress
    log: str


@contextlib.contextmanager
def told() -> Iterator[None]:
    """Let errors of the engine come out as the application's."""
    try:
        yield
    except EngineError as error:
        raise EngineProblem(error) from error


def list_runs(project: Path) -> list[RunRow]:
    """Return the runs of a project, the newest first; one whose files are damaged is listed, and says so."""
    folder = project / FOLDER
    try:
        names = [entry.name for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith(".")]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise InputError(f"{folder} cannot be read: {error.strerror}", "Check the permissions.") from error
    return sorted((row_of(folder / name) for name in names), key=lambda row: (-row.begun, row.name))


def find(project: Path, name: str) -> Path:
    """Return the directory of a run; ``UsageError`` names the nearest one if there is none of that name."""
    path = project / FOLDER / name
    if name in ("", ".", "..") or "/" in name or not path.is_dir():
        known = [row.name for row in list_runs(project)]
        raise UsageError(
            f"there is no run {name!r} in {project}", nearest(name, known) if known else "It has no runs yet."
        )
    return path


def show(project: Path, name: str) -> RunDetail:
    """Return everything about one run. Reads all its events: minutes of a long run take a moment."""
    return show_at(find(project, name))


def show_at(path: Path) -> RunDetail:
    """The same for a run directory that need not lie in a project."""
    with told():
        follower = Follower(path)
        follower.poll()
        return RunDetail(
            row=row_of(path),
            config=rundir.read_config(path),
            info=rundir.read_info(path),
            metrics=rundir.read_metrics(path),
            progress=follower.progress,
            log=log_tail(path),
        )


def follow(project: Path, name: str) -> Follower:
    """Return a reader of the run's events; it begins with the first."""
    return Follower(find(project, name))


def launch(project: Path, config: TrainConfig, *, base: Path | None = None) -> Path:
    """Start training in a process of its own and return the run directory once the process has it.

    Relative paths in ``config`` count from ``base`` (default: where this process stands). Without ``out`` the
    run gets the next free name of its system below ``runs/``. Blocks for about a second; ``ClaifError`` says why
    nothing started.
    """
    with told():
        config = resolved(config, base or Path.cwd())
        if not config.data:
            raise UsageError("there is no training data: data is empty", "Name a snapshot or a file (--data).")
        path, config = _prepared(project, launching.settled(config))
        try:
            if config.launcher == "slurm":
                slurm.submit(path, config, launching.command(config, path, resume=False))
            else:
                _start(project, path, after=0)
        except (EngineError, ClaifError):
            if rundir.read_info(path) is None:
                _remove_prepared(path)
            raise
    return path


def resume(project: Path, name: str) -> None:
    """Go on with a run that stopped, failed or died; returns once its process has the directory, or its job waits."""
    resume_at(find(project, name), project)


def resume_at(path: Path, project: Path | None = None, *, where: Mapping[str, object] = NOWHERE_ELSE) -> None:
    """The same for a run directory that need not lie in a project; ``where`` changes settings of where it runs."""
    with told():
        how = slurm_queue.condition(path)
        if how.state == "waiting":
            raise UsageError(
                f"{path.name} cannot be resumed: {how.why}", "It begins by itself; or stop it first."
            )
        config, before = rundir.read_config(path), rundir.read_info(path)
        unsure = config.launcher == "slurm" or (before is not None and how.state == "unknown")
        if how.state not in RESUMABLE and unsure:
            raise RunError(f"{path.name} cannot be resumed: {how.state} ({how.why})", _not_yet(how.state, path))
        if where and how.state in RESUMABLE:
            config = relaunched(config, where)
            rundir.reconfigure(path, config)
        rundir.forget_stop(path)
        if before is not None and how.state in RESUMABLE and rundir.liveness(path) not in RESUMABLE:
            rundir.declare_gone(path, how.why)
        if config.launcher != "slurm":
            _start(project or path.parent, path, after=0 if before is None else before.incarnation)
        else:
            slurm.submit(path, config, launching.command(config, path, resume=False))


def _not_yet(state: State, path: Path) -> str:
    if state == "unknown":
        return (
            "A run that may be alive is never taken over. If you know that it is gone: "
            f"claif-tui runs stop --gone {path}"
        )
    return "Start a new run for other settings." if state == "finished" else "Stop it first, or follow it."


def relaunched(config: TrainConfig, where: Mapping[str, object]) -> TrainConfig:
    """Return the settings with others of where the run goes; what the new launcher does not use is left out."""
    launcher = where.get("launcher", config.launcher)
    kept = {name: DEFAULTS[name] for name in WHERE if launcher not in (FIELDS[name].launchers or (launcher,))}
    return from_mapping({**to_mapping(config), **kept, **where})


def stop(project: Path, name: str, *, force: bool = False) -> Stopped:
    """Ask a run to save and end (``force``: kill it); returns what could be done."""
    return stop_at(find(project, name), force=force)


def stop_at(path: Path, *, force: bool = False) -> Stopped:
    """The same for a run directory that need not lie in a project.

    "cancelled": its job was taken out of the queue (``force``: killed by Slurm); the others as in ``engine.rundir``.
    """
    with told():
        how = slurm_queue.condition(path)
        if how.state == "waiting" or (force and slurm_queue.submitted(path) and not rundir.lives_here(path)):
            rundir.wish(path)  # first: a job that begins this moment finds it
            if not slurm.cancel(path, force=force):
                return "asked"
            if (
                how.state == "waiting"
                and slurm_queue.condition(path).state == "dead"
                and rundir.read_info(path)
            ):
                # It was put back without time for a word, and nobody is left to say that it is over.
                why = "its job was taken out of the queue"
                rundir.tell_after(path, "stopped", step=row_of(path).step, message=why)
            return "cancelled"
        if how.state in RESUMABLE:
            return "over"
        return rundir.request_stop(path, force=force)


def declare_gone(path: Path) -> None:
    """Take the user's word that a run of unknown state is gone: it is dead from then on, and may be resumed."""
    with told():
        how = slurm_queue.condition(path)
        if how.state != "unknown":
            raise UsageError(
                f"{path.name} is {how.state} ({how.why}): --gone is for a run of which nothing is known",
                "Go on with it: claif-tui train --resume"
                if how.state in RESUMABLE
                else "Stop it without --gone.",
            )
        if rundir.read_info(path) is None:
            raise UsageError(f"{path.name} never began ({how.why})", "Delete its folder and start it anew.")
        rundir.declare_gone(path, "its user says that it is gone")


def log_tail(path: Path) -> str:
    """Return the end of what the run's process wrote on stderr, whole lines; nothing if there is none."""
    try:
        with (path / rundir.LOG).open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _LOG_TAIL))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return ""
    return text if size <= _LOG_TAIL else text.partition("\n")[2]


# Rows


def row_of(path: Path) -> RunRow:
    """Return the line of one run directory, whatever state it is in."""
    how = slurm_queue.condition(path)
    row = RunRow(path.name, path, how.state, how.why)
    # Each part that reads adds what it tells; the state already says what does not.
    for add in (_with_config, _with_info, _with_metrics, _with_events):
        with contextlib.suppress(EngineError):
            row = add(row)
    return row


def _with_config(row: RunRow) -> RunRow:
    config = rundir.read_config(row.path)
    return replace(row, system=config.system, model=config.model)


def _with_info(row: RunRow) -> RunRow:
    info = rundir.read_info(row.path)
    if info is not None:
        data = info.facts.get("data")
        snapshot = str(data.get("snapshot") or "") if isinstance(data, dict) else ""
        row = replace(
            row, begun=info.claimed, host=info.host, launcher=info.launcher, job=info.job, snapshot=snapshot
        )
        with contextlib.suppress(EngineError):  # of a run that it began from, which may be broken
            row = replace(row, demo=is_demo(row.path, info.facts))
    job = slurm_queue.submitted(row.path)
    if job is None:
        return row
    return replace(row, begun=row.begun or job.submitted, launcher="slurm", job=job.job)


def _with_metrics(row: RunRow) -> RunRow:
    best = rundir.read_metrics(row.path).get("best")
    if not isinstance(best, dict):
        return row
    step, dev = best.get("step"), best.get("dev")
    return replace(
        row,
        best_step=step if isinstance(step, int) else None,
        best_dev=float(dev) if isinstance(dev, int | float) else None,
    )


def _with_events(row: RunRow) -> RunRow:
    events = ends_of(row.path / rundir.EVENTS)
    steps = [event["step"] for event in events if isinstance(event.get("step"), int)]
    totals = [event["total_steps"] for event in events if isinstance(event.get("total_steps"), int)]
    times = [event["t"] for event in events if isinstance(event.get("t"), int | float)]
    return replace(
        row,
        step=steps[-1] if steps else 0,
        total=totals[-1] if totals else 0,
        told=times[-1] if times else None,
        why=(_last_words(events[-1]) if events and events[-1]["kind"] == row.state else "") or row.why,
    )


def _last_words(event: Event) -> str:
    return str(event.get("message") or "")


# Starting


def _prepared(project: Path, config: TrainConfig) -> tuple[Path, TrainConfig]:
    """Make the directory for a new run; returns it and the settings that name it."""
    if config.out:
        path = Path(config.out)
        rundir.prepare(path, config)
        return path, config
    number = 1
    while True:
        path = (project / FOLDER / f"{config.system}-{number}").absolute()
        named = replace(config, out=str(path))
        try:
            rundir.prepare(path, named)
        except RunError:
            if not path.exists():
                raise
            number += 1
        else:
            return path, named


def _start(project: Path, path: Path, *, after: int) -> None:
    """Start the process and wait until it has claimed the directory for a turn later than ``after``."""
    config = rundir.read_config(path)
    patience = launching.patience(config)
    log_before = _size(path / rundir.LOG)
    try:
        with (path / rundir.LOG).open("ab") as log:
            child = subprocess.Popen(
                launching.command(config, path, resume=bool(after)),
                cwd=project,
                env=environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                start_new_session=True,
            )
    except OSError as error:
        raise RunError(f"training cannot be started: {error.strerror}", f"Check {path}.") from error
    # Nobody waits for a training run; but once it has ended, its number is to be given back.
    threading.Thread(target=child.wait, daemon=True).start()
    end = time.monotonic() + patience
    while not _claimed(path, after):
        if child.poll() is not None:
            if _claimed(path, after):  # it may have ended right after
                return
            raise _failed(path, child.returncode, log_before)
        if time.monotonic() > end:
            _give_up(child)
            raise RunError(
                f"the training process did not begin within {patience:.0f} s and was ended",
                "The machine may be too busy: try again.",
            )
        time.sleep(0.02)


def _give_up(child: subprocess.Popen[bytes]) -> None:
    child.terminate()
    try:
        child.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()


def _claimed(path: Path, after: int) -> bool:
    info = rundir.read_info(path)
    return info is not None and info.incarnation > after


def _failed(path: Path, code: int, log_before: int) -> RunError:
    try:
        with (path / rundir.LOG).open("rb") as file:
            file.seek(log_before)
            said = file.read().decode("utf-8", "replace").strip()
    except OSError:
        said = ""
    last = said.rpartition("\n")[2] or "it said nothing"
    return RunError(
        f"training ended at once with code {code}: {last[:500]}", said[-2000:] if "\n" in said else ""
    )


def _remove_prepared(path: Path) -> None:
    """Take back what ``_prepared`` made: only files that were made for a run which never was."""
    with contextlib.suppress(OSError):
        (path / rundir.LOG).unlink(missing_ok=True)
        (path / rundir.CONFIG).unlink(missing_ok=True)
        shutil.rmtree(path / rundir.SLURM, ignore_errors=True)
        path.rmdir()


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
