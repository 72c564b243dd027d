"""STS scores of any encoder or pair scorer, as the papers report them. No reading of models and no tables here.

The figure of a task is one Spearman correlation over all its pairs ("all"), x100. The mean and the weighted mean over
the sub-datasets, and Pearson's correlation, stand beside it because other papers print those.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from engine.evaluate.cosine import cosines
from engine.evaluate.data import read_sts
from engine.evaluate.pairs import Pairs
from engine.stats import (
    Correlation,
    Interval,
    mean,
    paper_mean,
    pearson,
    percentile_interval,
    resampled_spearman,
    spearman,
)

Encode = Callable[[list[str]], NDArray[np.float32]]
"""Sentences to vectors (n, d); every sentence is asked for once."""

Adapt = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""All sentence vectors of a task, first sides then second (2n, d), to those that are compared (2n, k): whitening."""

ScorePairs = Callable[[list[str], list[str]], NDArray[np.float32]]
"""First and second sentences to similarities (n,), on any increasing scale."""

Key = TypeVar("Key")
RESAMPLES = 1000
SEED = 1111


@dataclass(frozen=True, slots=True, kw_only=True)
class StsResult:
    """One task's figures, all correlations x100. What is None has its ``reason``."""

    task: str
    n: int
    spearman: float | None
    reason: str
    pearson: float | None
    mean: float | None
    """Plain mean of the sub-datasets' Spearman correlations."""
    wmean: float | None
    """The same, weighted by their numbers of pairs."""
    parts: dict[str, Correlation]
    """Spearman x100 of each sub-dataset."""
    interval: Interval | None
    """Percentile bootstrap, 95 %; None where ``spearman`` is, where not asked for, or where a draw is constant."""
    undefined: int
    """Pairs whose cosine did not exist (a zero or non-finite vector) and counts as 0."""
    fingerprint: str
    gold: NDArray[np.float64]
    predictions: NDArray[np.float64]

    def as_json(self) -> dict[str, object]:
        """Plain data for the result file, without gold and predictions."""
        return {
            "spearman": self.spearman,
            "n": self.n,
            "pearson": self.pearson,
            "mean": self.mean,
            "wmean": self.wmean,
            "subsets": {name: {"spearman": part.value, "n": part.n} for name, part in self.parts.items()},
            "interval": [self.interval.low, self.interval.high] if self.interval else None,
            "undefined": self.undefined,
            "fingerprint": self.fingerprint,
            **({"reason": self.reason} if self.reason else {}),
        }


def sts(
    encode: Encode,
    root: Path,
    tasks: Sequence[str],
    *,
    adapt: Adapt | None = None,
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> dict[str, StsResult]:
    """Score ``tasks`` (names of ``engine.tasks.STS``) with the data below ``root``; ``resamples`` 0: no intervals.

    All tasks' sentences are encoded in one call, each once; ``adapt`` then changes the vectors task by task. DataError
    when the data are not as they should be.
    """
    sets = {task: read_sts(root, task) for task in tasks}
    texts = unique(text for pairs in sets.values() for text in pairs.first + pairs.second)
    vectors = encode(list(texts))
    _check(vectors, len(texts))
    results = {}
    for task, pairs in sets.items():
        both = vectors[[texts[text] for text in pairs.first + pairs.second]]
        both = adapt(both) if adapt else both
        similarities, undefined = cosines(both[: len(pairs)], both[len(pairs) :])
        results[task] = evaluate(pairs, similarities, undefined=undefined, resamples=resamples, seed=seed)
    return results


def sts_cross(
    score: ScorePairs, root: Path, tasks: Sequence[str], *, resamples: int = RESAMPLES, seed: int = SEED
) -> dict[str, StsResult]:
    """The same for a scorer of pairs, a cross-encoder; each different pair is scored once. nan counts as 0."""
    sets = {task: read_sts(root, task) for task in tasks}
    both = unique(pair for pairs in sets.values() for pair in zip(pairs.first, pairs.second, strict=True))
    scores = np.asarray(score([a for a, _ in both], [b for _, b in both]), dtype=np.float64)
    if scores.shape != (len(both),):
        raise ValueError(f"{len(both)} pairs gave scores of shape {scores.shape}")
    results = {}
    for task, pairs in sets.items():
        found = scores[[both[pair] for pair in zip(pairs.first, pairs.second, strict=True)]]
        bad = ~np.isfinite(found)
        results[task] = evaluate(
            pairs, np.where(bad, 0.0, found), undefined=int(bad.sum()), resamples=resamples, seed=seed
        )
    return results


def evaluate(
    pairs: Pairs,
    predictions: NDArray[np.float64],
    *,
    undefined: int = 0,
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> StsResult:
    """All figures of one set of pairs from its predicted similarities (n,)."""
    gold, predicted = pairs.gold.tolist(), predictions.tolist()
    whole = spearman(gold, predicted)
    parts = {name: _times_100(spearman(gold[rows], predicted[rows])) for name, rows in pairs.parts.items()} or {
        pairs.name: _times_100(whole)
    }
    interval = None
    if whole.value is not None and resamples:
        draws = resampled_spearman(gold, [predicted], resamples=resamples, seed=seed)[0]
        interval = percentile_interval(whole.value * 100, (draws * 100).tolist())
    values = [part.value for part in parts.values() if part.value is not None]
    weights = [part.n for part in parts.values()]
    complete = len(values) == len(parts)
    return StsResult(
        task=pairs.name,
        n=len(pairs),
        spearman=_times_100(whole).value,
        reason=whole.reason,
        pearson=_times_100(pearson(gold, predicted)).value,
        mean=mean(values) if complete else None,
        wmean=float(np.average(values, weights=weights)) if complete else None,
        parts=parts,
        interval=interval,
        undefined=undefined,
        fingerprint=pairs.fingerprint,
        gold=pairs.gold,
        predictions=predictions,
    )


def averages(values: Sequence[float | None]) -> tuple[float | None, float | None]:
    """(average for the paper's column, from values rounded to two decimals; average in full precision).

    None when a task has no figure: an average over fewer tasks is another number.
    """
    known = [value for value in values if value is not None]
    if len(known) != len(values):
        return None, None
    return paper_mean(known), mean(known)


def unique(items: Iterable[Key]) -> dict[Key, int]:
    """Each different item with its number, in order of first sight."""
    return {item: number for number, item in enumerate(dict.fromkeys(items))}


def _times_100(found: Correlation) -> Correlation:
    return Correlation(None if found.value is None else found.value * 100, found.n, found.reason)


def _check(vectors: NDArray[np.float32], count: int) -> None:
    if vectors.ndim != 2 or len(vectors) != count:
        raise ValueError(f"{count} sentences gave vectors of shape {vectors.shape}")
