"""Pictures of the shell and of Project, Seeds, Recipe and Settings in their key states, at two sizes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from claif_tui.core import recipe_file, settings
from claif_tui.core.recipes import preset_recipe
from claif_tui.core.store.store import Store
from claif_tui.ui import overview
from claif_tui.ui.app import ClaifApp
from claif_tui.ui.screens.import_preview import ImportPreviewModal
from tests.ui.conftest import AppPilot, idle, opened, still, type_text, until

SnapCompare = Callable[..., bool]
SMALL, LARGE = (80, 24), (120, 40)
HOME = Path("/home/ada/stsb")


@pytest.fixture(autouse=True)
def same_places(monkeypatch: pytest.MonkeyPatch) -> None:
    """Show the same folders on every machine."""
    real_overview, real_load = overview.overview, settings.load

    def shown(store: Store) -> overview.Overview:
        return replace(real_overview(store), folder=HOME)

    def loaded(*args: Any, **more: Any) -> settings.Settings:
        return replace(real_load(*args, **more), path=Path("/home/ada/.config/claif-tui/config.toml"))

    monkeypatch.setattr(overview, "overview", shown)
    monkeypatch.setattr(settings, "load", loaded)


def steps(
    *keys: str, then: Callable[[AppPilot], Awaitable[None]] | None = None
) -> Callable[[AppPilot], Awaitable[None]]:
    """Open the project, press keys one after the other, wait until nothing moves."""

    async def run(pilot: AppPilot) -> None:
        await opened(pilot)
        for key in keys:
            await pilot.press(key)
            await idle(pilot)
        if then is not None:
            await then(pilot)
        still(pilot.app)
        await pilot.pause()

    return run


@pytest.mark.parametrize("size", [SMALL, LARGE], ids=["80x24", "120x40"])
@pytest.mark.parametrize(
    "key, name", [("1", "project"), ("2", "seeds"), ("3", "recipe"), ("9", "settings"), ("6", "rate")]
)
def test_screens(snap_compare: SnapCompare, project: Path, key: str, name: str, size: tuple[int, int]) -> None:
    assert snap_compare(ClaifApp(project), terminal_size=size, run_before=steps(key))


@pytest.mark.parametrize(
    "preset, size", [("syncse-partial", LARGE), ("clhaif", SMALL)], ids=["syncse-120x40", "clhaif-80x24"]
)
def test_recipe_of_a_system(
    snap_compare: SnapCompare, project: Path, preset: str, size: tuple[int, int]
) -> None:
    recipe_file.save(project / "recipe.toml", preset_recipe(preset))
    assert snap_compare(ClaifApp(project), terminal_size=size, run_before=steps("3"))


def test_welcome(snap_compare: SnapCompare) -> None:
    async def run(pilot: Pilot[None]) -> None:
        await idle(pilot)

    assert snap_compare(ClaifApp(None), terminal_size=SMALL, run_before=run)


def test_help(snap_compare: SnapCompare, project: Path) -> None:
    assert snap_compare(ClaifApp(project), terminal_size=LARGE, run_before=steps("3", "f1"))


def test_a_field_that_does_not_read(snap_compare: SnapCompare, project: Path) -> None:
    keys = ("3", "e", "tab", "tab", "end", "x")
    assert snap_compare(ClaifApp(project), terminal_size=SMALL, run_before=steps(*keys))


def test_import_preview(
    snap_compare: SnapCompare, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "more.txt").write_text(
        "a new sentence .\n\na plane is taking off .\na new sentence .\n", "utf8"
    )
    monkeypatch.chdir(tmp_path)

    async def choose(pilot: AppPilot) -> None:
        await type_text(pilot, "more.txt")
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, ImportPreviewModal), "the preview")
        await idle(pilot)

    assert snap_compare(ClaifApp(project), terminal_size=LARGE, run_before=steps("2", "i", then=choose))


@pytest.mark.parametrize("theme", ["claif-light", "ansi-dark"])
def test_other_themes(snap_compare: SnapCompare, project: Path, theme: str) -> None:
    async def switch(pilot: AppPilot) -> None:
        pilot.app.theme = theme
        await idle(pilot)

    assert snap_compare(ClaifApp(project), terminal_size=LARGE, run_before=steps("3", then=switch))


@pytest.mark.parametrize("key, name", [("1", "project"), ("2", "seeds")])
def test_no_colour(
    snap_compare: SnapCompare, project: Path, monkeypatch: pytest.MonkeyPatch, key: str, name: str
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    assert snap_compare(ClaifApp(project), terminal_size=SMALL, run_before=steps(key))
