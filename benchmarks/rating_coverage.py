"""How often the 95 % intervals of a report cover the truth, over simulated studies of the preset ``rigorous``.

``python -m benchmarks.rating_coverage`` invents raters of known accuracy and a population of items, works out exactly
what each figure would be over infinitely many items, then simulates studies (100 items, 3 raters on each, drawn in
strata by AI score, gold and repeats), makes the report on each, and counts how often its intervals hold that value.
The preset's two questions are asked, and a yes/no question beside them. Fails unless all are within 90-98 %.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from claif_tui.core.rating.intervals import Estimate
from claif_tui.core.rating.models import (
    SCALES,
    Answer,
    Assignment,
    Criterion,
    Exclusion,
    GoldRange,
    Item,
    Protocol,
    ScaleKind,
    Study,
    StudyData,
)
from claif_tui.core.rating.report import report
from claif_tui.core.rating.report_models import Report

Array = NDArray[np.float64]
RATERS = ("first", "second", "third")
ITEMS, GOLD, REPEATS = 100, 8, 8
SCORES = np.array([0.06, 0.04, 0.06, 0.06, 0.09, 0.09, 0.12, 0.14, 0.14, 0.10, 0.10])
"""How often the AI gives each tenth; each fifth of the scale holds a whole number of items in 100."""
BINS = ((0, 1), (2, 3), (4, 5), (6, 7), (8, 9, 10))
ACCEPTED = (0.90, 0.98)


@dataclass(frozen=True)
class World:
    """One question: how often each truth is (t,) in each condition, and how each rater answers it (t, q)."""

    criterion: Criterion
    truths: tuple[Array, Array]
    raters: tuple[Array, ...]

    @property
    def truth(self) -> Array:
        """How often each truth is; half of the items are of either condition."""
        return (self.truths[0] + self.truths[1]) / 2

    @property
    def values(self) -> Array:
        """The values of the scale."""
        return np.array(SCALES[self.criterion.scale])


def _noisy(size: int, accuracy: float, reach: float) -> Array:
    """Answers that are right with a probability of ``accuracy``, and near the truth otherwise (t, q)."""
    steps = np.abs(np.arange(size)[:, None] - np.arange(size))
    near = np.where(steps == 0, 0.0, np.exp(-steps / reach))
    return np.asarray(accuracy * np.eye(size) + (1 - accuracy) * near / near.sum(axis=1, keepdims=True))


def _question(name: str, scale: ScaleKind, blind: bool = False) -> Criterion:
    return Criterion(name=name, question=f"{name}?", guideline="", scale=scale, blind=blind)


TRUTH_GIVEN_SCORE = _noisy(11, 0.35, 1.2)
_SIMILARITY = SCORES @ TRUTH_GIVEN_SCORE
WORLDS = {
    "similarity": World(
        _question("similarity", "tenths", blind=True),
        (_SIMILARITY, _SIMILARITY),
        tuple(_noisy(11, accuracy, 1.0) for accuracy in (0.6, 0.5, 0.4)),
    ),
    "fluency": World(
        _question("fluency", "ordinal"),
        (np.array([0.02, 0.05, 0.10, 0.28, 0.55]), np.array([0.05, 0.10, 0.20, 0.30, 0.35])),
        tuple(_noisy(5, accuracy, 0.8) for accuracy in (0.85, 0.75, 0.65)),
    ),
    "fluent": World(
        _question("fluent", "yesno"),
        (np.array([0.12, 0.88]), np.array([0.12, 0.88])),
        tuple(_noisy(2, accuracy, 1.0) for accuracy in (0.97, 0.95, 0.92)),
    ),
}


def known(world: World) -> dict[str, float]:
    """What each figure is over infinitely many items, from the joint distribution of the raters' answers."""
    values, q = world.values, len(world.values)
    joint = [np.einsum("t,ta,tb->ab", world.truth, one, other) for one, other in combinations(world.raters, 2)]
    pairs = sum(table + table.T for table in joint) / (2 * len(joint))
    given = pairs.sum(axis=0)
    steps = np.abs(np.arange(q)[:, None] - np.arange(q))
    near = {
        "identity": (steps == 0) * 1.0,
        "step": (steps <= 1) * 1.0,
        "quadratic": 1 - (values[:, None] - values) ** 2 / (values[-1] - values[0]) ** 2,
        "ordinal": 1 - steps * (steps + 1) / ((q - 1) * q),
    }
    middle = np.cumsum(given) - given / 2
    apart = {
        "nominal": (steps > 0) * 1.0,
        "ordinal": (middle[:, None] - middle) ** 2,
        "interval": (values[:, None] - values) ** 2,
    }
    exact: dict[str, float] = {
        "percent": float(np.trace(pairs)),
        "within_step": float((pairs * near["step"]).sum()),
    }
    by_chance = float((given**2).sum())
    exact["fleiss"] = (exact["percent"] - by_chance) / (1 - by_chance)
    for level, distance in apart.items():
        exact[f"alpha_{level}"] = float(
            1 - (pairs * distance).sum() / (np.outer(given, given) * distance).sum()
        )
    for kind, name in (("identity", "ac1"), ("quadratic", "ac2_quadratic"), ("ordinal", "ac2_ordinal")):
        chance = near[kind].sum() / (q * (q - 1)) * (given * (1 - given)).sum()
        exact[name] = float(((pairs * near[kind]).sum() - chance) / (1 - chance))
    exact["mean"] = float(given @ values)
    exact["yes"] = float(given[-1])
    exact["4 or 5"] = float(given[-2:].sum())
    again = [float(world.truth @ (rater**2).sum(axis=1)) for rater in world.raters]
    exact["the same answer"] = float(np.mean(again))
    for name, rater in zip(RATERS, world.raters, strict=True):
        exact[f"{name}: yes"] = float((world.truth @ rater)[-1])
        exact[f"{name}: 4 or 5"] = float((world.truth @ rater)[-2:].sum())
    average = sum(world.raters) / len(world.raters)
    exact["contrast"] = float((world.truths[0] - world.truths[1]) @ average @ values)
    if world.criterion.scale == "tenths":
        exact |= _against_ai(world)
    return exact


