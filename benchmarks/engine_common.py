"""What the parts of ``benchmarks.engine`` share: rows, settings and batches on real data, clocks. No part of it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import torch

from benchmarks.engine_peers import Kind, Ours, Peer
from engine.batches import Order
from engine.config import TrainConfig, preset, to_json
from engine.data import Examples

ROOT = Path(__file__).resolve().parent.parent
THREADS = 2
CPU = torch.device("cpu")
Given = tuple[list[list[str]], list[float] | None]
"""A batch: texts by column, and scores if there are any."""
SYSTEMS: dict[Kind, str] = {"cosine": "claif", "ranking": "simcse-sup", "cross": "claif-cross"}


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table."""

    what: str
    peer: str
    ours: str
    ratio: str
    wanted: str = ""


def stsb(data: Path) -> Path:
    """STS-B's training file."""
    return data / "STS/STSBenchmark/sts-train.csv"


def settings(kind: Kind, data: Path, model: str, **changes: Any) -> TrainConfig:
    """A preset on real data: STS-B's pairs, or triplets of SNLI dev."""
    of = data / "SNLI" if kind == "ranking" else stsb(data)
    small: dict[str, Any] = {"pooling": "mean"} if kind == "ranking" else {}
    if kind == "ranking":
        small |= {"batch_size": 64, "max_seq_length": 64}
    fixed = {"precision": "fp32", "model": model, "data": str(of), "threads": THREADS}
    return preset(SYSTEMS[kind], **{**small, **fixed, **changes})


def batches(config: TrainConfig, examples: Examples, count: int) -> Iterator[Given]:
    """The first batches of a run: texts by column, and scores if there are any."""
    order = Order(len(examples), config.batch_size, config.seed, in_batch=False)
    names = [name for name in ("sentence1", "sentence2", "hard_negative") if name in examples.columns]
    for number in range(count):
        found = examples.batch(order.at(number))
        yield [found[name] for name in names], found.get("score") if config.objective != "infonce" else None


def clocked(work: Callable[[], object]) -> float:
    """Seconds that ``work`` takes."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    start = time.perf_counter()
    work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - start


def clocked_step(side: Ours | Peer, number: int, batch: Given) -> float:
    """Seconds of one step."""
    return clocked(lambda: side.step(number, *batch))


def ratio(peer: list[float], ours: list[float]) -> str:
    """The median of the ratios of neighbours."""
    return f"{median(p / o for p, o in zip(peer, ours, strict=True)):.2f}x"


def run(config: TrainConfig, place: Path) -> tuple[float, float]:
    """Train as the application does; seconds and the best dev score."""
    place.mkdir(parents=True)
    (place / "config.json").write_text(to_json(replace(config, out=str(place))), "utf-8")
    words = [sys.executable, "-m", "engine", "train", "--run", str(place)]
    seconds = clocked(lambda: subprocess.run(words, cwd=ROOT, check=True))
    return seconds, json.loads((place / "metrics.json").read_text("utf-8"))["best"]["dev"]


def sentences(data: Path) -> list[str]:
    """All different sentences of the seven STS tasks."""
    from engine.evaluate.data import read_sts
    from engine.tasks import STS

    sets = [read_sts(data, task) for task in STS]
    return list(dict.fromkeys(text for pairs in sets for text in pairs.first + pairs.second))


def packaged() -> str:
    """The packaged encoder as a folder that the peer reads."""
    from engine.offline.files import packaged_encoder

    return str(packaged_encoder())
