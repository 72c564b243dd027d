from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import spearmanr

from engine.evaluate.cosine import cosines, dev_score
from engine.evaluate.pairs import Pairs, stack
from engine.evaluate.sts import averages, evaluate, sts, sts_cross
from engine.stats import pearson, percentile_interval, resampled_spearman
from engine.tasks import STS, TASKS
from tests.engine.evaluation_helpers import hash_encoder, shrink, write


def pairs_of(gold: list[float], name: str = "own") -> Pairs:
    texts = [f"{name} {number}" for number in range(len(gold))]
    return Pairs(name, texts, texts, np.array(gold))


@pytest.mark.data
def test_the_aggregations_agree_with_the_reference(data_dir: Path) -> None:
    case = json.loads((data_dir / "loss_reference.json").read_text())["cases"]["sts_aggregation"]
    a, b = case["subset_A"], case["subset_B"]
    pairs = stack("both", {"A": pairs_of(a["gold"], "A"), "B": pairs_of(b["gold"], "B")})
    result = evaluate(pairs, np.array(a["sys"] + b["sys"]), resamples=0)
    assert result.spearman == pytest.approx(case["all_spearman"] * 100, abs=1e-7)
    assert result.mean == pytest.approx(case["mean_spearman"] * 100, abs=1e-7)
    assert result.wmean == pytest.approx(case["wmean_spearman"] * 100, abs=1e-7)
    for name, subset in (("A", a), ("B", b)):
        assert result.parts[name].value == pytest.approx(subset["spearman"] * 100, abs=1e-7)
        assert pearson(subset["gold"], subset["sys"]).value == pytest.approx(subset["pearson"], abs=1e-9)


@pytest.mark.data
def test_all_tasks_from_one_encoding(data_dir: Path) -> None:
    calls: list[list[str]] = []
    encode = hash_encoder(8)

    def spy(texts: list[str]) -> NDArray[np.float32]:
        calls.append(texts)
        return encode(texts)

    results = sts(spy, data_dir, STS, resamples=10)
    assert len(calls) == 1
    assert len(set(calls[0])) == len(calls[0])
    assert {name: result.n for name, result in results.items()} == {name: TASKS[name].n for name in STS}
    for result in results.values():
        assert result.spearman is not None and 10 < result.spearman < 100
        assert result.interval is not None and result.interval.low < result.spearman < result.interval.high
    twelve = results["STS12"]
    assert len({twelve.spearman, twelve.mean, twelve.wmean, twelve.pearson}) == 4
    assert json.loads(json.dumps(twelve.as_json()))["subsets"]["MSRpar"]["n"] == 750


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shrink(monkeypatch, "STS16", ("headlines", 4))
    text = "the cat\tthe cat\na man is\tit was\nthe cat\ta man is\na man is\tit was\n"
    write(tmp_path / "STS/STS16-en-test/STS.input.headlines.txt", text)
    write(tmp_path / "STS/STS16-en-test/STS.gs.headlines.txt", "5\n2\n1\n2\n")
    return tmp_path


def test_a_pair_is_scored_once_and_by_its_order(small: Path) -> None:
    seen: list[tuple[str, str]] = []

    def score(first: list[str], second: list[str]) -> NDArray[np.float32]:
        seen.extend(zip(first, second, strict=True))
        return np.array([3, np.nan, 1], dtype=np.float32)

    result = sts_cross(score, small, ["STS16"], resamples=0)["STS16"]
    assert seen == [("the cat", "the cat"), ("a man is", "it was"), ("the cat", "a man is")]
    assert result.predictions.tolist() == [3.0, 0.0, 1.0, 0.0]
    assert result.undefined == 2
    with pytest.raises(ValueError, match="3 pairs gave scores of shape"):
        sts_cross(lambda first, second: np.zeros((3, 1), dtype=np.float32), small, ["STS16"])


