"""The offline model's parts that need no weights: reasons, sampling, the scorer's line, masking for training."""

from __future__ import annotations

import random

import numpy as np
import pytest

pytest.importorskip("tokenizers", reason="the offline extra is not installed")

from engine.offline.corpus import HELD_OUT_ONE_IN, is_held_out, masked_positions
from engine.offline.fill import Sampling, draw
from engine.offline.model import gelu, softmax
from engine.offline.score import Calibration, fit
from engine.offline.text import difference


@pytest.mark.parametrize(
    ("first", "second", "reason"),
    [
        ("a man eats", "a man eats", "The two sentences are the same."),
        ("A man eats", "a man eats", "The two sentences differ in capital letters alone."),
        ("a man eats", "a man eats bread", "The second adds “bread”."),
        ("a man eats bread", "a man eats", "The second leaves out “bread”."),
        ("a man eats", "a dog eats", "The first says “man” where the second says “dog”."),
        ("one two", "three four", "The two sentences share no words in the same order."),
        (
            "a b c d e f g h i",
            "x b y d z f w h v",
            "The first says “a” where the second says “x”; the first says “c” where the second says “y”; "
            "the first says “e” where the second says “z”; and 2 more.",
        ),
    ],
)
def test_the_reason_says_where_two_sentences_differ(first: str, second: str, reason: str) -> None:
    assert difference(first, second) == reason


def test_the_reason_of_very_long_texts_is_short_and_quick() -> None:
    long = " ".join(f"w{n % 997}" for n in range(20_000))
    assert len(difference(long, "x " + long)) < 400
    assert difference(long, long + " end") == "The two sentences begin alike and differ further on."


def test_draws_follow_temperature_and_top_p() -> None:
    logits = np.log(np.array([0.5, 0.3, 0.15, 0.05], np.float32))

    def shares(**how: float) -> list[float]:
        rng = random.Random(0)
        drawn = [draw(logits, Sampling(**how), rng) for _ in range(4000)]  # type: ignore[arg-type]
        return [drawn.count(n) / 4000 for n in range(4)]

    assert shares(temperature=1.0, top_p=1.0) == pytest.approx([0.5, 0.3, 0.15, 0.05], abs=0.03)
    assert shares(temperature=1.0, top_p=0.8) == pytest.approx([0.625, 0.375, 0, 0], abs=0.03)
    assert shares(temperature=0.5, top_p=1.0)[0] > 0.6
    assert shares(temperature=0.0, top_p=1.0) == [1, 0, 0, 0]
    assert shares(temperature=1.0, top_p=0.0) == [1, 0, 0, 0]


def test_the_scorers_line_rises_and_ends_at_0_and_1() -> None:
    rng = np.random.default_rng(0)
    cosines = rng.uniform(-0.1, 1, 3000)
    gold = np.clip(cosines**2 + rng.normal(0, 0.1, 3000), 0, 1)
    line = fit(list(cosines), list(gold))
    assert all(a < b for a, b in zip(line.scores, line.scores[1:], strict=False))
    assert (line(-0.5), line(1.0)) == (0.0, 1.0)
    assert line(0.7) == pytest.approx(0.49, abs=0.05)


def test_a_line_is_straight_between_its_points() -> None:
    line = Calibration(cosines=(0.0, 0.5, 1.0), scores=(0.0, 0.2, 1.0))
    assert [round(line(c), 3) for c in (0.25, 0.5, 0.75)] == [0.1, 0.2, 0.6]


def test_gelu_and_softmax_are_what_they_are_called() -> None:
    from math import erf

    x = np.linspace(-6, 6, 400, dtype=np.float32)
    exact = [v * 0.5 * (1 + erf(v / 2**0.5)) for v in x.astype(float)]
    assert np.abs(gelu(x) - exact).max() < 2e-6
    assert softmax(np.array([[1000.0, 1000.0]], np.float32)).tolist() == [[0.5, 0.5]]


def test_masks_are_ceil_of_the_share_and_at_least_one() -> None:
    rng = random.Random(1)
    assert [len(masked_positions(n, 0.15, rng)) for n in (1, 6, 7, 20)] == [1, 1, 2, 3]
    assert masked_positions(5, 1.0, rng) == [0, 1, 2, 3, 4]


def test_the_held_out_slice_depends_on_the_words_alone() -> None:
    sentences = [f"sentence number {n} ." for n in range(6400)]
    held = [s for s in sentences if is_held_out(s)]
    assert 0.5 < len(held) * HELD_OUT_ONE_IN / len(sentences) < 1.5
    assert all(is_held_out(f"  {s.upper()} ") for s in held)
