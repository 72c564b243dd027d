"""The statistics that both the app and the engine report: plain functions on plain numbers. No torch, no I/O.

What is undefined is None with the reason beside it, never nan: a figure that is shown must be one that can be defended.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

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
    return wilson_share(successes / trials, trials, z) if trials else None


def wilson_share(share: float, trials: float, z: float = Z95) -> Interval:
    """Wilson's interval at ``share`` (0..1) of a number of trials that need not be whole, as of clustered samples."""
    if not 0.0 <= share <= 1.0 or not trials > 0:
        raise ValueError(f"{share} of {trials} trials is no share")
    scale = 1 + z * z / trials
    centre = (share + z * z / (2 * trials)) / scale
    reach = z / scale * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    # At the ends the bound is exactly 0 or 1; rounding must not say otherwise.
    return Interval(share, 0.0 if share == 0 else centre - reach, 1.0 if share == 1 else centre + reach)


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
    reason = _no_correlation(first, second)
    if reason:
        return Correlation(None, len(first), reason)
    from scipy.stats import spearmanr

    return Correlation(_within(float(spearmanr(first, second).statistic)), len(first))


def pearson(first: Sequence[float], second: Sequence[float]) -> Correlation:
    """Pearson's product-moment correlation. Both sequences have the same length."""
    reason = _no_correlation(first, second)
    if reason:
        return Correlation(None, len(first), reason)
    from scipy.stats import pearsonr

    return Correlation(_within(float(pearsonr(first, second).statistic)), len(first))


def _no_correlation(first: Sequence[float], second: Sequence[float]) -> str:
    """Why the values have no correlation, or nothing."""
    if len(first) != len(second):
        raise ValueError(f"{len(first)} values against {len(second)}")
    if len(first) < 2:
        return "fewer than two pairs of values"
    if not all(map(math.isfinite, first)) or not all(map(math.isfinite, second)):
        return "a value is not a number"
    if min(first) == max(first) or min(second) == max(second):
        return "all values on one side are the same"
    return ""


def _within(correlation: float) -> float:
    return min(1.0, max(-1.0, correlation))


