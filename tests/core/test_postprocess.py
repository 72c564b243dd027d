"""The funnel: each rule, sums that add up, zero pairs that are none by accident, the same bytes in any order."""

from __future__ import annotations

import random
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from claif_tui.core.errors import StoreError
from claif_tui.core.models import Pair
from claif_tui.core.postprocess import (
    Example,
    Funnel,
    PostOptions,
    Processed,
    looks_smoothed,
    options_of,
    postprocess,
    raw_options,
)
from claif_tui.core.recipes import Recipe, preset_recipe
from tests.core.pairs import by_seed, claif_like, pair

PLAIN = PostOptions(smoothing=0.0, cap=0, zero_pairs=0)


def run(pairs: list[Pair], options: PostOptions = PLAIN) -> tuple[list[Example], Funnel, Processed]:
    done = postprocess(lambda: pairs, options)
    rows = list(done.rows())
    funnel = done.funnel
    assert len(rows) == funnel.rows == funnel.pairs - sum(funnel.drops.values()) + funnel.zero_pairs
    assert len(list(done.dropped())) == sum(funnel.drops.values())
    assert Counter(item.rule for item in done.dropped()) == Counter(
        {k: v for k, v in funnel.drops.items() if v}
    )
    return rows, funnel, done


@pytest.mark.parametrize(
    ("rule", "bad"),
    [
        ("status", pair(1, "a", "b", status="rejected")),
        ("stale", pair(1, "a", "b", stale=True)),
        ("unscored", pair(1, "a", "b", None)),
        ("empty", pair(1, "a", "  ")),
        ("refusal", pair(1, "a", "i cannot", answer_class="refusal")),
        ("identical", pair(1, "a", "a")),
        ("mask", pair(1, "a", "b <mask>")),
        ("mask", pair(1, "a <mask>", "b")),
        ("identical", pair(1, "a", "a", None)),
    ],
)
def test_each_rule_takes_its_own(rule: str, bad: Pair) -> None:
    good = pair(0, "x", "y", 0.7)
    rows, funnel, done = run([good, replace(bad, seed_id=1)], replace(PLAIN, statuses=frozenset({"accepted"})))
    assert [row.sentence1 for row in rows] == ["x"]
    assert [(item.pair.id, item.rule) for item in done.dropped()] == [(1, rule)]
    assert list(funnel.drops) == [
        "status",
        "system",
        "empty",
        "refusal",
        "identical",
        "mask",
        "stale",
        "unscored",
        "duplicate",
        "cap",
    ]


def test_rules_by_content_can_be_off() -> None:
    pairs = [
        pair(0, "a", "a"),
        pair(1, "a", "b <mask>"),
        pair(2, "a", "no", answer_class="refusal"),
        pair(3, "a", "b <mask>", rate=0.1),
    ]
    assert len(run(pairs, raw_options())[0]) == 4
    assert run([*pairs, pair(4, "a", "c", None), pair(5, "a", "d", stale=True)], raw_options())[1].kept == 4


def test_an_edited_refusal_is_a_sentence() -> None:
    edited = replace(pair(0, "a", "i cannot", answer_class="refusal"), text_b="b")
    assert len(run([edited])[0]) == 1


def test_duplicates_keep_the_mean_or_the_first() -> None:
    pairs = [
        pair(0, "a", "b", 0.8, rate=0.1),
        pair(1, "a", "b", 0.5, rate=0.2),
        pair(2, "a", "c", 0.5, rate=0.3),
    ]
    rows, funnel, _ = run(pairs)
    assert [(row.sentence2, row.score) for row in rows] == [("b", 0.65), ("c", 0.5)]
    assert (funnel.drops["duplicate"], funnel.to_dict()["conflicting_scores"]) == (1, 1)
    rows, _, _ = run(pairs, replace(PLAIN, conflicts="first"))
    assert rows[0].score == 0.8


def test_human_and_llm_labels_of_a_pair_are_never_averaged() -> None:
    pairs = [
        pair(0, "a", "b", 0.8),
        pair(1, "a", "b", None, kind="human", gold=0.2, seed_id=None, source_id=3),
    ]
    rows, _, _ = run(pairs, replace(PLAIN, smoothing=0.2))
    assert [(row.kind, row.score, row.raw_score) for row in rows] == [("llm", 0.74, 0.8), ("human", 0.2, 0.2)]


