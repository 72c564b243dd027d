"""Project through the keyboard: open, new, demo, and the next useful step."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
from textual.widgets import Input

from claif_tui.core.models import NewPair
from claif_tui.core.recipes import Recipe
from claif_tui.core.session import save_recipe
from claif_tui.core.store.store import Store
from claif_tui.ui.app import ClaifApp
from claif_tui.ui.overview import next_step, overview, steps
from claif_tui.ui.projects import recent
from tests.ui.conftest import SEEDS, fill, idle, opened, screen_text, type_text, until

SIZE = (100, 30)


def _shows(app: ClaifApp, text: str) -> bool:
    return text in screen_text(app)


async def test_without_a_project_the_first_screen_says_what_to_press(tmp_path: Path) -> None:
    app = ClaifApp(None)
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await until(pilot, lambda: "a new project in a folder of yours" in screen_text(app), "the welcome")
        shown = screen_text(app)
        assert "d  a demo with 60 sentences" in shown and "o  open a project" in shown


async def test_a_new_project_is_made_where_the_user_says(tmp_path: Path) -> None:
    folder = tmp_path / "new one"
    app = ClaifApp(None)
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await idle(pilot)
        await pilot.press("n")
        await until(pilot, lambda: isinstance(app.focused, Input), "the dialog")
        await type_text(pilot, str(folder))
        await pilot.press("enter")
        await opened(pilot)
        assert "Project new one" in screen_text(app)
        assert "press 2, then i" in screen_text(app)
        await pilot.press("enter")
        await idle(pilot)
        assert app.current_mode == "seeds"
        assert "No seeds yet: press i" in screen_text(app)
    assert (folder / "claif.db").exists()
    assert recent() == [folder]


async def test_opening_checks_the_path_and_says_what_is_wrong(project: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "empty").mkdir()
    app = ClaifApp(None)
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await idle(pilot)
        await pilot.press("o")
        await until(pilot, lambda: isinstance(app.focused, Input), "the dialog")
        field = app.focused
        assert isinstance(field, Input)
        for path, problem in (
            ("", "type a path"),
            (str(tmp_path / "file"), "that is a file"),
            (str(tmp_path / "nowhere"), "no such folder"),
            (str(tmp_path / "empty"), "no project there"),
        ):
            field.value = path
            await pilot.press("enter")
            wanted = f"✗ {problem}"
            await until(pilot, partial(_shows, app, wanted), wanted)
        field.value = str(project)
        await pilot.press("enter")
        await opened(pilot)
        assert "Project stsb" in screen_text(app)


async def test_a_recent_project_opens_from_the_list(project: Path) -> None:
    first = ClaifApp(project)
    async with first.run_test(size=SIZE, notifications=True) as pilot:
        await opened(pilot)
    app = ClaifApp(None)
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await until(pilot, lambda: "Lately open" in screen_text(app), "the welcome")
        await pilot.press("o")
        await until(pilot, lambda: isinstance(app.focused, Input), "the dialog")
        await pilot.press("down", "enter")
        await opened(pilot)
        assert "Project stsb" in screen_text(app)


async def test_the_demo_opens_with_one_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    app = ClaifApp(None)
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await idle(pilot)
        await pilot.press("d")
        await opened(pilot)
        assert "60 train from 1 file" in screen_text(app)
        assert "press 4, then g" in screen_text(app)
    assert (tmp_path / "claif-demo" / "recipe.toml").exists()


async def test_another_project_replaces_the_open_one_everywhere(project: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    with Store.create(other) as store:
        fill(store, ("only one .",))
    app = ClaifApp(project)
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await opened(pilot)
        await pilot.press("2")
        await idle(pilot)
        await pilot.press("1", "o")
        await until(pilot, lambda: isinstance(app.focused, Input), "the dialog")
        await type_text(pilot, str(other))
        await pilot.press("enter")
        await until(pilot, lambda: "Project other" in screen_text(app), "the other project")
        await pilot.press("2")
        await until(pilot, lambda: "1 train" in screen_text(app), "its seeds")
        assert "only one ." in screen_text(app) and SEEDS[0] not in screen_text(app)


def test_the_next_step_follows_the_state_of_the_project(tmp_path: Path) -> None:
    with Store.create(tmp_path / "p") as store:
        step = next_step(overview(store))
        assert step is not None and step.title == "Seeds"
        fill(store, SEEDS)
        step = next_step(overview(store))
        assert step is not None and step.title == "Generate" and "press 4" in step.hint
        ids = store.write(
            lambda conn: [
                store.pairs.add(conn, NewPair(system="claif", text_a="a", generated=f"b{n}", rate=0.1))[0]
                for n in range(3)
            ]
        )
        view = overview(store)
        assert [row.state for row in steps(view)][3] == "later", "generation comes first while the plan is open"
        store.decisions.decide(ids, "accept", "tester")
        review = steps(overview(store))[3]
        assert review.state == "done" and review.detail == "3 of 3 decided"


def test_a_recipe_that_does_not_read_is_the_next_step(tmp_path: Path) -> None:
    with Store.create(tmp_path / "p") as store:
        fill(store, SEEDS)
        save_recipe(store.folder, Recipe())
        (store.folder / "recipe.toml").write_text("[masks]\nrates = [7]\n")
        view = overview(store)
        assert "outside 0 to 1" in view.recipe_problem
        step = next_step(view)
        assert step is not None and step.title == "Recipe"
