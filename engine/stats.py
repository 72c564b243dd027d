"""The statistics that both the app and the engine report: plain functions on plain numbers. No torch, no I/O.

What is undefined is None with the reason beside it, never nan: a figure that is shown must be one that can be defended.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

Z95 = 1.959963984540054
"""The normal quantile of a two-sided 95 % interval."""


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with its bounds, all in the unit of the data."""

    value: float
    low: float
    high: float

    @property
    def half_width(self) -> float:
        """Half the distance between the bounds."""
        return (self.high - self.low) / 2


@dataclass(frozen=True, slots=True)
class Correlation:
    """A coefficient in -1..1 over ``n`` pairs, or None and the reason why there is none."""

    value: float | None
    n: int
    reason: str = ""


def wilson(successes: int, trials: int, z: float = Z95) -> Interval | None:
    """Wilson's score interval of a share (Wilson 1927); ``value`` is successes / trials. None without trials."""
    if not 0 <= successes <= trials:
        raise ValueError(f"{successes} of {trials} is no share")
    if trials == 0:
        return None
    share = successes / trials
    scale = 1 + z * z / trials
    centre = (share + z * z / (2 * trials)) / scale
    reach = z / scale * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    # At the ends the bound is exactly 0 or 1; rounding must not say otherwise.
    low = 0.0 if successes == 0 else centre - reach
    high = 1.0 if successes == trials else centre + reach
    return Interval(share, low, high)


def trials_for(share: float, half_width: float, z: float = Z95) -> int:
    """The fewest trials whose Wilson interval at ``share`` (0..1) is at most ``half_width`` to either side."""
    if not 0.0 <= share <= 1.0 or not 0.0 < half_width < 0.5:
        raise ValueError("share must be in 0..1 and half_width between 0 and 0.5")

    def reach(trials: int) -> float:
        inner = share * (1 - share) / trials + z * z / (4 * trials * trials)
        return z / (1 + z * z / trials) * math.sqrt(inner)

    high = 1
    while reach(high) > half_width:
        high *= 2
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        if reach(middle) > half_width:
            low = middle
        else:
            high = middle
    return high


def spearman(first: Sequence[float], second: Sequence[float]) -> Correlation:
    """Spearman's rank correlation with ties at their mean rank. Both sequences have the same length."""
    if len(first) != len(second):
        raise ValueError(f"{len(first)} values against {len(second)}")
    count = len(first)
    if count < 2:
        return Correlation(None, count, "fewer than two pairs of values")
    if not all(map(math.isfinite, first)) or not all(map(math.isfinite, second)):
        return Correlation(None, count, "a value is not a number")
    if min(first) == max(first) or min(second) == max(second):
        return Correlation(None, count, "all values on one side are the same")
    from scipy.stats import spearmanr

    return Correlation(min(1.0, max(-1.0, float(spearmanr(first, second).statistic))), count)


def mean(values: Sequence[float]) -> float | None:
    """The arithmetic mean, summed exactly; None of nothing."""
    return math.fsum(values) / len(values) if values else None


def percentile(values: Sequence[float], share: float) -> float | None:
    """The value below which ``share`` (0..1) of the values lie, interpolated linearly; None of nothing."""
    if not 0.0 <= share <= 1.0:
        raise ValueError("share must be in 0..1")
    if not values:
        return None
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)
