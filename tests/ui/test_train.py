"""The Train screen through the keyboard, on real run directories; some of them written while the app looks on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from claif_tui.core import runs
from claif_tui.core.store.store import Store
from claif_tui.ui.app import ClaifApp
from claif_tui.ui.screens import train_launch
from claif_tui.ui.screens.train import RunList, TrainScreen
from tests.ui import made_runs
from tests.ui.conftest import AppPilot, idle, opened, screen_text, until
from tests.ui.made_pairs import make_project

WIDE = (120, 40)
SMALL = (80, 24)


@pytest.fixture
def reviewed(tmp_path: Path) -> Path:
    """A project with eight pairs, six of them accepted."""
    folder = make_project(tmp_path / "stsb")
    with Store.open(folder) as store:
        store.decisions.decide(list(range(1, 7)), "accept")
    return folder


async def train(pilot: AppPilot) -> TrainScreen:
    """Open Train and wait until it knows the runs."""
    await opened(pilot)
    await pilot.press("7")
    screen = pilot.app.screen
    assert isinstance(screen, TrainScreen)
    await idle(pilot)
    return screen


async def test_a_run_is_followed_live_and_seen_to_end(project: Path) -> None:
    app = ClaifApp(project)
    async with app.run_test(size=WIDE, notifications=True) as pilot:
        await train(pilot)
        assert "No runs yet." in screen_text(app)
        run = made_runs.claim(project, "claif-1")
        await until(pilot, lambda: "claif-1" in screen_text(app), "the run in the list")
        await until(pilot, lambda: "loading the data and the model" in screen_text(app), "that it loads")
        made_runs.started(run)
        made_runs.steps(run, 1, 50)
        made_runs.score(run, 50, 61.234)
        await until(pilot, lambda: "step 50 / 400" in screen_text(app), "the step")
        shown = screen_text(app)
        assert "dev  61.23 · best 61.23 @ 50" in shown
        assert f"loss {made_runs.loss_at(50):.4f}" in shown
        assert "320 rows/s · ETA 0:35" in shown
        assert "▶ running" in shown and "12 %" in shown
        assert "step 50  dev 61.23 (best)" in shown
        made_runs.steps(run, 51, 400)
        run.events.write("finished", step=400)
        run.events.close()
        await until(pilot, lambda: "✓ finished" in screen_text(app), "the end")
        assert "8 evaluates it" in screen_text(app)
