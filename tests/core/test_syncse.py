"""SynCSE: what is drawn for a sentence, in which form it is asked, and how the answers are read."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from claif_tui.core.models import Seed
from claif_tui.core.recipes import Recipe, preset_recipe, set_field
from claif_tui.core.systems.base import PlanItem, RawAnswer
from claif_tui.core.systems.material import packaged_text, parse
from claif_tui.core.systems.registry import SYSTEMS, system_of

MATERIAL = parse(packaged_text())
PARTIAL = preset_recipe("syncse-partial")


def seeds(count: int) -> list[Seed]:
    return [
        Seed(id=n, text=f"the {n} dogs run over the green field .", split="train", source_id=1, line=n)
        for n in range(1, count + 1)
    ]


def plan(recipe: Recipe, some: list[Seed]) -> list[PlanItem]:
    return list(system_of(recipe).plan(recipe, some))


def drawn_of(item: PlanItem, part: int) -> tuple[str, list[tuple[str, str]]]:
    """(instruction, exemplars) of a chat question."""
    turns = [content for role, content in item.asks[part].messages if role != "system"]
    return turns[0], list(zip(turns[2:-1:2], turns[3:-1:2], strict=True))


def test_each_side_asks_with_one_of_its_instructions_and_five_of_that_ones_exemplars() -> None:
    items = plan(PARTIAL, seeds(400))
    used: Counter[str] = Counter()
    for item in items:
        assert len(item.asks) == 2 and item.slot == item.copy == 0
        for part, pool in enumerate((MATERIAL.positive, MATERIAL.negative)):
            ask = item.asks[part]
            assert ask.sampling.temperature == ask.sampling.top_p == 1.0 and ask.sampling.stop == ()
            assert [role for role, _ in ask.messages[1:]] == ["user", "assistant"] * 6 + ["user"]
            assert ask.messages[-1] == ("user", item.seed.text)
            assert ask.messages[2] == ("assistant", MATERIAL.acknowledgement)
            instruction, exemplars = drawn_of(item, part)
            [source] = [one for one in pool if one.text == instruction]
            assert len(set(exemplars)) == 5 and set(exemplars) <= set(source.exemplars)
            used[source.name] += 1
            used.update(f"{source.name} {given}" for given, _ in exemplars)
    for one in (*MATERIAL.positive, *MATERIAL.negative):
        assert 70 <= used[one.name] <= 130, "uniform over the pool of four"
        for given, _ in one.exemplars:
            assert used[f"{one.name} {given}"] >= 20, "every exemplar has its turn"
    # Drawn independently: all sixteen combinations come.
    assert len({(drawn_of(item, 0)[0], drawn_of(item, 1)[0]) for item in items}) == 16


def test_a_draw_depends_on_the_seed_and_the_sentence_alone() -> None:
    some = seeds(20)
    whole = [item.asks for item in plan(PARTIAL, some)]
    assert [item.asks for item in plan(PARTIAL, some[::-1])] == whole[::-1]
    assert plan(PARTIAL, [replace(some[7], id=99, source_id=3)])[0].asks == whole[7]
    other = [item.asks for item in plan(set_field(PARTIAL, "seed", 7), some)]
    assert sum(a[0].messages != b[0].messages for a, b in zip(whole, other, strict=True)) >= 18
    scratch = [item.asks for item in plan(preset_recipe("syncse-scratch"), some)]
    assert scratch == whole, "from nothing is the same path"


def test_completions_put_the_same_content_into_one_text_that_a_line_break_stops() -> None:
    recipe = set_field(PARTIAL, "model.api", "completions")
    some = [replace(seeds(1)[0], text='He said "no"\tand left .')]
    chat, text = plan(PARTIAL, some)[0], plan(recipe, some)[0]
    for part in (0, 1):
        instruction, exemplars = drawn_of(chat, part)
        [(role, prompt)] = text.asks[part].messages
        assert role == "user" and prompt.startswith(instruction)
        assert all(f"Sentence: {given}\nReply: {wanted}\n" in prompt for given, wanted in exemplars)
        assert prompt.endswith('Sentence: He said "no" and left .\nReply:')
        assert text.asks[part].sampling.stop == ("\n",)


def test_naive_asks_the_same_of_every_sentence_and_shows_no_exemplar() -> None:
    recipe = preset_recipe("syncse-naive")
    for item in plan(recipe, seeds(5)):
        shown = [
            content.replace(item.seed.text, "{sentence}")
            for ask in item.asks
            for _, content in ask.messages[1:]
        ]
        assert shown == [recipe.naive_positive, recipe.naive_negative]
    completions = plan(set_field(recipe, "model.api", "completions"), seeds(1))[0]
    assert completions.asks[0].sampling.stop == ("\n",)
    assert completions.asks[0].messages[0][1].endswith("\nReply:")


def test_the_stand_in_paraphrases_and_fills_content_words() -> None:
    for item in plan(PARTIAL, seeds(30)):
        positive, negative = (ask.task for ask in item.asks)
        assert (positive.op, positive.text) == ("paraphrase", item.seed.text)
        assert negative.op == "fill" and negative.text.count("<mask>") == 1
        assert negative.text.replace("<mask>", "") in {
            item.seed.text.replace(word, "") for word in ("dogs", "green", "field")
        }
    long = plan(
        PARTIAL, [replace(seeds(1)[0], text="It's the old mayor's very last public speech in this town.")]
    )
    masked = long[0].asks[1].task.text
    assert masked.count("<mask>") == 2 and "It's the" in masked and masked.endswith(".")
    assert plan(PARTIAL, [replace(seeds(1)[0], text="42 !")])[0].asks[1].task.text == "<mask>"


@pytest.mark.parametrize(
    "said",
    [
        "I'm sorry, but I cannot paraphrase this sentence.",
        "Sorry, the sentence is incomplete.",
        "Apologies, but it is not possible to rewrite the given text.",
        "I apologize, but there is not enough context here.",
        "Cannot paraphrase: the input is unclear.",
        "Unable to provide a paraphrase.",
        "I am not able to generate a contradictory sentence from that.",
        "This sentence cannot be paraphrased.",
        "The given sentence is incomplete, please complete it.",
        "The input is not a complete sentence.",
        "Not enough context to rewrite this.",
        "There's insufficient information in the text.",
        "No paraphrase possible.",
        "As an AI language model, I do not have opinions.",
        "Please provide the sentence that you want me to rewrite.",
        "I can't rewrite that.",
    ],
)
def test_failure_texts_are_refusals_on_both_sides(said: str) -> None:
    item = plan(PARTIAL, seeds(1))[0]
    for part in (0, 1):
        reading = system_of(PARTIAL).read(PARTIAL, item, part)(RawAnswer(text=said, finish_reason="stop"))
        assert reading.reason == "refused", said
        assert reading.value is None


@pytest.mark.parametrize(
    "said",
    [
        "I'm sorry that I broke your cup.",
        "Sorry we are late.",
        "The text was unable to reach its readers.",
        "This sentence is far too long for a thief so young.",
        "He could not provide for his family.",
        "I cannot write with my left hand.",
        "There is not enough milk for two.",
        "The statement was published on Friday.",
    ],
)
def test_sentences_that_only_look_like_failures_are_kept(said: str) -> None:
    item = plan(PARTIAL, seeds(1))[0]
    reading = system_of(PARTIAL).read(PARTIAL, item, 0)(RawAnswer(text=said, finish_reason="stop"))
    if said == "I cannot write with my left hand.":
        # The general pattern takes this one, unless the seed says so too.
        item = plan(PARTIAL, [replace(item.seed, text="I cannot write well.")])[0]
        reading = system_of(PARTIAL).read(PARTIAL, item, 0)(RawAnswer(text=said, finish_reason="stop"))
    assert reading.value is not None and reading.value.text == said


def test_answers_in_other_forms_are_read_and_what_equals_the_anchor_is_classed() -> None:
    item = plan(PARTIAL, seeds(1))[0]
    read = system_of(PARTIAL).read(PARTIAL, item, 0)
    told = read(
        RawAnswer(text='Sure! Here is a paraphrase: "Dogs race over green grass."', finish_reason="stop")
    )
    assert told.value is not None and told.value.text == "Dogs race over green grass."
    same = read(RawAnswer(text=f" {item.seed.text} ", finish_reason="stop"))
    assert same.value is not None and same.value.answer_class == "identical"
    assert read(RawAnswer(text="Dogs ra", finish_reason="length")).reason == "cut_off"
    assert read(RawAnswer(text="\n\n", finish_reason="stop")).reason == "empty"


def test_triplets_need_no_score_and_keep_to_their_own() -> None:
    for name in ("syncse", "syncse-scratch"):
        system = SYSTEMS[name]
        assert (system.name, system.stored_as, system.makes) == (name, name, "triplets")
        assert system.score_asks(PARTIAL, "a", "b", "c") == ()
        assert system.planned(PARTIAL, 7, 12) == 7
