"""Similarity of sentence vectors, and the dev score made of it. No data are read here: training imports this module."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from engine.stats import Correlation, spearman


def cosines(first: NDArray[np.float32], second: NDArray[np.float32]) -> tuple[NDArray[np.float64], int]:
    """Cosine of each row of (n, d) with its partner, computed in float64, and how many do not exist and are 0."""
    u, v = first.astype(np.float64), second.astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        found = np.einsum("nd,nd->n", u, v) / (np.linalg.norm(u, axis=1) * np.linalg.norm(v, axis=1))
    bad = ~np.isfinite(found)
    return np.where(bad, 0.0, found), int(bad.sum())


def dev_score(
    first: NDArray[np.float32],
    second: NDArray[np.float32],
    gold: NDArray[np.float64],
    metric: Literal["cosine", "max4"] = "cosine",
) -> Correlation:
    """Spearman (-1..1) of vectors (n, d) on dev pairs, for choosing a checkpoint.

    "max4" takes the best of cosine, negative Manhattan and Euclidean distance, and dot product, as the official
    code does; it favours whichever happens to fit the dev set.
    """
    u, v = first.astype(np.float64), second.astype(np.float64)
    measures = [cosines(first, second)[0]]
    if metric == "max4":
        measures += [
            -np.abs(u - v).sum(axis=1),
            -np.linalg.norm(u - v, axis=1),
            np.einsum("nd,nd->n", u, v),
        ]
    found = [spearman(gold.tolist(), measure.tolist()) for measure in measures]
    return max(found, key=lambda one: -2.0 if one.value is None else one.value)
