"""Stands for ``python -m engine train``: a run without a model. What it does is told by the seed of its settings."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from engine import rundir
from engine.rundir import Run

REFUSES, SILENT, FINISHES, WAITS, FAILS, PREEMPTED = range(6)


def go_on(run: Run, first: int, last: int, *, better: bool = False) -> None:
    """Tell two steps at a time, and a score."""
    dev = 70.0 + last + better
    run.events.write(
        "started",
        config="c",
        device="cpu",
        rows=64,
        steps_per_epoch=10,
        total_steps=10,
        from_step=first - 1,
    )
    for step in range(first + 1, last + 1, 2):
        run.events.write("step", step=step, losses=[1 / (step - 1), 1 / step], lr=1e-5, rows_per_second=99.0)
    run.events.write("eval", step=last, dev=dev, best=True)
    run.write_metrics({"best": {"step": last, "dev": dev}})


def main(path: Path, resume: bool) -> int:
    """Run; returns the exit code."""
    config = rundir.read_config(path)
    if config.seed in (REFUSES, SILENT):
        if config.seed == REFUSES:
            sys.stderr.write("looking at the data\nd.jsonl: line 7: no score\n")
        return 2
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    run = rundir.claim(path, config, config.launcher, resume=resume)
    run.describe(keys=[name for name in os.environ if name.endswith("_API_KEY")], cwd=str(Path.cwd()))
    sys.stderr.write(f"turn {run.info.incarnation}\n")
    sys.stderr.flush()
    go_on(run, 5 if resume else 1, 10 if resume else 6, better=config.lr > 2e-5)
    if config.seed == FAILS:
        run.events.write("failed", type="ValueError", message="a loss is not a number", hint="Lower lr.")
        return 1
    if config.seed == PREEMPTED and not resume:
        os.kill(os.getppid(), signal.SIGUSR2)  # the job that this process belongs to
    if config.seed in (WAITS, PREEMPTED) and not resume:
        signal.sigwait({signal.SIGTERM})
        run.events.write("stopped", step=6)
        return 0
    run.events.write("finished", step=10)
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[sys.argv.index("--run") + 1]), "--resume" in sys.argv))
