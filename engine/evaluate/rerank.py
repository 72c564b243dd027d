"""Reranking: mean average precision of documents ordered by their similarity to a query. No files, no models.

Documents of equal similarity share one place: precision is taken after all of them, as in scikit-learn's
``average_precision_score``, so that no order of the file and no chance decides between them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.evaluate.cosine import cosines
from engine.evaluate.queries import Queries, Query
from engine.evaluate.sts import Encode, ScorePairs, unique
from engine.stats import Interval, percentile_interval

RESAMPLES = 1000
SEED = 1111
Similar = Callable[[str, list[str]], tuple[NDArray[np.float64], int]]
"""A query and different documents to their similarities (k,), and how many of these do not exist and count as 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RerankResult:
    """The figures of one set of queries, x100."""

    map: float
    """Mean over all queries of their average precision."""
    n: int
    """Queries."""
    documents: int
    """Documents ranked, summed over queries."""
    mean: float
    """Plain mean over the files of their own figures, which papers on several sets print."""
    parts: dict[str, tuple[float, int]]
    """Figure and number of queries of each file."""
    interval: Interval
    """Percentile bootstrap over queries, 95 %."""
    left_out: dict[str, int]
    undefined: int
    """Documents whose similarity did not exist and counts as 0."""
    fingerprint: str
    relevant: NDArray[np.float64]
    """Positives of each query (n,)."""
    precisions: NDArray[np.float64]
    """Average precision of each query (n,), 0..1."""

    def as_json(self) -> dict[str, object]:
        """Plain data for the result file, without the single queries."""
        return {
            "map": self.map,
            "n": self.n,
            "documents": self.documents,
            "mean": self.mean,
            "subsets": {name: {"map": value, "n": n} for name, (value, n) in self.parts.items()},
            "interval": [self.interval.low, self.interval.high],
            "left_out": self.left_out,
            "undefined": self.undefined,
            "fingerprint": self.fingerprint,
        }


def rerank(encode: Encode, queries: Queries, *, resamples: int = RESAMPLES, seed: int = SEED) -> RerankResult:
    """Rank by cosine; every text is encoded once, so that equal documents have equal similarities."""
    texts = unique(text for query in queries.every for text in (query.text, *query.positives, *query.negatives))
    vectors = encode(list(texts))
    if vectors.ndim != 2 or len(vectors) != len(texts):
        raise ValueError(f"{len(texts)} texts gave vectors of shape {vectors.shape}")

    def similar(query: str, documents: list[str]) -> tuple[NDArray[np.float64], int]:
        found = vectors[[texts[text] for text in documents]]
        return cosines(np.broadcast_to(vectors[texts[query]], found.shape), found)

    return _evaluate(queries, similar, resamples, seed)


def rerank_cross(
    score: ScorePairs, queries: Queries, *, resamples: int = RESAMPLES, seed: int = SEED
) -> RerankResult:
    """The same for a scorer of (query, document) pairs; each different pair is scored once. nan counts as 0."""
    pairs = unique(
        (query.text, text) for query in queries.every for text in (*query.positives, *query.negatives)
    )
    scores = np.asarray(score([a for a, _ in pairs], [b for _, b in pairs]), dtype=np.float64)
    if scores.shape != (len(pairs),):
        raise ValueError(f"{len(pairs)} pairs gave scores of shape {scores.shape}")

    def similar(query: str, documents: list[str]) -> tuple[NDArray[np.float64], int]:
        found = scores[[pairs[query, text] for text in documents]]
        bad = ~np.isfinite(found)
        return np.where(bad, 0.0, found), int(bad.sum())

    return _evaluate(queries, similar, resamples, seed)


def average_precision(relevant: NDArray[np.bool_], similarities: NDArray[np.float64]) -> float:
    """Average precision (0..1) of documents (k,), at least one of them relevant, ranked by falling similarity.

    Sum over the distinct similarities of precision there times the share of the relevant that stand at it.
    """
    order = np.argsort(-similarities, kind="stable")
    ranked, hits = similarities[order], np.cumsum(relevant[order])
    ends = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))
    found = hits[ends]
    if not found[-1]:
        raise ValueError("no document is relevant")
    return float((found / (ends + 1) * np.diff(found, prepend=0)).sum() / found[-1])


def _evaluate(queries: Queries, similar: Similar, resamples: int, seed: int) -> RerankResult:
    outcomes = [_one(query, similar) for query in queries.every]
    precisions = np.array([precision for precision, _ in outcomes])
    parts, at = {}, 0
    for name, own in queries.files.items():
        parts[name] = 100 * float(precisions[at : at + len(own)].mean()), len(own)
        at += len(own)
    value = 100 * float(precisions.mean())
    chance = np.random.default_rng(seed)
    draws = [
        100 * float(precisions[chance.integers(len(precisions), size=len(precisions))].mean())
        for _ in range(resamples)
    ]
    interval = percentile_interval(value, draws)
    if interval is None:
        raise ValueError(f"{resamples} resamples give no interval")
    return RerankResult(
        map=value,
        n=len(precisions),
        documents=sum(len(query.positives) + len(query.negatives) for query in queries.every),
        mean=float(np.mean([figure for figure, _ in parts.values()])),
        parts=parts,
        interval=interval,
        left_out=dict(queries.left_out),
        undefined=sum(undefined for _, undefined in outcomes),
        fingerprint=queries.fingerprint,
        relevant=np.array([len(query.positives) for query in queries.every], dtype=np.float64),
        precisions=precisions,
    )


def _one(query: Query, similar: Similar) -> tuple[float, int]:
    """A query's average precision, and how many similarities did not exist."""
    documents = unique((*query.positives, *query.negatives))
    found, undefined = similar(query.text, list(documents))
    every = found[[documents[text] for text in (*query.positives, *query.negatives)]]
    relevant = np.arange(len(every)) < len(query.positives)
    return average_precision(relevant, every), undefined
