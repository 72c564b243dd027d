"""Training as a job of Slurm, through submitit: handing a run to the queue, and taking it out again.

How it stands is ``slurm_queue``'s, the job itself ``slurm_job``'s; submitit is loaded in child processes only.
"""

from __future__ import annotations

import importlib.util
import json
import re
import secrets
import shutil
from collections.abc import Sequence
from pathlib import Path

import engine.rundir as rundir
from claif_tui.core import slurm_queue
from claif_tui.core.engine_child import EngineFailure, ask
from claif_tui.core.errors import ClaifError, MissingExtraError, UsageError
from engine.config import TrainConfig

CLUSTER = "slurm"
"""The executor of submitit that takes the job. Its "local" one stands for a cluster where there is none: in tests."""
LEAD_SECONDS = 120
"""How long before its time limit a job is told to save; less where the limit is short."""


class SlurmError(ClaifError):
    """Slurm took a job not as it was asked to."""

    title = "Slurm"
    exit_code = 1


def submit(path: Path, config: TrainConfig, command: Sequence[str]) -> str:
    """Hand a prepared run, or one that is over and goes on, to the queue; returns the job's number. Blocks.

    ``command`` runs it on the node; the job adds ``--resume`` where it is due. Raises ``MissingExtraError`` without
    submitit, ``UsageError`` on a machine without Slurm, ``SlurmError`` with what sbatch says.
    """
    if importlib.util.find_spec("submitit") is None:
        raise MissingExtraError(
            "launcher slurm needs an extra (submitit missing)", "pip install 'claif-tui[slurm]'"
        )
    if shutil.which("sbatch") is None and CLUSTER == "slurm":
        raise UsageError(
            "there is no sbatch on this machine, so it cannot hand jobs to Slurm",
            "Train from a login node of the cluster, or set launcher to local.",
        )
    before = rundir.read_info(path)
    wanted = {
        "run": str(path.absolute()),
        "command": list(command),
        "cluster": slurm_queue.cluster(),
        "executor": CLUSTER,
        "name": f"{re.sub('[^A-Za-z0-9_.-]', '-', path.name)}-{secrets.token_hex(3)}",
        "after": 0 if before is None else before.incarnation,
        "account": config.slurm_account,
        "partition": config.slurm_partition,
        "gpus": config.slurm_gpus,
        "minutes": config.slurm_time,
        "cpus": config.threads,
        "lead": min(LEAD_SECONDS, 15 * config.slurm_time),
        # What sbatch reads ends where the first command begins.
        "setup": sorted(config.slurm_setup, key=lambda line: not line.startswith("#SBATCH")),
    }
    try:
        done = ask("claif_tui.core.slurm_submit", (), given=json.dumps(wanted))
    except EngineFailure as error:
        raise SlurmError(
            f"the job was not taken: {error.message}", error.hint or _hint(error.message)
        ) from error
    finally:
        slurm_queue.forget()
    return str(done["job"])


def _hint(said: str) -> str:
    hints = {
        "generic resource": "Set slurm_gpus to what the partition has; 0 asks for none.",
        "partition": "sinfo lists the partitions (slurm_partition).",
        "account": "Ask for your accounts with sacctmgr show associations, then set slurm_account.",
        "time limit": "Lower slurm_time: a run that needs longer goes on by itself.",
    }
    return next((hint for word, hint in hints.items() if word in said.lower()), "Nothing was submitted.")


def cancel(path: Path, *, force: bool = False) -> bool:
    """Take the newest job of a run out of the queue, or with ``force`` kill it; whether Slurm did so."""
    job = slurm_queue.submitted(path)
    if job is None or slurm_queue.standing(job).place not in ("waits", "runs", "ending"):
        return False
    # Without a state, one that has begun meanwhile would lose what it did since its last checkpoint.
    words = ("--full", "--signal=KILL") if force else ("--state=PENDING",)
    done = slurm_queue.tell("scancel", *words, job.job)
    slurm_queue.forget()
    return not isinstance(done, str) and done[0] == 0
