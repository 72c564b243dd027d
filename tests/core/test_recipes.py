"""Recipes: presets, ids, fields, the TOML file, and errors that name file, line and field."""

from __future__ import annotations

import tomllib
from dataclasses import fields, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claif_tui.core import recipe_fields, recipe_file, recipes
from claif_tui.core.errors import InputError, RecipeError
from claif_tui.core.recipe_fields import Value, format_value
from claif_tui.core.recipes import BY_NAME, FIELDS, PRESET_NAMES, Recipe, preset_recipe, set_field
from claif_tui.core.systems.material import packaged_text

TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"], include_characters="\n\t"), min_size=1).filter(
    lambda text: text.strip() != ""
)


def test_every_knob_is_in_the_table_once() -> None:
    assert sorted(spec.attr for spec in FIELDS) == sorted(field.name for field in fields(Recipe))
    assert len(BY_NAME) == len(FIELDS)
    assert all(spec.help for spec in FIELDS)


def test_the_presets_are_those_of_the_table() -> None:
    claif, code, paper = (preset_recipe(name) for name in ("claif", "official-code", "paper-literal"))
    assert claif == Recipe()
    assert (claif.smoothing, claif.cap, claif.score_temperature, claif.zero_pool) == (0.2, 2, 0.0, "generated")
    assert (code.keep_duplicates, code.score_prompt, code.score_temperature) == (True, "score-and-reason", 0.7)
    assert (code.smoothing, code.cap, code.zero_pool) == (0.2, 2, "generated")
    assert (paper.keep_duplicates, paper.score_prompt, paper.score_temperature) == (False, "paper", 0.7)
    assert (paper.smoothing, paper.cap, paper.zero_pool) == (0.0, 0, "originals")
    for recipe in (claif, code, paper):
        assert recipe.rates == (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
        assert (recipe.fill_temperature, recipe.top_p, recipe.max_tokens, recipe.zero_pairs) == (
            0.7,
            0.9,
            256,
            2,
        )
        assert recipe.drop_identical and recipe.drop_mask and recipe.deduplicate


OTHER: dict[str, Value] = {
    "preset": "paper-literal",
    "masks.rates": (0.0, 0.25),
    "answers.refusals": ("no",),
    "model.api": "completions",
    "score.prompt": "score-and-reason",
    "post.conflicts": "first",
    "post.zero_pool": "originals",
    "dino.variant": "local",
    "syncse.prompts": "naive",
    "multicsr.decoding": "contrastive",
    "prompts.scratch.sentences": "Write {count} sentences of a {genre} on {topics}.",
}


def _base(name: str) -> Recipe:
    """The defaults of the first system that has the field."""
    systems = BY_NAME[name].systems or ("claif",)
    return set_field(Recipe(), "system", systems[0])


def _other(name: str) -> Value:
    spec, value = BY_NAME[name], getattr(_base(name), BY_NAME[name].attr)
    if name in OTHER:
        return OTHER[name]
    if spec.kind == "material":
        return packaged_text()
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    if isinstance(value, float):
        return 0.25
    return f'{value} {{other}} "x"' if spec.kind == "text" else f"{value}-2"


@pytest.mark.parametrize("name", [spec.name for spec in FIELDS if spec.name != "system"])
def test_each_field_can_be_set_shown_written_and_counts_in_the_id(name: str) -> None:
    old, value = _base(name), _other(name)
    new = set_field(old, name, value)
    assert recipes.get_field(new, name) == value
    assert set_field(old, name, format_value(value)) == new
    assert recipes.from_json(recipes.to_json(new)) == new
    assert recipe_file.parse(recipe_file.dump(new)) == new
    assert recipe_file.parse(recipe_file.update_toml(recipe_file.dump(old), recipes.changes(old, new))) == new
    affects = BY_NAME[name].affects
    if name != "preset":
        assert (recipes.recipe_id(new) != recipes.recipe_id(old)) == (affects != "label")
        assert (recipes.requests_id(new) != recipes.requests_id(old)) == (affects == "requests")
        assert recipes.diff(new, old.preset) == [(name, value, recipes.get_field(old, name))]


def test_an_id_is_blind_to_the_name_of_the_preset() -> None:
    base = Recipe()
    assert len(recipes.recipe_id(base)) == 12
    by_hand = set_field(base, "preset", "paper-literal")
    assert recipes.recipe_id(replace(by_hand, preset="claif")) == recipes.recipe_id(by_hand)
    assert len({recipes.recipe_id(preset_recipe(name)) for name in PRESET_NAMES}) == len(PRESET_NAMES)


@pytest.mark.parametrize("name", PRESET_NAMES)
def test_a_preset_fixes_its_system_and_only_known_knobs(name: str) -> None:
    recipe = preset_recipe(name)
    assert name in recipes.presets_of(recipe.system)
    assert recipes.diff(recipe, name) == []
    assert recipes.from_json(recipes.to_json(recipe)) == recipe
    for spec in FIELDS:
        assert recipe_fields.coerce(spec, getattr(recipe, spec.attr)) == getattr(recipe, spec.attr)


def test_another_system_keeps_who_is_asked_and_nothing_else_of_the_last_one() -> None:
    mine = replace(Recipe(), model="m", profile="p", api="completions", seed=7, rates=(0.5,), top_p=0.3)
    dino = set_field(mine, "system", "dino")
    assert (dino.preset, dino.model, dino.profile, dino.api, dino.seed) == (
        "dino-api",
        "m",
        "p",
        "completions",
        7,
    )
    assert (dino.rates, dino.top_p, dino.max_tokens) == (Recipe().rates, 0.9, 40)
    assert set_field(dino, "system", "dino") == dino
    assert "masks.rates" not in recipes.to_values(dino) and "dino.samples" not in recipes.to_values(mine)
    back = set_field(dino, "preset", "claif")
    assert recipes.recipe_id(back) == recipes.recipe_id(replace(mine, rates=Recipe().rates, top_p=0.9))


def test_a_knob_of_another_system_counts_in_no_id() -> None:
    assert recipes.recipe_id(set_field(Recipe(), "dino.samples", 5)) == recipes.recipe_id(Recipe())
    # The id of the default recipe is in every project there is: new systems must not change it.
    assert recipes.recipe_id(Recipe()) == "f75ac0314cce"


def test_a_preset_of_another_system_is_refused() -> None:
    with pytest.raises(RecipeError, match="preset dino-api is one of dino, and system is claif"):
        recipe_file.parse('system = "claif"\npreset = "dino-api"\n')
    assert recipe_file.parse('system = "multicsr"\n').preset == "multicsr"


def test_the_order_of_rates_does_not_matter() -> None:
    assert set_field(Recipe(), "rates", "0.3, 0.0, 0.1").rates == (0.0, 0.1, 0.3)


def test_short_names_and_the_form_in_force() -> None:
    recipe = set_field(Recipe(), "smoothing", "off")
    assert recipe.smoothing == 0.0
    assert set_field(recipe, "cap", "off").cap == 0
    recipe = set_field(recipe, "api", "completions")
    recipe = set_field(recipe, "prompts.fill", "Fill {masked}")
    assert recipe.completions_fill == "Fill {masked}"
    assert recipe.chat_fill == Recipe().chat_fill


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("rates", "0.1,1.2", "masks.rates: mask rate 1.2 is outside 0 to 1"),
        ("rates", "0.1 0.1", "masks.rates holds 0.1 twice"),
        ("rates", "0.1234", "masks.rates: mask rate 0.1234 has more than three decimals"),
        ("rates", "", "masks.rates is [], expected"),
        ("rates", "nan", "masks.rates: mask rate nan is outside 0 to 1"),
        ("rates", "a few", "masks.rates holds 'a', expected"),
        ("seed", "-1", "seed is -1, expected a whole number from 0"),
        ("seed", "4.2", "seed is '4.2', expected a whole number"),
        ("seed", True, "seed is True, expected a whole number"),
        ("top_p", "0", "model.top_p is 0.0, expected a number from 0.001 to 1"),
        ("temperature", "nan", "model.temperature is nan, expected a number from 0 to 2"),
        ("keep_duplicates", "perhaps", "seeds.keep_duplicates is 'perhaps', expected true or false"),
        ("score.prompt", "papier", "score.prompt is 'papier', expected one of paper"),
        ("model.name", "  ", "model.name is empty"),
        ("prompts.system", "a\x1b[31m", "prompts.system holds control characters"),
        ("refusals", "[1]", "answers.refusals holds 1, expected a list of regular expressions"),
        ("refusals", "(", "answers.refusals: '(' is no regular expression"),
        ("smothing", "0.1", "there is no recipe field 'smothing'"),
    ],
)
def test_wrong_values_name_the_field_and_what_is_expected(name: str, value: object, message: str) -> None:
    with pytest.raises(RecipeError) as caught:
        set_field(Recipe(), name, value)
    assert caught.value.message.startswith(message)