def test_constant_predictions_have_no_figure_but_a_reason(small: Path) -> None:
    result = sts(lambda texts: np.ones((len(texts), 3), dtype=np.float32), small, ["STS16"])["STS16"]
    figures = (result.spearman, result.pearson, result.mean, result.wmean, result.interval)
    assert figures == (None, None, None, None, None)
    assert "same" in result.reason
    assert "nan" not in json.dumps(result.as_json()).lower()
    assert averages([50.0, result.spearman]) == (None, None)
    with pytest.raises(ValueError, match="3 sentences gave vectors of shape"):
        sts(lambda texts: np.ones((2, 3), dtype=np.float32), small, ["STS16"])


def test_a_cosine_that_does_not_exist_is_zero_and_counted() -> None:
    first = np.array([[1, 0], [0, 0], [np.nan, 1], [np.inf, 1], [3e30, 4e30]], dtype=np.float32)
    second = np.array([[1, 1], [1, 0], [1, 1], [1, 0], [3e30, 4e30]], dtype=np.float32)
    values, undefined = cosines(first, second)
    assert values.tolist() == pytest.approx([math.sqrt(0.5), 0, 0, 0, 1])
    assert undefined == 3


def test_the_papers_average_is_of_rounded_values() -> None:
    values: list[float | None] = [75.304, 84.674, 80.194, 85.404, 80.824, 84.264, 80.394]
    paper, full = averages(values)
    assert paper == pytest.approx((75.30 + 84.67 + 80.19 + 85.40 + 80.82 + 84.26 + 80.39) / 7)
    assert full == pytest.approx(sum(v for v in values if v) / 7)
    assert paper != full
    assert averages([]) == (None, None)


@given(
    values=st.lists(
        st.tuples(st.integers(0, 5), st.integers(-4, 4), st.integers(0, 2)), min_size=3, max_size=40
    ),
    seed=st.integers(0, 99),
)
def test_a_resample_ranks_its_own_pairs(values: list[tuple[int, int, int]], seed: int) -> None:
    gold, one, two = (np.array(side, dtype=float) for side in zip(*values, strict=True))
    found = resampled_spearman(gold.tolist(), [one.tolist(), two.tolist()], resamples=5, seed=seed)
    draws = np.random.default_rng(seed).integers(len(gold), size=(5, len(gold)))
    for column, rows in enumerate(draws):
        for row, side in enumerate((one, two)):
            if len(set(gold[rows])) == 1 or len(set(side[rows])) == 1:
                assert math.isnan(found[row, column])
            else:
                expected = spearmanr(gold[rows], side[rows]).statistic
                assert found[row, column] == pytest.approx(expected, abs=1e-12)


def test_resamples_are_seeded_and_go_on_past_one_block() -> None:
    random = np.random.default_rng(0)
    gold = random.standard_normal(300)
    noisy = (gold + random.standard_normal(300)).tolist()
    whole = resampled_spearman(gold.tolist(), [noisy], resamples=2000)
    assert np.array_equal(whole, resampled_spearman(gold.tolist(), [noisy], resamples=2000))
    assert not np.array_equal(whole, resampled_spearman(gold.tolist(), [noisy], resamples=2000, seed=2))
    assert np.isfinite(whole).all() and len(np.unique(whole)) > 1900
    # Fieller, Hartley and Pearson (1957): the spread of atanh of a rank correlation is about 1.03 / sqrt(n - 3).
    assert np.arctanh(whole).std() == pytest.approx(1.03 / math.sqrt(297), rel=0.15)
    interval = percentile_interval(0.7, whole[0].tolist())
    assert interval is not None and interval.low < 0.7 < interval.high
    assert percentile_interval(0.7, [0.1, math.nan]) is None


def test_the_dev_score_is_cosine_unless_the_best_of_four_is_asked_for() -> None:
    gold = np.array([1.0, 2.0, 3.0])
    first = np.array([[1, 0], [2, 0], [3, 0]], dtype=np.float32)
    second = np.array([[1, 0], [2, 1], [3, 3]], dtype=np.float32)
    assert dev_score(first, second, gold).value == pytest.approx(-1.0)
    assert dev_score(first, second, gold, "max4").value == pytest.approx(1.0)
    assert dev_score(first, first, gold).value is None
    assert dev_score(first, first, gold, "max4").value == pytest.approx(1.0)
