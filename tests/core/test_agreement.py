"""The coefficients against published examples, what is undefined in words, and intervals that cover the truth."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from benchmarks.rating_coverage import ACCEPTED, simulate
from claif_tui.core.rating.agreement import TITLES, Measure, agreement, statistic, tabulate
from claif_tui.core.rating.intervals import clustered_mean, clustered_share, over_items
from engine.stats import counted_spearman, spearman, wilson

FOUR = "11-1 2232 3333 3333 2222 1234 4444 1121 2222 -555 --11 --3-"
FLEISS = """
0 0 0 0 14 / 0 2 6 4 2 / 0 0 3 5 6 / 0 3 9 2 0 / 2 2 8 1 1 / 7 7 0 0 0 / 3 2 6 3 0 / 2 5 3 2 2 / 6 5 2 1 0 / 0 2 2 3 7
"""


def read(items: str) -> list[list[float | None]]:
    """One word for each item, a digit for each rater."""
    return [[None if sign == "-" else float(sign) for sign in word] for word in items.split()]


def value(measure: Measure, items: list[list[float | None]], categories: list[float]) -> float | None:
    return agreement(measure, tabulate(items, categories), resamples=50).estimate.value


@pytest.mark.parametrize(
    ("measure", "expected"),
    [
        # Krippendorff 2011 and Gwet 2014: four raters, twelve items.
        ("alpha_nominal", 0.7434),
        ("alpha_ordinal", 0.8154),
        ("alpha_interval", 0.8491),
        ("alpha_ratio", 0.7974),
        ("ac1", 0.77544),
        ("ac2_linear", 0.85874),
        ("ac2_quadratic", 0.91400),
        ("ac2_ordinal", 0.89894),
        ("fleiss", 0.76117),
        ("percent", 0.81818),
    ],
)
def test_the_published_example_of_four_raters(measure: Measure, expected: float) -> None:
    found = value(measure, read(FOUR), [1, 2, 3, 4, 5])
    assert found is not None
    assert round(found, 4 if measure.startswith("alpha") else 5) == expected


def test_fleiss_and_cohen_on_published_tables() -> None:
    fourteen: list[list[float | None]] = []
    for line in FLEISS.split("/"):
        fourteen.append([float(place) for place, n in enumerate(line.split()) for _ in range(int(n))])
    assert value("fleiss", fourteen, [0, 1, 2, 3, 4]) == pytest.approx(0.210, abs=5e-4)
    for cells, kappa in (((20, 5, 10, 15), 0.4), ((45, 15, 25, 15), 0.1304), ((25, 35, 5, 35), 0.2593)):
        both: list[list[float | None]] = []
        for (first, second), n in zip(((1.0, 1.0), (1.0, 0.0), (0.0, 1.0), (0.0, 0.0)), cells, strict=True):
            both += [[first, second]] * n
        assert value("cohen", both, [0, 1]) == pytest.approx(kappa, abs=5e-5)


def test_weighted_kappa_is_scikit_learns_and_ignores_items_of_one_rater() -> None:
    draw = random.Random(3)
    first = [float(draw.randint(1, 5)) for _ in range(60)]
    second = [min(5.0, max(1.0, one + draw.choice([-1, 0, 0, 2]))) for one in first]
    items: list[list[float | None]] = [[a, b] for a, b in zip(first, second, strict=True)]
    items += [[5.0, None], [None, 1.0], [None, None]]
    for measure, name in (("cohen", None), ("cohen_linear", "linear"), ("cohen_quadratic", "quadratic")):
        expected = cohen_kappa_score(first, second, weights=name)
        assert value(measure, items, [1, 2, 3, 4, 5]) == pytest.approx(expected)  # type: ignore[arg-type]


@pytest.mark.parametrize("measure", TITLES)
def test_what_is_undefined_is_told_in_words(measure: Measure) -> None:
    words = {
        "nobody": [],
        "of one rater only": read("1- 2- 3-"),
        "no item was rated by two": read("1- -2 3-"),
    }
    for reason, items in words.items():
        found = agreement(measure, tabulate(items, [1, 2, 3])).estimate
        assert (found.value, found.low) == (None, None)
        assert reason in found.reason
    same = agreement(measure, tabulate(read("22 22 22"), [1, 2, 3])).estimate
    # Where chance is not taken from the ratings' own spread, complete agreement is 1, yet has no interval.
    if measure in ("percent", "within_step") or measure.startswith("ac"):
        assert (same.value, same.low) == (1.0, None)
        assert "every resample" in same.note
    else:
        assert same.value is None
        assert "every rating is the same value" in same.reason
    if measure.startswith("cohen"):
        assert "two raters, and 4" in agreement(measure, tabulate(read(FOUR), [1, 2, 3, 4, 5])).estimate.reason
    with pytest.raises(ValueError, match="9 is none"):
        tabulate(read("19"), [1, 2, 3])


def test_a_rare_no_leaves_kappa_without_an_interval_and_says_why() -> None:
    found = agreement("fleiss", tabulate([[1.0, 1.0]] * 40 + [[1.0, 0.0]], [0, 1])).estimate
    assert found.value is not None
    assert found.low is None
    assert "every rating is the same" in found.note


def test_resamples_are_what_a_loop_over_resampled_items_gives() -> None:
    items = read(FOUR)
    table = tabulate(items, [1, 2, 3, 4, 5])
    draw = random.Random(5)
    chosen = [draw.randrange(len(items)) for _ in items]
    again = tabulate([items[n] for n in chosen], [1, 2, 3, 4, 5])
    kinds = [tuple(-1 if v is None else int(v) - 1 for v in items[n]) for n in chosen]
    times = np.array([[kinds.count(tuple(pattern)) for pattern in table.patterns.tolist()]], dtype=float)
    for measure in TITLES:
        if not measure.startswith("cohen"):
            assert statistic(measure, table)(times)[0] == pytest.approx(
                value(measure, [items[n] for n in chosen], [1, 2, 3, 4, 5])
            )
    assert again.ratings == sum(v is not None for n in chosen for v in items[n])


def test_a_share_of_single_ratings_has_wilsons_interval_and_of_like_ones_that_of_the_items() -> None:
    plain = wilson(92, 100)
    assert plain is not None
    single = clustered_share([1] * 92 + [0] * 8, [1] * 100)
    assert (single.value, single.low, single.high) == pytest.approx((0.92, plain.low, plain.high))
    assert (round(plain.low, 3), round(plain.high, 3)) == (0.850, 0.959)
    thrice = clustered_share([3] * 92 + [0] * 8, [3] * 100)
    assert (thrice.low, thrice.high) == pytest.approx((plain.low, plain.high))
    apart = clustered_share([2, 1] * 50, [3] * 100)
    assert apart.low is not None
    assert apart.low > clustered_share([3, 0] * 50, [3] * 100).low  # type: ignore[operator]
    all_yes = clustered_share([3] * 10, [3] * 10)
    ten = wilson(10, 10)
    assert ten is not None
    assert (all_yes.low, all_yes.high) == (ten.low, 1.0)
    assert clustered_share([], []).reason
    assert clustered_mean([4.0], [1], 1, 5).note
    assert clustered_mean([4.0, 8.0], [1, 2], 1, 5).note
    # Between strata that differ and within which all are alike nothing is left to chance.
    assert clustered_mean([1.0] * 9 + [5.0] * 9, [1] * 18, 1, 5, [0] * 9 + [1] * 9).low is None


def test_spearman_in_a_resample_is_that_of_the_drawn_pairs() -> None:
    draw = random.Random(7)
    first = [float(draw.randint(0, 10)) for _ in range(30)]
    second = [one + draw.random() * 6 // 1 for one in first]
    times = [draw.randint(0, 3) for _ in first]
    drawn = [(a, b) for a, b, n in zip(first, second, times, strict=True) for _ in range(n)]
    expected = spearman([a for a, _ in drawn], [b for _, b in drawn]).value
    found = counted_spearman(first, second)(np.array([times, [1] * 30], dtype=float))
    assert found[0] == pytest.approx(expected)
    assert found[1] == pytest.approx(spearman(first, second).value)
    ones = np.ones(30, dtype=np.int64)
    same = over_items(counted_spearman(first, [1.0] * 30), ones, ones)
    assert same.value is None
    assert not math.isfinite(float(counted_spearman(first, [1.0] * 30)(ones[None].astype(float))[0]))


def test_intervals_of_simulated_studies_cover_the_known_values() -> None:
    tallies = simulate(25, 1)
    assert len(tallies) > 30
    # So few studies tell little of one figure; of all together they tell intervals that are too narrow or too wide.
    assert [name for name, tally in tallies.items() if tally.coverage < 0.8] == []
    assert ACCEPTED[0] <= float(np.mean([tally.coverage for tally in tallies.values()])) <= ACCEPTED[1]
    # A sample drawn in strata by AI score tells more of the similarity than a simple one (0.11 wide).
    assert np.mean(tallies["similarity", "mean"].widths) < 0.08
    # The figures themselves are right, and not only their intervals wide: means over studies lie near the truth.
    for tally in tallies.values():
        error = float(np.std(tally.values)) / math.sqrt(len(tally.values))
        assert abs(float(np.mean(tally.values)) - tally.exact) < 4 * error + 0.004