def test_the_nearest_name_is_offered() -> None:
    with pytest.raises(RecipeError) as caught:
        set_field(Recipe(), "masks.rate", "0.1")
    assert caught.value.hint == "Did you mean masks.rates?"
    with pytest.raises(RecipeError) as caught:
        set_field(Recipe(), "preset", "claiff")
    assert caught.value.hint == "Did you mean claif?"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seed = 1\n\n[masks]\nrates = [0.1, 0.1]\n", "my.toml, line 4: masks.rates holds 0.1 twice"),
        ("[masks]\nrate = [0.1]\n", "my.toml, line 2: there is no recipe field 'masks.rate'"),
        ("[prompts.chat]\nfill = 'x'\n", "my.toml, line 2: prompts.chat.fill lacks {masked}"),
        ("masks = 3\n", "my.toml, line 1: there is no recipe field 'masks'"),
        ("[post.cap]\nx = 1\n", "my.toml: post.cap is {'x': 1}, expected a whole number from 0"),
        ("seed = \n", "my.toml is not valid TOML: Invalid value (at line 1"),
        ("post.smoothing = 1.5\n", "my.toml, line 1: post.smoothing is 1.5, expected a number from 0 to 1"),
    ],
)
def test_a_wrong_file_is_told_by_line_and_field(text: str, message: str) -> None:
    with pytest.raises(RecipeError) as caught:
        recipe_file.parse(text, "my.toml")
    assert caught.value.message.startswith(message)


