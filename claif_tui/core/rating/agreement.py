"""How far raters agree: the coefficients as formulas on counts. How their intervals are made is not here.

Every coefficient is a function of how often each item is counted, so that a bootstrap over items is a few matrix
products. Sources: Cohen 1960 and 1968, Fleiss 1971, Krippendorff 2004 (chapter 11), Gwet 2008 and 2014 (chapter 4).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from claif_tui.core.rating.intervals import NO_DRAWS, Estimate, over_items

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from claif_tui.core.rating.intervals import Statistic

Measure = Literal[
    "percent",
    "within_step",
    "cohen",
    "cohen_linear",
    "cohen_quadratic",
    "fleiss",
    "alpha_nominal",
    "alpha_ordinal",
    "alpha_interval",
    "alpha_ratio",
    "ac1",
    "ac2_linear",
    "ac2_quadratic",
    "ac2_ordinal",
]
TITLES: dict[Measure, str] = {
    "percent": "Percent agreement",
    "within_step": "Agreement within one step",
    "cohen": "Cohen's kappa",
    "cohen_linear": "Cohen's kappa, linear weights",
    "cohen_quadratic": "Cohen's kappa, quadratic weights",
    "fleiss": "Fleiss' kappa",
    "alpha_nominal": "Krippendorff's alpha, nominal",
    "alpha_ordinal": "Krippendorff's alpha, ordinal",
    "alpha_interval": "Krippendorff's alpha, interval",
    "alpha_ratio": "Krippendorff's alpha, ratio",
    "ac1": "Gwet's AC1",
    "ac2_linear": "Gwet's AC2, linear weights",
    "ac2_quadratic": "Gwet's AC2, quadratic weights",
    "ac2_ordinal": "Gwet's AC2, ordinal weights",
}
"""Every coefficient by the name that reports and JSON use."""

Weights = Literal["identity", "step", "linear", "quadratic", "ordinal"]
_LEAST = 1e-12
"""What is left of a difference of products that is zero but for rounding."""


@dataclass(frozen=True, slots=True)
class Table:
    """Ratings (items x raters) with equal items put together.

    ``patterns`` (u, r) holds what the raters said of an item as places in ``categories`` (q,), -1 where one said
    nothing; ``times`` (u,) how many items are like that; ``strata`` (u,) what was drawn apart. Items that nobody
    rated are not in it.
    """

    categories: NDArray[np.float64]
    patterns: NDArray[np.int64]
    times: NDArray[np.int64]
    strata: NDArray[np.int64]

    @property
    def counts(self) -> NDArray[np.float64]:
        """How many raters gave each value (u, q)."""
        import numpy as np

        given = self.patterns[:, :, None] == np.arange(len(self.categories))
        return np.asarray(given.sum(axis=1), dtype=np.float64)

    @property
    def raters(self) -> int:
        """How many raters said anything."""
        return int((self.patterns >= 0).any(axis=0).sum())

    @property
    def overlap(self) -> int:
        """How many items two raters or more rated."""
        return int(self.times[(self.patterns >= 0).sum(axis=1) >= 2].sum())

    @property
    def ratings(self) -> int:
        """How many ratings there are."""
        return int(((self.patterns >= 0).sum(axis=1) * self.times).sum())


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """One coefficient with its 95 % interval over items; ``estimate`` says in words what is undefined.

    ``overlap`` counts the items with two ratings or more, out of ``ratings`` by ``raters``.
    """

    measure: Measure
    estimate: Estimate
    overlap: int
    raters: int
    ratings: int

    @property
    def title(self) -> str:
        """The name of the coefficient for people."""
        return TITLES[self.measure]

    @property
    def unit(self) -> Literal["share", "coefficient"]:
        """Whether it is a share, 0..1, or a coefficient that chance was taken out of, at most 1."""
        return "share" if self.measure in ("percent", "within_step") else "coefficient"


def tabulate(
    ratings: Sequence[Sequence[float | None]], categories: Sequence[float], strata: Sequence[int] | None = None
) -> Table:
    """Count ratings: a row for each item with a place for each rater, None where there is none.

    ``categories`` are the values that could be given, ascending; ``strata`` tells items apart that were drawn apart,
    by a number each (0 or more). Raises ``ValueError`` for a value that is none of
    them and for rows of unequal length.
    """
    import numpy as np

    values = np.asarray(categories, dtype=np.float64)
    width = len(ratings[0]) if ratings else 0
    if any(len(row) != width for row in ratings):
        raise ValueError("every item needs a place for each rater")
    given = np.array([[np.nan if v is None else v for v in row] for row in ratings], dtype=np.float64)
    given = given.reshape(len(ratings), width)
    near = np.abs(given[:, :, None] - values) < 1e-6
    said = ~np.isnan(given)
    if (strange := said & ~near.any(axis=2)).any():
        raise ValueError(f"{given[strange][0]:g} is none of the values that can be given")
    places = np.where(said, near.argmax(axis=2), -1)
    drawn = np.zeros(len(ratings), dtype=np.int64) if strata is None else np.asarray(strata, dtype=np.int64)
    whole = np.column_stack([drawn, places])[said.any(axis=1)]
    if not len(whole):
        return Table(values, np.empty((0, width), dtype=np.int64), *np.empty((2, 0), dtype=np.int64))
    kinds, times = np.unique(whole, axis=0, return_counts=True)
    return Table(values, kinds[:, 1:], times.astype(np.int64), kinds[:, 0])


def agreement(measure: Measure, table: Table, *, resamples: int = 2000, seed: int = 1111) -> Agreement:
    """One coefficient with its bootstrap interval over items, or the reason in words why there is none."""
    estimate = Estimate(reason=why) if (why := _unable(measure, table)) else None
    if estimate is None:
        estimate = over_items(
            statistic(measure, table), table.times, table.strata, resamples=resamples, seed=seed
        )
        if estimate.value is None:
            same = (
                "every rating is the same value, so there is no disagreement that chance could be held against"
            )
            estimate = Estimate(reason=same)
        elif estimate.low is None and estimate.note == NO_DRAWS:
            estimate = Estimate(estimate.value, note="in many resamples of the items every rating is the same")
    return Agreement(
        measure=measure,
        estimate=estimate,
        overlap=table.overlap,
        raters=table.raters,
        ratings=table.ratings,
    )


def statistic(measure: Measure, table: Table) -> Statistic:
    """The coefficient as a function of how often each pattern of ``table`` occurs: (b, u) to (b,), nan undefined."""
    return _FORMULAS[measure](table)


def weights(kind: Weights, categories: NDArray[np.float64]) -> NDArray[np.float64]:
    """How far two values agree (q, q): 1 on the diagonal, 0 for the farthest apart (Gwet 2014, section 3.5).

    ``linear`` and ``quadratic`` go by the values, ``ordinal`` by the number of values between; ``step`` takes
    neighbours for the same.
    """
    import numpy as np

    places = np.arange(len(categories))
    steps = np.abs(places[:, None] - places)
    if kind == "identity":
        return np.asarray(steps == 0, dtype=np.float64)
    if kind == "step":
        return np.asarray(steps <= 1, dtype=np.float64)
    if kind == "ordinal":
        apart = (steps + 1) * steps / 2
    else:
        apart = np.abs(categories[:, None] - categories) ** (1 if kind == "linear" else 2)
    return np.asarray(1 - apart / max(float(apart.max()), _LEAST))


def _unable(measure: Measure, table: Table) -> str:
    """Why agreement has no meaning at all for these ratings."""
    if not len(table.times):
        return "nobody has rated anything"
    if table.raters == 1:
        return "there are ratings of one rater only, and agreement takes two"
    if table.overlap == 0:
        return "no item was rated by two raters"
    if measure.startswith("cohen") and table.raters > 2:
        return f"it is defined for two raters, and {table.raters} answered"
    return ""


def _share(part: NDArray[np.float64], whole: NDArray[np.float64]) -> NDArray[np.float64]:
    """part / whole, nan where the whole is nothing."""
    import numpy as np

    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(np.abs(whole) > _LEAST, part / whole, np.nan)


def _observed(table: Table, kind: Weights) -> Statistic:
    """Mean over items with two ratings of the share of pairs of ratings that agree."""
    counts = table.counts
    total = counts.sum(axis=1)
    pairs = total * (total - 1)
    usable = (pairs > 0).astype(float)
    agreed = (counts * (counts @ weights(kind, table.categories) - 1)).sum(axis=1) / (pairs + (pairs == 0))
    return lambda times: _share(times @ (agreed * usable), times @ usable)


def _shares(table: Table) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
    """How often each value is given (b, q): the mean over items of the share of their ratings."""
    counts = table.counts
    each = counts / counts.sum(axis=1, keepdims=True)
    return lambda times: (times @ each) / times.sum(axis=1, keepdims=True)


def _fleiss(table: Table) -> Statistic:
    """Fleiss' kappa; with missing ratings in the form of Gwet 2014, equation 2.21 ff."""
    observed, shares = _observed(table, "identity"), _shares(table)

    def value(times: NDArray[np.float64]) -> NDArray[np.float64]:
        chance = (shares(times) ** 2).sum(axis=1)
        return _share(observed(times) - chance, 1 - chance)

    return value


