"""Pictures of rater mode at the two common sizes, and of the Rate screen."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from textual.pilot import Pilot

from claif_tui.core.rating.session import RaterSession
from claif_tui.ui.rating_app import RatingApp
from tests.core.study_support import project, study
from tests.ui.test_rater import RIGOROUS, shows

SnapCompare = Callable[..., bool]


@pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids=["80x24", "120x40"])
@pytest.mark.parametrize("preset", ["paper", "rigorous"])
def test_an_item(snap_compare: SnapCompare, tmp_path: Path, preset: str, size: tuple[int, int]) -> None:
    async def run(pilot: Pilot[None]) -> None:
        await shows(pilot, "Guidelines")
        await pilot.press("enter")
        await shows(pilot, "▸")
        await pilot.press(*("y", "w") if preset == "paper" else ("4",))
        await shows(pilot, "saved")
        if preset == "rigorous":
            await pilot.press("7")
            await shows(pilot, "typed 7")

    with project(tmp_path / "p", 60) as store:
        changes = {"sample": 8} if preset == "paper" else RIGOROUS
        made = study(store, preset, "human-eval-1", **changes)
        if preset == "paper":
            for n in range(1, 9):
                store.studies.set_explanation(
                    made.id, n, "Both tell of a dog by a river; its colour differs.", None
                )
        app = RatingApp(lambda: RaterSession(store, "human-eval-1", "R1"))
        assert snap_compare(app, terminal_size=size, run_before=run)
