"""What a job of Slurm does on its node: runs the training process, and goes back into the queue when it must.

Runs under submitit, which pickles it by its name: it is imported here and on the node. It says in the run's directory
only what its process cannot say any more.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import engine.rundir as rundir
from claif_tui.core.engine_child import environment
from claif_tui.core.slurm_queue import tell
from engine.errors import EngineError
from engine.events import ends_of

TOLD_TO_SAVE = (signal.SIGUSR1, signal.SIGUSR2)
"""What Slurm sends before a time limit or a preemption, as submitit (USR2) or its administrators (USR1) have it."""
EARLY_SECONDS = 65.0
"""How much too early the signal before a time limit may come."""


class TrainingJob:
    """Trains one run; called by submitit, once for every time that Slurm starts the job.

    ``seconds``: how long a turn lasts before Slurm tells it to save.
    """

    def __init__(self, run: str, command: Sequence[str], seconds: float) -> None:
        self.run, self.command, self.seconds = run, list(command), seconds

    def __call__(self) -> None:
        """Run the training process to its end; never returns where the job goes back into the queue."""
        import submitit

        requeue = signal.getsignal(signal.SIGUSR2)
        try:
            code = _Turn(self, submitit.JobEnvironment().job_id, requeue).go()
        except EngineError as error:
            sys.stderr.write(f"{error.message} {error.hint}".strip() + "\n")
            code = error.exit_code
        sys.exit(code)

    def checkpoint(self) -> Any:
        """What the job is when it starts again: the same. The training process has saved by then."""
        import submitit

        return submitit.helpers.DelayedSubmission(self)


class _Turn:
    """One start of the job."""

    def __init__(self, job: TrainingJob, number: str, requeue: Any) -> None:
        self._path, self._command, self._seconds = Path(job.run), job.command, job.seconds
        self._number, self._requeue = number, requeue
        self._came: list[int] = []
        self._child: subprocess.Popen[bytes] | None = None
        self._begun = time.monotonic()

    def go(self) -> int:
        """Returns the exit code of the job."""
        for number in (*TOLD_TO_SAVE, signal.SIGTERM):
            signal.signal(number, self._note)
        info = rundir.read_info(self._path)
        began, step = info is not None, self._step()
        if rundir.stop_asked(self._path):  # while the job waited
            if began and rundir.liveness(self._path) != "stopped":
                rundir.tell_after(self._path, "stopped", step=step)
            return 0
        own = info is not None and info.job == self._number
        if own and rundir.liveness(self._path) in ("running", "stopping", "unknown"):
            # Slurm starts a job again only after it has ended everywhere. Of another's process it proves nothing.
            rundir.declare_gone(
                self._path, f"Slurm started job {self._number} again, so its turn before is over"
            )
        code = self._trained(resume=began)
        state = rundir.liveness(self._path)
        if self._came and state not in ("finished", "failed") and not rundir.stop_asked(self._path):
            return self._again(code, step)
        if state == "dead":
            rundir.declare_gone(self._path, f"its process on {os.uname().nodename} ended with code {code}")
        return 0 if state in ("finished", "stopped") else code or 1

    def _note(self, number: int, frame: object) -> None:
        self._came.append(number)
        if self._child is not None:
            # Slurm signals the whole job, others this process alone. The engine counts the first one only.
            self._child.send_signal(signal.SIGTERM)

    def _trained(self, *, resume: bool) -> int:
        """Run the training process to its end; returns its exit code."""
        env = {**environment(), "SLURM_JOB_ID": self._number}
        with (self._path / rundir.LOG).open("ab") as log:
            # By default these signals end a process: it gets them once it has said what they mean to it.
            signal.pthread_sigmask(signal.SIG_BLOCK, TOLD_TO_SAVE)
            self._child = subprocess.Popen(
                [*self._command, *(["--resume"] if resume else [])],
                cwd=self._path.parent,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
            )
            signal.pthread_sigmask(signal.SIG_UNBLOCK, TOLD_TO_SAVE)
        if self._came:  # before there was a process to tell
            self._child.send_signal(signal.SIGTERM)
        return self._child.wait()

    def _again(self, code: int, before: int) -> int:
        """Go back into the queue, if that is what Slurm wants; returns the exit code where it is not."""
        told_to_save = set(self._came) & set(TOLD_TO_SAVE)
        if not told_to_save and self._cancelled():
            return code
        limit = time.monotonic() - self._begun > self._seconds - EARLY_SECONDS
        if limit and self._step() <= before:
            rundir.tell_after(
                self._path,
                "failed",
                type="SlurmError",
                message=f"job {self._number} reached its time limit before it came one step further",
                hint="Raise slurm_time, then resume the run.",
            )
            return 1
        why = "its time limit came near" if limit else "Slurm took its node back"
        message = f"job {self._number} went back into the queue: {why}"
        begun = rundir.read_info(self._path) is not None
        if begun:
            rundir.tell_after(self._path, "queued", job=self._number, message=message)
        try:
            self._requeue(signal.SIGUSR2, None)
        except (subprocess.SubprocessError, OSError) as error:
            if begun:
                said = f"job {self._number} could not go back into the queue: {error}"
                rundir.tell_after(self._path, "stopped", step=self._step(), message=said)
        return 1

    def _cancelled(self) -> bool:
        """Whether a SIGTERM alone was the end: Slurm takes the job down, or puts it back by itself.

        In the time of grace of a preemption the job still runs. Without an answer Slurm's next signal decides.
        """
        said = tell("squeue", "--noheader", "--format=%T", f"--jobs={self._number}")
        if isinstance(said, str) or said[0]:
            while not set(self._came) & set(TOLD_TO_SAVE):
                signal.pause()
            return False
        return said[1].strip() != "RUNNING"

    def _step(self) -> int:
        steps = [event.get("step") for event in ends_of(self._path / rundir.EVENTS)]
        return next((step for step in reversed(steps) if isinstance(step, int)), 0)
