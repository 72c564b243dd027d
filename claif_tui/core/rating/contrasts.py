"""Whether raters judge one condition above another, and how many more items would tell.

Which conditions there are is decided elsewhere.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from claif_tui.core.rating.intervals import NO_DRAWS, Estimate
from claif_tui.core.rating.report_models import Contrast
from engine.stats import Z95, paired_difference

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Means = tuple[NDArray[np.float64], NDArray[np.float64]]

RESAMPLES = 2000
_POWER = 0.8416212335729143
"""The normal quantile of 80 %: the chance with which a difference as large as now should be found."""
_MANY = 1_000_000
Ratings = Mapping[int, Mapping[str, float]]
"""Item number to rater to value."""


def contrast(first: str, second: str, of_first: Ratings, of_second: Ratings, *, seed: int = 1111) -> Contrast:
    """Mean of the first less the second, with a bootstrap that draws raters and items both (Owen 2007).

    The raters drawn are the same for both conditions, as each judges both; items are drawn within a condition. A
    draw whose raters judged nothing of a condition makes the interval undefined where there are too many of them.
    """
    import numpy as np

    raters = sorted({rater for ratings in (of_first, of_second) for row in ratings.values() for rater in row})
    random = np.random.default_rng(seed)
    chosen = random.multinomial(len(raters), [1 / len(raters)] * len(raters), size=RESAMPLES).astype(float)
    one, other = _matrices(of_first, raters), _matrices(of_second, raters)
    value = float(_mean(one) - _mean(other))
    times = [
        random.multinomial(n, [1 / n] * n, size=RESAMPLES).astype(float) for n in (len(one[0]), len(other[0]))
    ]
    both = _drawn(one, times[0], chosen) - _drawn(other, times[1], chosen)
    known = both[np.isfinite(both)]
    found = paired_difference(value, known.tolist()) if len(known) >= 0.99 * RESAMPLES else None
    if found is None:
        difference, p, more = Estimate(value, note=NO_DRAWS), None, ""
    else:
        ends = found.difference
        difference, p = Estimate(value, ends.low, ends.high), found.p
        clear = ends.low > 0 or ends.high < 0
        count = len(one[0]) + len(other[0])
        more = "" if clear else _more(value, float(np.var(known)), _between_raters(one, other), count)
    return Contrast(
        first=first,
        second=second,
        first_items=len(of_first),
        second_items=len(of_second),
        difference=difference,
        p=p,
        more=more,
    )


def _more(value: float, in_all: float, by_raters: float, items: int) -> str:
    """What would separate two conditions that differ as much as they seem to: more items, or more raters.

    ``in_all`` is the difference's variance, of which more items leave ``by_raters`` as it is.
    """
    reach = (value / (Z95 + _POWER)) ** 2
    if reach <= 0:
        return "they do not differ at all in this sample"
    if reach <= by_raters:
        return "more items would not do: raters differ too much in this, and more raters are needed"
    needed = items * max(0.0, in_all - by_raters) / (reach - by_raters)
    if needed > _MANY:
        return f"more than {_MANY:,} items would be needed"
    more = max(1, math.ceil(needed) - items)
    return f"about {more:,} more items would separate them in 4 of 5 studies, if they differ this much"


def _between_raters(one: Means, other: Means) -> float:
    """The part of the difference's variance that lies in who the raters are: variance between raters / raters.

    From each rater's own difference, less what the choice of items adds to it. Where items have several raters only
    departures from the item's mean count, which takes the items' own differences out.
    """
    import numpy as np

    shared = any((said.sum(axis=1) > 1).any() for _, said in (one, other))
    raters = one[0].shape[1]
    own, noise = np.zeros(raters), np.zeros(raters)
    for values, said in (one, other):
        if shared:
            several = said.sum(axis=1) > 1
            values, said = values[several], said[several]
            values = (values - values.sum(axis=1, keepdims=True) / said.sum(axis=1, keepdims=True)) * said
        count = said.sum(axis=0)
        if len(values) < 2 or (count < 2).any():
            return 0.0
        middle = values.sum(axis=0) / count
        own = middle - own
        noise = noise + ((values - middle) ** 2 * said).sum(axis=0) / (count * (count - 1))
    if raters < 2:
        return 0.0
    shrunk = raters / (raters - 1) if shared else 1.0
    between = float(np.var(own, ddof=1)) - float(np.mean(noise)) * shrunk
    return max(0.0, between) / int(raters)


def _matrices(ratings: Ratings, raters: list[str]) -> Means:
    """What each rater said of each item, 0 for nothing, and whether (items, raters)."""
    import numpy as np

    given = np.array([[row.get(rater, np.nan) for rater in raters] for row in ratings.values()])
    said = ~np.isnan(given)
    return np.where(said, given, 0.0), said.astype(np.float64)


def _mean(matrices: Means) -> float:
    values, said = matrices
    return float(values.sum() / said.sum())


def _drawn(matrices: Means, times: NDArray[np.float64], chosen: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mean in each draw of items (b, n) and raters (b, r); nan where nothing was drawn."""
    import numpy as np

    values, said = matrices
    total = ((times @ values) * chosen).sum(axis=1)
    count = ((times @ said) * chosen).sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(count > 0, total / count, np.nan)
