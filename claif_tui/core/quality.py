"""How good the AI's scores are: against encoder, gold labels and people, where they heap, how they fall with the rate.

Plain figures from the columns that the store reads. No SQL, no words for people (``quality_words``), no screen.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from claif_tui.core.models import STATUSES, PairQuery, Sort
from claif_tui.core.rating.models import StudyData
from engine.stats import Z95, Correlation, Interval, spearman, wilson

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from claif_tui.core.store.quality import ScoreColumns
    from claif_tui.core.store.store import Store

BINS = 10
"""Equal parts of 0..1; a score of 1.0 belongs to the last one."""
COMMON = 8
"""How many of the commonest scores are named."""
MARKS = (0.0, 0.5, 1.0)
"""Where models heap their scores."""

Step = Literal["", "falls", "level", "rises"]
"""A mean score against that of the rate below: level if 0 lies within the 95 % interval of the difference."""


@dataclass(frozen=True, slots=True)
class Mean:
    """A mean of ``n`` values; ``margin`` is half its 95 % interval (normal), None of fewer than two."""

    value: float
    n: int
    margin: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Bin:
    """The pairs whose AI score lies in one bin: ``low <= score < high``, the last one with its upper end.

    ``encoder`` (cosine, -1..1), ``gold`` and ``rescored`` (blind scores of people, 0..1) are means over those pairs
    that have one. ``changed`` of the decided pairs had text or score changed by a person.
    """

    low: float
    high: float
    score: Mean
    encoder: Mean | None
    gold: Mean | None
    rescored: Mean | None
    accepted: int
    rejected: int
    changed: int

    @property
    def decided(self) -> int:
        """Accepted and rejected pairs."""
        return self.accepted + self.rejected

    @property
    def keep(self) -> Interval | None:
        """The share of accepted among decided pairs with its Wilson interval."""
        return wilson(self.accepted, self.decided)

    @property
    def condition(self) -> str:
        """The bin in the filter language."""
        return f"score >= {self.low:g} and score {'<=' if self.high == 1.0 else '<'} {self.high:g}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """The AI scores at one mask rate. ``change`` is the mean less that of the rate below, with its 95 % interval.

    The interval takes the two rates as independent samples; they share seeds, so it is rather too wide. None at the
    first rate, and where one of the two has a single pair.
    """

    rate: float
    score: Mean
    change: Interval | None
    step: Step

    @property
    def condition(self) -> str:
        """The rate in the filter language."""
        return f"rate = {self.rate!r}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Heaping:
    """Where scores pile up. Counts of scores; ``common`` holds (score, count), the commonest first."""

    distinct: int
    tenths: int
    marks: tuple[tuple[float, int], ...]
    common: tuple[tuple[float, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Against:
    """AI scores against another judgement of the same pairs.

    ``spearman`` with a 95 % ``interval`` (Bonett and Wright 2000; pairs taken as independent); ``bias`` is the mean
    of AI less other, ``distance`` the mean absolute difference. A cosine is taken as 0..1 for these two.
    """

    n: int
    spearman: Correlation
    interval: Interval | None
    bias: float
    distance: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """Everything about the scores of one selection of pairs. What nothing is known of is None or empty.

    ``hand``: scores that people set in Review in place of the AI's, so only where they disagreed. ``rescored``:
    blind scores from studies. ``unencoded`` pairs have no cosine yet. ``random``: the pairs are a random sample, so
    that ``keep`` speaks for all.
    """

    scored: int
    unscored: int
    unencoded: int
    accepted: int
    rejected: int
    changed: int
    random: bool
    bins: tuple[Bin, ...]
    rates: tuple[Rate, ...]
    by_rate: Correlation
    heaping: Heaping
    encoder: Against | None
    gold: Against | None
    hand: Against | None
    rescored: Against | None

    @property
    def keep(self) -> Interval | None:
        """The share of accepted among decided pairs with its Wilson interval."""
        return wilson(self.accepted, self.accepted + self.rejected)

    def to_dict(self) -> dict[str, Any]:
        """Return the figures as plain data, shares and conditions included."""
        whole = asdict(self)
        for data, found in zip(whole["bins"], self.bins, strict=True):
            data.update(keep=_bounds(found.keep), filter=found.condition)
        for data, rate in zip(whole["rates"], self.rates, strict=True):
            data.update(filter=rate.condition)
        return {**whole, "keep": _bounds(self.keep)}


def quality(store: Store, query: PairQuery, ids: Sequence[int] | None = None) -> Quality:
    """Read and work out the figures for what ``query`` finds, whatever status it asks for. Blocks.

    ``ids`` are the pairs of a sample that was drawn before. ``FilterError`` for a filter that cannot be read.
    """
    from claif_tui.core.store.quality import score_columns

    return figures(
        score_columns(store, query, ids), _rescored(store, query, ids), random=query.sample is not None
    )


def _rescored(store: Store, query: PairQuery, ids: Sequence[int] | None) -> list[tuple[float, float]]:
    """The points of ``blind_scores`` of all studies, as far as they are of pairs that ``query`` finds."""
    studies = [store.studies.data(name) for name in store.studies.names()]
    points = [point for study in studies for point in blind_scores(study)]
    wanted = query if query.sample is not None else narrowed(query, "")
    if points and (wanted.filter or wanted.search or wanted.sample):
        among = frozenset(store.pairs.ids(wanted) if query.sample is None or ids is None else ids)
        points = [point for point in points if point[0] in among]
    return [(score, own) for _, score, own in points]


def figures(
    columns: ScoreColumns, rescored: Sequence[tuple[float, float]] = (), *, random: bool = False
) -> Quality:
    """Work out all figures; ``rescored`` holds (AI score, mean blind score of people) of study items, each 0..1."""
    import numpy as np

    score, decided = columns.score, columns.status != STATUSES.index("pending")
    accepted = columns.status == STATUSES.index("accepted")
    points = np.asarray(rescored, dtype=np.float64).reshape(-1, 2)
    return Quality(
        scored=len(score),
        unscored=columns.unscored,
        unencoded=columns.unencoded,
        accepted=int(accepted.sum()),
        rejected=int(decided.sum() - accepted.sum()),
        changed=int((decided & columns.changed).sum()),
        random=random,
        bins=_bins(columns, points),
        rates=_rates(score, columns.rate),
        by_rate=_by_rate(score, columns.rate),
        heaping=_heaping(score),
        encoder=_against(score, np.clip(columns.encoder, 0.0, 1.0), columns.encoder),
        gold=_against(score, columns.gold),
        hand=_against(score, columns.by_hand),
        rescored=_against(points[:, 0], points[:, 1]),
    )


def narrowed(query: PairQuery, condition: str, *, sort: Sort = "newest") -> PairQuery:
    """Return what the figures of ``query`` are about, of any status, as far as ``condition`` holds, largest first.

    Of a sample that is what it was drawn from.
    """
    from claif_tui.core.store import filters

    kept = str(filters.parse(query.filter).without("status"))
    both = " and ".join(f"({part})" for part in (kept, condition) if part)
    return PairQuery(filter=str(filters.parse(both)), search=query.search, sort=sort, descending=True)


def blind_scores(study: StudyData) -> list[tuple[int, float, float]]:
    """Return (pair, AI score, mean of the raters' own scores) of each sample item that was scored blind, in item order.

    First answers only, to criteria that ask for a score in tenths without showing the AI's, of raters whom the
    study's rule does not exclude.
    """
    from claif_tui.core.rating.report import excluded_raters

    criteria = {one.name for one in study.study.protocol.criteria if one.blind and one.scale == "tenths"}
    out = excluded_raters(study)
    said: dict[int, list[float]] = {}
    for answer in study.answers:
        if answer.criterion in criteria and answer.occurrence == 0 and answer.rater not in out:
            said.setdefault(answer.item, []).append(answer.value)
    return [
        (item.pair_id, item.score, math.fsum(said[item.n]) / len(said[item.n]))
        for item in study.items
        if item.role == "sample" and item.pair_id is not None and item.score is not None and item.n in said
    ]


def _bins(columns: ScoreColumns, points: NDArray[np.float64]) -> tuple[Bin, ...]:
    import numpy as np

    # In tenths as they are written: 0.3 is the float nearest to it, never 3 * 0.1.
    edges = np.array([index / BINS for index in range(1, BINS)])
    place = np.searchsorted(edges, columns.score, side="right")
    other = np.searchsorted(edges, points[:, 0], side="right")
    found = []
    for index in range(BINS):
        here = place == index
        if not here.any():
            continue
        status, changed = columns.status[here], columns.changed[here]
        accepted = int((status == STATUSES.index("accepted")).sum())
        rejected = int((status == STATUSES.index("rejected")).sum())
        score = _mean(columns.score[here])
        assert score is not None
        found.append(
            Bin(
                low=index / BINS,
                high=(index + 1) / BINS,
                score=score,
                encoder=_mean(columns.encoder[here]),
                gold=_mean(columns.gold[here]),
                rescored=_mean(points[other == index, 1]),
                accepted=accepted,
                rejected=rejected,
                changed=int((changed & (status != STATUSES.index("pending"))).sum()),
            )
        )
    return tuple(found)


def _rates(score: NDArray[np.float64], rate: NDArray[np.float64]) -> tuple[Rate, ...]:
    import numpy as np

    known = ~np.isnan(rate)
    values, place = np.unique(rate[known], return_inverse=True)
    counts = np.bincount(place, minlength=len(values))
    means = np.bincount(place, score[known], len(values)) / counts
    squares = np.bincount(place, (score[known] - means[place]) ** 2, len(values))
    found: list[Rate] = []
    for value, count, mean, square in zip(values.tolist(), counts.tolist(), means, squares, strict=True):
        margin = None if count < 2 else Z95 * math.sqrt(square / (count - 1) / count)
        now = Mean(float(mean), count, margin)
        change = _change(found[-1].score, now) if found else None
        step = _step(change) if found else ""
        found.append(Rate(rate=value, score=now, change=change, step=step))
    return tuple(found)


def _change(before: Mean, now: Mean) -> Interval | None:
    if before.margin is None or now.margin is None:
        return None
    value, margin = now.value - before.value, math.hypot(before.margin, now.margin)
    return Interval(value, value - margin, value + margin)


def _step(change: Interval | None) -> Step:
    if change is None:  # a single pair says nothing
        return "level"
    if change.high < 0:
        return "falls"
    return "rises" if change.low > 0 else "level"


def _by_rate(score: NDArray[np.float64], rate: NDArray[np.float64]) -> Correlation:
    import numpy as np

    known = ~np.isnan(rate)
    return spearman(score[known], rate[known])  # type: ignore[arg-type]  # arrays are sequences of numbers


def _heaping(score: NDArray[np.float64]) -> Heaping:
    import numpy as np

    values, counts = np.unique(score, return_counts=True)
    tenths = np.isin(values, [index / 10 for index in range(11)])
    # The commonest first, of equals the higher score.
    order = np.lexsort((-values, -counts))[:COMMON]
    return Heaping(
        distinct=len(values),
        tenths=int(counts[tenths].sum()),
        marks=tuple((mark, int(counts[values == mark].sum())) for mark in MARKS),
        common=tuple((float(values[place]), int(counts[place])) for place in order),
    )


def _against(
    score: NDArray[np.float64], other: NDArray[np.float64], ranked: NDArray[np.float64] | None = None
) -> Against | None:
    """Compare where both are known; ``ranked`` takes the place of ``other`` for the ranks."""
    import numpy as np

    known = ~np.isnan(other)
    count = int(known.sum())
    if not count:
        return None
    first, second = score[known], other[known]
    found = spearman(first, second if ranked is None else ranked[known])  # type: ignore[arg-type]
    apart = first - second
    return Against(
        n=count,
        spearman=found,
        interval=_spearman_interval(found),
        bias=float(apart.mean()),
        distance=float(np.abs(apart).mean()),
    )


def _spearman_interval(found: Correlation) -> Interval | None:
    """Bonett and Wright's interval: Fisher's z with the variance (1 + rho^2 / 2) / (n - 3)."""
    if found.value is None or found.n < 4 or abs(found.value) == 1.0:
        return None
    reach = Z95 * math.sqrt((1 + found.value**2 / 2) / (found.n - 3))
    centre = math.atanh(found.value)
    return Interval(found.value, math.tanh(centre - reach), math.tanh(centre + reach))


def _mean(values: NDArray[np.float64]) -> Mean | None:
    import numpy as np

    known = values[~np.isnan(values)]
    count = len(known)
    if not count:
        return None
    margin = None if count < 2 else Z95 * float(known.std(ddof=1)) / math.sqrt(count)
    return Mean(float(known.mean()), count, margin)


def _bounds(interval: Interval | None) -> dict[str, float] | None:
    return None if interval is None else asdict(interval)