def test_what_is_missing_comes_from_the_preset() -> None:
    recipe = recipe_file.parse('preset = "paper-literal"\nseed = 7\n[post]\ncap = 3\n')
    assert (recipe.smoothing, recipe.cap, recipe.seed) == (0.0, 3, 7)
    assert recipe_file.parse("") == Recipe()


@given(TEXT, TEXT, st.lists(st.integers(0, 1000), min_size=1, unique=True))
def test_any_text_survives_the_file(before: str, after: str, permille: list[int]) -> None:
    recipe = set_field(Recipe(), "prompts.chat.fill", f"{before}{{masked}}{after}")
    recipe = set_field(recipe, "masks.rates", [rate / 1000 for rate in permille])
    assert recipe_file.parse(recipe_file.dump(recipe)) == recipe
    assert recipe_file.parse(recipe_file.update_toml("", recipes.changes(Recipe(), recipe))) == recipe
    assert recipes.from_json(recipes.to_json(recipe)) == recipe


def test_saving_keeps_the_users_comments_and_order(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text("# mine\n[post]\ncap = 5  # five is right\n\n[masks] # here\nrates = [0.1]\n# the end\n")
    recipe = recipe_file.load(path)
    recipe_file.save(path, replace(recipe, cap=7, drop_mask=False, seed=3))
    text = path.read_text()
    for comment in ("# mine", "# five is right", "# here", "# the end"):
        assert comment in text
    assert text.index("[post]") < text.index("[masks]")
    assert tomllib.loads(text)["post"] == {"cap": 7, "drop_mask": False}
    assert recipe_file.load(path) == replace(recipe, cap=7, drop_mask=False, seed=3)
    assert [item.name for item in tmp_path.iterdir()] == ["recipe.toml"]


def test_saving_nothing_new_leaves_the_file_alone(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    recipe_file.save(path, Recipe())
    before = (path.read_text(), path.stat().st_mtime_ns)
    recipe_file.save(path, Recipe())
    assert (path.read_text(), path.stat().st_mtime_ns) == before


def test_files_that_are_no_recipe(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot read"):
        recipe_file.load(tmp_path / "none.toml")
    with pytest.raises(InputError, match="cannot read"):
        recipe_file.load(tmp_path)
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="not UTF-8"):
        recipe_file.load(binary)
    large = tmp_path / "large.toml"
    large.write_bytes(b"#" * 1_000_002)
    with pytest.raises(InputError, match="larger than a megabyte"):
        recipe_file.load(large)


def test_a_byte_order_mark_is_no_error(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_bytes(b"\xef\xbb\xbfseed = 9\n")
    assert recipe_file.load(path).seed == 9


def test_stored_json_is_read_strictly() -> None:
    for text in ("{", "[]", "{}", recipes.to_json(Recipe()).replace('"seed"', '"sead"')):
        with pytest.raises(RecipeError):
            recipes.from_json(text)