def _gwet(kind: Weights) -> Callable[[Table], Statistic]:
    """Gwet's AC1 (identity weights) and AC2; every value that could be given counts, given or not."""

    def make(table: Table) -> Statistic:
        observed, shares = _observed(table, kind), _shares(table)
        q = len(table.categories)
        total = float(weights(kind, table.categories).sum()) / max(q * (q - 1), 1)

        def value(times: NDArray[np.float64]) -> NDArray[np.float64]:
            given = shares(times)
            chance = total * (given * (1 - given)).sum(axis=1)
            return _share(observed(times) - chance, 1 - chance)

        return value

    return make


def _alpha(level: Literal["nominal", "ordinal", "interval", "ratio"]) -> Callable[[Table], Statistic]:
    """Krippendorff's alpha by coincidences; items with a single rating say nothing in it."""

    def make(table: Table) -> Statistic:
        import numpy as np

        counts, values = table.counts, table.categories
        q, total = len(values), counts.sum(axis=1)
        both = counts[:, :, None] * counts[:, None, :] - counts[:, :, None] * np.eye(q)
        both = (both / np.maximum(total - 1, 1)[:, None, None]) * (total >= 2)[:, None, None]
        flat = both.reshape(len(counts), q * q)
        fixed = None if level == "ordinal" else _distances(level, values)

        def value(times: NDArray[np.float64]) -> NDArray[np.float64]:
            together = (times @ flat).reshape(-1, q, q)
            given = together.sum(axis=2)
            if fixed is not None:
                found = np.einsum("bck,ck->b", together, fixed)
                expected = np.einsum("bc,bk,ck->b", given, given, fixed, optimize=True)
            else:
                # The ordinal distance of two values is the number of ratings between the middles of their ranks.
                middle = np.cumsum(given, axis=1) - given / 2
                apart = (middle[:, :, None] - middle[:, None, :]) ** 2
                found = np.einsum("bck,bck->b", together, apart)
                expected = np.einsum("bc,bk,bck->b", given, given, apart, optimize=True)
            return np.asarray(1 - (given.sum(axis=1) - 1) * _share(found, expected))

        return value

    return make


