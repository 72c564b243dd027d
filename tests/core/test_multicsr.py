"""MultiCSR, CLHAIF and CLAIF-scaled: what is asked for a seed and for a triplet, and which scores count."""

from __future__ import annotations

from dataclasses import replace

import pytest

from claif_tui.core.llm.base import Sampling
from claif_tui.core.llm.rules import Contrast
from claif_tui.core.models import Seed
from claif_tui.core.recipes import preset_recipe
from claif_tui.core.systems.base import RawAnswer
from claif_tui.core.systems.multicsr import EXEMPLARS, read_score_of_five
from claif_tui.core.systems.registry import SYSTEMS, system_of
from tests.core.pairs import pair

PREMISE = "A man is {sentence} a flute."
SEEDS = [
    Seed(id=number, text=text, split="train", source_id=1, line=1)
    for number, text in enumerate([PREMISE, "Go"])
]


def said(text: str, finish: str | None = "stop") -> float | str:
    """Return the value of a score answer, or the reason why it has none."""
    reading = read_score_of_five(RawAnswer(text=text, finish_reason=finish))
    return reading.reason if reading.reason else reading.value.value  # type: ignore[union-attr, return-value]


def test_two_shot_shows_two_examples_of_the_side_that_is_asked() -> None:
    recipe = preset_recipe("multicsr")
    items = list(system_of(recipe).plan(recipe, SEEDS))
    assert [item.seed for item in items] == SEEDS and system_of(recipe).planned(recipe, 2, 5) == 2
    for side, ask in enumerate(items[0].asks):
        assert [role for role, _ in ask.messages] == ["system", "user"]
        text = ask.messages[1][1]
        for example in EXEMPLARS:
            assert example[0] in text and example[1 + side] in text and example[2 - side] not in text
        assert f"Premise: {PREMISE}\n" in text.rpartition("\n\n")[2] and text.endswith("Sentence:")
        assert ask.sampling == Sampling(temperature=0.0, top_p=1.0, max_tokens=256)
    assert [ask.task.op for ask in items[0].asks] == ["paraphrase", "fill"]
    assert all("<mask>" in item.asks[1].task.text for item in items)
    assert len({ask.identity for item in items for ask in item.asks}) == 4
    other = replace(recipe, seed=7)
    assert [ask.identity for ask in next(iter(system_of(other).plan(other, SEEDS))).asks] == [
        ask.identity for ask in items[0].asks
    ], "greedy answers are the same whatever the seed"
    lines = next(iter(system_of(recipe).plan(replace(recipe, api="completions"), SEEDS)))
    assert lines.asks[0].messages[0][0] == "user" and lines.asks[0].sampling.stop == ("\n",)


def test_contrastive_decoding_sets_each_instruction_against_the_other() -> None:
    recipe = replace(preset_recipe("multicsr-local"), omega=0.7, plausibility=0.2)
    positive, negative = next(iter(system_of(recipe).plan(recipe, SEEDS))).asks
    assert positive.sampling.rule == Contrast(against=negative.messages, omega=0.7, plausibility=0.2)
    assert negative.sampling.rule == Contrast(against=positive.messages, omega=0.7, plausibility=0.2)
    assert not any(example[0] in positive.messages[-1][1] for example in EXEMPLARS)
    assert (
        positive.identity
        != next(iter(system_of(recipe).plan(replace(recipe, omega=0.0), SEEDS))).asks[0].identity
    )


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *(("4", 0.8), ("0", 0.0), ("5.0", 1.0), ("3.5", 0.7), ("4.5. The second is longer.", 0.9)),
        *(("Similarity: 2.5", 0.5), ("<think>maybe 3</think>1.0", 0.2)),
        *(("5.1", "unparsed"), ("5.9", "unparsed"), ("6", "unparsed"), ("-1", "unparsed"), ("80%", "unparsed")),
        *(("4/5", "unparsed"), ("3.25", "unparsed"), ("4,5", "unparsed"), ("very", "unparsed"), ("", "empty")),
    ],
)
def test_a_score_is_one_digit_or_one_decimal_up_to_five(text: str, value: float | str) -> None:
    assert said(text) == (pytest.approx(value) if isinstance(value, float) else value)


def test_a_score_that_was_cut_off_does_not_count() -> None:
    assert said("4.5", None) == "cut_off"


def test_what_is_scored_of_a_triplet() -> None:
    texts = ("a", "b", "c")
    multicsr = preset_recipe("multicsr")
    asks = SYSTEMS["multicsr"].score_asks(multicsr, *texts)
    assert [(ask.task.text, ask.task.other, ask.task.scale) for ask in asks] == [
        ("a", "b", "0-5"),
        ("a", "c", "0-5"),
    ]
    assert "5.0" in asks[0].messages[0][1] and asks[0].messages[0][0] == "user"
    counts = {"clhaif": 1, "clhaif-negatives": 2, "claif-scaled": 2}
    for preset, count in counts.items():
        recipe = preset_recipe(preset)
        asks = system_of(recipe).score_asks(recipe, *texts)
        assert [ask.task.other for ask in asks] == ["b", "c"][:count]
        # CLAIF's own question: what CLAIF has asked before is not bought again.
        claif = preset_recipe("claif")
        assert asks[0] == SYSTEMS["claif"].score_asks(claif, "a", "b")[0]
        assert len(system_of(recipe).score_asks(recipe, "a", "b")) == 1


def test_which_pairs_belong_to_which_system() -> None:
    made = {
        "pair of claif": pair(0, "a", "b"),
        "imported pair": pair(1, "a", "b", system="imported"),
        "imported triplet": pair(2, "a", "b", system="nli", hard_negative="c"),
        "of multicsr": pair(3, "a", "b", system="multicsr", hard_negative="c"),
        "of dino": pair(4, "a", "b", system="dino"),
        "of syncse": pair(5, "a", "b", system="syncse", hard_negative="c"),
    }
    taken = {name: {what for what, one in made.items() if SYSTEMS[name].takes(one)} for name in SYSTEMS}
    assert taken["multicsr"] == {"imported triplet", "of multicsr"}
    assert taken["clhaif"] == {"imported triplet"}
    assert taken["claif-scaled"] == taken["claif"] == {"pair of claif", "imported pair", "imported triplet"}
