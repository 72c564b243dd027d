"""The seven transfer tasks: which sentences, folds and penalties make the accuracy. How one fit proceeds is elsewhere.

Protocol of SentEval (Conneau and Kiela 2018): frozen vectors, one logistic regression, penalty by cross-validation.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from engine.errors import ModelError
from engine.evaluate.classifier import FAST, FULL, Fit, Fitted, Schedule, fit_all, predict
from engine.evaluate.data import Split, TransferData, read_transfer
from engine.evaluate.folds import Fold, stratified_folds
from engine.stats import Interval, wilson

Encode = Callable[[list[str]], NDArray[np.float32]]
Mode = Literal["full", "fast"]

SCHEDULES: dict[Mode, Schedule] = {"full": FULL, "fast": FAST}
PENALTIES = tuple(10.0**power for power in range(-5, -1))


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferResult:
    """One task's figures, x100."""

    task: str
    mode: Mode
    accuracy: float
    """Nested tasks: the mean of the outer folds' accuracies; else that of the test set."""
    printed: float
    """The same as the official script prints it: from fold accuracies rounded to two decimals."""
    n: int
    """Samples that were predicted while held out."""
    dev: float
    """The best penalty's mean validation accuracy, averaged over outer folds."""
    interval: Interval
    """Wilson's, 95 %, of the share of samples predicted right."""
    f1: float | None
    """MRPC alone, of the class "paraphrase"; not in the papers' tables."""
    folds: tuple[float, ...]
    penalties: tuple[float, ...]
    """The L2 penalty chosen for each of ``folds``."""
    fingerprint: str
    gold: NDArray[np.int64]
    predictions: NDArray[np.int64]
    """Class numbers (n,) of the samples that were held out, in the order that the protocol sorts them in."""

    def as_json(self) -> dict[str, object]:
        """Plain data for the result file, without gold and predictions."""
        return {
            "accuracy": self.accuracy,
            "n": self.n,
            "printed": self.printed,
            "dev": self.dev,
            "interval": [self.interval.low, self.interval.high],
            "folds": list(self.folds),
            "penalties": list(self.penalties),
            "mode": self.mode,
            "fingerprint": self.fingerprint,
            **({} if self.f1 is None else {"f1": self.f1}),
        }


def transfer(encode: Encode, root: Path, task: str, mode: Mode = "full", device: str = "cpu") -> TransferResult:
    """Evaluate one of ``engine.tasks.TRANSFER`` with the data below ``root``; "fast" is SentEval's prototype setting.

    DataError when the data are not as they should be, ModelError when a vector is not finite.
    """
    return evaluate(encode, read_transfer(root, task), mode, device)


def evaluate(encode: Encode, data: TransferData, mode: Mode, device: str) -> TransferResult:
    """The same for data at hand."""
    splits = [in_order(split) for split in data.splits]
    texts = {text: None for split in splits for side in (split.first, split.second or []) for text in side}
    numbers = {text: number for number, text in enumerate(texts)}
    vectors = np.ascontiguousarray(encode(list(texts)), dtype=np.float32)
    if vectors.ndim != 2 or len(vectors) != len(texts):
        raise ValueError(f"{len(texts)} sentences gave vectors of shape {vectors.shape}")
    bad = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
    if len(bad):
        raise ModelError(
            f"{data.task.name}: {len(bad)} sentences have a vector that is not finite: "
            f"{list(texts)[bad[0]][:60]!r}.",
            "The model has diverged, or computes in a precision too low for it.",
        )
    x = torch.from_numpy(np.concatenate([_features(split, vectors, numbers) for split in splits])).to(device)
    y = np.concatenate([split.labels for split in splits])
    trial = _Trial(x, torch.from_numpy(y).to(device), y, data.task.classes, SCHEDULES[mode])
    bounds = np.cumsum([0, *map(len, splits)])
    rows = [np.arange(low, high) for low, high in pairwise(bounds)]
    outcome = {"nested": trial.nested, "folds": trial.folds, "split": trial.split}[
        data.task.protocol or "nested"
    ](rows)
    return _result(data, mode, outcome)


def in_order(split: Split) -> Split:
    """Sorted by word count (of both sides for pairs), then class; equals keep their order. The folds depend on it."""
    sides = [split.first] if split.second is None else [split.first, split.second]
    words = [np.array([len(text.split()) for text in side]) for side in sides]
    order = np.lexsort((split.labels, *reversed(words)))
    first, *second = ([side[row] for row in order] for side in sides)
    return Split(first, split.labels[order], second[0] if second else None)


def _features(split: Split, vectors: NDArray[np.float32], numbers: dict[str, int]) -> NDArray[np.float32]:
    """(n, d) sentence vectors, or (n, 2d) |u - v| and u * v of pairs."""
    u = vectors[[numbers[text] for text in split.first]]
    if split.second is None:
        return u
    v = vectors[[numbers[text] for text in split.second]]
    return np.concatenate([np.abs(u - v), u * v], axis=1)