def _distances(level: str, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Krippendorff's squared difference of any two values (q, q)."""
    import numpy as np

    apart = values[:, None] - values
    if level == "nominal":
        return np.asarray(apart != 0, dtype=np.float64)
    if level == "interval":
        return np.asarray(apart**2)
    both = values[:, None] + values
    return np.asarray((apart / np.where(both == 0, 1, both)) ** 2)


def _cohen(kind: Weights) -> Callable[[Table], Statistic]:
    """Cohen's kappa of two raters over the items that both rated."""

    def make(table: Table) -> Statistic:
        import numpy as np

        q = len(table.categories)
        first, second = table.patterns[:, (table.patterns >= 0).any(axis=0)].T
        together = np.zeros((len(first), q * q))
        usable = (first >= 0) & (second >= 0)
        together[np.flatnonzero(usable), (first * q + second)[usable]] = 1
        apart = 1 - weights(kind, table.categories)

        def value(times: NDArray[np.float64]) -> NDArray[np.float64]:
            table_of = (times @ together).reshape(-1, q, q)
            found = np.einsum("bck,ck->b", table_of, apart)
            rows, columns = table_of.sum(axis=2), table_of.sum(axis=1)
            expected = np.einsum("bc,bk,ck->b", rows, columns, apart, optimize=True)
            return np.asarray(1 - rows.sum(axis=1) * _share(found, expected))

        return value

    return make


_FORMULAS: dict[Measure, Callable[[Table], Statistic]] = {
    "percent": lambda table: _observed(table, "identity"),
    "within_step": lambda table: _observed(table, "step"),
    "cohen": _cohen("identity"),
    "cohen_linear": _cohen("linear"),
    "cohen_quadratic": _cohen("quadratic"),
    "fleiss": _fleiss,
    "alpha_nominal": _alpha("nominal"),
    "alpha_ordinal": _alpha("ordinal"),
    "alpha_interval": _alpha("interval"),
    "alpha_ratio": _alpha("ratio"),
    "ac1": _gwet("identity"),
    "ac2_linear": _gwet("linear"),
    "ac2_quadratic": _gwet("quadratic"),
    "ac2_ordinal": _gwet("ordinal"),
}
