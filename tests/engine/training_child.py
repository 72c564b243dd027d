"""``python -m engine train`` to which something happens: ``… training_child WHAT STEP RUN [--resume]``.

WHAT is ``kill`` (SIGKILL), ``term`` (SIGTERM) or ``full`` (no file may grow beyond 50 kB from then on). A state is kept
after every step.
"""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

from engine import __main__ as engine_main
from engine import trainer
from engine.objectives import Batch

ROOT = Path(__file__).resolve().parents[2]


def child(what: str, step: int, run: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    """Run one to its end."""
    command = [sys.executable, "-m", "tests.engine.training_child", what, str(step), str(run), *flags]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def happen(what: str) -> None:
    """Let it happen to this process."""
    if what == "full":
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, resource.RLIM_INFINITY))
    else:
        os.kill(os.getpid(), signal.SIGKILL if what == "kill" else signal.SIGTERM)


def main(what: str, at: int, run: str, *flags: str) -> int:
    trainer.SAVE_SECONDS, trainer.SAVE_SHARE = 0.0, 1e9
    own = trainer.Trainer._step

    def before(self: trainer.Trainer, step: int, batch: Batch) -> None:
        if step == at:
            happen(what)
        own(self, step, batch)

    trainer.Trainer._step = before  # type: ignore[method-assign]
    sys.argv = ["engine", "train", "--run", run, *flags]
    return engine_main.main()


if __name__ == "__main__":
    engine_main.leave(main(sys.argv[1], int(sys.argv[2]), *sys.argv[3:]))