def resampled_spearman(
    gold: Sequence[float], predictions: Sequence[Sequence[float]], *, resamples: int = 1000, seed: int = 1111
) -> NDArray[np.float64]:
    """Spearman's correlation of each prediction with ``gold`` in bootstrap resamples of the pairs (Efron 1979).

    Returns (len(predictions), resamples). A column is the same draw of pairs for all predictions, so columns can
    be subtracted. nan where a draw leaves one side constant. Values are finite; lengths are the same.
    """
    import numpy as np

    count = len(gold)
    if count < 2 or any(len(values) != count for values in predictions):
        raise ValueError("gold and predictions must have the same two or more values")
    groups = [_Groups(np.asarray(values, dtype=np.float64)) for values in (gold, *predictions)]
    random = np.random.default_rng(seed)
    found = np.empty((len(predictions), resamples))
    rows = max(1, 500_000 // count)
    for start in range(0, resamples, rows):
        draws = min(rows, resamples - start)
        drawn = random.integers(count, size=(draws, count)) + np.arange(draws)[:, None] * count
        times = np.bincount(drawn.ravel(), minlength=draws * count).reshape(draws, count)
        gold_ranks, gold_spread = groups[0].ranks(times)
        gold_ranks *= times
        for row, group in enumerate(groups[1:]):
            ranks, spread = group.ranks(times)
            together = np.einsum("rn,rn->r", gold_ranks, ranks)
            with np.errstate(invalid="ignore"):
                found[row, start : start + draws] = together / np.sqrt(gold_spread * spread)
    return np.clip(found, -1.0, 1.0)


def counted_spearman(
    first: Sequence[float], second: Sequence[float]
) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
    """Spearman's correlation as a function of how often each pair of values counts: (r, n) to (r,), nan undefined."""
    import numpy as np

    if len(first) != len(second):
        raise ValueError(f"{len(first)} values against {len(second)}")
    groups = [_Groups(np.asarray(values, dtype=np.float64)) for values in (first, second)]

    def value(times: NDArray[np.float64]) -> NDArray[np.float64]:
        (ranks, spread), (others, other_spread) = (group.ranks(times) for group in groups)
        with np.errstate(invalid="ignore", divide="ignore"):
            found = np.einsum("rn,rn,rn->r", times, ranks, others) / np.sqrt(spread * other_spread)
        return np.asarray(np.clip(found, -1.0, 1.0))

    return value


class _Groups:
    """Values (n,) sorted once, so that their ranks in any resample are sums of counts and need no sorting."""

    def __init__(self, values: NDArray[np.float64]) -> None:
        import numpy as np

        self.order = np.argsort(values, kind="stable")
        ordered = values[self.order]
        self.starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
        self.group = np.empty(len(values), dtype=np.intp)
        self.group[self.order] = np.repeat(
            np.arange(len(self.starts)), np.diff(np.r_[self.starts, len(values)])
        )

    def ranks(
        self, times: NDArray[np.int64] | NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Centred mean ranks (r, n) where value i occurs times[r, i] times, and the sum of their squares (r,)."""
        import numpy as np

        sizes = np.add.reduceat(times[:, self.order], self.starts, axis=1)
        middle = np.cumsum(sizes, axis=1) - (sizes - 1) / 2 - (sizes.sum(axis=1, keepdims=True) + 1) / 2
        spread = np.einsum("rg,rg,rg->r", sizes, middle, middle)
        return middle[:, self.group], spread


def percentile_interval(value: float, draws: Sequence[float], level: float = 0.95) -> Interval | None:
    """The middle ``level`` of bootstrap ``draws`` around the estimate ``value``; None when a draw is undefined."""
    if not draws or not all(map(math.isfinite, draws)):
        return None
    ordered = sorted(draws)
    return Interval(value, _at(ordered, (1 - level) / 2), _at(ordered, (1 + level) / 2))


@dataclass(frozen=True, slots=True)
class Comparison:
    """The second of two systems less the first: the difference with its interval, and a two-sided p value."""

    difference: Interval
    p: float


def paired_difference(value: float, differences: Sequence[float], level: float = 0.95) -> Comparison | None:
    """Whether a difference ``value`` stands out from its paired bootstrap ``differences`` (Efron and Tibshirani 1993).

    p = twice the smaller share of draws at or beyond zero, one added above and below so that it is never 0.
    None when a draw is undefined.
    """
    interval = percentile_interval(value, differences, level)
    if interval is None:
        return None
    fewest = min(sum(d <= 0 for d in differences), sum(d >= 0 for d in differences))
    return Comparison(interval, min(1.0, 2 * (fewest + 1) / (len(differences) + 1)))


def mcnemar(first_alone: int, second_alone: int) -> float:
    """Exact two-sided p of McNemar's test (1947), from how many samples each of two systems alone had right.

    What both had right, or neither, says nothing; 1 where there is nothing else.
    """
    if min(first_alone, second_alone) < 0:
        raise ValueError(f"{first_alone} and {second_alone} are no numbers of samples")
    if not (both := first_alone + second_alone):
        return 1.0
    from scipy.stats import binomtest

    return float(binomtest(first_alone, both, 0.5).pvalue)


def mean_interval(values: Sequence[float], level: float = 0.95) -> Interval | None:
    """The mean of repeated measurements with Student's t interval; None of fewer than two values, or one not finite."""
    if len(values) < 2 or not all(map(math.isfinite, values)):
        return None
    from scipy.stats import t

    centre = sum(values) / len(values)
    spread = math.sqrt(sum((value - centre) ** 2 for value in values) / (len(values) - 1))
    reach = float(t.ppf((1 + level) / 2, len(values) - 1)) * spread / math.sqrt(len(values))
    return Interval(centre, centre - reach, centre + reach)


def paper_mean(values: Sequence[float], digits: int = 2) -> float | None:
    """The mean of values that were rounded for print first, as the papers' tables have it; None of nothing."""
    return mean([float(f"{value:.{digits}f}") for value in values])


def mean(values: Sequence[float]) -> float | None:
    """The arithmetic mean, summed exactly; None of nothing."""
    return math.fsum(values) / len(values) if values else None


def percentile(values: Sequence[float], share: float) -> float | None:
    """The value below which ``share`` (0..1) of the values lie, interpolated linearly; None of nothing."""
    if not 0.0 <= share <= 1.0:
        raise ValueError("share must be in 0..1")
    if not values:
        return None
    return _at(sorted(values), share)


def _at(ordered: Sequence[float], share: float) -> float:
    place = share * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)
