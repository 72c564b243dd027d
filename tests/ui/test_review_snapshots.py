"""Pictures of Review and Generate in their main states, at the two common sizes and in both house themes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Protocol

import pytest
from textual.pilot import Pilot

from claif_tui.core.recipes import preset_recipe
from claif_tui.core.store.store import Store
from claif_tui.ui.app import ClaifApp
from claif_tui.ui.screens.generate_deck import deck_of
from tests.ui.conftest import SEEDS, fill, idle, opened, screen_text, still, until
from tests.ui.made_pairs import make_project, make_triplets
from tests.ui.scripted import ScriptedRun, flight, progress
from tests.ui.test_generate import deck, scripted
from tests.ui.test_generate_systems import triplets
from tests.ui.test_review import review

WIDE, SMALL = (120, 40), (80, 24)


class Compare(Protocol):
    """What the snapshot plugin's fixture does."""

    def __call__(
        self,
        app: ClaifApp,
        *,
        terminal_size: tuple[int, int],
        run_before: Callable[[Pilot[None]], Awaitable[None]],
    ) -> bool:
        """Compare the picture after ``run_before`` with the kept one."""


@pytest.fixture(autouse=True)
def same_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Show the same time of the last decision on every day."""
    monkeypatch.setattr("claif_tui.ui.status.saved_text", lambda at: "saved 14:02:11" if at else "")


def made(tmp_path: Path) -> Path:
    """Eight pairs: one edited, one accepted, one rejected, one marked by nobody."""
    folder = make_project(tmp_path / "stsb")
    with Store.open(folder) as store:
        store.decisions.edit(5, "three kings are playing go .")
        store.pairs.set_encoder([(1, 0.83), (2, 0.95), (4, 0.11)])
    return folder


def steps(*keys: str, theme: str = "claif-dark", shows: str = "") -> Callable[[Pilot[None]], Awaitable[None]]:
    """Open Review, press keys, hold still."""

    async def before(pilot: Pilot[None]) -> None:
        await review(pilot)
        pilot.app.theme = theme
        for key in keys:
            await pilot.press(key)
            await idle(pilot)
        await until(pilot, lambda: shows in screen_text(pilot.app), shows)
        still(pilot.app)
        await pilot.pause()

    return before


@pytest.mark.parametrize(
    ("size", "before"),
    [
        pytest.param(WIDE, steps("j", "space", "end"), id="wide"),
        pytest.param(SMALL, steps("end"), id="small"),
        pytest.param(SMALL, steps("tab", "j"), id="small-list"),
        pytest.param((60, 20), steps("end"), id="tiny"),
        pytest.param(WIDE, steps("end", theme="claif-light"), id="light"),
        pytest.param(WIDE, steps("end", "e", "x"), id="editing"),
        pytest.param(SMALL, steps("f", shows="8 pairs match"), id="filter"),
        pytest.param(SMALL, steps("o"), id="sort"),
    ],
)
def test_review(
    tmp_path: Path,
    snap_compare: Compare,
    size: tuple[int, int],
    before: Callable[[Pilot[None]], Awaitable[None]],
) -> None:
    assert snap_compare(ClaifApp(made(tmp_path)), terminal_size=size, run_before=before)


def test_review_without_colours(tmp_path: Path, snap_compare: Compare, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    assert snap_compare(ClaifApp(made(tmp_path)), terminal_size=SMALL, run_before=steps("end"))


@pytest.mark.parametrize(
    ("size", "before"),
    [
        pytest.param(WIDE, steps("end"), id="wide"),
        pytest.param(SMALL, steps("end", theme="claif-light"), id="small"),
        pytest.param(SMALL, steps("j", "E", "x"), id="editing"),
    ],
)
def test_triplets(
    tmp_path: Path,
    snap_compare: Compare,
    size: tuple[int, int],
    before: Callable[[Pilot[None]], Awaitable[None]],
) -> None:
    folder = make_triplets(tmp_path / "nli")
    with Store.open(folder) as store:
        store.decisions.edit(1, negative="a man is playing the drums .")
        store.pairs.set_encoder([(1, 0.7)])
    assert snap_compare(ClaifApp(folder), terminal_size=size, run_before=before)


@pytest.mark.parametrize("size", [WIDE, SMALL], ids=["wide", "small"])
@pytest.mark.parametrize("state", ["idle", "running", "stopped", "empty"])
def test_generate(tmp_path: Path, snap_compare: Compare, size: tuple[int, int], state: str) -> None:
    folder = tmp_path / "stsb"
    with Store.create(folder) as store:
        if state != "empty":
            fill(store, SEEDS)

    async def before(pilot: Pilot[None]) -> None:
        screen = await deck(pilot)
        await opened(pilot)
        if state in ("running", "stopped"):
            run = ScriptedRun(flight(40), progress())
            job = scripted(screen, run)
            await until(pilot, lambda: run.played and screen.seen_version == job.flight.version, "the figures")
            if state == "stopped":
                job.stop()
                await until(pilot, lambda: not screen.shell.jobs.live(), "the end")
        shows = {"idle": "g starts", "running": "288", "stopped": "goes on", "empty": "No seeds yet"}[state]
        await until(pilot, lambda: shows in screen_text(pilot.app), shows)
        still(pilot.app)

    assert snap_compare(ClaifApp(folder), terminal_size=size, run_before=before)


def test_generate_triplets(tmp_path: Path, snap_compare: Compare) -> None:
    folder = tmp_path / "stsb"
    with Store.create(folder) as store:
        fill(store, SEEDS)

    async def before(pilot: Pilot[None]) -> None:
        screen = await deck(pilot)
        run = ScriptedRun(triplets(), progress())
        job = scripted(screen, run, deck_of(preset_recipe("multicsr")))
        await until(pilot, lambda: run.played and screen.seen_version == job.flight.version, "the figures")
        await until(pilot, lambda: "swapped" in screen_text(pilot.app), "the filter")
        still(pilot.app)

    assert snap_compare(ClaifApp(folder), terminal_size=WIDE, run_before=before)
