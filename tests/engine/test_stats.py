from __future__ import annotations

import math
import subprocess
import sys
from statistics import correlation

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.stats import Correlation, mean, percentile, spearman, trials_for, wilson

small = st.lists(st.integers(-3, 3).map(float), min_size=2, max_size=30)


def test_wilson_gives_the_published_interval() -> None:
    # Newcombe (1998), table I: 81 of 263, 15 of 148, 0 of 20, 1 of 29.
    for successes, trials, low, high in [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
    ]:
        interval = wilson(successes, trials)
        assert interval is not None
        assert (round(interval.low, 4), round(interval.high, 4)) == (low, high)
        assert interval.value == successes / trials
    assert wilson(0, 0) is None
    with pytest.raises(ValueError, match="no share"):
        wilson(3, 2)


@given(trials=st.integers(1, 5000), share=st.floats(0, 1))
def test_a_wilson_interval_holds_its_estimate(trials: int, share: float) -> None:
    interval = wilson(round(trials * share), trials)
    assert interval is not None
    assert 0.0 <= interval.low <= interval.value <= interval.high <= 1.0


@given(share=st.floats(0.05, 0.95), width=st.floats(0.01, 0.3))
def test_trials_for_is_the_least_number_that_does(share: float, width: float) -> None:
    def reach(trials: int) -> float:
        z = 1.959963984540054
        return z / (1 + z * z / trials) * math.sqrt(share * (1 - share) / trials + (z / (2 * trials)) ** 2)

    trials = trials_for(share, width)
    assert reach(trials) <= width
    assert trials == 1 or reach(trials - 1) > width


def test_the_usual_sample_for_three_percent() -> None:
    assert trials_for(0.5, 0.03) == 1064
    with pytest.raises(ValueError, match="half_width"):
        trials_for(0.5, 0.0)


def ranked(values: list[float]) -> list[float]:
    """Ranks by counting; equal values share the mean of theirs."""
    return [sum(v < value for v in values) + (sum(v == value for v in values) + 1) / 2 for value in values]


@given(first=small, second=small)
def test_spearman_is_the_correlation_of_the_ranks(first: list[float], second: list[float]) -> None:
    count = min(len(first), len(second))
    first, second = first[:count], second[:count]
    found = spearman(first, second)
    if len(set(first)) == 1 or len(set(second)) == 1:
        assert found.value is None
        assert "same" in found.reason
    else:
        assert found.value == pytest.approx(correlation(ranked(first), ranked(second)), abs=1e-9)
        assert spearman(second, first).value == pytest.approx(found.value)


def test_spearman_says_why_there_is_none() -> None:
    assert spearman([], []) == Correlation(None, 0, "fewer than two pairs of values")
    assert spearman([1.0], [1.0]).value is None
    assert spearman([1.0, math.nan], [1.0, 2.0]).reason == "a value is not a number"
    assert spearman([1, 2, 3], [3, 2, 1]) == Correlation(-1.0, 3)
    with pytest.raises(ValueError, match="against"):
        spearman([1.0], [])


@given(values=st.lists(st.floats(-1e6, 1e6), min_size=1), share=st.floats(0, 1))
def test_percentile_agrees_with_numpy(values: list[float], share: float) -> None:
    import numpy as np

    assert percentile(values, share) == pytest.approx(float(np.percentile(values, share * 100)), abs=1e-6)


def test_of_nothing_there_is_no_mean_and_no_percentile() -> None:
    assert mean([]) is None
    assert percentile([], 0.5) is None
    assert mean([0.1] * 10) == 0.1


def test_it_loads_neither_torch_nor_numpy() -> None:
    code = "import sys, engine.stats; print([m for m in ('torch', 'numpy', 'scipy') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
