"""Run directories as the engine writes them, for the tests of Train and Evaluate."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from engine import rundir
from engine.config import preset
from engine.rundir import Run

START = 1_700_000_000.0
"""When the made runs began, in seconds since 1970."""


def loss_at(step: int, seed: int = 0) -> float:
    """A loss that falls and trembles."""
    return 0.02 + 0.2 * math.exp(-step / 60) + 0.01 * math.sin(step * 1.7 + seed)


def claim(project: Path, name: str, *, system: str = "claif", model: str = "minilm:3", **more: Any) -> Run:
    """Take a run directory for this process, which so is the one that trains."""
    path = project / "runs" / name
    return rundir.claim(path, preset(system, model=model, data="d.jsonl", **more))


def started(run: Run, total: int = 400, *, from_step: int = 0) -> None:
    """Tell the start of a run of two epochs."""
    run.events.write(
        "started",
        config="c",
        device="cpu, 2 threads",
        rows=total * 16,
        steps_per_epoch=total // 2,
        total_steps=total,
        from_step=from_step,
    )


def steps(run: Run, first: int, last: int, *, seed: int = 0, told: int = 5, total: int = 400) -> None:
    """Tell the losses of some steps, ``told`` at a time."""
    for step in range(first + told - 1, last + 1, told):
        losses = [loss_at(one, seed) for one in range(step - told + 1, step + 1)]
        run.events.write(
            "step", step=step, losses=losses, lr=2e-5 * (1 - step / total), grad_norm=0.9, rows_per_second=320.0
        )


def score(run: Run, step: int, dev: float | None, *, best: bool = True) -> None:
    """Tell a dev score."""
    run.events.write("eval", step=step, dev=dev, best=best)
    if best:
        run.events.write("checkpoint", step=step, name="best")
        run.write_metrics({"best": {"step": step, "dev": dev}})


def whole(
    project: Path, name: str, *, last: int = 400, seed: int = 0, end: str = "finished", **more: Any
) -> Path:
    """Make a run with curves; ``end`` "" leaves it running in this process."""
    run = claim(project, name, **more)
    started(run)
    for at in range(50, last + 1, 50):
        steps(run, at - 49, at, seed=seed)
        score(run, at, 60 + 17 * (1 - math.exp(-at / 120)) + seed, best=at <= 350)
    if end == "failed":
        run.events.write("failed", type="RunError", message="the loss at step 401 is nan", hint="Lower lr.")
    elif end:
        run.events.write("finished" if end == "finished" else "stopped", step=last)
    run.events.close()
    return run.path


def at_fixed_times(path: Path, start: float = START) -> None:
    """Give the beginning of a run and its events the same times on every day, a second apart."""
    file = path / rundir.EVENTS
    events = [json.loads(line) for line in file.read_text().splitlines()]
    for number, event in enumerate(events):
        event["t"] = start + number
    file.write_text("".join(json.dumps(event) + "\n" for event in events))
    info = json.loads((path / rundir.RUN).read_text())
    info["claimed"] = start
    (path / rundir.RUN).write_text(json.dumps(info))
