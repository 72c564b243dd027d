"""Baselines that transform vectors without training: BERT-whitening. Pure functions of arrays; models are elsewhere.

Su et al. 2021: vectors are centred, turned onto the principal axes of their covariance and scaled to unit variance. The
plain averages they start from are poolings of the encoder.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]

CLIP = 1e-9
"""Variances below this share of the largest are raised to it: few vectors leave directions with none."""


@dataclass(frozen=True, slots=True)
class Moments:
    """Number of vectors, their mean (d,), and the sum (d, d) of the products of their deviations."""

    n: int
    mean: Doubles
    scatter: Doubles

    @property
    def covariance(self) -> Doubles:
        """Sample covariance (d, d), over n - 1. ValueError of fewer than two vectors."""
        if self.n < 2:
            raise ValueError(f"{self.n} vectors have no covariance")
        return self.scatter / (self.n - 1)


def moments(vectors: NDArray[np.floating], times: NDArray[np.int64] | None = None) -> Moments:
    """Statistics of vectors (n, d), n of 1 or more, in float64; ``times`` (n,): how often each of them counts."""
    values = np.asarray(vectors, dtype=np.float64)
    weights = np.ones(len(values)) if times is None else times.astype(np.float64)
    mean = weights @ values / weights.sum()
    centred = values - mean
    return Moments(int(weights.sum()), mean, (centred * weights[:, None]).T @ centred)


def merge(first: Moments, second: Moments) -> Moments:
    """Statistics of both sets together, so that a corpus need not be in memory at once (Chan et al. 1979)."""
    n = first.n + second.n
    shift = second.mean - first.mean
    return Moments(
        n,
        first.mean + shift * (second.n / n),
        first.scatter + second.scatter + np.outer(shift, shift) * (first.n * second.n / n),
    )


@dataclass(frozen=True, slots=True)
class Whitening:
    """x -> (x - mean) @ matrix, then to length 1."""

    mean: Doubles
    """(d,)"""
    matrix: Doubles
    """(d, k); the signs of its columns are arbitrary."""

    def __call__(self, vectors: NDArray[np.floating]) -> NDArray[np.float32]:
        """Whitened unit vectors (n, k) of (n, d); a vector that equals the mean stays zero."""
        found = (np.asarray(vectors, dtype=np.float64) - self.mean) @ self.matrix
        lengths = np.linalg.norm(found, axis=1, keepdims=True)
        return (found / np.where(lengths > 0, lengths, 1.0)).astype(np.float32)

    @property
    def dense(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Weight (k, d) and bias (k,) of the linear layer that does the same before the scaling to length 1."""
        return self.matrix.T.astype(np.float32), (-self.mean @ self.matrix).astype(np.float32)


def whitening(statistics: Moments, k: int | None = None) -> Whitening:
    """The transformation to the ``k`` axes of largest variance (None: all d). ValueError when there are not so many."""
    width = len(statistics.mean)
    if k is not None and not 1 <= k <= width:
        raise ValueError(f"{k} of {width} axes")
    axes, variances, _ = np.linalg.svd(statistics.covariance, hermitian=True)
    if not variances[0] > 0:
        raise ValueError("all vectors are the same")
    scaled = axes / np.sqrt(np.maximum(variances, CLIP * variances[0]))
    return Whitening(statistics.mean, scaled[:, :k])


def whiten_own(vectors: NDArray[np.float32], k: int | None = None) -> NDArray[np.float32]:
    """Vectors (n, d) whitened with their own statistics (the "target" setting): (n, k), of length 1."""
    return whitening(moments(vectors), k)(vectors)
