"""Templates: the two forms, checked placeholders, and braces of users that stay text."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claif_tui.core import prompts
from claif_tui.core.errors import RecipeError
from claif_tui.core.recipes import Recipe, set_field

CHAT = Recipe()
CODE = replace(CHAT, api="completions")


def test_the_chat_form_is_the_papers() -> None:
    messages, stop = prompts.render_fill(CHAT, "a <mask> runs .")
    assert messages[0][0] == "system"
    assert messages[1] == (
        "user",
        "Replace all <mask> tokens in 'a <mask> runs .' to make a new sentence. The new sentence is:",
    )
    assert stop == ()
    messages, stop = prompts.render_paraphrase(CHAT, "a man runs .")
    assert (
        messages[-1][1]
        == "Write two sentences that mean the same thing. Sentence 1: 'a man runs .' Sentence 2:"
    )


def test_the_completions_form_is_the_official_codes() -> None:
    messages, stop = prompts.render_fill(CODE, "a <mask> runs .")
    assert messages == (
        (
            "user",
            'Replace all <mask> tokens in "a <mask> runs ." to make a new sentence. The new sentence is: "',
        ),
    )
    assert stop == ('"',)
    messages, stop = prompts.render_paraphrase(CODE, "a man runs .")
    assert messages[0][1].splitlines() == [
        "Write two sentences that mean the same thing.",
        'Sentence 1: "a man runs ."',
        'Sentence 2: "',
    ]
    assert stop == ('"',)


@pytest.mark.parametrize("recipe", [CHAT, CODE])
@pytest.mark.parametrize("choice", prompts.SCORE_PROMPTS)
def test_scoring_never_stops_early_and_has_no_system_line(recipe: Recipe, choice: prompts.ScorePrompt) -> None:
    recipe = replace(recipe, score_prompt=choice)
    messages, stop = prompts.render_score(recipe, "one {sentence2}", "two {sentence1}")
    assert stop == ()
    assert [role for role, _ in messages] == ["user"]
    assert "one {sentence2}" in messages[0][1] and "two {sentence1}" in messages[0][1]
    assert prompts.score_mode(recipe) == ("last" if choice == "reason-then-score" else "plain")
    assert prompts.asks_for_reason(recipe) == (choice != "paper")


def test_the_paper_scoring_prompt_is_quoted_exactly() -> None:
    ((_, text),), _ = prompts.render_score(CHAT, "a", "b")
    assert text == (
        "The similarity score for two sentences is in the range from 0.0 to 1.0, 0.0 means completely different "
        "and 1.0 means almost the same. Now given two sentences 'a' and 'b', please give a similarity score for "
        "these two sentences: The similarity score for these two sentences is"
    )


def test_no_quote_at_the_end_no_stop() -> None:
    recipe = replace(CODE, completions_fill="Fill {masked}:")
    assert prompts.render_fill(recipe, "x")[1] == ()


def test_an_empty_system_line_is_not_sent() -> None:
    assert [role for role, _ in prompts.render_fill(replace(CHAT, system_line=" "), "x")[0]] == ["user"]


@given(st.text(), st.text())
def test_what_is_put_in_is_text(first: str, second: str) -> None:
    template = "{{a}} {sentence1} {x} {sentence2} {"
    assert (
        prompts.fill_in("score", template, sentence1=first, sentence2=second)
        == "{{a}} " + first + " {x} " + second + " {"
    )


@given(st.text())
def test_other_braces_stay_as_they_are(text: str) -> None:
    held = text.replace("{masked}", "")
    if "{masked}" in held:
        return
    assert prompts.fill_in("fill", held + "{masked}", masked="M") == held + "M"


def test_a_missing_placeholder_is_named_with_its_place() -> None:
    with pytest.raises(RecipeError) as caught:
        set_field(CHAT, "prompts.chat.paper", "Compare {sentence1}.")
    assert caught.value.message == "prompts.chat.paper lacks {sentence2}"
    assert caught.value.hint == "Put {sentence2} where the generated sentence belongs."


def test_a_check_tells_what_will_be_sent_as_it_stands() -> None:
    check = prompts.check_template("fill", "{masked} {masked} {sentence} {other}")
    assert (check.present, check.missing) == (("masked",), ())
    assert len(check.notes) == 2