def test_smoothing_as_published_and_only_of_llm_scores() -> None:
    pairs = [pair(i, f"s{i}", "b", score, seed_id=i) for i, score in enumerate([0.0, 0.25, 0.5, 0.67, 1.0])]
    rows, _, _ = run(pairs, replace(PLAIN, smoothing=0.2))
    assert [row.score for row in rows] == pytest.approx([0.1, 0.3, 0.5, 0.636, 0.9], abs=1e-9)
    assert [row.raw_score for row in rows] == [0.0, 0.25, 0.5, 0.67, 1.0]


def test_what_was_smoothed_elsewhere_passes_as_it_is() -> None:
    pairs = [pair(i, "a", f"b{i}", 0.1, seed_id=None, source_id=4, flags=("smoothed",)) for i in range(4)]
    options = PostOptions(smoothing=0.2, cap=2, zero_pairs=2)
    rows, funnel, _ = run(pairs, options)
    assert [row.score for row in rows] == [0.1] * 4
    assert funnel.zero_pairs == 0
    plain = [replace(item, flags=()) for item in pairs]
    assert run(plain, replace(options, smoothed_sources=frozenset({4})))[0] == rows
    assert run(plain, options)[0] != rows


def test_the_cap_counts_by_first_sentence_and_label() -> None:
    pairs = [pair(i, "a", f"b{i}", 0.8, rate=i / 10) for i in range(4)]
    pairs += [pair(4, "a", "c", 0.7, rate=0.5), pair(5, "z", "c", 0.8, seed_id=1)]
    rows, funnel, _ = run(pairs, replace(PLAIN, cap=2, smoothing=0.2))
    assert [row.sentence2 for row in rows] == ["b0", "b1", "c", "c"]
    assert funnel.drops["cap"] == 2


def test_triplets_pass_without_a_score() -> None:
    rows, _, _ = run(
        [pair(0, "a", "b", None, kind="nli", hard_negative="n", negative_score=0.1, seed_id=None, source_id=1)],
        options_of(Recipe()),
    )
    assert (rows[0].hard_negative, rows[0].score, rows[0].negative_score) == ("n", None, 0.1)


@pytest.mark.parametrize("preset", ["claif", "official-code", "paper-literal"])
def test_zero_pairs_are_two_a_sentence_and_never_its_own(preset: str) -> None:
    pairs = claif_like(40)
    rows, funnel, _ = run(pairs, options_of(preset_recipe(preset)))
    kept = [row for row in rows if row.kind != "zero"]
    zeros = [row for row in rows if row.kind == "zero"]
    assert Counter(row.sentence1 for row in zeros) == dict.fromkeys({row.sentence1 for row in kept}, 2)
    assert (funnel.zero_pairs, funnel.zero_missing) == (len(zeros), 0)
    own = {(item.text_a, item.text_b) for item in pairs}
    assert all((row.sentence1, row.sentence2) not in own for row in zeros)
    assert all(row.sentence1 != row.sentence2 and row.score == 0.0 and row.raw_score is None for row in zeros)
    assert len({(row.sentence1, row.sentence2) for row in zeros}) == len(zeros)
    pool = {row.sentence1 if preset == "paper-literal" else row.sentence2 for row in kept}
    assert {row.sentence2 for row in zeros} <= pool
    scores = [row.score for row in kept if row.score is not None]
    assert (min(scores), max(scores)) == ((0.2, 1.0) if preset == "paper-literal" else (0.26, 0.9))


def test_too_few_partners_are_counted_not_looked_for_for_ever() -> None:
    options = replace(PLAIN, zero_pairs=2)
    rows, funnel, _ = run([pair(0, "a", "b"), pair(1, "a", "c", rate=0.1)], options)
    assert (len(rows), funnel.zero_pairs, funnel.zero_missing) == (2, 0, 2)
    rows, funnel, _ = run([pair(0, "a", "b"), pair(1, "z", "c", seed_id=1)], options)
    assert [(row.sentence1, row.sentence2) for row in rows[2:]] == [("a", "c"), ("z", "b")]
    assert funnel.to_dict()["zero_pairs_missing"] == 2
    rows, funnel, _ = run([pair(0, "a", "b"), pair(1, "z", "b", seed_id=1)], options)
    assert (funnel.zero_pairs, funnel.zero_missing) == (0, 4)


def test_a_text_made_from_a_sentence_is_no_partner_even_where_it_was_dropped() -> None:
    pairs = [
        pair(0, "a", "b"),
        pair(1, "a", "c", rate=0.1, status="rejected"),
        pair(2, "z", "c", seed_id=1),
    ]
    _, funnel, _ = run(pairs, replace(PLAIN, zero_pairs=1, statuses=frozenset({"accepted"})))
    assert (funnel.zero_pairs, funnel.zero_missing) == (1, 1)


