"""Fewer points with the same look: largest-triangle-three-buckets. Numbers in, numbers out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
POINTS = 400
"""What a terminal's width can show; redrawing more costs time and shows nothing."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """One curve as it is drawn: finite points, a style, and the letter at its end ("" for none)."""

    xs: Floats
    ys: Floats
    style: str
    letter: str


def lttb(xs: Floats, ys: Floats, points: int = POINTS) -> tuple[Floats, Floats]:
    """Return at most ``points`` of the points (x rising, all finite), the first and the last among them.

    Of each bucket the point is kept that spans the largest triangle with the one kept before and the mean of the
    next bucket, so that peaks stay (Steinarsson 2013, "Downsampling Time Series for Visual Representation", 4.2).
    """
    count = len(xs)
    if count <= points:
        return xs, ys
    if points < 3:
        ends = [0, count - 1][:points]
        return xs[ends], ys[ends]
    edges = np.linspace(1, count - 1, points - 1).astype(int)
    kept = np.empty(points, dtype=int)
    kept[0], kept[-1] = 0, count - 1
    last = 0
    for bucket in range(points - 2):
        start, end = edges[bucket], edges[bucket + 1]
        after = edges[bucket + 2] if bucket + 2 < len(edges) else count
        mean_x, mean_y = xs[end:after].mean(), ys[end:after].mean()
        areas = np.abs(
            (xs[last] - mean_x) * (ys[start:end] - ys[last]) - (xs[last] - xs[start:end]) * (mean_y - ys[last])
        )
        last = start + int(areas.argmax())
        kept[bucket + 1] = last
    return xs[kept], ys[kept]


def running_mean(ys: Floats, width: int) -> Floats:
    """Return means of each value and up to ``width - 1`` before it; nan counts for nothing."""
    good = np.isfinite(ys)
    sums = np.concatenate(([0.0], np.cumsum(np.where(good, ys, 0.0))))
    counts = np.concatenate(([0], np.cumsum(good)))
    ends = np.arange(1, len(ys) + 1)
    starts = np.maximum(0, ends - width)
    found = counts[ends] - counts[starts]
    return np.where(found > 0, (sums[ends] - sums[starts]) / np.maximum(found, 1), np.nan)
