"""Dino as a system: what is asked for each label, and how answers are read (methods 8, 15)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from claif_tui.core.answers import CleanAnswer
from claif_tui.core.llm.base import Reason
from claif_tui.core.llm.rules import Debias
from claif_tui.core.models import Seed
from claif_tui.core.post_options import options_of
from claif_tui.core.recipes import Recipe, preset_recipe
from claif_tui.core.systems.base import PlanItem, RawAnswer, Reading
from claif_tui.core.systems.claif import explain_ask
from claif_tui.core.systems.registry import system_of

SEEDS = [Seed(id=1, text='A "big" man plays .', split="train", source_id=1, line=1, count=3)]
LOCAL, API, CHECK = (preset_recipe(f"dino-{name}") for name in ("local", "api", "api+check"))
COMPLETIONS = replace(API, api="completions")


def plan(recipe: Recipe, seeds: list[Seed] = SEEDS) -> list[PlanItem]:
    return list(system_of(recipe).plan(recipe, seeds))


def asked(recipe: Recipe, label: float) -> Any:
    return next(item.asks[0] for item in plan(recipe) if item.label == label)


def read(recipe: Recipe, text: str, finish: str | None = "stop") -> Reading[CleanAnswer]:
    item = plan(recipe)[0]
    return system_of(recipe).read(recipe, item, 0)(RawAnswer(text=text, finish_reason=finish))


def test_each_label_is_asked_for_twice_and_labels_are_floats() -> None:
    for recipe in (LOCAL, API, CHECK):
        items = plan(recipe)
        assert [(item.slot, item.copy, item.title) for item in items] == [
            (slot, copy, f"label {name}")
            for slot, name in ((1000, "1"), (500, "0.5"), (0, "0"))
            for copy in (0, 1)
        ]
        assert [item.label for item in items] == [1.0, 1.0, 0.5, 0.5, 0.0, 0.0]
        assert all(type(item.label) is float and item.rate is None and item.masked is None for item in items)
        assert len({item.asks[0].identity for item in items}) == 3, "samples differ by occurrence alone"
        assert len(items) == system_of(recipe).planned(recipe, 1, 3), "a seed that stood thrice is one seed"
    assert len(plan(replace(API, dino_samples=5))) == 15


def test_local_sampling_is_dinos_and_each_label_counts_the_higher_ones_against_itself() -> None:
    own = {label: asked(LOCAL, label) for label in (1.0, 0.5, 0.0)}
    for ask in own.values():
        sampling = ask.sampling
        assert (sampling.temperature, sampling.top_k, sampling.top_p, sampling.stop) == (1.0, 5, 0.9, ('"',))
        assert (sampling.min_tokens, sampling.max_tokens) == (40, 40)
        ((role, text),) = ask.messages
        assert role == "user"
        assert text.endswith('\nSentence 1: "A "big" man plays ."\nSentence 2: "')
    assert LOCAL.api == "completions", "the open quote must stand where the answer begins, not in a turn before"
    same, similar = own[1.0].messages, own[0.5].messages
    assert own[1.0].sampling.rule is None
    assert own[0.5].sampling.rule == Debias(against=(same,), decay=100.0, floor=0.01)
    assert own[0.0].sampling.rule == Debias(against=(same, similar), decay=100.0, floor=0.01)
    assert len({same, similar, own[0.0].messages}) == 3
    milder = replace(LOCAL, dino_decay=3.0, dino_floor=0.5, dino_top_k=7)
    changed = asked(milder, 0.5).sampling
    assert (changed.rule, changed.top_k) == (Debias(against=(same,), decay=3.0, floor=0.5), 7)
    other = replace(LOCAL, dino_same="Say it again. {sentence}")
    assert asked(other, 0.5).identity != asked(LOCAL, 0.5).identity, (
        "another counter-instruction is another question"
    )
    free = asked(other, 1.0).sampling
    assert (free.stop, free.min_tokens) == ((), None), "with no open quote only the end of text ends an answer"


def test_an_api_gets_the_instruction_alone() -> None:
    for recipe in (API, COMPLETIONS, CHECK):
        for label in (1.0, 0.5, 0.0):
            sampling = asked(recipe, label).sampling
            assert (sampling.rule, sampling.top_k, sampling.min_tokens) == (None, None, None)
            assert (sampling.top_p, sampling.max_tokens) == (0.9, 40)
    assert asked(COMPLETIONS, 0.5).sampling.stop == ('"',)
    assert asked(COMPLETIONS, 0.5).messages == asked(LOCAL, 0.5).messages
    chat = asked(API, 0.5)
    assert chat.sampling.stop == ()
    assert chat.messages[0] == ("system", API.system_line)
    assert chat.messages[1][1].endswith('Sentence 1: "A "big" man plays ."\nSentence 2:')
    assert asked(replace(API, system_line=""), 0.5).messages == (chat.messages[1],)
    # What the stand-in does, which reads no prompt.
    tasks = [asked(API, label).task for label in (1.0, 0.5, 0.0)]
    assert [task.op for task in tasks] == ["paraphrase", "fill", "fill"]
    assert [task.text.count("<mask>") for task in tasks] == [0, 3, 5]


OPEN = [
    ("A man sings .", "stop", "A man sings .", None),
    (" A man sings . ", "stop", "A man sings .", None),
    ('A man sings ." And so on', "stop", "A man sings .", None),
    ('A man sings ." And so', "length", "A man sings .", None),
    ("A man <mask> .", "stop", "A man <mask> .", None),
    ("A man sings and", "length", None, "cut_off"),
    ("A man sings", None, None, "cut_off"),
    ("A man sings", "content_filter", None, "refused"),
    ("", "stop", None, "empty"),
    (" ", "stop", None, "empty"),
    ('" A man sings .', "stop", None, "empty"),
    ("A man sings .\n\nAnd", "stop", None, "wrong_form"),
    ("\nA man sings .", "stop", None, "wrong_form"),
    ('A man\r"', "length", None, "wrong_form"),
]


@pytest.mark.parametrize("recipe", [LOCAL, COMPLETIONS], ids=["local", "completions"])
@pytest.mark.parametrize(("raw", "finish", "text", "reason"), OPEN)
def test_after_an_open_quote_the_text_up_to_the_next_one_is_kept_or_the_reason_why_not(
    recipe: Recipe, raw: str, finish: str | None, text: str | None, reason: Reason | None
) -> None:
    found = read(recipe, raw, finish)
    assert found.reason == reason
    if found.value is None:
        assert text is None and found.detail
    else:
        assert (found.value.text, found.value.answer_class) == (text, "ok")


def test_a_chat_models_answer_is_cleaned_as_claifs_are() -> None:
    for raw in ('"A man sings ."', "A man sings .", 'Sure!\n\nSentence 2: "A man sings ."\n'):
        found = read(API, raw).value
        assert found is not None and found.text == "A man sings ."
    assert read(API, "A man sings", "length").reason == "cut_off"
    assert read(API, "I'm sorry, but I can't help with that.").reason == "refused"
    same = read(API, 'A "big" man plays .').value
    assert same is not None and same.answer_class == "identical"


def test_the_check_asks_claifs_question_and_holds_the_score_against_the_labels_band() -> None:
    for recipe in (LOCAL, API):
        assert system_of(recipe).score_asks(recipe, "a", "b") == ()
    (question,) = system_of(CHECK).score_asks(CHECK, "First one", "Second one")
    assert question.stage == "score"
    assert question.task.op == "score"
    assert (question.sampling.max_tokens, question.sampling.temperature) == (256, 0.0)
    assert explain_ask(LOCAL, "a", "b").sampling.max_tokens == 256, (
        "a reason takes more than a sentence's 40 tokens"
    )
    assert "First one" in question.messages[0][1] and "Second one" in question.messages[0][1]
    reading = system_of(CHECK).read_score(CHECK)(RawAnswer(text="0.8.", finish_reason="stop"))
    assert reading.value is not None and reading.value.value == 0.8
    items = {item.label: item for item in plan(CHECK)}
    fits = {
        label: [score for score in (0.0, 0.25, 0.26, 0.74, 0.75, 1.0) if _fits(item, score)]
        for label, item in items.items()
    }
    assert fits == {1.0: [0.75, 1.0], 0.5: [0.25, 0.26, 0.74, 0.75], 0.0: [0.0, 0.25]}


def _fits(item: PlanItem, score: float) -> bool:
    found = system_of(CHECK).verdict(CHECK, item, score)
    assert found in ("ok", "off_label")
    return found == "ok"


def test_post_processing_is_claifs_without_the_mask_rule() -> None:
    for recipe in (LOCAL, API, CHECK):
        options = options_of(recipe)
        assert (options.smoothing, options.cap, options.zero_pairs, options.drop_mask) == (0.2, 2, 2, False)
        assert (options.drop_identical, options.deduplicate, options.zero_pool) == (True, True, "generated")
