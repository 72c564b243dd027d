"""``python -m claif_tui.core.slurm_submit``: hands one job to Slurm and answers with its number, JSON in and out.

A process of its own, so that the job inherits an environment without keys, and submitit stays out of the app.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import engine.rundir as rundir
from claif_tui.core.atomic import replacing
from claif_tui.core.slurm_job import TrainingJob
from claif_tui.core.slurm_queue import JOB

MANY_TIMEOUTS = 1000
"""How often a run may reach its time limit; a turn that got nowhere ends it (``slurm_job``)."""


def main() -> int:
    """Read what is wanted from stdin, submit it; returns the exit code."""
    wanted = json.load(sys.stdin)
    # What the executor starts must not hold the pipe that the answer is awaited on.
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    folder = Path(wanted["run"]) / rundir.SLURM
    try:
        folder.mkdir(exist_ok=True)
        os.chdir(folder)  # the job begins there: nothing of the user's shadows a module
        job = submit(folder, wanted)
        found = {name: wanted[name] for name in ("name", "cluster", "after")}
        with replacing(folder / JOB) as file:
            file.write(json.dumps({"job": job, "submitted": time.time(), **found}, indent=2).encode())
    except Exception as error:  # noqa: BLE001 - submitit raises what it likes; one line says what it was
        said = " ".join(line.removeprefix("sbatch: error: ").strip() for line in str(error).splitlines())
        sys.stderr.write(f"{said or type(error).__name__}\n")
        return 1
    json.dump({"job": job}, answer)
    answer.close()
    return 0


def submit(folder: Path, wanted: dict[str, Any]) -> str:
    """Hand over the job; returns its number."""
    import submitit

    executor = submitit.AutoExecutor(folder, cluster=wanted["executor"], slurm_max_num_timeout=MANY_TIMEOUTS)
    executor.update_parameters(
        name=wanted["name"],
        timeout_min=wanted["minutes"],
        nodes=1,
        tasks_per_node=1,
        cpus_per_task=wanted["cpus"] or None,
        gpus_per_node=wanted["gpus"] or None,
        slurm_account=wanted["account"] or None,
        slurm_partition=wanted["partition"] or None,
        slurm_setup=wanted["setup"] or None,
        slurm_signal_delay_s=wanted["lead"],
        slurm_additional_parameters={"requeue": True},
    )
    lead, minutes = wanted["lead"], wanted["minutes"]
    return str(executor.submit(TrainingJob(wanted["run"], wanted["command"], 60.0 * minutes - lead)).job_id)


if __name__ == "__main__":
    sys.exit(main())
