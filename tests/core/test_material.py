"""SynCSE's material: what comes along keeps its word, and an edited file fails by line and field."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from rapidfuzz import fuzz

from claif_tui.core.errors import RecipeError
from claif_tui.core.recipe_file import dump
from claif_tui.core.recipe_file import parse as parse_recipe
from claif_tui.core.recipes import preset_recipe, requests_id, set_field
from claif_tui.core.systems.material import SIDES, material_of, packaged_text, parse
from engine.offline.corpus import EVAL_FILES, evaluation_sentences, normalise

MATERIAL = parse(packaged_text())
POOLS = [one for side in SIDES for one in MATERIAL.pool(side)]
PAIRS = [(one.name, given, wanted) for one in POOLS for given, wanted in one.exemplars]


def test_the_packaged_pools_are_as_large_and_as_mixed_as_methods_ask() -> None:
    assert [one.name for one in MATERIAL.positive] == ["P1", "P2", "P3", "P4"]
    assert [one.name for one in MATERIAL.negative] == ["N1", "N2", "N3", "N4"]
    assert len({one.text for one in POOLS}) == 8
    for one in POOLS:
        lengths = sorted(len(given.split()) for given, _ in one.exemplars)
        assert len(one.exemplars) >= 10
        assert lengths[0] <= 7 and lengths[-1] >= 20 and len(set(lengths)) >= 7, one.name
        inputs = [given for given, _ in one.exemplars]
        assert any(given.endswith(" .") and given.islower() for given in inputs), f"{one.name}: tokenised text"
        assert any(re.search(r"\b(?:um|uh|you know|I mean)\b", given) for given in inputs), (
            f"{one.name}: speech"
        )
        assert any(given.endswith("?") for given in inputs), f"{one.name}: a question"
    every = [len(given.split()) for _, given, _ in PAIRS]
    assert min(every) == 3 and max(every) >= 35
    assert len(MATERIAL.genres) >= 20 and len(MATERIAL.topics) >= 100
    # "in a {genre}" must read as English.
    assert not [genre for genre in MATERIAL.genres if genre[0] in "aeiou"]


def test_packaged_exemplars_follow_what_can_be_counted_of_their_instructions() -> None:
    by_name = {one.name: one for one in POOLS}
    for given, wanted in by_name["P4"].exemplars:
        assert len(wanted) < len(given)
    for given, wanted in by_name["N2"].exemplars:
        left, right = set(given.split()), set(wanted.split())
        assert 1 <= len(left - right) <= 2 and len(right - left) <= 2, given
    for name, given, wanted in PAIRS:
        assert normalise(given) != normalise(wanted)
        assert (given + wanted).isascii(), name
        if name == "P2":
            assert fuzz.ratio(given, wanted) < 75, given


def test_no_two_packaged_exemplars_are_alike() -> None:
    texts = [(number, text.lower()) for number, (_, *pair) in enumerate(PAIRS) for text in pair]
    for place, (number, text) in enumerate(texts):
        for other_number, other in texts[place + 1 :]:
            if number != other_number:
                assert fuzz.token_sort_ratio(text, other) < 80, (text, other)


def test_no_packaged_exemplar_stands_in_an_evaluation_set(data_dir: Path) -> None:
    theirs = set().union(*(evaluation_sentences(data_dir / "senteval", name) for name in EVAL_FILES))
    assert theirs
    assert not {normalise(text) for _, *pair in PAIRS for text in pair} & theirs


def _without(text: str, pattern: str, to: str = "") -> str:
    changed = re.sub(pattern, to, text, count=1, flags=re.S)
    assert changed != text
    return changed


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda text: text + "\nx = [", "not valid TOML"),
        (lambda text: "[positive]\n", "acknowledgement is missing"),
        (
            lambda text: _without(text, r"\[positive\.P1\].*\[negative\.N1\]", "[negative.N1]"),
            "positive has no inst",
        ),
        (
            lambda text: _without(text, r"(\[positive\.P2\]\n)instruction", r"\1instrucion"),
            "positive.P2 has a key",
        ),
        (
            lambda text: _without(text, r'(\[negative\.N3\]\n)instruction = """.*?"""\n', r"\1"),
            "negative.N3 has no instruction",
        ),
        (
            lambda text: _without(text, r'"She hates flying\."', '""'),
            "negative.N3, exemplar 11 holds an empty text",
        ),
        (
            lambda text: _without(
                text,
                r'"He is currently unemployed\."',
                '"so I mean the thing is I\'m kind of you know  a little bit tired right now"',
            ),
            "positive.P4, exemplar 11 has the input of an earlier one",
        ),
        (lambda text: _without(text, "He has no job", "He is  currently unemployed"), "with itself"),
        (lambda text: _without(text, "She hates flying", r"She hates \\u0007flying"), "control characters"),
        (lambda text: _without(text, "She hates flying", "She hates {sentence}"), "holds {sentence}"),
        (lambda text: _without(text, "She hates flying", "She <mask> flying"), "holds <mask>"),
        (lambda text: _without(text, r"She hates flying", r"She\\nhates flying"), "line break"),
        (lambda text: _without(text, r'"chess", ', '"chess", "Chess", '), "topics holds 'chess' twice"),
        (lambda text: _without(text, r"genres = \[", "genres = [3, "), "genres holds '3', which is no text"),
        (
            lambda text: _without(text, r'\["She hates flying\.",', '["One more", "text",'),
            "is no pair of texts",
        ),
        (lambda text: "naive = 'x'\n" + text, "naive means nothing here"),
    ],
)
def test_a_spoilt_file_names_its_field_and_the_recipe_keeps_its_own(
    spoil: Callable[[str], str], told: str
) -> None:
    recipe = preset_recipe("syncse-partial")
    with pytest.raises(RecipeError) as caught:
        set_field(recipe, "syncse.material", spoil(packaged_text()))
    assert told in caught.value.message
    assert caught.value.message.startswith("syncse.material")
    assert caught.value.hint
    assert recipe.material == ""


def test_errors_name_the_line_of_the_table() -> None:
    text = packaged_text().replace("She hates flying.", "{sentence}")
    line = next(number for number, line in enumerate(text.splitlines(), 1) if line == "[negative.N3]")
    with pytest.raises(RecipeError, match=rf"line {line}: negative\.N3, exemplar 11"):
        parse(text)


def test_a_recipe_that_draws_more_than_there_is_says_which_pool_is_short() -> None:
    recipe = set_field(preset_recipe("syncse-partial"), "syncse.exemplars", 12)
    with pytest.raises(
        RecipeError, match=r"syncse\.exemplars is 12, and positive\.P1 of syncse\.material has 11"
    ):
        material_of(recipe)
    material_of(set_field(recipe, "syncse.prompts", "naive"))
    scratch = set_field(preset_recipe("syncse-scratch"), "scratch.topics", 50)
    few = re.sub(r"topics = \[.*?\]", "topics = ['tea', 'rain']", packaged_text(), flags=re.S)
    with pytest.raises(RecipeError, match=r"scratch\.topics is 50, and syncse\.material has 2 topics"):
        material_of(set_field(scratch, "syncse.material", few))


def test_own_material_is_part_of_the_recipe_and_survives_its_file() -> None:
    recipe = preset_recipe("syncse-partial")
    own = set_field(
        recipe, "syncse.material", packaged_text().replace("She hates flying", "She loathes flying")
    )
    assert requests_id(own) != requests_id(recipe)
    again = parse_recipe(dump(own))
    assert again == own
    assert ("She loathes flying.", "Flying is her greatest pleasure.") in material_of(again).negative[
        2
    ].exemplars
