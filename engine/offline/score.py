"""The scorer: cosine of the packaged encoder, brought to 0-1 on STS-B train, with a reason. No sampling."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from engine.offline.model import Encoder, Floats
from engine.offline.text import Pieces, difference

MAX_PIECES = 254
"""Pieces of a sentence that the encoder reads (256 with its two specials), as in its own configuration."""
KEPT = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """A rising line through points: cosine -> score in 0..1."""

    cosines: tuple[float, ...]
    scores: tuple[float, ...]

    def __call__(self, cosine: float) -> float:
        """Score of one cosine, between the points by straight lines, at the ends flat."""
        return float(np.interp(cosine, self.cosines, self.scores))


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """A calibrated score (0..1, two decimals), the raw cosine (-1..1), and where the sentences differ."""

    score: float
    cosine: float
    reason: str


class Scorer:
    """Scores pairs. Vectors are kept by sentence; a kept vector is bit for bit what would be computed again."""

    def __init__(self, encoder: Encoder, pieces: Pieces, calibration: Calibration) -> None:
        self._encoder, self._pieces, self._calibration = encoder, pieces, calibration
        self._kept: OrderedDict[str, Floats] = OrderedDict()
        self._lock = threading.Lock()

    def vector(self, text: str) -> Floats:
        """Unit vector (384,) of one sentence, computed alone."""
        with self._lock:
            kept = self._kept.get(text)
            if kept is not None:
                self._kept.move_to_end(text)
                return kept
        ids = [self._pieces.cls, *self._pieces.of(text)[:MAX_PIECES], self._pieces.sep]
        vector: Floats = self._encoder.vectors([ids])[0]
        with self._lock:
            self._kept[text] = vector
            if len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return vector

    def cosine(self, first: str, second: str) -> float:
        """Cosine of two sentences, -1..1."""
        product = self.vector(first).astype(np.float64) @ self.vector(second).astype(np.float64)
        return float(np.clip(product, -1.0, 1.0))

    def score(self, first: str, second: str) -> Score:
        """Calibrated score of a pair, with its reason."""
        cosine = self.cosine(first, second)
        return Score(
            score=round(self._calibration(cosine), 2), cosine=round(cosine, 6), reason=difference(first, second)
        )


def fit(cosines: Sequence[float], gold: Sequence[float], points: int = 40) -> Calibration:
    """Fit a rising line from cosine to gold (0..1): means of equal groups, pool adjacent violators, ends at 0 and 1."""
    order = np.argsort(np.asarray(cosines), kind="stable")
    xs = [float(g.mean()) for g in np.array_split(np.asarray(cosines)[order], points)]
    ys = [float(g.mean()) for g in np.array_split(np.asarray(gold)[order], points)]
    pools: list[tuple[float, float, int]] = []
    for x, y in zip(xs, ys, strict=True):
        pools.append((x, y, 1))
        while len(pools) > 1 and pools[-2][1] >= pools[-1][1]:
            (x1, y1, n1), (x2, y2, n2) = pools[-2:]
            pools[-2:] = [((x1 * n1 + x2 * n2) / (n1 + n2), (y1 * n1 + y2 * n2) / (n1 + n2), n1 + n2)]
    knots = [(-0.2, 0.0), *((x, y) for x, y, _ in pools if -0.2 < x < 1.0), (1.0, 1.0)]
    return Calibration(
        cosines=tuple(round(x, 4) for x, _ in knots), scores=tuple(round(y, 4) for _, y in knots)
    )
