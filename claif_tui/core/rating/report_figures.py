"""The figures on one question of a study, from the ratings that count. Which raters count is decided elsewhere."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from claif_tui.core.rating.agreement import Agreement, Measure, agreement, tabulate
from claif_tui.core.rating.contrasts import contrast
from claif_tui.core.rating.intervals import Estimate, clustered_mean, clustered_share, over_items
from claif_tui.core.rating.models import SCALES, Comment, Criterion, Item, ScaleKind
from claif_tui.core.rating.report_models import Contrast, CriterionReport, Figure, Look, Repeats, Row
from claif_tui.core.rating.sampling import BINS, score_bin
from engine.stats import counted_spearman, mean, spearman

SHOWN = 10
"""How many items to look at a list holds."""
NEAR = 0.1
"""A reading this close to the AI's score agrees with it."""
_TINY = 1e-9
_MEASURES: dict[ScaleKind, tuple[Measure, ...]] = {
    "yesno": ("percent", "fleiss", "alpha_nominal", "ac1"),
    "ordinal": ("percent", "within_step", "fleiss", "alpha_ordinal", "ac2_ordinal"),
    "tenths": ("percent", "within_step", "fleiss", "alpha_ordinal", "alpha_interval", "ac2_quadratic"),
}
_COHEN: dict[ScaleKind, Measure] = {"yesno": "cohen", "ordinal": "cohen_quadratic", "tenths": "cohen_quadratic"}

Said = Mapping[int, Mapping[str, float]]
"""Item number to rater to value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One criterion with what was said on sample items, the first time and again.

    ``strata`` says of each item with which others it was drawn; empty where all were drawn together.
    """

    criterion: Criterion
    items: Mapping[int, Item]
    first: Said
    again: Said
    planned: int
    comments: Mapping[int, Sequence[Comment]]
    raters: Sequence[str]
    strata: Mapping[int, int]

    def drawn(self, said: Iterable[int]) -> list[int] | None:
        """The strata of these items; None but for the whole sample, as only its shares were fixed by the draw."""
        numbers = list(said)
        return [self.strata[n] for n in numbers] if self.strata and len(numbers) == len(self.items) else None


def criterion_report(question: Question) -> CriterionReport:
    """Everything that is told about one question; without any rating the figures say so in words."""
    contrasts, why = _contrasts(question)
    return CriterionReport(
        criterion=question.criterion,
        planned=question.planned,
        given=sum(map(len, question.first.values())),
        rows=tuple(_rows(question)),
        agreement=tuple(_agreement(question)),
        repeats=tuple(_repeats(question)),
        human_ai=_human_ai(question),
        bias=_bias(question),
        contrasts=contrasts,
        no_contrasts=why,
        split=tuple(_split(question)),
        against_ai=tuple(_against_ai(question)),
    )


def bin_name(score: float | None) -> str:
    """The fifth of 0..1 that a score is in, in words."""
    if score is None:
        return "no score"
    place = score_bin(score)
    return f"{place / BINS:.1f}–{(place + 1) / BINS:.1f}"


def rate_name(rate: float | None) -> str:
    """A mask rate in words."""
    return "no mask rate" if rate is None else f"{rate:g}"


def _rows(question: Question) -> Iterable[Row]:
    """All ratings, then by rater, bin of the AI's score and mask rate."""
    yield Row(group="overall", name="all", figures=_figures(question, question.first))
    for rater in question.raters:
        own = {n: {rater: row[rater]} for n, row in question.first.items() if rater in row}
        yield Row(group="rater", name=rater, figures=_figures(question, own))
    by: tuple[tuple[str, Callable[[Item], str]], ...] = (
        ("score", lambda item: bin_name(item.score)),
        ("rate", lambda item: rate_name(item.rate)),
    )
    for group, name_of in by:
        names: dict[str, dict[int, Mapping[str, float]]] = defaultdict(dict)
        for n, row in question.first.items():
            names[name_of(question.items[n])][n] = row
        for name in sorted(names, key=lambda name: (name[:1].isalpha(), name)):
            figures = _figures(question, names[name])
            yield Row(group="score" if group == "score" else "rate", name=name, figures=figures)


def _figures(question: Question, said: Said) -> tuple[Figure, ...]:
    """The figures that the scale calls for."""
    scale = question.criterion.scale
    if scale == "yesno":
        return (_share(question, "yes", said, lambda n, value: value == 1),)
    if scale == "ordinal":
        return (
            _mean(question, "mean", said, lambda n, value: value, 1, 5),
            _share(question, "4 or 5", said, lambda n, value: value >= 4),
        )
    scores = _scores(question)
    scored = {n: row for n, row in said.items() if n in scores}
    near = f"within {NEAR:g} of the AI"
    return (
        _mean(question, "mean", said, lambda n, value: value, 0, 1),
        _share(question, near, scored, lambda n, value: abs(value - scores[n]) <= NEAR + _TINY),
    )


def _scores(question: Question) -> dict[int, float]:
    return {n: item.score for n, item in question.items.items() if item.score is not None}


def _share(question: Question, label: str, said: Said, hit: Callable[[int, float], bool]) -> Figure:
    hits = [float(sum(hit(n, value) for value in row.values())) for n, row in said.items()]
    of = [len(row) for row in said.values()]
    estimate = clustered_share(hits, of, question.drawn(said))
    return Figure(label=label, unit="share", estimate=estimate, ratings=sum(of), items=len(said))


