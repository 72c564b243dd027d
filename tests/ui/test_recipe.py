"""The mask lab through the keyboard: every edit shows its consequences at once, and nothing invalid is kept."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest

from claif_tui.core import recipe_file
from claif_tui.core.masking import mask_sentence
from claif_tui.core.models import NANO
from claif_tui.core.prompts import SCORE_PROMPTS
from claif_tui.core.recipe_presets import SYSTEM_NAMES
from claif_tui.core.recipe_schema import SyncsePrompts
from claif_tui.core.recipes import Recipe, fields_of, preset_recipe, presets_of, recipe_id, requests_id
from claif_tui.core.store.store import Store
from claif_tui.ui.app import ClaifApp
from claif_tui.ui.dialogs import ConfirmModal, TextModal
from claif_tui.ui.recipe_draft import BUDGET, RecipeDraft
from claif_tui.ui.recipe_form import form_of
from claif_tui.ui.screens.recipe import RecipeScreen
from claif_tui.ui.screens.trying import TryModal
from claif_tui.ui.screens.versions import VersionsModal
from claif_tui.ui.widgets.fields import Field
from tests.llm_fixtures import Factory
from tests.ui.conftest import SEEDS, AppPilot, idle, opened, screen_text, type_text, until

SIZE = (120, 44)


def lab(app: ClaifApp) -> RecipeScreen:
    screen = app.screen_stack[0]
    assert isinstance(screen, RecipeScreen)
    return screen


def field(app: ClaifApp, key: str) -> Field:
    return next(found for found in lab(app).query(Field) if found.key == key)


async def recipe(pilot: AppPilot) -> None:
    await opened(pilot)
    await pilot.press("3")
    await idle(pilot)


async def write(pilot: AppPilot, key: str, text: str) -> None:
    """Replace what stands in a field: select all, then type (at once, as a paste does)."""
    assert isinstance(pilot.app, ClaifApp)
    field(pilot.app, key).focus_editor()
    await pilot.pause()
    await pilot.press(*(["f7"] if key.startswith("prompts") else ["home", "shift+end"]), "delete")
    await type_text(pilot, text)


@pytest.mark.parametrize("system", SYSTEM_NAMES)
def test_every_knob_of_the_recipe_has_a_field(system: str) -> None:
    shown: set[str] = set()
    varied = [
        replace(preset_recipe(preset), api="completions", score_prompt=prompt, syncse_prompts=drawn)
        for preset in presets_of(system)
        for prompt in SCORE_PROMPTS
        for drawn in get_args(SyncsePrompts)
    ]
    for recipe in (*varied, *(replace(one, api="chat") for one in varied)):
        draft = RecipeDraft(recipe=recipe)
        shown |= {draft.name_of(key) for key in form_of(recipe).keys if key != BUDGET}
    assert shown == {spec.name for spec in fields_of(system)}


async def test_real_seeds_are_masked_and_the_exact_request_stands_beside(project: Path) -> None:
    app = ClaifApp(project)
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await recipe(pilot)
        shown = screen_text(app)
        assert "seed 1 of 5" in shown
        for rate in (0.1, 0.5):
            assert f"{rate}  {mask_sentence(SEEDS[0], rate, 42).text}" in shown
        assert "request at 0.3 · chat" in shown
        assert "calls 45 + 45" in shown and "free" in shown
        await pilot.press("right", "down", "down")
        await until(pilot, lambda: "seed 2 of 5" in screen_text(app), "the next seed")
        assert "request at 0.5" in screen_text(app)
        await pilot.press("left", "left")
        await until(pilot, lambda: "seed 5 of 5" in screen_text(app), "the last seed")


async def test_an_edit_changes_preview_and_estimate_at_once(project: Path) -> None:
    app = ClaifApp(project)
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await recipe(pilot)
        await write(pilot, "masks.rates", "0.4")
        assert f"0.4  {mask_sentence(SEEDS[0], 0.4, 42).text}" in screen_text(app)
        await until(pilot, lambda: "calls 5 + 5" in screen_text(app), "the new estimate")
        await write(pilot, "seed", "7")
        assert f"0.4  {mask_sentence(SEEDS[0], 0.4, 7).text}" in screen_text(app)
        await write(pilot, "prompts.fill", "Fill {masked} now")
        assert f"user: Fill {mask_sentence(SEEDS[0], 0.4, 7).text} now" in screen_text(app)
        assert "✓ {masked} present" in screen_text(app)


UNREADABLE = (
    ("masks.rates", "7 0.1", "outside 0 to 1"),
    ("masks.rates", "x", "expected different numbers"),
    ("seed", "-", "expected a whole number"),
    ("model.temperature", "9", "from 0 to 2"),
    ("budget", "lots", "expected dollars"),
    ("prompts.fill", "no placeholder", "lacks {masked}"),
)


async def test_what_does_not_read_is_said_at_the_field_and_the_last_good_preview_stays(project: Path) -> None:
    app = ClaifApp(project)
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await recipe(pilot)
        for key, text, said in UNREADABLE:
            before = field(app, key).text
            await write(pilot, key, text)
            assert said in str(field(app, key).query_one(".below").render())
            shown = " ".join(screen_text(app).split())
            assert "1 to mend" in shown
            assert mask_sentence(SEEDS[0], 0.5, 42).text in shown
            await pilot.press("ctrl+s")
            await until(pilot, lambda: app._notifications, "the refusal to save")
            app.clear_notifications()
            assert not (project / "recipe.toml").exists()
            await write(pilot, key, before)
            await until(
                pilot, lambda: not lab(app).draft.problems and not lab(app).draft.dirty, "the old value"
            )


async def test_saving_writes_the_file_keeps_the_version_and_sets_the_budget(project: Path) -> None:
    app = ClaifApp(project)
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await recipe(pilot)
        await write(pilot, "masks.merge", "0.25")
        await write(pilot, "budget", "2.5")
        assert "● unsaved" in screen_text(app)
        await pilot.press("ctrl+s")
        await until(pilot, lambda: "✓ saved" in screen_text(app), "the save")
    saved = recipe_file.load(project / "recipe.toml")
    assert saved == Recipe(merge=0.25)
    with Store.open(project) as store:
        assert store.recipes.get(recipe_id(saved)) is not None
        assert store.ledger.get(requests_id(saved)).cap_nano == 2.5 * NANO


async def test_a_preset_fills_what_it_fixes_and_the_diff_names_the_rest(project: Path) -> None:
    app = ClaifApp(project)
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await recipe(pilot)
        field(app, "preset").focus_editor()
        await pilot.pause()
        await pilot.press("right")
        assert lab(app).draft.recipe.preset == "official-code"
        assert field(app, "model.score_temperature").text == "0.7"
        assert field(app, "score.prompt").text == "score-and-reason"
        await write(pilot, "model.top_p", "0.5")
        await pilot.press("escape", "d")
        await until(pilot, lambda: isinstance(app.screen, TextModal), "the diff")
        shown = screen_text(app)
        assert "model.top_p" in shown and "+ 0.5" in shown and "- 0.9" in shown


async def test_the_api_form_changes_the_prompts_that_are_edited(project: Path) -> None:
    app = ClaifApp(project)
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await recipe(pilot)
        field(app, "model.api").focus_editor()
        await pilot.pause()
        await pilot.press("right")
        assert field(app, "prompts.fill").text == Recipe().completions_fill
        assert 'stop "\\""' in screen_text(app)


async def test_an_earlier_version_comes_back_into_the_form(project: Path) -> None:
    app = ClaifApp(project)
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await recipe(pilot)
        for seed in ("1", "2"):
            await write(pilot, "seed", seed)
            await pilot.press("ctrl+s")
            await until(pilot, lambda: "✓ saved" in screen_text(app), "the save")
        await pilot.press("escape", "v")
        await until(pilot, lambda: isinstance(app.screen, VersionsModal), "the versions")
        assert "✓ in the form" in screen_text(app) and "seed 1" in screen_text(app)
        await pilot.press("down", "enter")
        await until(pilot, lambda: lab(app).draft.recipe.seed == 1, "the first version")
        assert field(app, "seed").text == "1" and "● unsaved" in screen_text(app)


async def test_a_file_edited_elsewhere_is_taken_up(project: Path) -> None:
    recipe_file.save(project / "recipe.toml", Recipe())
    app = ClaifApp(project)
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await recipe(pilot)
        recipe_file.save(project / "recipe.toml", Recipe(seed=123456))
        await until(pilot, lambda: field(app, "seed").text == "123456", "the new content")


async def test_unsaved_edits_are_not_overwritten_by_a_change_elsewhere(project: Path) -> None:
    recipe_file.save(project / "recipe.toml", Recipe())
    app = ClaifApp(project)
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await recipe(pilot)
        await write(pilot, "seed", "99")
        recipe_file.save(project / "recipe.toml", Recipe(seed=5))
        await until(
            pilot, lambda: any("elsewhere" in str(n.message) for n in app._notifications), "the warning"
        )
        assert field(app, "seed").text == "99"
        await pilot.press("ctrl+s")
        await until(pilot, lambda: isinstance(app.screen, ConfirmModal), "the question")
        await pilot.press("n")
        await idle(pilot)
        assert recipe_file.load(project / "recipe.toml").seed == 5
        await pilot.press("ctrl+s")
        await until(pilot, lambda: isinstance(app.screen, ConfirmModal), "the question")
        await pilot.press("y")
        await until(pilot, lambda: "✓ saved" in screen_text(app), "the save")
    assert recipe_file.load(project / "recipe.toml").seed == 99


async def test_a_file_that_does_not_read_is_said_and_left_alone(project: Path) -> None:
    (project / "recipe.toml").write_text("seed = [MASK]\n")
    app = ClaifApp(project)
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await recipe(pilot)
        assert "not valid TOML" in screen_text(app)
        assert "three men are playing chess" in screen_text(app)
    assert (project / "recipe.toml").read_text() == "seed = [MASK]\n"


async def test_trying_asks_before_it_costs_and_shows_answers_and_scores(
    project: Path, llm_server: Factory, tmp_path: Path
) -> None:
    server = llm_server()
    home = tmp_path / "home"
    home.mkdir()
    (home / "config.toml").write_text(f'[profiles.lab]\nbase_url = "{server.base_url}"\nmodel = "m"\n')
    wanted = Recipe(profile="lab", model="m", rates=(0.0, 0.4))
    recipe_file.save(project / "recipe.toml", wanted)
    app = ClaifApp(project)
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await recipe(pilot)
        await pilot.press("t")
        await until(pilot, lambda: isinstance(app.screen, ConfirmModal), "the question about money")
        assert "6 requests" in screen_text(app) and not server.log()
        await pilot.press("n")
        await idle(pilot)
        assert not server.log(), "nothing is sent without a yes"
        await pilot.press("t")
        await until(pilot, lambda: isinstance(app.screen, ConfirmModal), "the question about money")
        await pilot.press("y")
        await until(pilot, lambda: isinstance(app.screen, TryModal), "the answers")
        await until(
            pilot, lambda: "done" in str(app.screen.query(".dialog").first().border_subtitle), "the end"
        )
        assert len(server.log()) == 12
        assert all(seed in screen_text(app) for seed in SEEDS[:3])
        assert " 0." in screen_text(app)
        await pilot.press("escape")
        await idle(pilot)
        await pilot.press("t", "y")
        await until(pilot, lambda: isinstance(app.screen, TryModal), "the answers again")
        await until(
            pilot, lambda: "done" in str(app.screen.query(".dialog").first().border_subtitle), "the end"
        )
        assert len(server.log()) == 12, "answers that are there are not bought again"


async def test_an_unknown_endpoint_is_said_at_its_field(project: Path) -> None:
    app = ClaifApp(project)
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await recipe(pilot)
        await write(pilot, "model.profile", "nowhere")
        below = field(app, "model.profile").query_one(".below")
        await until(pilot, lambda: "there is no endpoint" in str(below.render()), "the remark")
        assert "unknown: no price" in " ".join(screen_text(app).split())