def _against_ai(world: World) -> dict[str, float]:
    """The exact figures about people and AI, from the joint distribution of score and sum of three readings."""
    together = np.zeros((11, 31))
    near = 0.0
    for truth in range(11):
        readings = np.ones(1)
        for rater in world.raters:
            readings = np.convolve(readings, rater[truth])
            for score in range(11):
                hit = rater[truth, max(0, score - 1) : score + 2].sum()
                near += SCORES[score] * TRUTH_GIVEN_SCORE[score, truth] * hit / len(world.raters)
        together += np.outer(SCORES * TRUTH_GIVEN_SCORE[:, truth], readings)
    ranks = []
    for share in (together.sum(axis=1), together.sum(axis=0)):
        middle = np.cumsum(share) - share / 2
        ranks.append((middle - 0.5) / np.sqrt(share @ (middle - 0.5) ** 2))
    mean_reading = together.sum(axis=0) @ np.arange(31) / 30
    return {
        "within 0.1 of the AI": float(near),
        "Spearman, human and AI": float(ranks[0] @ together @ ranks[1]),
        "human less AI": float(mean_reading - SCORES @ np.arange(11) / 10),
    }


def study(random: np.random.Generator) -> StudyData:
    """One simulated study with all its answers."""
    scores = np.concatenate(
        [
            random.choice(
                some,
                size=round(ITEMS * SCORES[list(some)].sum()),
                p=SCORES[list(some)] / SCORES[list(some)].sum(),
            )
            for some in BINS
        ]
    )
    random.shuffle(scores)
    conditions = random.integers(2, size=ITEMS)
    truths = {
        "similarity": np.array([random.choice(11, p=TRUTH_GIVEN_SCORE[score]) for score in scores]),
        **{
            name: np.array(
                [random.choice(len(WORLDS[name].values), p=WORLDS[name].truths[c]) for c in conditions]
            )
            for name in ("fluency", "fluent")
        },
    }
    items = [
        _item(n, "sample", score / 10, f"model {c}")
        for n, (score, c) in enumerate(zip(scores, conditions, strict=True), 1)
    ]
    gold = [_item(ITEMS + n, "gold", 0.0, "") for n in range(1, GOLD + 1)]
    assignments: list[Assignment] = []
    answers: list[Answer] = []
    for place, rater in enumerate(RATERS):
        again = random.choice(ITEMS, size=REPEATS, replace=False) + 1
        turns = [*((n, 0) for n in range(1, ITEMS + GOLD + 1)), *((int(n), 1) for n in again)]
        for position, (n, occurrence) in enumerate(turns, 1):
            assignments.append(
                Assignment(token="", rater=rater, position=position, item=n, occurrence=occurrence)
            )
            for name, world in WORLDS.items():
                values = world.values
                if n > ITEMS:
                    value = values[-1] if random.random() < 0.97 else values[0]
                else:
                    value = random.choice(values, p=world.raters[place][truths[name][n - 1]])
                answers.append(
                    Answer(
                        rater=rater,
                        item=n,
                        occurrence=occurrence,
                        criterion=name,
                        value=float(value),
                        elapsed=8.0,
                        at="2026-01-01T00:00:00+00:00",
                        source="app",
                    )
                )
    return StudyData(
        study=Study(id=1, hash="0" * 64, created="2026-01-01T00:00:00+00:00", author="", protocol=_protocol()),
        items=(*items, *gold),
        assignments=tuple(assignments),
        answers=tuple(answers),
        comments=(),
        events=(),
    )