@dataclass(frozen=True, slots=True)
class _Outcome:
    """Per held-out part: rows, their true and predicted classes, the penalty, and its validation accuracy x100."""

    rows: list[NDArray[np.int64]]
    truth: list[NDArray[np.int64]]
    predicted: list[NDArray[np.int64]]
    penalties: list[float]
    dev: list[float]


class _Trial:
    """Penalties, refits and predictions on one task's features."""

    def __init__(
        self, x: torch.Tensor, y: torch.Tensor, labels: NDArray[np.int64], classes: int, schedule: Schedule
    ) -> None:
        self.x, self.y, self.labels, self.classes, self.schedule = x, y, labels, classes, schedule

    def nested(self, rows: list[NDArray[np.int64]]) -> _Outcome:
        """Folds in folds: the inner ones choose the penalty, the outer ones are predicted."""
        (everything,) = rows
        outer = stratified_folds(self.labels[everything], self.schedule.folds)
        return self._folded([(everything[train], everything[held]) for train, held in outer])

    def folds(self, rows: list[NDArray[np.int64]]) -> _Outcome:
        """Folds on the training set choose the penalty; the test set is predicted."""
        train, test = rows
        return self._folded([(train, test)])

    def split(self, rows: list[NDArray[np.int64]]) -> _Outcome:
        """A fixed validation set chooses the penalty and when to stop; the test set is predicted."""
        train, valid, test = rows
        fitted = self._fit([Fit(train, valid, l2) for l2 in PENALTIES])
        scores = [round(100 * fit.accuracy, 2) for fit in fitted]
        best = int(np.argmax(scores))
        # A refit with the same seed and rows is the fit at hand.
        return self._outcome([test], [fitted[best]], [PENALTIES[best]], [scores[best]])

    def _folded(self, parts: list[Fold]) -> _Outcome:
        inner = [
            [(train[a], train[b]) for a, b in stratified_folds(self.labels[train], self.schedule.folds)]
            for train, _ in parts
        ]
        fits = [Fit(a, b, l2) for folds in inner for l2 in PENALTIES for a, b in folds]
        accuracies = np.array([fit.accuracy for fit in self._fit(fits)]).reshape(len(parts), len(PENALTIES), -1)
        # Rounded before the best is taken, as officially: ties go to the smaller penalty.
        scores = [[round(100 * float(np.mean(one)), 2) for one in part] for part in accuracies]
        penalties = [PENALTIES[int(np.argmax(part))] for part in scores]
        refits = self._fit([Fit(train, None, l2) for (train, _), l2 in zip(parts, penalties, strict=True)])
        return self._outcome([held for _, held in parts], refits, penalties, [max(part) for part in scores])

    def _fit(self, fits: list[Fit]) -> list[Fitted]:
        return fit_all(self.x, self.y, self.classes, fits, self.schedule)

    def _outcome(
        self, held: list[NDArray[np.int64]], fitted: list[Fitted], penalties: list[float], dev: list[float]
    ) -> _Outcome:
        predicted = [
            predict(self.x[torch.from_numpy(rows).to(self.x.device)], fit, self.schedule.batch).cpu().numpy()
            for rows, fit in zip(held, fitted, strict=True)
        ]
        return _Outcome(held, [self.labels[rows] for rows in held], predicted, penalties, dev)


def _result(data: TransferData, mode: Mode, outcome: _Outcome) -> TransferResult:
    pairs = list(zip(outcome.truth, outcome.predicted, strict=True))
    folds = [100 * float(np.mean(truth == predicted)) for truth, predicted in pairs]
    right = sum(int((truth == predicted).sum()) for truth, predicted in pairs)
    n = sum(len(truth) for truth, _ in pairs)
    share = wilson(right, n)
    if share is None:
        raise ValueError("nothing was held out")
    order = np.argsort(np.concatenate(outcome.rows))
    return TransferResult(
        task=data.task.name,
        mode=mode,
        accuracy=float(np.mean(folds)),
        printed=round(float(np.mean([round(fold, 2) for fold in folds])), 2),
        n=n,
        dev=float(np.mean(outcome.dev)),
        interval=Interval(100 * share.value, 100 * share.low, 100 * share.high),
        f1=f1(*pairs[0]) if data.task.name == "MRPC" else None,
        folds=tuple(folds),
        penalties=tuple(outcome.penalties),
        fingerprint=data.fingerprint,
        gold=np.concatenate(outcome.truth)[order],
        predictions=np.concatenate(outcome.predicted)[order],
    )


def f1(truth: NDArray[np.int64], predicted: NDArray[np.int64]) -> float | None:
    """F1 x100 of class 1; None when it occurs on neither side."""
    both = int(((truth == 1) & (predicted == 1)).sum())
    either = int((truth == 1).sum()) + int((predicted == 1).sum())
    return 200 * both / either if either else None
