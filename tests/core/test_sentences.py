"""Sentences from nothing: what is drawn for each request, and how answers in any form are read."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from claif_tui.core.recipes import Recipe, preset_recipe, set_field
from claif_tui.core.systems.base import RawAnswer, Reading
from claif_tui.core.systems.material import material_of
from claif_tui.core.systems.sentences import Sentences, read_sentences, wish, written_id

RECIPE = preset_recipe("syncse-scratch")
MATERIAL = material_of(RECIPE)
THREE = ("Rain fell on the harbour.", "Who sold the last ticket?", "Stir the sauce slowly.")


def read(text: str, finish: str | None = "stop", recipe: Recipe = RECIPE) -> Reading[Sentences]:
    return read_sentences(recipe)(RawAnswer(text=text, finish_reason=finish))


def kept(text: str) -> tuple[str, ...]:
    found = read(text).value
    assert found is not None
    return tuple(sentence for _, sentence in found.kept)


def test_every_request_names_a_genre_and_topics_that_follow_from_its_number() -> None:
    wishes = [wish(RECIPE, MATERIAL, index) for index in range(300)]
    for one in wishes:
        assert (
            one.genre in MATERIAL.genres
            and set(one.topics) <= set(MATERIAL.topics)
            and len(set(one.topics)) == 6
        )
        [(role, text)] = one.ask.messages
        assert role == "user"
        assert one.genre in text and f"{', '.join(one.topics)}, etc." in text and "Write 10 sentences" in text
        assert (one.ask.task.op, one.ask.task.count) == ("sentences", 10)
        assert one.ask.task.text.split("\n") == list(one.topics)
        assert one.ask.sampling.max_tokens == 640, "room for ten sentences, though the recipe's limit is 256"
    assert {one.genre for one in wishes} == set(MATERIAL.genres)
    assert {topic for one in wishes for topic in one.topics} == set(MATERIAL.topics)
    assert max(Counter(one.ask.identity for one in wishes).values()) == 1
    assert wish(RECIPE, MATERIAL, 7) == wishes[7]
    assert wish(set_field(RECIPE, "seed", 1), MATERIAL, 7).topics != wishes[7].topics


def test_what_is_written_is_told_apart_by_what_decides_it_and_by_nothing_else() -> None:
    own = written_id(RECIPE, MATERIAL)
    for name, value in (("syncse.exemplars", 3), ("scratch.sentences", 7), ("prompts.system", "Hello.")):
        assert written_id(set_field(RECIPE, name, value), MATERIAL) == own, name
    for name, other in (("model.name", "x"), ("seed", 3), ("scratch.topics", 2), ("model.temperature", 0.5)):
        assert written_id(set_field(RECIPE, name, other), MATERIAL) != own, name


@pytest.mark.parametrize(
    "text",
    [
        "\n".join(THREE),
        "\n\n".join(f"{n}. {line}" for n, line in enumerate(THREE, 1)),
        "Sure! Here are 3 sentences:\n\n" + "\n".join(f"{n}) {line}" for n, line in enumerate(THREE, 1)),
        "Here are three sentences from a diary entry:\n" + "\n".join(f"- {line}" for line in THREE),
        "\n".join(f'**{n}.** "{line}"' for n, line in enumerate(THREE, 1))
        + "\n\nLet me know if you need more!",
        "\n".join(f"Sentence {n}: {line}" for n, line in enumerate(THREE, 1)),
        "1. " + " 2. ".join(THREE[:2]) + " 3. " + THREE[2],
        "```json\n" + json.dumps(THREE) + "\n```",
        "<think>ten, or three?</think>\n* " + "\n* ".join(THREE),
        "\r\n".join(THREE),
    ],
)
def test_lists_of_every_form_give_the_same_sentences(text: str) -> None:
    assert kept(text) == THREE


def test_what_is_no_sentence_is_left_out_with_its_reason_and_place() -> None:
    lines = [
        "Of course!",
        *THREE[:2],
        THREE[0],
        "Weather",
        "I cannot paraphrase this sentence.",
        "A <mask> b c.",
        "w " * 101,
    ]
    found = read("\n".join(lines)).value
    assert found is not None
    assert found.kept == ((2, THREE[0]), (3, THREE[1]))
    assert [(line, reason) for line, reason, _ in found.dropped] == [
        (1, "talk"),
        (4, "duplicate"),
        (5, "too short"),
        (6, "refusal"),
        (7, "mask"),
        (8, "too long"),
    ]
    long = read("\n".join(["The content policy is new.", *(f"Line {n} is good." for n in range(8))])).value
    assert long is not None and len(long.kept) == 8, "one line that looks like a refusal does not sink the rest"
    cut = read("\n".join(THREE), "length").value
    assert cut is not None
    assert cut.kept == ((1, THREE[0]), (2, THREE[1])) and cut.dropped == ((3, "cut off", THREE[2]),)


@pytest.mark.parametrize(
    "line",
    [
        "Okay, let us go home.",
        "12 men stood in the rain.",
        "Great weather is expected.",
        "He said: stay where you are.",
        "3.5 litres of oil ran out.",
        "I hope it rains.",
    ],
)
def test_sentences_that_begin_like_talk_or_numbers_are_kept_whole(line: str) -> None:
    assert kept("\n".join([line, *THREE])) == (line, *THREE)
    assert kept("\n".join([*THREE, line])) == (*THREE, line)


@pytest.mark.parametrize(
    ("text", "finish", "reason"),
    [
        ("", "stop", "empty"),
        ("```\n```", "stop", "empty"),
        ("I'm sorry, but I cannot generate sentences on this topic.", "stop", "refused"),
        ("I'm sorry, but I can't do that.\nTell me which topics you would like instead.", "stop", "refused"),
        (THREE[0], "content_filter", "refused"),
        ("Weather\nNews", "stop", "unparsed"),
        ("Rain fell on", "length", "cut_off"),
        ("Rain fell on", None, "cut_off"),
    ],
)
def test_an_answer_without_a_sentence_says_why(text: str, finish: str | None, reason: str) -> None:
    reading = read(text, finish)
    assert (reading.value, reading.reason) == (None, reason)


def test_an_endless_answer_is_cut_with_a_remark() -> None:
    found = read("\n".join(f"The cat number {n} sleeps." for n in range(3_000))).value
    assert found is not None
    assert len(found.kept) == 999
    assert found.dropped[-1][:2] == (999, "too many lines") and "2,002 lines" in found.dropped[-1][2]
