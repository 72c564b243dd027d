"""Masks: counts from the reference file, the properties of methods 15.7, stability of every draw."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claif_tui.core.errors import RecipeError
from claif_tui.core.masking import (
    MASK,
    has_mask,
    mask_count,
    mask_sentence,
    rate_permille,
    rate_text,
)

WORDS = st.lists(st.text(st.characters(codec="ascii", categories=["L", "N", "P"]), min_size=1), min_size=1)
SENTENCES = WORDS.map(" ".join).filter(lambda text: MASK not in text)
RATES = st.integers(0, 1000).map(lambda permille: permille / 1000)
SEEDS = st.integers(0, 2**63 - 1)


@pytest.mark.data
def test_counts_agree_with_the_reference(data_dir: Path) -> None:
    case = json.loads((data_dir / "loss_reference.json").read_text())["cases"]["claif_mask_counts"]
    for words, counts in case["k_by_n_words"].items():
        assert [mask_count(int(words), rate) for rate in case["rates"]] == counts


def test_counts_are_exact_for_every_tenth() -> None:
    for n in range(1, 2000):
        for tenths in range(11):
            assert mask_count(n, tenths / 10) == -(-n * tenths // 10)
    assert mask_count(8, 0.125) == 1
    assert mask_count(3, 0.1) == 1
    assert mask_count(3, 0.8) == 3


@given(SENTENCES, RATES, SEEDS)
def test_exactly_k_words_are_masked_and_the_others_keep_their_order(text: str, rate: float, seed: int) -> None:
    masked = mask_sentence(text, rate, seed, merge=0.0)
    words, out = text.split(" "), masked.text.split(" ")
    assert not masked.merged
    assert masked.n == len(words) == len(out)
    assert masked.k == out.count(MASK) == mask_count(len(words), rate)
    assert masked.positions == tuple(i for i, word in enumerate(out) if word == MASK)
    assert [w for w, o in zip(words, out, strict=True) if o != MASK] == [o for o in out if o != MASK]


@given(SENTENCES, RATES, SEEDS)
def test_merging_joins_neighbours_and_nothing_else(text: str, rate: float, seed: int) -> None:
    plain = mask_sentence(text, rate, seed, merge=0.0)
    merged = mask_sentence(text, rate, seed, merge=1.0)
    out = merged.text.split(" ")
    assert merged.merged == (plain.k > 0)
    assert merged.positions == plain.positions
    assert (MASK, MASK) not in set(pairwise(out))
    assert [word for word in out if word != MASK] == [word for word in plain.text.split(" ") if word != MASK]
    assert merged.joined == plain.text.count(MASK) - merged.text.count(MASK)


def test_half_of_the_masked_sentences_are_merged() -> None:
    drawn = [mask_sentence(f"a sentence number {i} of them all .", 0.5, 42).merged for i in range(10_000)]
    assert abs(sum(drawn) / len(drawn) - 0.5) < 0.02


def test_positions_are_uniform() -> None:
    hits = [0] * 10
    for i in range(20_000):
        for place in mask_sentence(f"w{i} b c d e f g h i j", 0.3, 7).positions:
            hits[place] += 1
    assert all(abs(count / 20_000 - 0.3) < 0.02 for count in hits)


def test_the_same_three_things_give_the_same_mask_in_any_order() -> None:
    work = [(f"the {i} . sentence of the lot", rate / 10) for i in range(50) for rate in range(9)]
    first = {item: mask_sentence(*item, 42) for item in work}
    random.Random(1).shuffle(work)
    assert {item: mask_sentence(*item, 42) for item in work} == first
    assert any(mask_sentence(*item, 43) != first[item] for item in work)


def test_draws_are_pinned() -> None:
    """A mask must never change between versions: paid answers hang on it."""
    text = "three men are playing chess ."
    assert mask_sentence(text, 0.5, 42).positions == (0, 2, 5)
    assert mask_sentence(text, 0.0, 42).text == text


def test_hash_seeds_change_nothing() -> None:
    code = (
        "from claif_tui.core.masking import mask_sentence as m;"
        "print([m('a b c d e f g', r / 10, 42).text for r in range(9)])"
    )
    runs = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": str(Path(__file__).parents[2])},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("0", "1")
    }
    assert len(runs) == 1


def test_raw_text_is_split_at_runs_and_says_so() -> None:
    masked = mask_sentence("  two\t words \n here", 1.0, 42, merge=0.0)
    assert (masked.n, masked.k, masked.split) == (3, 3, "whitespace runs")
    assert mask_sentence("two words here", 0.5, 42).split == "single spaces"
    assert mask_sentence("10\u00a0km away", 0.5, 42).n == 2


def test_a_seed_with_a_mask_in_it_counts_it_as_a_word() -> None:
    masked = mask_sentence("a <mask> c d", 0.25, 42, merge=0.0)
    assert (masked.n, masked.k) == (4, 1)
    assert has_mask("a <mask> c") and not has_mask("a mask c")


def test_an_empty_sentence_has_nothing_to_mask() -> None:
    assert mask_sentence("", 0.8, 42).k == 0


@pytest.mark.parametrize("rate", [-0.1, 1.01, float("nan"), float("inf"), 0.1234])
def test_a_rate_that_is_none_is_refused(rate: float) -> None:
    with pytest.raises(RecipeError):
        rate_permille(rate)


def test_a_rate_has_one_spelling() -> None:
    assert [rate_text(rate) for rate in (0, 0.3, 0.125, 1, 0.1 + 0.2)] == ["0.0", "0.3", "0.125", "1.0", "0.3"]