def _mean(
    question: Question,
    label: str,
    said: Said,
    value_of: Callable[[int, float], float],
    low: float,
    high: float,
) -> Figure:
    sums = [math.fsum(value_of(n, value) for value in row.values()) for n, row in said.items()]
    of = [len(row) for row in said.values()]
    estimate = clustered_mean(sums, of, low, high, question.drawn(said))
    return Figure(label=label, unit="mean", estimate=estimate, ratings=sum(of), items=len(said))


def _agreement(question: Question) -> Iterable[Agreement]:
    """The coefficients that the scale calls for; Cohen's kappa where two raters answered, else Fleiss'."""
    raters = [rater for rater in question.raters if any(rater in row for row in question.first.values())]
    table = tabulate(
        [[row.get(rater) for rater in raters] for row in question.first.values()],
        SCALES[question.criterion.scale],
        question.drawn(question.first),
    )
    for measure in _MEASURES[question.criterion.scale]:
        two = measure == "fleiss" and table.raters == 2
        yield agreement(_COHEN[question.criterion.scale] if two else measure, table)


def _repeats(question: Question) -> Iterable[Repeats]:
    """All raters together first, then each who answered an item twice."""
    pairs = {
        n: {
            rater: (question.first[n][rater], value)
            for rater, value in row.items()
            if rater in question.first.get(n, {})
        }
        for n, row in question.again.items()
    }
    raters = [rater for rater in question.raters if any(rater in row for row in pairs.values())]
    for rater in ["", *raters] if len(raters) > 1 else raters:
        own = {n: {r: pair for r, pair in row.items() if rater in ("", r)} for n, row in pairs.items()}
        own = {n: row for n, row in own.items() if row}
        apart = {n: {r: abs(a - b) for r, (a, b) in row.items()} for n, row in own.items()}
        same = _share(question, "the same answer", apart, lambda n, value: value < _TINY)
        distances = [value for row in apart.values() for value in row.values()]
        yield Repeats(rater=rater, same=same, apart=mean(distances))


def _against(question: Question) -> dict[int, tuple[float, float]]:
    """Item to (mean reading, AI score), for readings of the similarity."""
    if question.criterion.scale != "tenths":
        return {}
    found = {}
    for n, row in question.first.items():
        score, said = question.items[n].score, mean(list(row.values()))
        if score is not None and said is not None:
            found[n] = (said, score)
    return found


def _human_ai(question: Question) -> Figure | None:
    """Spearman's correlation of mean reading and AI score, with a bootstrap interval over items."""
    if question.criterion.scale != "tenths":
        return None
    against = _against(question)
    pairs = list(against.values())
    human, scores = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    found = spearman(human, scores)
    estimate = Estimate(reason=found.reason)
    if found.value is not None:
        import numpy as np

        strata = np.asarray(question.drawn(against) or [0] * len(pairs))
        estimate = over_items(counted_spearman(scores, human), np.ones(len(pairs), dtype=np.int64), strata)
    return Figure(
        label="Spearman, human and AI",
        unit="coefficient",
        estimate=estimate,
        ratings=sum(len(question.first[n]) for n in against),
        items=len(pairs),
    )


def _bias(question: Question) -> Figure | None:
    """How much higher people read the similarity than the AI."""
    if question.criterion.scale != "tenths":
        return None
    scores = _scores(question)
    said = {n: row for n, row in question.first.items() if n in scores}
    return _mean(question, "human less AI", said, lambda n, value: value - scores[n], -1, 1)


def _contrasts(question: Question) -> tuple[tuple[Contrast, ...], str]:
    """Every two conditions with two rated items or more each, or why there is none."""
    conditions: dict[str, dict[int, Mapping[str, float]]] = defaultdict(dict)
    for n, row in question.first.items():
        conditions[question.items[n].condition or "unknown"][n] = row
    names = sorted(name for name, said in conditions.items() if len(said) > 1)
    if len(names) < 2:
        alone = f" ({len(conditions)} has ratings)" if len(conditions) == 1 else ""
        return (), f"there are no two conditions with two rated items each{alone}"
    return tuple(contrast(a, b, conditions[a], conditions[b]) for a, b in combinations(names, 2)), ""


def _split(question: Question) -> list[Look]:
    """The items on which raters are farthest apart; where each has one rater, those that were answered no."""
    first = question.first
    if any(len(row) > 1 for row in first.values()):
        apart = {n: max(row.values()) - min(row.values()) for n, row in first.items()}
    elif question.criterion.scale == "yesno":
        apart = {n: 1.0 for n, row in first.items() if 0.0 in row.values()}
    else:
        apart = {}
    return _looks(question, apart)


def _against_ai(question: Question) -> list[Look]:
    """The items that people read most unlike the AI."""
    return _looks(question, {n: abs(said - score) for n, (said, score) in _against(question).items()})


def _looks(question: Question, apart: Mapping[int, float]) -> list[Look]:
    def spread(n: int) -> float:
        values = list(question.first[n].values())
        middle = math.fsum(values) / len(values)
        return math.fsum((value - middle) ** 2 for value in values) / len(values)

    order = sorted((n for n in apart if apart[n] > _TINY), key=lambda n: (-round(apart[n], 6), -spread(n), n))
    return [_look(question, n, apart[n]) for n in order[:SHOWN]]


def _look(question: Question, n: int, apart: float) -> Look:
    item = question.items[n]
    return Look(
        item=n,
        pair_id=item.pair_id,
        text_a=item.text_a,
        text_b=item.text_b,
        score=item.score,
        values=tuple(
            (rater, question.first[n][rater]) for rater in question.raters if rater in question.first[n]
        ),
        apart=apart,
        comments=tuple(f"{one.rater}: {one.text}" for one in question.comments.get(n, ())),
    )
