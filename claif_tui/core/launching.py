"""How a training run is started: from its settings and its directory to the command of a process. It starts nothing.

Each launcher of ``engine.config`` has its words here; whoever follows a run need not know how it came to be.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

from engine.config import TrainConfig

PYTHON = (sys.executable, "-P", "-m")
"""-P: what lies in the user's folder is not ours."""
TRAIN = (*PYTHON, "engine", "train")
"""Followed by ``--run DIR`` and, for a resumed run, ``--resume``."""
TORCHRUN = (*PYTHON, "engine.torchrun")
"""The same for several processes."""

START_SECONDS = 60.0
"""How long a new process may take to claim its directory, which it does before it loads anything large."""
TORCHRUN_SECONDS = 180.0
"""The same behind torchrun, which loads torch first: from a network file system that takes a while."""


def settled(config: TrainConfig) -> TrainConfig:
    """Return the settings with a process for each GPU that Slurm is asked for, where their number was left open."""
    if config.launcher == "slurm" and not config.processes and config.slurm_gpus > 1:
        return replace(config, processes=config.slurm_gpus)
    return config


def command(config: TrainConfig, path: Path, *, resume: bool) -> list[str]:
    """Return the command that trains in the run directory ``path``."""
    words = TORCHRUN if _several(config) else TRAIN
    return [*words, "--run", str(path.absolute()), *(["--resume"] if resume else [])]


def patience(config: TrainConfig) -> float:
    """Return how many seconds the run may take to claim its directory."""
    return TORCHRUN_SECONDS if _several(config) else START_SECONDS


def _several(config: TrainConfig) -> bool:
    return config.launcher == "torchrun" or config.processes > 1
