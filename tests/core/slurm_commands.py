"""Slurm's commands as small scripts on the PATH: they say what a test lets them, and write down what they were told."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from claif_tui.core import slurm_queue

SCRIPTS = {
    "squeue": '/bin/cat "$0.says" 2>&- || { echo "slurm_load_jobs error: Invalid job id specified" >&2; exit 1; }',
    "scontrol": 'echo "ClusterName             = blue"',
    "scancel": 'echo "$@" >> "$0.told"',
    "sbatch": '/bin/cat "$1" > "$0.told"; /usr/bin/env > "$0.env"; /bin/cat "$0.says" 2>&- && exit 0; '
    'echo "sbatch: error: invalid partition specified: nowhere" >&2; exit 1',
    "srun": "exit 1",
}


@dataclass(frozen=True)
class Slurm:
    """The folder of the scripts."""

    bin: Path

    def says(self, command: str, words: str | None) -> None:
        """Let a command say something from now on; None: squeue knows no such job, sbatch refuses."""
        slurm_queue.forget()
        file = self.bin / f"{command}.says"
        if words is None:
            file.unlink(missing_ok=True)
        else:
            file.write_text(f"{words}\n")

    def queue(self, path: Path, state: str, reason: str = "None") -> None:
        """Let squeue know the newest job of a run in ``state``."""
        job = slurm_queue.submitted(path)
        assert job is not None
        self.says("squeue", f"{job.job}|{state}|node7|{reason}|{job.name}")

    def told(self, command: str, what: str = "told") -> str:
        """What a command was told last."""
        file = self.bin / f"{command}.{what}"
        return file.read_text() if file.exists() else ""


def installed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Slurm:
    """Put the scripts on the PATH; nothing that was asked before is remembered."""
    folder.mkdir()
    for name, script in SCRIPTS.items():
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))
    slurm_queue.forget()
    monkeypatch.setattr(slurm_queue, "_cluster", "")
    return Slurm(folder)
