"""The same work done twice, for ``benchmarks.engine``: by our engine, and by sentence-transformers or a plain loop.

Each side takes the same texts in the same batches from the same weights. Nothing is timed or printed here.
"""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from engine.checkpoint import save_cross_encoder, save_sentence_transformer
from engine.config import TrainConfig
from engine.datafiles.nli import LABELS
from engine.encoder import CrossEncoder, Encoder
from engine.gradients import Gradients
from engine.objectives import Learner, build
from engine.optimiser import Optimiser
from engine.schedule import warmup_steps

Kind = Literal["cosine", "ranking", "cross", "nli"]
Columns = Sequence[list[str]]
SCALE = 20.0
"""Of the ranking loss, which is a temperature of 0.05."""


class Ours:
    """Steps of our engine on batches that are given."""

    def __init__(self, config: TrainConfig, total: int, device: torch.device) -> None:
        torch.manual_seed(config.seed)
        self.learner: Learner = build(config, device)
        scaler = torch.amp.GradScaler(device.type, enabled=config.precision == "fp16")
        self._gradients = Gradients(self.learner, config, scaler)
        self._optimiser = Optimiser(self.learner, config, total, scaler)

    def step(self, number: int, texts: Columns, scores: list[float] | None) -> float:
        """One step; the loss."""
        rows = np.arange(len(texts[0]))
        loss = self._gradients(self.learner.tokenise(rows, texts, scores), number)
        self._optimiser.step(number, loss)
        return float(loss)


class Peer:
    """The same steps by sentence-transformers: its model, its collating, its loss, AdamW as its trainer sets it up."""

    def __init__(self, kind: Kind, config: TrainConfig, total: int, device: torch.device) -> None:
        from transformers import get_linear_schedule_with_warmup

        torch.manual_seed(config.seed)
        learner = build(replace(config, precision="fp32"), torch.device("cpu"))
        self._device = device
        self.model, self._loss = _loaded(kind, learner.encoder, device)
        self._kind = kind
        self.model.train()
        for part in self.model.modules():
            if isinstance(part, nn.Dropout):
                part.p = config.dropout
        plain = ("bias", "LayerNorm.weight")
        trained = self.model
        if learner.classifier is not None:
            self._loss.classifier.load_state_dict(learner.classifier.state_dict())
            trained = self._loss  # which holds the model
        named = [(name, one) for name, one in trained.named_parameters() if one.requires_grad]
        self._parameters = [one for _, one in named]
        self._adam = torch.optim.AdamW(
            [
                {
                    "params": [p for n, p in named if not n.endswith(plain)],
                    "weight_decay": config.weight_decay,
                },
                {"params": [p for n, p in named if n.endswith(plain)], "weight_decay": 0.0},
            ],
            lr=config.lr,
            eps=1e-8,
            fused=True,
        )
        self._clip = config.clip
        warmup = warmup_steps(config.warmup, total)
        self._schedule = get_linear_schedule_with_warmup(self._adam, warmup, total)

    def step(self, number: int, texts: Columns, scores: list[float] | None) -> float:
        """One step; the loss."""
        labels = None if scores is None else torch.tensor(scores, device=self._device)
        labels = labels.long() if labels is not None and self._kind == "nli" else labels
        if self._kind == "cross":
            loss = self._loss(list(texts), labels)
        else:
            features = [self.model.preprocess(side) for side in texts]
            loss = self._loss([{k: _to(v, self._device) for k, v in one.items()} for one in features], labels)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self._parameters, self._clip)
        self._adam.step()
        self._schedule.step()
        self._adam.zero_grad()
        return float(loss.detach())


def _to(value: Any, device: torch.device) -> Any:
    return value.to(device) if isinstance(value, torch.Tensor) else value


def _loaded(kind: Kind, encoder: Encoder | CrossEncoder, device: torch.device) -> tuple[Any, Any]:
    """The peer's model with the weights of ours, and its loss."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "model"
        if isinstance(encoder, CrossEncoder):
            from sentence_transformers import CrossEncoder as TheirCrossEncoder
            from sentence_transformers.cross_encoder.losses import BinaryCrossEntropyLoss

            save_cross_encoder(encoder, place, "")
            cross = TheirCrossEncoder(str(place), device=str(device), max_length=encoder.max_seq_length)
            return cross, BinaryCrossEntropyLoss(cross)
        from sentence_transformers import SentenceTransformer
        from sentence_transformers.sentence_transformer.losses import (
            CosineSimilarityLoss,
            MultipleNegativesRankingLoss,
            SoftmaxLoss,
        )

        save_sentence_transformer(encoder, place, "")
        model = SentenceTransformer(str(place), device=str(device))
    if kind == "cosine":
        return model, CosineSimilarityLoss(model)
    if kind == "nli":
        return model, SoftmaxLoss(model, encoder.dimension, len(LABELS))
    return model, MultipleNegativesRankingLoss(model, scale=SCALE)


def plain_sts_cosines(model: Any, first: list[str], second: list[str], batch: int = 128) -> NDArray[np.float64]:
    """Cosines (n,) as an evaluation loop without any economy gets them: pairs sorted by length, both sides encoded
    batch by batch, padded to the longest, sentences that come again encoded again.
    """
    order = sorted(range(len(first)), key=lambda n: (len(first[n].split()), len(second[n].split())))
    found = np.empty(len(first))
    for start in range(0, len(order), batch):
        rows = order[start : start + batch]
        sides = [
            model.encode([side[n] for n in rows], batch_size=batch, convert_to_numpy=True)
            for side in (first, second)
        ]
        a, b = (np.asarray(side, dtype=np.float64) for side in sides)
        found[rows] = (a * b).sum(1) / np.maximum(np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1), 1e-12)
    return found


class PlainClassifier:
    """The transfer protocol's logistic regression as the literature describes it, one mini-batch after the other."""

    def __init__(
        self, width: int, classes: int, l2: float, *, batch: int, epoch_size: int, tenacity: int
    ) -> None:
        np.random.seed(1111)
        torch.manual_seed(1111)
        self.model = nn.Sequential(nn.Linear(width, classes))
        self._loss = nn.CrossEntropyLoss()
        self._adam = torch.optim.Adam(self.model.parameters(), weight_decay=l2)
        self._batch, self._epoch_size, self._tenacity = batch, epoch_size, tenacity

    def fit(self, train: tuple[torch.Tensor, torch.Tensor], valid: tuple[torch.Tensor, torch.Tensor]) -> float:
        """Train until the validation accuracy has failed to rise too often; return the best one (0-1)."""
        best, failed, passes, kept = -1.0, 0, 0, self.model
        while passes <= 200:
            for _ in range(self._epoch_size):
                self._pass(*train)
            passes += self._epoch_size
            accuracy = self._accuracy(*valid)
            if accuracy > best:
                best, kept = accuracy, copy.deepcopy(self.model)
            elif failed >= self._tenacity:
                break
            else:
                failed += 1
        self.model = kept
        return best

    def _pass(self, features: torch.Tensor, labels: torch.Tensor) -> None:
        order = np.random.permutation(len(features))
        for start in range(0, len(order), self._batch):
            rows = torch.from_numpy(order[start : start + self._batch])
            loss = self._loss(self.model(features[rows]), labels[rows])
            self._adam.zero_grad()
            loss.backward()
            self._adam.step()

    def _accuracy(self, features: torch.Tensor, labels: torch.Tensor) -> float:
        with torch.no_grad():
            right = sum(
                int(self.model(x).max(1)[1].eq(y).sum())
                for x, y in zip(features.split(self._batch), labels.split(self._batch), strict=True)
            )
        return right / len(features)
