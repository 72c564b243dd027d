"""Intervals of what is measured on items: bootstrap for coefficients, Wilson and t for shares and means.

The item is the unit everywhere: ratings of one item by several raters are not independent. No report is made here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.stats import Z95, wilson_share

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Statistic = Callable[[NDArray[np.float64]], NDArray[np.float64]]
    """How often each item (or group of equal items) is counted, (b, u), to the figure (b,); nan where undefined."""

NO_DRAWS = "in too many resamples it is undefined"
ALL_SAME = "it is the same in every resample"


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with its 95 % bounds. Without ``value``, ``reason`` says why; without bounds ``note`` does."""

    value: float | None = None
    low: float | None = None
    high: float | None = None
    reason: str = ""
    note: str = ""


def over_items(
    statistic: Statistic,
    times: NDArray[np.int64],
    strata: NDArray[np.int64],
    *,
    resamples: int = 2000,
    seed: int = 1111,
) -> Estimate:
    """A figure with its bias-corrected and accelerated bootstrap interval over items (BCa; Efron 1987).

    ``times`` (u,) is how many items there are of each kind that ``statistic`` knows, ``strata`` (u,) which kinds were
    drawn together: each stratum is resampled by itself, as it was sampled. A resample in which the figure
    is undefined counts as beyond either bound, which can only widen the interval; where that reaches a bound there
    is none. ``reason`` of an undefined figure is left to the caller.
    """
    import numpy as np

    count = int(times.sum())
    value = float(statistic(times[None].astype(np.float64))[0]) if count else math.nan
    if not math.isfinite(value):
        return Estimate(reason="it is undefined")
    random = np.random.default_rng(seed)
    rows = max(1, 500_000 // len(times))
    draws = np.concatenate(
        [
            statistic(_resampled(random, times, strata, min(rows, resamples - start)))
            for start in range(0, resamples, rows)
        ]
    )
    known = np.isfinite(draws)
    if known.sum() < resamples / 2:
        return Estimate(value, note=NO_DRAWS)
    if np.ptp(draws[known]) < 1e-12 and abs(draws[known][0] - value) < 1e-12:
        return Estimate(value, note=ALL_SAME)
    low, high = _levels(value, draws[known], _left_out(statistic, times), times)
    ends = (
        np.sort(np.where(known, draws, -np.inf))[math.floor(low * (resamples - 1))],
        np.sort(np.where(known, draws, np.inf))[math.ceil(high * (resamples - 1))],
    )
    if not np.isfinite(ends).all():
        return Estimate(value, note=NO_DRAWS)
    return Estimate(value, float(ends[0]), float(ends[1]))


def _resampled(
    random: np.random.Generator, times: NDArray[np.int64], strata: NDArray[np.int64], draws: int
) -> NDArray[np.float64]:
    """How often each kind of item occurs in each draw (draws, u)."""
    import numpy as np

    found = np.empty((draws, len(times)))
    for stratum in np.unique(strata):
        some = strata == stratum
        count = int(times[some].sum())
        found[:, some] = random.multinomial(count, times[some] / count, size=draws)
    return found


def _left_out(statistic: Statistic, times: NDArray[np.int64]) -> NDArray[np.float64]:
    """The figure without one item of each kind (u,)."""
    import numpy as np

    kinds = len(times)
    rows = max(1, 500_000 // kinds)
    found = []
    for start in range(0, kinds, rows):
        some = np.arange(start, min(start + rows, kinds))
        without = np.repeat(times[None].astype(np.float64), len(some), axis=0)
        without[np.arange(len(some)), some] -= 1
        found.append(statistic(without))
    return np.concatenate(found)


def _levels(
    value: float, draws: NDArray[np.float64], left_out: NDArray[np.float64], times: NDArray[np.int64]
) -> tuple[float, float]:
    """Which shares of the draws the bounds cut off, after bias and acceleration."""
    import numpy as np
    from scipy.special import ndtr, ndtri

    near = np.abs(draws - value) < 1e-12
    below = (np.sum((draws < value) & ~near) + np.sum(near) / 2) / len(draws)
    half = 0.5 / len(draws)
    bias = float(ndtri(min(max(below, half), 1 - half)))
    known = np.isfinite(left_out)
    apart = np.average(left_out[known], weights=times[known]) - left_out[known]
    squares = float(np.sum(times[known] * apart**2))
    speed = float(np.sum(times[known] * apart**3)) / (6 * squares**1.5) if squares > 0 else 0.0

    def level(z: float) -> float:
        moved = bias + z
        return float(ndtr(bias + moved / (1 - speed * moved)))

    return level(-Z95), level(Z95)


def clustered_share(hits: Sequence[float], of: Sequence[int], strata: Sequence[int] | None = None) -> Estimate:
    """A share over items, each with ``hits`` in ``of`` ratings: Wilson's interval at the effective number of ratings.

    At that number a simple sample would vary as the items do (Kish 1965; Korn and Graubard 1998); with one rating an
    item it is the number of ratings, and the interval is Wilson's own. It may be larger than the ratings, as strata
    help and its estimate errs to both sides, but not beyond twice as many. Where all ratings are alike the items count:
    nothing then tells how alike ratings of one item are.
    """
    total = sum(of)
    if total == 0:
        return Estimate(reason="nothing was rated")
    share = min(1.0, max(0.0, math.fsum(hits) / total))
    linear = [hit - share * n for hit, n in zip(hits, of, strict=True)]
    spread = _squares(linear, strata) / total**2
    items = sum(n > 0 for n in of)
    inner = share * (1 - share)
    trials = float(items) if inner == 0 else min(2.0 * total, inner / spread) if spread > 0 else float(total)
    interval = wilson_share(share, trials)
    return Estimate(interval.value, interval.low, interval.high)


def clustered_mean(
    sums: Sequence[float], of: Sequence[int], low: float, high: float, strata: Sequence[int] | None = None
) -> Estimate:
    """A mean over items, each with ``of`` ratings that add up to ``sums``, with Student's interval over items.

    The mean is a ratio, and its variance that of the ratio's linear part (Cochran 1977, section 6.3). Bounds stay
    within ``low`` .. ``high``.
    """
    from scipy.special import stdtrit

    total, items = sum(of), sum(n > 0 for n in of)
    if total == 0:
        return Estimate(reason="nothing was rated")
    value = math.fsum(sums) / total
    if items == 1:
        return Estimate(value, note="one item has no spread")
    squares = _squares([y - value * n for y, n in zip(sums, of, strict=True)], strata)
    if squares < 1e-18:
        return Estimate(value, note="it is the same for every item")
    error = math.sqrt(squares * items / (items - 1)) / total
    reach = float(stdtrit(items - 1, 0.975)) * error
    return Estimate(value, max(low, value - reach), min(high, value + reach))


def _squares(linear: Sequence[float], strata: Sequence[int] | None) -> float:
    """The sum of squares over items, within strata around each stratum's mean."""
    if strata is None or len(set(strata)) < 2:
        return math.fsum(part**2 for part in linear)
    parts: dict[int, list[float]] = {}
    for part, stratum in zip(linear, strata, strict=True):
        parts.setdefault(stratum, []).append(part)
    total = 0.0
    for own in parts.values():
        middle = math.fsum(own) / len(own)
        total += math.fsum((part - middle) ** 2 for part in own) * len(own) / max(len(own) - 1, 1)
    return total
