"""Small data, small models and whole runs in this process, for the tests of training."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from engine import rundir, trainer
from engine.config import TrainConfig, preset
from engine.events import all_events
from tests.engine.tiny_models import CORPUS

WORDS = sorted({word for text in CORPUS for word in text.lower().split() if word.isalpha()})


def sentences(count: int, seed: int = 1) -> list[str]:
    """Different sentences of 3 to 9 words that the tiny tokenizers know."""
    chance = random.Random(seed)
    return [f"{number} " + " ".join(chance.choices(WORDS, k=chance.randint(3, 9))) for number in range(count)]


def pairs(path: Path, rows: int) -> Path:
    """Scored pairs as CLAIF has them."""
    first, second = sentences(rows, 1), sentences(rows, 2)
    lines = [
        json.dumps({"text_a": a, "text_b": b, "label": round(number % 7 / 6, 3)})
        for number, (a, b) in enumerate(zip(first, second, strict=True))
    ]
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


def triplets(path: Path, rows: int, *, scored: bool = False) -> Path:
    """NLI triplets as SimCSE has them, or with CLHAIF's two scores."""
    columns = [sentences(rows, seed) for seed in (1, 2, 3)]
    header = ["sent0", "sent1", "hard_neg", *(["positive_score", "negative_score"] if scored else [])]
    lines = [",".join(header)]
    for number, row in enumerate(zip(*columns, strict=True)):
        lines.append(",".join([*row, *([f"{number % 5 / 4}", "0.1"] if scored else [])]))
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


def labelled(path: Path, rows: int) -> Path:
    """Pairs with an NLI label each."""
    first, second = sentences(rows, 1), sentences(rows, 2)
    labels = ("entailment", "neutral", "contradiction")
    rest = [f"{a},{b},{labels[number % 3]}" for number, (a, b) in enumerate(zip(first, second, strict=True))]
    path.write_text("\n".join(["sentence1,sentence2,label", *rest]) + "\n", "utf-8")
    return path


def lines(path: Path, rows: int) -> Path:
    """One sentence a line."""
    path.write_text("\n".join(sentences(rows)) + "\n", "utf-8")
    return path


def dev_file(path: Path, rows: int = 12) -> Path:
    """Scored dev pairs in three columns."""
    first, second = sentences(rows, 4), sentences(rows, 5)
    text = "".join(f"{a}\t{b}\t{number % 6}\n" for number, (a, b) in enumerate(zip(first, second, strict=True)))
    path.write_text(text, "utf-8")
    return path


def settings(folder: Path, model: Path, system: str = "claif", **changes: Any) -> TrainConfig:
    """A small run of ``system``: batches of four, in full precision, on pairs made for it."""
    data = changes.pop("data", None) or pairs(folder / "train.jsonl", 12)
    small: dict[str, Any] = {
        "model": str(model),
        "data": str(data),
        "dev": str(dev_file(folder / "dev.tsv")),
        "epochs": 1,
        "batch_size": 4,
        "max_seq_length": 16,
        "precision": "fp32",
        "threads": 1,
        "eval_every": 2,
    }
    return preset(system, **{**small, **changes})


def run(
    path: Path,
    config: TrainConfig,
    *,
    resume: bool = False,
    signalled: Callable[[], bool] = lambda: False,
) -> list[dict[str, Any]]:
    """Train in this process; returns all events of the run."""
    config = replace(config, out=str(path))
    if resume:
        _bury(path)
    taken = rundir.claim(path, config, resume=resume)
    with taken.events:
        trainer.train(taken, config, signalled)
    return events(path)


def _bury(path: Path) -> None:
    """Let the process that had the run be gone: here it is this one."""
    file = path / rundir.RUN
    file.write_text(json.dumps({**json.loads(file.read_text("utf-8")), "started": "long ago"}), "utf-8")


def events(path: Path) -> list[dict[str, Any]]:
    return list(all_events(path / rundir.EVENTS))


def kinds(found: list[dict[str, Any]]) -> list[str]:
    return [event["kind"] for event in found]


def losses(found: list[dict[str, Any]]) -> list[float]:
    """The loss of every step, that of the last turn where a step was done twice."""
    by_step: dict[int, float] = {}
    for event in found:
        if event["kind"] == "step":
            for back, loss in enumerate(reversed(event["losses"])):
                by_step[event["step"] - back] = loss
    return [by_step[step] for step in sorted(by_step)]


def scores(found: list[dict[str, Any]]) -> dict[int, float | None]:
    """The dev score of every step that was scored."""
    return {event["step"]: event["dev"] for event in found if event["kind"] == "eval"}


def weights(folder: Path) -> dict[str, torch.Tensor]:
    """The tensors of a saved model."""
    from safetensors.torch import load_file

    return dict(load_file(folder / "model.safetensors"))
