"""Which cells of a lab differ: paired bootstrap over the rows, p corrected for all comparisons by Holm's method.

A leader is named; whether it stands out from every other cell is a matter of these tests alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from statistics import NormalDist, stdev
from typing import TYPE_CHECKING, Any

from claif_tui.core.lab.figures import RESAMPLES, SEED, SeedSums
from claif_tui.core.lab.models import Contrast, Criterion
from engine.stats import paired_difference, resampled_spearman, spearman

if TYPE_CHECKING:
    from numpy.typing import NDArray

LEVEL = 0.05
POWER = 0.8
LEAST_ROWS = 20
"""With fewer rows a bootstrap is too sure of itself: nothing is claimed."""
MOST_ROWS = 100_000
"""More rows than this are not named as needed: the cells are as good as equal."""
LOWER_IS_BETTER: frozenset[Criterion] = frozenset({"cost"})


def draws_for(cells: int) -> int:
    """How many resamples: enough for the smallest p to pass Holm's first step."""
    return max(RESAMPLES, 100 * _pairs(cells))


def _pairs(cells: int) -> int:
    return cells * (cells - 1) // 2


def score_contrasts(gold: Mapping[int, float], scores: Mapping[str, Mapping[int, float]]) -> list[Contrast]:
    """Compare scoring cells two by two by Spearman with people, over the rows that both have read.

    ``gold`` is each row's label, ``scores`` each cell's scores, both by row.
    """
    resamples = draws_for(len(scores))
    drawn: dict[tuple[int, ...], dict[str, NDArray[Any]]] = {}
    found = []
    for first, second in combinations(scores, 2):
        rows = tuple(sorted(scores[first].keys() & scores[second].keys()))
        plain = Contrast(first=first, second=second, n=len(rows))
        labels = [gold[row] for row in rows]
        ends = [spearman(labels, [scores[name][row] for row in rows]) for name in (first, second)]
        if ends[0].value is None or ends[1].value is None:
            found.append(replace(plain, reason=ends[0].reason or ends[1].reason))
            continue
        if rows not in drawn:  # mostly all cells have all rows: one bootstrap serves all pairs
            names = [name for name, own in scores.items() if own.keys() >= set(rows)]
            said = [[scores[name][row] for row in rows] for name in names]
            draws = resampled_spearman(labels, said, resamples=resamples, seed=SEED)
            drawn[rows] = dict(zip(names, draws, strict=True))
        difference = (drawn[rows][first] - drawn[rows][second]).tolist()
        found.append(_tested(plain, ends[0].value - ends[1].value, difference, _pairs(len(scores))))
    return holm(found)


def made_contrasts(sums: Mapping[str, Mapping[int, SeedSums]], criterion: Criterion) -> list[Contrast]:
    """Compare generation cells two by two by a ratio of sums over seeds; the resampled unit is the seed.

    Only seeds with something settled in every cell count.
    """
    import numpy as np

    settled = [{seed for seed, one in own.items() if one.planned} for own in sums.values()]
    seeds = sorted(set.intersection(*settled)) if settled else []
    if not seeds:
        why = "no seed is settled in every cell"
        return [
            Contrast(first=first, second=second, n=0, reason=why) for first, second in combinations(sums, 2)
        ]
    resamples = draws_for(len(sums))
    random = np.random.default_rng(SEED)
    times = random.multinomial(len(seeds), [1 / len(seeds)] * len(seeds), size=resamples).astype(np.float64)
    parts = {name: _parts([one[seed] for seed in seeds], criterion) for name, one in sums.items()}
    found = []
    for first, second in combinations(sums, 2):
        plain = Contrast(first=first, second=second, n=len(seeds))
        values = [_ratio(parts[name].sum(axis=0)) for name in (first, second)]
        if values[0] is None or values[1] is None:
            found.append(replace(plain, reason="a cell has no pair that the funnel keeps"))
            continue
        with np.errstate(invalid="ignore", divide="ignore"):
            drawn = [(times @ parts[name][:, 0]) / (times @ parts[name][:, 1]) for name in (first, second)]
        difference = (drawn[0] - drawn[1]).tolist()
        found.append(_tested(plain, values[0] - values[1], difference, _pairs(len(sums))))
    return holm(found)


def _parts(sums: Sequence[SeedSums], criterion: Criterion) -> NDArray[Any]:
    import numpy as np

    rows = {
        "yield": [(one.kept, one.planned) for one in sums],
        "novelty": [(one.fresh, one.tokens) for one in sums],
        "cost": [(one.cost_nano / 1e9, one.kept) for one in sums],
    }[criterion]
    return np.asarray(rows, dtype=np.float64)


def _ratio(both: NDArray[Any]) -> float | None:
    return float(both[0] / both[1]) if both[1] else None


def _tested(plain: Contrast, value: float, drawn: list[float], comparisons: int) -> Contrast:
    compared = paired_difference(value, drawn)
    if compared is None:
        return replace(plain, reason="a resample leaves one side undefined: too few rows")
    needed = _needed(value, stdev(drawn), plain.n, comparisons)
    return replace(plain, difference=compared.difference, p=compared.p, needed=needed)


def _needed(value: float, error: float, n: int, comparisons: int) -> int | None:
    """Rows for a difference of this size to pass with a chance of ``POWER``; None for too many.

    ``error`` is the bootstrap's standard error over ``n`` rows; it falls with the square root of the rows. The level
    is that of Holm's first step, the strictest.
    """
    if not value or not error:
        return None
    normal = NormalDist()
    reach = normal.inv_cdf(1 - LEVEL / comparisons / 2) + normal.inv_cdf(POWER)
    rows = max(LEAST_ROWS, math.ceil(n * (reach * error / value) ** 2))
    return rows if rows <= MOST_ROWS else None


def holm(contrasts: Sequence[Contrast]) -> list[Contrast]:
    """Correct the p values for there being several (Holm 1979); contrasts without a test do not count."""
    tested = sorted((one.p, place) for place, one in enumerate(contrasts) if one.p is not None)
    found = list(contrasts)
    highest = 0.0
    for rank, (p, place) in enumerate(tested):
        highest = max(highest, min(1.0, (len(tested) - rank) * p))
        found[place] = replace(found[place], adjusted=highest)
    return found


def leader(values: Mapping[str, float | None], criterion: Criterion) -> str | None:
    """Return the cell with the best figure; the first of equals, None where no cell has one."""
    known = {name: value for name, value in values.items() if value is not None}
    if not known:
        return None
    best = min if criterion in LOWER_IS_BETTER else max
    return best(known, key=known.__getitem__)


def stands_out(name: str, contrasts: Sequence[Contrast]) -> bool:
    """Whether a cell differs from every other at ``LEVEL``, corrected; False if any comparison has no test."""
    own = [one for one in contrasts if name in (one.first, one.second)]
    return bool(own) and all(map(is_supported, own))


def is_supported(one: Contrast) -> bool:
    """Whether a difference is more than the choice of rows explains, at ``LEVEL``, corrected."""
    return one.adjusted is not None and one.adjusted < LEVEL and one.n >= LEAST_ROWS


def unseparated(name: str, contrasts: Sequence[Contrast]) -> list[Contrast]:
    """The comparisons in which a cell does not stand out."""
    own = [one for one in contrasts if name in (one.first, one.second)]
    return [one for one in own if not is_supported(one)]
