"""`python -m engine.torchrun --run DIR [--resume]`: torchrun, told to start the processes of one run on this machine.

It is torch's own launcher with two changes. Its processes meet at a file: `--standalone` opens a port on every network
interface, where whoever reaches it could take part. And its report of a failure, a page with a traceback, is left out:
the run's events say what happened.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from pathlib import Path

from engine import rundir
from engine.config import TrainConfig
from engine.errors import ConfigError, EngineError


def main() -> int:
    """Start the processes and wait for them; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m engine.torchrun")
    parser.add_argument("--run", type=Path, required=True, help="the run directory, with its config.json")
    parser.add_argument("--resume", action="store_true", help="go on where the run stopped, failed or died")
    args = parser.parse_args()
    try:
        config = rundir.read_config(args.run)
        number = processes(config)
    except EngineError as error:
        sys.stderr.write(f"{error.line}\n")
        return error.exit_code
    return launch(number, ["engine", "train", "--run", str(args.run), *(["--resume"] if args.resume else [])])


def processes(config: TrainConfig) -> int:
    """How many there are to be; ``ConfigError`` where that depends on GPUs and there is none."""
    if config.processes:
        return config.processes
    import torch

    if not torch.cuda.is_available():
        raise ConfigError(
            "processes is 0, one for each visible GPU, but there is none here",
            "Set processes to 2 or more to compute on the CPU, or launcher to local.",
        )
    return int(torch.cuda.device_count())


def launch(number: int, words: list[str]) -> int:
    """Start ``number`` processes ``python -m WORDS… --group FILE`` and wait for them; returns the exit code."""
    import logging

    from torch.distributed import run as torchrun
    from torch.distributed.elastic.multiprocessing import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    # Of this user alone, and on this machine: not every network file system can lock.
    place = Path(tempfile.mkdtemp(prefix="claif-processes-"))
    os.environ["TORCH_DISABLE_SHARE_RDZV_TCP_STORE"] = "1"
    # What lies in the user's folder is not ours.
    os.environ["PYTHONSAFEPATH"] = "1"
    # Unset, torchrun would say so and take 1.
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, _cores() // number)))
    options = ["--nnodes", "1", "--nproc-per-node", str(number), "--rdzv-backend", "c10d"]
    options += ["--rdzv-conf", "store_type=file", "--rdzv-endpoint", str(place / "torchrun"), "--module", "--"]
    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)
    try:
        torchrun.run(torchrun.parse_args([*options, *words, "--group", str(place / "group")]))
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        if failure.exitcode < 0:
            sys.stderr.write(f"process {rank + 1} of {number} was ended by signal {-failure.exitcode}\n")
        return max(1, int(failure.exitcode))
    except SignalException as error:
        return 128 + int(error.sigval)
    finally:
        shutil.rmtree(place, ignore_errors=True)
    return 0


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


if __name__ == "__main__":
    from engine.__main__ import leave

    leave(main())
