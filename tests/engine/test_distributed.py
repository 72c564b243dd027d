from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
import torch

from engine import rundir
from engine.config import TrainConfig, to_mapping
from engine.distributed import counts
from tests.engine import team_child, tiny_models
from tests.engine.training_helpers import events, kinds, losses, pairs, run, scores, settings, triplets, weights

# Batches of seven for two processes: shares of four and three. The last batch of claif has one row, so that one
# process has none.
TWENTY = ("claif", "simcse-sup")


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_models.bert(tmp_path_factory.mktemp("models") / "bert")


def cases(folder: Path, model: Path) -> dict[str, TrainConfig]:
    """Runs without dropout, by name; two of twenty steps, and one of two for everything else there is to compute."""
    long: dict[str, Any] = {"batch_size": 7, "epochs": 2, "dropout": 0.0, "lr": 1e-3, "eval_every": 9}
    short: dict[str, Any] = {**long, "epochs": 1, "clip": 0.1}
    scored, plain = triplets(folder / "s.csv", 10, scored=True), triplets(folder / "t.csv", 10)
    few = pairs(folder / "few.jsonl", 10)
    parts: dict[str, Any] = {"gradient_accumulation": 7}
    return {
        "claif": settings(folder, model, data=pairs(folder / "p.jsonl", 64), **long),
        "simcse-sup": settings(
            folder, model, "simcse-sup", data=triplets(folder / "n.csv", 66), hard_negative_weight=0.5, **long
        ),
        "parts": settings(folder, model, data=few, **short, **parts),
        "claif-cross": settings(folder, model, "claif-cross", data=few, **short),
        "clhaif": settings(folder, model, "clhaif", data=scored, gradient_cache=True, **short, **parts),
        "multicsr": settings(folder, model, "multicsr", data=plain, mask_model=str(model), **short),
        "masked words": settings(
            folder, model, "official-syncse", data=plain, select="stsb", mlm_weight=0.5, **short
        ),
    }


@pytest.mark.timeout(400)
def test_two_processes_are_one(bert: Path, tmp_path: Path) -> None:
    """Losses and weights are those of one process; with dropout a run goes on as if it had never stopped."""
    found = cases(tmp_path, bert)
    dropping = settings(tmp_path, bert, "simcse-sup", data=triplets(tmp_path / "d.csv", 13), lr=1e-3)
    several = {"launcher": "torchrun", "processes": 2}
    plan: list[dict[str, Any]] = [
        {"run": str(tmp_path / f"two {name}"), "config": {**to_mapping(config), **several}}
        for name, config in found.items()
    ]
    unbroken, broken = (
        {"run": str(tmp_path / name), "config": {**to_mapping(dropping), **several}} for name in "ab"
    )
    plan += [unbroken, {**broken, "stop": 2}, {**broken, "resume": True}]
    assert max(team_child.start(plan, tmp_path)) < 1e-12

    for name, config in found.items():
        one = run(tmp_path / f"one {name}", config)
        two = events(tmp_path / f"two {name}")
        assert kinds(two)[-1] == "finished"
        assert len(losses(one)) == (20 if name in TWENTY else 2)
        assert losses(two) == pytest.approx(losses(one), abs=1e-5), name
        assert scores(two).keys() == scores(one).keys()
        ours, theirs = (weights(tmp_path / f"{number} {name}/checkpoints/last") for number in ("two", "one"))
        # Attention does not depend on the bias of its keys: that gradient is rounding alone, which Adam makes a step.
        compared = [key for key in theirs if not key.endswith("key.bias")]
        furthest = max(float((ours[key] - theirs[key]).abs().max()) for key in compared)
        assert furthest < 1e-5, (name, furthest)

    assert kinds(events(tmp_path / "b")).count("stopped") == 1
    assert losses(events(tmp_path / "a")) == losses(events(tmp_path / "b"))
    ours, theirs = (weights(tmp_path / name / "checkpoints/last") for name in "ab")
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)
    info = rundir.read_info(tmp_path / "b")
    assert info is not None and (info.launcher, len(info.facts["pids"])) == ("torchrun", 2)


def test_shares_are_as_equal_as_can_be() -> None:
    for rows, size in itertools.product(range(9), (1, 2, 3)):
        assert sum(counts(rows, size)) == rows and max(counts(rows, size)) - min(counts(rows, size)) <= 1
