"""Runs of two processes, one after the other in one group: ``engine.torchrun`` starts this twice for a plan.

The plan, a JSON file, is a list of ``{run, config, stop?, resume?}``: settings and a run directory; ``stop`` is the
number of steps after which the second process alone is told to end. What the gradients of gathered rows
differ by from those of all rows in one place is written beside it.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

from engine import losses, process, rundir, trainer
from engine.bystander import beside
from engine.config import from_mapping
from engine.distributed import Team, counts, join

ROOT = Path(__file__).resolve().parents[2]


def start(plan: list[dict[str, Any]], folder: Path) -> list[float]:
    """Carry out a plan with two processes; returns the differences."""
    file = folder / "plan.json"
    file.write_text(json.dumps(plan), "utf-8")
    code = f"import sys; from engine.torchrun import launch; sys.exit(launch(2, ['{__name__}', {str(file)!r}]))"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found: list[float] = json.loads((folder / "gathered.json").read_text("utf-8"))
    return found


def main(file: Path, group: Path) -> None:
    """Be one of the two."""
    torch.set_num_threads(1)
    seat = process.seat()
    team = join(seat, group, lambda: False)
    differences = [gathered(team, rows) for rows in (2, 5, 1)]
    if team.leads:
        (file.parent / "gathered.json").write_text(json.dumps(differences), "utf-8")
    for one in json.loads(file.read_text("utf-8")):
        carry_out(one, team)
    team.part()


def carry_out(one: dict[str, Any], team: Team) -> None:
    """Do one run."""
    path, config, resumed = Path(one["run"]), from_mapping(one["config"]), one.get("resume", False)
    asked = iter(range(10**6))
    signalled = (lambda: False) if team.leads else (lambda: next(asked) == one.get("stop"))
    run = None
    if team.leads:
        if resumed:
            file = path / rundir.RUN
            file.write_text(json.dumps({**json.loads(file.read_text("utf-8")), "started": "long ago"}), "utf-8")
        run = rundir.claim(path, config, config.launcher, resume=resumed)
    team.agree()
    run = run or beside(path, resumed=resumed)
    with run.events:
        trainer.train(run, config, signalled, team)


def gathered(team: Team, rows: int) -> float:
    """How far the summed gradients of a loss over gathered rows are from those of one process with all rows."""
    torch.manual_seed(rows)
    inputs, targets = torch.randn(2, rows, 6, dtype=torch.float64), torch.rand(rows, dtype=torch.float64)
    layer = torch.nn.Linear(6, 4, dtype=torch.float64)

    def loss(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        pairs = losses.cosine_mse(losses.cosine(first, second), targets)
        if rows == 1:
            return pairs
        return pairs + losses.info_nce(losses.cosine_matrix(first, second), 0.05)

    loss(layer(inputs[0]), layer(inputs[1])).backward()
    wanted = [one.grad.clone() for one in layer.parameters()]
    layer.zero_grad()
    own = team.share(rows)
    assert own.stop - own.start == counts(rows, team.size)[team.rank]
    vectors = [team.gather(layer(side[own]), rows) for side in inputs]
    loss(*vectors).backward()
    team.add_up(list(layer.parameters()))
    return max(
        float((one.grad - other).abs().max()) for one, other in zip(layer.parameters(), wanted, strict=True)
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("file", type=Path)
    parser.add_argument("--group", type=Path)
    words = parser.parse_args()
    main(words.file, words.group)
    sys.stdout.flush()
    os._exit(0)
