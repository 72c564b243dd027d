"""Settings through the keyboard: endpoints, the source of a key but never the key, a test call, theme, keys."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.widgets import Input, OptionList

from claif_tui.core import settings
from claif_tui.ui.app import ClaifApp
from claif_tui.ui.dialogs import ConfirmModal, ErrorModal, TextModal
from claif_tui.ui.screens.keys import KeysModal, movable
from claif_tui.ui.screens.profile_edit import ProfileModal
from claif_tui.ui.widgets.fields import Field
from tests.llm_fixtures import Factory
from tests.ui.conftest import AppPilot, idle, screen_text, type_text, until

SIZE = (110, 34)
SECRET = "sk-very-secret-0123456789"


async def places(pilot: AppPilot) -> None:
    await idle(pilot)
    await pilot.press("9")
    await idle(pilot)


def field(app: ClaifApp, key: str) -> Field:
    return next(found for found in app.screen.query(Field) if found.key == key)


async def fill_form(pilot: AppPilot, **texts: str) -> None:
    assert isinstance(pilot.app, ClaifApp)
    for key, text in texts.items():
        field(pilot.app, key).focus_editor()
        await pilot.pause()
        await type_text(pilot, text)


async def add_lab(pilot: AppPilot, url: str, **more: str) -> None:
    await pilot.press("a")
    await until(pilot, lambda: isinstance(pilot.app.screen, ProfileModal), "the form")
    await fill_form(pilot, name="lab", base_url=url, model="m", **more)
    await pilot.press("ctrl+s")
    await until(pilot, lambda: not isinstance(pilot.app.screen, ProfileModal), "the save")
    await idle(pilot)


async def test_an_endpoint_is_added_tested_and_removed(llm_server: Factory) -> None:
    server = llm_server(options={"refuse": ["top_p"]})
    app = ClaifApp(None)
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await places(pilot)
        await add_lab(pilot, server.base_url + "/")
        assert "lab" in screen_text(app) and server.base_url in screen_text(app)
        await pilot.press("t")
        await until(pilot, lambda: isinstance(app.screen, ConfirmModal), "the question")
        assert not server.log(), "an unknown price is asked about first"
        await pilot.press("y")
        await until(pilot, lambda: isinstance(app.screen, TextModal), "the report")
        assert "answers in" in screen_text(app)
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, ConfirmModal), "the consent")
        assert "refuses top_p" in screen_text(app)
        await pilot.press("y")
        await idle(pilot)
        await until(pilot, lambda: "not sent  top_p" in screen_text(app), "what is left out")
        await pilot.press("x")
        await until(pilot, lambda: isinstance(app.screen, ConfirmModal), "the question")
        await pilot.press("y")
        await until(pilot, lambda: server.base_url not in screen_text(app), "the removal")
    assert "lab" not in settings.load().profiles


@pytest.mark.parametrize(
    "texts, said",
    [
        ({"name": "", "base_url": "http://localhost:1/v1"}, "name is empty"),
        ({"name": "openai", "base_url": "http://localhost:1/v1"}, "already"),
        ({"name": "x", "base_url": ""}, "base URL is empty"),
        ({"name": "x", "base_url": "ftp://h/"}, "not an http(s) URL"),
        ({"name": "x", "base_url": "http://h/v1", "price_in": "1"}, "two sides"),
        ({"name": "x", "base_url": "http://h/v1", "rpm": "0"}, "expected a whole number"),
        ({"name": "x y", "base_url": "http://h/v1"}, "profiles"),
    ],
    ids=["no name", "taken", "no url", "other url", "half a price", "no rate", "odd name"],
)
async def test_a_profile_that_cannot_be_is_refused_with_its_reason(texts: dict[str, str], said: str) -> None:
    app = ClaifApp(None)
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await places(pilot)
        await pilot.press("a")
        await until(pilot, lambda: isinstance(app.screen, ProfileModal), "the form")
        await fill_form(pilot, **{key: text for key, text in texts.items() if text})
        await pilot.press("ctrl+s")
        await idle(pilot)
        assert isinstance(app.screen, ProfileModal)
        assert said in " ".join(screen_text(app).replace("│", " ").split())


async def test_a_key_pasted_for_its_name_is_neither_kept_nor_shown() -> None:
    app = ClaifApp(None)
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await places(pilot)
        await pilot.press("a")
        await until(pilot, lambda: isinstance(app.screen, ProfileModal), "the form")
        await fill_form(pilot, name="x", base_url="http://h/v1", api_key_env=SECRET)
        await pilot.press("ctrl+s")
        await idle(pilot)
        assert isinstance(app.screen, ProfileModal)
        problem = app.screen.query_one("#profile-problem").render()
        assert SECRET not in str(problem)
    path = settings.settings_path()
    assert not path.exists() or SECRET not in path.read_text()


async def test_where_a_key_comes_from_is_shown_and_its_value_never(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    app = ClaifApp(None)
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await places(pilot)
        await pilot.press("j", "down")
        await until(pilot, lambda: "$OPENAI_API_KEY (set)" in screen_text(app), "the source")
        assert SECRET not in screen_text(app)


async def test_a_keyring_that_does_not_work_is_said_and_the_typed_key_is_masked() -> None:
    app = ClaifApp(None)
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await places(pilot)
        await pilot.press("down", "s")
        await until(pilot, lambda: isinstance(app.focused, Input), "the field")
        await type_text(pilot, SECRET)
        assert SECRET not in screen_text(app) and "•" in screen_text(app)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, ErrorModal), "the error")
        assert "keyring" in screen_text(app) and SECRET not in screen_text(app)
        await pilot.press("y")
        await until(pilot, lambda: app.clipboard, "the copied error")
        assert SECRET not in app.clipboard


async def test_fields_are_saved_as_they_change_and_the_theme_follows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CLAIF_TUI_AUTHOR")
    app = ClaifApp(None)
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await places(pilot)
        field(app, "theme").focus_editor()
        await pilot.pause()
        await pilot.press("right")
        await idle(pilot)
        assert app.theme == "claif-light"
        await fill_form(pilot, author="ada", budget="x")
        await idle(pilot)
        problem = "expected dollars"
        await until(pilot, lambda: problem in str(field(app, "budget").query_one(".below").render()), problem)
        await pilot.press("backspace", "5")
        await idle(pilot)
    known = settings.load()
    assert (known.text("theme"), known.text("author"), known.dollars("budget")) == ("claif-light", "ada", 5.0)


async def test_an_action_moves_to_another_key(project: Path) -> None:
    app = ClaifApp(project)
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await places(pilot)
        await pilot.press("m")
        await until(pilot, lambda: isinstance(app.screen, KeysModal), "the keys")
        await until(pilot, lambda: app.screen.query_one(OptionList).option_count, "the list")
        app.screen.query_one(OptionList).highlighted = list(movable()).index("seeds.import")
        await pilot.press("enter", "z")
        await idle(pilot)
        assert settings.load().keys == {"seeds.import": "z"}
        await pilot.press("escape", "2")
        await idle(pilot)
        await pilot.press("i")
        assert not isinstance(app.focused, Input)
        await pilot.press("z")
        await until(pilot, lambda: isinstance(app.focused, Input), "the import dialog")


def test_every_binding_has_an_id_of_its_own() -> None:
    assert len(movable()) > 40
    assert all("." in name for name in movable())


async def test_a_settings_file_that_does_not_read_is_said_and_the_app_goes_on(tmp_path: Path) -> None:
    path = settings.settings_path()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text('themee = "[MASK]"\n')
    app = ClaifApp(None)
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await until(pilot, lambda: isinstance(app.screen, ErrorModal), "the error")
        assert "Did you mean theme?" in screen_text(app)
        await pilot.press("escape")
        assert app.theme == "claif-dark"
    assert path.read_text() == 'themee = "[MASK]"\n'