def _protocol() -> Protocol:
    return Protocol(
        name="simulated",
        preset="rigorous",
        seed=42,
        population="",
        with_zero=False,
        with_rejected=False,
        sample=ITEMS,
        stratify=("score", "rate"),
        criteria=tuple(world.criterion for world in WORLDS.values()),
        raters=RATERS,
        per_item=3,
        practice=0,
        gold=GOLD,
        repeats=REPEATS,
        order="shuffled",
        shows_score=False,
        shows_explanation=False,
        exclusion=Exclusion(min_gold=0.75),
    )


def _item(n: int, role: str, score: float, model: str) -> Item:
    ranges = (GoldRange(criterion="similarity", low=0.8, high=1.0),) if role == "gold" else ()
    return Item(
        n=n,
        role="gold" if role == "gold" else "sample",
        pair_id=n,
        text_a="a",
        text_b="b",
        score=score,
        explanation=None,
        rate=None,
        system="simulated",
        model=model,
        recipe_id=None,
        status=None,
        gold=ranges,
    )


def estimates(found: Report) -> Iterator[tuple[str, str, Estimate]]:
    """Every figure of a report that has a known value: question, name, estimate.

    The known values are of all three raters: where one fails the gold by chance, the figures with that rater count.
    """
    for one in found.everyone or found.criteria:
        name = one.criterion.name
        for row in one.rows:
            if row.group == "overall":
                yield from ((name, figure.label, figure.estimate) for figure in row.figures)
            elif row.group == "rater":
                yield from (
                    (name, f"{row.name}: {figure.label}", figure.estimate)
                    for figure in row.figures
                    if figure.label in ("yes", "4 or 5")
                )
        yield from ((name, each.measure, each.estimate) for each in one.agreement)
        yield name, "the same answer", one.repeats[0].same.estimate
        for figure in (one.human_ai, one.bias):
            if figure is not None:
                yield name, figure.label, figure.estimate
        if name == "fluency":
            yield name, "contrast", one.contrasts[0].difference


@dataclass
class Tally:
    """What became of one figure over the studies."""

    exact: float
    covered: int = 0
    studies: int = 0
    values: list[float] = field(default_factory=list)
    widths: list[float] = field(default_factory=list)

    @property
    def coverage(self) -> float:
        """The share of studies whose interval holds the exact value; one without an interval holds nothing."""
        return self.covered / self.studies


def simulate(studies: int, seed: int) -> dict[tuple[str, str], Tally]:
    """Make studies and their reports; study ``n`` depends on the seed and ``n`` alone."""
    exact = {name: known(world) for name, world in WORLDS.items()}
    tallies: dict[tuple[str, str], Tally] = {}
    for n in range(studies):
        for question, label, estimate in estimates(report(study(np.random.default_rng([seed, n])))):
            tally = tallies.setdefault((question, label), Tally(exact[question][label]))
            tally.studies += 1
            if estimate.low is None or estimate.high is None or estimate.value is None:
                continue
            tally.covered += estimate.low <= tally.exact <= estimate.high
            tally.values.append(estimate.value)
            tally.widths.append(estimate.high - estimate.low)
    return tallies


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    tallies = simulate(chosen.studies, chosen.seed)
    print(f"{chosen.studies} studies of {ITEMS} items and {len(RATERS)} raters, seed {chosen.seed}")
    print(f"{'question':<11}{'figure':<24}{'known':>8}{'mean':>8}{'width':>8}{'covered':>9}")
    outside: dict[str, list[str]] = defaultdict(list)
    for (question, label), tally in tallies.items():
        print(
            f"{question:<11}{label:<24}{tally.exact:>8.4f}{np.mean(tally.values):>8.4f}{np.mean(tally.widths):>8.4f}"
            f"{tally.coverage:>9.1%}"
        )
        if not ACCEPTED[0] <= tally.coverage <= ACCEPTED[1]:
            outside[question].append(label)
    for question, labels in outside.items():
        print(f"outside {ACCEPTED[0]:.0%}-{ACCEPTED[1]:.0%}: {question}: {', '.join(labels)}")
    return 1 if outside else 0


if __name__ == "__main__":
    sys.exit(main())