def test_splits_are_apart() -> None:
    pairs = [
        pair(0, "a", "b"),
        pair(1, "a", "b", seed_id=1, split="dev"),
        pair(2, "z", "c", seed_id=2, split="dev"),
    ]
    rows, funnel, _ = run(pairs, replace(PLAIN, zero_pairs=1, cap=1))
    assert funnel.drops["duplicate"] == 0
    zeros = [(row.split, row.sentence1, row.sentence2) for row in rows if row.kind == "zero"]
    assert zeros == [("dev", "a", "c"), ("dev", "z", "b")]
    assert funnel.zero_missing == 1


def test_smoothing_leaves_zero_pairs_at_zero() -> None:
    pairs = [pair(i, f"s{i}", f"b{i}", 0.0, seed_id=i) for i in range(5)]
    rows, _, _ = run(pairs, options_of(Recipe()))
    assert {row.score for row in rows if row.kind == "zero"} == {0.0}
    assert {row.score for row in rows if row.kind == "llm"} == {0.1}


@given(st.integers(0, 12), st.integers(1, 9), st.randoms(use_true_random=False), st.sampled_from([0, 1, 2, 3]))
@settings(max_examples=40)
def test_the_order_and_ids_of_answers_change_nothing(
    seeds: int, rates: int, shuffler: random.Random, cap: int
) -> None:
    pairs = claif_like(seeds, rates)
    options = PostOptions(cap=cap, zero_pairs=cap)
    first = run(pairs, options)
    landed = list(pairs)
    shuffler.shuffle(landed)
    landed = by_seed(replace(item, id=number) for number, item in enumerate(landed))
    again = run(landed, options)
    assert again[:2] == first[:2]


def test_adding_options_draws_other_partners_only_by_seed() -> None:
    pairs = claif_like(30)
    first, _, _ = run(pairs, PostOptions(seed=1))
    assert run(pairs, PostOptions(seed=1))[0] == first
    assert run(pairs, PostOptions(seed=2))[0] != first


def test_pair_ids_name_content() -> None:
    generated = pair(0, "a", "b", 0.5)
    imported = pair(1, "c", "d", 0.5, seed_id=None, source_id=7)
    ids = [row.pair_id for row in run([generated, imported])[0]]
    key, _, place = ids[0].partition("-")
    assert (key, len(place)) == (generated.generate_key, 8)
    elsewhere = replace(generated, text_a="another seed that got the same answer")
    assert run([elsewhere])[0][0].pair_id != ids[0]
    assert ids[1].startswith("import-7-")
    assert [row.pair_id for row in run([replace(imported, id=99)])[0]] == ids[1:]


def test_pairs_out_of_order_or_changed_between_looks_are_refused() -> None:
    wrong = [pair(0, "a", "b", seed_id=2), pair(1, "c", "d", seed_id=1)]
    with pytest.raises(ValueError, match="ascending"):
        postprocess(lambda: wrong, PLAIN)
    pairs = claif_like(3)
    done = postprocess(lambda: pairs, PLAIN)
    edited = [replace(pairs[0], text_b="another"), *pairs[1:]]
    pairs, kept = edited, pairs
    with pytest.raises(StoreError, match="changed"):
        list(done.rows())
    pairs = kept
    pairs.pop()
    with pytest.raises(StoreError, match="changed"):
        list(done.rows())
    pairs += [pair(98, "x", "y", seed_id=8), pair(99, "x", "z", seed_id=9)]
    with pytest.raises(StoreError, match="changed"):
        list(done.rows())


def test_nothing_in_nothing_out() -> None:
    rows, funnel, _ = run([], PostOptions())
    assert rows == []
    assert set(funnel.to_dict().values()) == {0}


def test_two_hash_seeds_give_the_same_rows() -> None:
    code = (
        "from tests.core.pairs import claif_like\n"
        "from claif_tui.core.postprocess import PostOptions, postprocess\n"
        "pairs = claif_like(30)\n"
        "for row in postprocess(lambda: pairs, PostOptions()).rows(): print(row)\n"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": str(Path(__file__).parents[2])},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(outputs) == 1
    assert len(outputs.pop()) > 1000


def test_looks_smoothed() -> None:
    assert looks_smoothed([0.0, 0.1, 0.5, 0.9])
    assert not looks_smoothed([0.0, 0.05, 0.5])
    assert not looks_smoothed([0.5, 1.0])
    assert not looks_smoothed([])
