"""The first 50 losses of each objective that sentence-transformers has too, on the same batches with dropout off."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.engine_peers import Kind, Ours, Peer
from engine.columns import training_rows
from engine.data import shuffled
from tests.engine import tiny_models
from tests.engine.training_helpers import labelled, pairs, settings, triplets

SYSTEMS: dict[Kind, str] = {
    "cosine": "claif",
    "ranking": "simcse-sup",
    "cross": "claif-cross",
    "nli": "sbert",
}
STEPS = 50


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_models.bert(tmp_path_factory.mktemp("models") / "bert")


@pytest.mark.parametrize("kind", SYSTEMS)
def test_fifty_losses_are_those_of_sentence_transformers(kind: Kind, bert: Path, tmp_path: Path) -> None:
    """Forward pass, loss, decay groups, clipping and schedule have to agree, or the losses would drift apart."""
    ranking = kind == "ranking"
    make = {"ranking": triplets, "nli": labelled}.get(kind, pairs)
    data = make(tmp_path / ("p.jsonl" if make is pairs else "t.csv"), 40)
    changes: dict[str, Any] = {"pooling": "mean"} if ranking else {}
    config = settings(tmp_path, bert, SYSTEMS[kind], data=data, dropout=0.0, lr=1e-3, **changes)
    examples = training_rows(config)
    cpu = torch.device("cpu")
    ours, peer = Ours(config, STEPS, cpu), Peer(kind, config, STEPS, cpu)
    names = [name for name in ("sentence1", "sentence2", "hard_negative") if name in examples.columns]
    mine, theirs = [], []
    for step in range(STEPS):
        batch = examples.batch(shuffled(len(examples), config.seed, step // 10)[4 * (step % 10) :][:4])
        texts, scores = [batch[name] for name in names], batch.get("label", batch.get("score"))
        mine.append(ours.step(step, texts, scores))
        theirs.append(peer.step(step, texts, scores))
    assert mine == pytest.approx(theirs, abs=1e-4)
    assert max(mine) - min(mine) > 1e-2
