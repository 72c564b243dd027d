"""The prompt lab's window: how to get rows, asking before money, live progress, a winner that becomes the recipe."""

from __future__ import annotations

from pathlib import Path

from textual.widgets import OptionList

from claif_tui.core import recipe_file
from claif_tui.core.recipes import Recipe, recipe_id
from claif_tui.core.store.store import Store
from claif_tui.ui.app import ClaifApp
from claif_tui.ui.dialogs import ConfirmModal
from claif_tui.ui.screens.lab import LabModal
from tests.lab_support import FAVOURED, MARK, fill_gold, made_up, world
from tests.llm_fixtures import Factory
from tests.ui.conftest import AppPilot, idle, opened, screen_text, until


async def lab(pilot: AppPilot) -> None:
    await opened(pilot)
    await pilot.press("3")
    await idle(pilot)
    await pilot.press("L")
    await until(pilot, lambda: isinstance(pilot.app.screen, LabModal), "the lab")
    await idle(pilot)


async def test_without_labelled_pairs_the_lab_says_how_to_get_them_and_offers_mask_rates(project: Path) -> None:
    app = ClaifApp(project)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await lab(pilot)
        shown = screen_text(app)
        assert "0 pairs with a human label" in shown and "import --as gold" in shown
        await pilot.press("m")
        await until(pilot, lambda: "5 of 5 seeds" in screen_text(app), "mask rates")
        await until(pilot, lambda: "45 questions" in screen_text(app), "the estimate")
        await pilot.press("down", "space")
        await until(pilot, lambda: "40 questions" in screen_text(app), "one cell less")
        assert "○ 0.1" in screen_text(app)
        await pilot.press("n")
        await until(pilot, lambda: app.screen is not app.screen_stack[1], "the question for rows")
        await pilot.press("backspace", "backspace", "3", "enter")
        await until(pilot, lambda: "24 questions" in screen_text(app), "fewer rows")


async def test_the_winner_becomes_the_recipe_with_one_key(
    project: Path, tmp_path: Path, llm_server: Factory
) -> None:
    rows = made_up(40)
    server = llm_server(options={"gold": world(tmp_path / "world", rows, {MARK: 0.05}, 0.3)})
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "config.toml").write_text(
        f'[profiles.near]\nbase_url = "{server.base_url}"\nmodel = "m"\nprice_in = 1.0\nprice_out = 4.0\n'
    )
    recipe_file.save(project / "recipe.toml", Recipe(profile="near", model="m"))
    with Store.open(project) as store:
        fill_gold(store, rows)
    app = ClaifApp(project)
    async with app.run_test(size=(100, 34), notifications=True) as pilot:
        await lab(pilot)
        assert "120 questions" in screen_text(app) and "Nothing is answered yet" in screen_text(app)
        await pilot.press("b")
        await until(pilot, lambda: "Budget of this lab" in screen_text(app), "the question for a budget")
        await pilot.press("1", "enter")
        await until(pilot, lambda: "budget $1.00" in screen_text(app), "the budget")
        await pilot.press("g")
        await until(pilot, lambda: isinstance(app.screen, ConfirmModal), "the question about money")
        assert "never more than $1.00" in screen_text(app)
        assert not server.log(), "nothing is sent without a yes"
        await pilot.press("y")
        # The lab goes on without its window, and the window finds it again.
        await until(pilot, lambda: app.jobs.latest("lab") is not None, "the job")
        await pilot.press("escape", "L")
        await until(pilot, lambda: "p < 0.05, Holm" in screen_text(app), "the verdict")
        await idle(pilot)
        shown = screen_text(app)
        assert "budget $1.00" in shown, "the set-up is that of the lab"
        assert f"▸ {FAVOURED}" in shown and "calibration error" in shown and "all 120 questions" in shown
        asked = len(server.log())
        app.screen.query_one(OptionList).highlighted = 0
        await pilot.press("a")
        await until(pilot, lambda: isinstance(app.screen, ConfirmModal), "a doubt")
        assert "does not show" in screen_text(app)
        await pilot.press("n")
        await until(pilot, lambda: isinstance(app.screen, LabModal), "the lab again")
        await pilot.press("w")
        await until(
            pilot,
            lambda: recipe_file.load(project / "recipe.toml").score_prompt == FAVOURED,
            "the winner in recipe.toml",
        )
        await idle(pilot)
        assert len(server.log()) == asked
    with Store.open(project) as store:
        versions = [version for version, _, _ in store.recipes.list()]
    assert recipe_id(recipe_file.load(project / "recipe.toml")) in versions
