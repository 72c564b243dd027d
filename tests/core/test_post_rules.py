"""The funnel of each system: whose pairs it takes, triplets' drops, MultiCSR's swap and filter, halves of triplets."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace

import pytest

from claif_tui.core.models import Pair
from claif_tui.core.post_options import RULES
from claif_tui.core.postprocess import Example, Funnel, PostOptions, options_of, postprocess, raw_options
from claif_tui.core.recipes import preset_recipe
from tests.core.pairs import by_seed, claif_like, pair


def run(pairs: list[Pair], options: PostOptions) -> tuple[list[Example], Funnel, list[tuple[int, str, str]]]:
    """Post-process; check what always holds: sums, and that every dropped pair is told with its rule."""
    done = postprocess(lambda: pairs, options)
    rows, funnel, dropped = list(done.rows()), done.funnel, list(done.dropped())
    assert len(rows) == funnel.rows
    assert funnel.rows == funnel.pairs + (funnel.split or 0) - sum(funnel.drops.values()) + funnel.zero_pairs
    assert funnel.pairs == len(pairs)
    assert Counter(item.rule for item in dropped) == {rule: n for rule, n in funnel.drops.items() if n}
    assert list(funnel.drops) == [rule for rule in RULES if rule in funnel.drops]
    ids = [row.pair_id for row in rows]
    assert len(set(ids)) == len(ids)
    return rows, funnel, [(item.pair.id, item.rule, item.pair_id) for item in dropped]


def made(number: int, positive: float | None, negative: float | None, **other: object) -> Pair:
    """Return a triplet of MultiCSR with scores on 0 to 5."""
    scores = [None if score is None else score / 5 for score in (positive, negative)]
    values: dict[str, object] = {
        "system": "multicsr",
        "rate": None,
        "hard_negative": f"n{number}",
        "generated_negative": f"n{number}",
    }
    values |= {"seed_id": number, "negative_score": scores[1], "negative_key": f"k{number}"}
    return pair(number, f"a{number}", f"p{number}", scores[0], **{**values, **other})


def imported(number: int, positive: float | None, negative: float | None = None, **other: object) -> Pair:
    """Return an imported NLI triplet with scores on 0 to 1."""
    values: dict[str, object] = {
        "kind": "nli",
        "system": "nli",
        "seed_id": None,
        "source_id": 3,
        "rate": None,
        "negative_score": negative,
    }
    values |= {"hard_negative": f"n{number}", "generated_negative": f"n{number}"}
    return pair(number, f"a{number}", f"p{number}", positive, **{**values, **other})


MULTICSR = options_of(preset_recipe("multicsr"))


@pytest.mark.parametrize(
    ("positive", "negative", "fate"),
    [
        (4.0, 1.0, "kept"),
        (3.0, 2.9, "kept"),
        (1.0, 4.0, "swapped"),
        (3.0, 3.0, "gamma"),
        (2.9, 1.0, "alpha"),
        (1.0, 2.9, "alpha"),
        (4.0, 3.1, "beta"),
        (5.0, 4.0, "beta"),
        (4.1, 4.1, "both_high"),
        (4.5, 5.0, "both_high"),
        (None, 1.0, "unscored"),
        (4.0, None, "unscored"),
    ],
)
def test_what_the_scores_of_a_triplet_decide(positive: float | None, negative: float | None, fate: str) -> None:
    one = made(0, positive, negative)
    rows, funnel, dropped = run([one], MULTICSR)
    if fate == "kept":
        assert [(row.sentence2, row.hard_negative) for row in rows] == [("p0", "n0")]
        assert (rows[0].score, rows[0].negative_score) == (one.score, one.negative_score)
    elif fate == "swapped":
        assert [(row.sentence2, row.hard_negative) for row in rows] == [("n0", "p0")]
        assert (rows[0].score, rows[0].negative_score) == (one.negative_score, one.score)
        assert rows[0].pair_id == run([made(0, 4.0, 1.0)], MULTICSR)[0][0].pair_id
    else:
        assert [rule for _, rule, _ in dropped] == [fate]
    assert funnel.to_dict()["swapped"] == (fate == "swapped")


def test_roles_stay_and_the_gap_is_wide_where_the_recipe_says_so() -> None:
    recipe = preset_recipe("multicsr")
    stay = options_of(replace(recipe, swap=False))
    assert [rule for _, rule, _ in run([made(0, 1.0, 4.0)], stay)[2]] == ["alpha"]
    wide = options_of(replace(recipe, gamma=1.0, alpha=0.0, beta=5.0))
    rows, funnel, _ = run([made(0, 3.6, 2.6), made(1, 3.5, 2.6), made(2, 0.1, 1.1)], wide)
    assert [row.sentence1 for row in rows] == ["a0", "a2"]
    assert (funnel.drops["gamma"], funnel.swapped) == (1, 1)


def test_a_triplet_is_dropped_for_its_hard_negative_too() -> None:
    bad: dict[str, dict[str, object]] = {
        "empty": {"hard_negative": " "},
        "identical": {"hard_negative": "a0"},
        "mask": {"hard_negative": "one <mask>"},
        "stale": {"stale": True},
    }
    for rule, change in bad.items():
        for preset in ("multicsr", "clhaif", "claif"):
            one = imported(0, 0.8, 0.2, **change)
            assert [found for _, found, _ in run([one], options_of(preset_recipe(preset)))[2]] == [rule]
    assert [found for _, found, _ in run([imported(0, 0.8, 0.2, hard_negative="p0")], MULTICSR)[2]] == [
        "identical"
    ]


def test_what_another_system_made_stays_out() -> None:
    pairs = [
        pair(0, "a", "b", seed_id=None),
        pair(1, "c", "d", seed_id=None, system="dino"),
        imported(2, 0.8, 0.2),
        made(3, 4.0, 1.0),
        pair(4, "e", "f", seed_id=None, system="imported"),
    ]
    left = {"claif": [0, 2, 4], "multicsr": [2, 3], "clhaif": [2], "claif-scaled": [0, 2, 4]}
    for preset, kept in left.items():
        _, funnel, dropped = run(pairs, replace(options_of(preset_recipe(preset)), zero_pairs=0))
        assert {number: rule for number, rule, _ in dropped} == dict.fromkeys({*range(5)} - {*kept}, "system")
        assert funnel.kept == len(kept) + (preset == "claif-scaled")
    assert run(pairs, raw_options())[1].kept == 5


def test_clhaif_needs_the_positives_score_and_with_negatives_both() -> None:
    pairs = [imported(0, 0.8), imported(1, None), imported(2, 0.6, 0.1)]
    for preset, kept in {"clhaif": ["a0", "a2"], "clhaif-negatives": ["a2"]}.items():
        rows, funnel, _ = run(pairs, options_of(preset_recipe(preset)))
        assert [row.sentence1 for row in rows] == kept
        assert funnel.drops["unscored"] == 3 - len(kept)
        # No score of a triplet is smoothed: it weighs the row's loss.
        assert rows[-1].score == rows[-1].raw_score == 0.6


def test_an_answer_off_its_label_stays_out_unless_it_was_edited() -> None:
    off = pair(0, "a", "b", answer_class="off_label", seed_id=0)
    edited = replace(pair(1, "c", "d", answer_class="off_label", seed_id=1), text_b="e")
    rows, funnel, _ = run([off, edited], replace(raw_options(), drop_off_label=True))
    assert [row.sentence2 for row in rows] == ["e"] and funnel.drops["off_label"] == 1
    # Recipes with and without the check share their pairs; only the one with it lets the check decide.
    wanted = {
        preset: options_of(preset_recipe(preset)).drop_off_label for preset in ("dino-api", "dino-api+check")
    }
    assert wanted == {"dino-api": False, "dino-api+check": True}
    assert len(run([off, edited], raw_options())[0]) == 2


def test_each_scored_triplet_becomes_two_pairs_and_two_zero_pairs() -> None:
    options = options_of(preset_recipe("claif-scaled"))
    triplets = [imported(number, 0.9, 0.1) for number in range(100, 140)]
    triplets += [imported(140, 0.7), imported(141, 0.7, 0.2, hard_negative="a141")]
    rows, funnel, dropped = run([*claif_like(6), *triplets], options)
    assert {one[:2] for one in dropped if one[0] >= 100} == {(140, "unscored"), (141, "identical")}
    nli = [row for row in rows if row.kind == "nli"]
    assert len(nli) == 2 * 42 - 2 and funnel.split == 42
    first = [row for row in nli if row.sentence1 == "a100"]
    assert [(row.sentence2, row.raw_score, row.hard_negative) for row in first] == [
        ("p100", 0.9, None),
        ("n100", 0.1, None),
    ]
    assert [row.score for row in first] == pytest.approx([0.82, 0.18])
    assert [row.pair_id.rpartition("-")[2] for row in first] == ["positive", "negative"]
    assert len({row.pair_id.rpartition("-")[0] for row in first}) == 1
    premises = Counter(row.sentence1 for row in rows if row.kind == "zero")
    assert all(premises[f"a{number}"] == 2 for number in range(100, 142))
    assert any(row.kind == "llm" for row in rows)


@pytest.mark.parametrize("preset", ["multicsr", "claif-scaled"])
def test_the_order_of_answers_changes_nothing(preset: str) -> None:
    options = options_of(preset_recipe(preset))
    system = "claif" if preset == "claif-scaled" else "multicsr"
    score = random.Random(5)
    pairs = [
        made(
            number, score.randint(0, 50) / 10, score.randint(0, 50) / 10, seed_id=number // 3, system="multicsr"
        )
        for number in range(60)
    ]
    imports = [imported(100 + number, score.random(), score.random()) for number in range(20)]
    if system == "claif":
        pairs = claif_like(8)
    expected = run(by_seed([*imports, *pairs]), options)[0]
    assert {row.kind for row in expected} >= {"llm", "nli"}
    for seed in range(3):
        shuffled = pairs[:]
        random.Random(seed).shuffle(shuffled)
        again = [replace(one, id=500 + place) for place, one in enumerate(shuffled)]
        assert run(by_seed([*imports, *again]), options)[0] == expected
