"""Rater mode: keys to answers on disk, undo, comment, leaving and coming back; nothing else in reach or in sight."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from textual.app import App
from textual.pilot import Pilot

from claif_tui.core.errors import StoreError
from claif_tui.core.rating.models import Shown
from claif_tui.core.rating.session import RaterSession
from claif_tui.core.store.store import Store
from claif_tui.ui.rating_app import RatingApp
from claif_tui.ui.screens.rater import RaterScreen
from claif_tui.ui.screens.rater_scale import read, stepped, typed
from tests.core.study_support import project, study

SIZE = (100, 30)
RIGOROUS: dict[str, Any] = {"sample": 3, "practice": 2, "gold": 2, "repeats": 1}


def seen(app: App[Any]) -> str:
    strips = app.screen._compositor.render_strips()
    return "\n".join("".join(segment.text for segment in strip) for strip in strips)


async def until(pilot: Pilot[Any], holds: Callable[[], object], what: str) -> None:
    for _ in range(600):
        if holds():
            await pilot.pause()
            return
        await pilot.pause(0.02)
    raise AssertionError(f"never came: {what}\n{seen(pilot.app)}")


def screen(app: App[Any]) -> RaterScreen:
    assert isinstance(app.screen, RaterScreen), app.screen
    return app.screen


async def shows(pilot: Pilot[Any], text: str) -> str:
    """Wait until ``text`` is drawn and nothing is being saved, and return all that is drawn."""
    await until(pilot, lambda: text in seen(pilot.app), text)
    rater = screen(pilot.app)
    await until(pilot, lambda: not rater._busy, "rest")
    if rater._shown is not None and rater._view == "item":
        await until(pilot, lambda: rater._shown and rater._in_sight == rater._shown.token, "the item in sight")
    return seen(pilot.app)


def answers(store: Store) -> list[tuple[str, int, str, float]]:
    return [(a.rater, a.item, a.criterion, a.value) for a in store.studies.data("s").answers]


@pytest.mark.parametrize(
    ("keys", "value"),
    [("7", 0.7), ("0.7", 0.7), (".7", 0.7), ("10", 1.0), ("1.0", 1.0), ("1", 0.1), ("0", 0.0), ("75", 0.5)],
)
def test_typed_scores_read_as_people_mean_them(keys: str, value: float) -> None:
    text = ""
    for key in keys:
        text = typed(text, key)
    assert read(text) == value
    assert read(".") is None
    assert read(stepped(text, 1)) == min(1.0, round(value + 0.1, 1))


async def test_answers_are_on_disk_undo_goes_back_and_the_order_is_kept(tmp_path: Path) -> None:
    with project(tmp_path / "p", 20) as store:
        study(store, sample=12)
        app = RatingApp(lambda: RaterSession(store, "s", "R1"))
        async with app.run_test(size=SIZE) as pilot:
            await shows(pilot, "Guidelines")
            await pilot.press("y")  # nothing answers while the guidelines are read
            await pilot.press("enter")
            await shows(pilot, "1 of 3")
            assert answers(store) == []
            first = screen(app)._shown
            assert first is not None
            await pilot.press("y", "n")
            await shows(pilot, "2 of 3")
            assert sorted(each[2:] for each in answers(store)) == [("consistent", 0.0), ("fluent", 1.0)]
            await pilot.press("c")
            await until(pilot, lambda: app.focused is not None, "the comment's field")
            await pilot.press(*"yun", "enter")
            await shows(pilot, "comment saved")
            assert store.studies.data("s").comments[0].text == "yun"
            assert len(answers(store)) == 2
            await pilot.press("u")
            await shows(pilot, "1 of 3")
            back = screen(app)._shown
            assert back is not None and back.token == first.token and back.mine == {"fluent": 1.0}
            await pilot.press("y")
            await shows(pilot, "2 of 3")
            await pilot.press("escape")
            await until(pilot, lambda: app._exit, "the end")
        order = [shown.token for shown in store.ratings.all_shown(1, "R1")]
        again = RatingApp(lambda: RaterSession(store, "s", "R1"))
        async with again.run_test(size=SIZE) as pilot:
            await shows(pilot, "2 of 3")
            for position in (2, 3):
                rater = screen(again)
                assert rater._shown is not None and rater._shown.token == order[position - 1]
                await pilot.press("y", "y")
                await shows(pilot, "3 of 3" if position == 2 else "Thank you")
            await pilot.press("ctrl+q")
            await until(pilot, lambda: again._exit, "the end")
            assert again.left.quit
        assert len(answers(store)) == 6
        assert all(a.elapsed is not None for a in store.studies.data("s").answers)


async def test_an_answer_that_cannot_be_saved_is_not_shown_as_taken(tmp_path: Path) -> None:
    class FullDisk(RaterSession):
        full = True

        def answer(self, token: str, criterion: str, value: float) -> None:
            if self.full:
                raise StoreError("the disk is full", "Make room.")
            super().answer(token, criterion, value)

    with project(tmp_path / "p", 20) as store:
        study(store, "rigorous", **RIGOROUS)
        app = RatingApp(lambda: FullDisk(store, "s", "R1"))
        async with app.run_test(size=SIZE) as pilot:
            await shows(pilot, "Guidelines")
            await pilot.press("enter")
            await shows(pilot, "practice 1 of 2")
            await pilot.press("4")
            drawn = await shows(pilot, "Not saved: the disk is full Make room.")
            assert "▸ How fluent" in drawn
            FullDisk.full = False
            await pilot.press("4")
            await shows(pilot, "▸ How similar")
            await pilot.press("1", "0")
            await shows(pilot, "typed 10: 1.0")
            assert [each[2:] for each in answers(store)] == [("fluency", 4.0)]
            await pilot.press("enter")
            await shows(pilot, "practice 2 of 2")
        assert sorted(each[2:] for each in answers(store)) == [("fluency", 4.0), ("similarity", 1.0)]


async def test_a_desk_that_is_taken_is_said_with_the_way_out(tmp_path: Path) -> None:
    with project(tmp_path / "p", 20) as store:
        study(store, sample=4)
        other = RaterSession(store, "s", "R1")
        app = RatingApp(lambda: RaterSession(store, "s", "R1"))
        async with app.run_test(size=SIZE) as pilot:
            drawn = await shows(pilot, "R1 is rating already")
            assert "Leave there first" in drawn
            other.close()
            await pilot.press("r")
            await shows(pilot, "Guidelines")


CANARY = "CANARY"


def poison(conn: sqlite3.Connection) -> None:
    conn.execute(
        "UPDATE study_items SET score = 0.123456, explanation = 'CANARY', system = 'CANARY', model = 'CANARY',"
        " recipe_id = 'CANARY', status = 'CANARY', rate = 0.123456, explanation_key = 'CANARY'"
    )
    conn.execute("UPDATE names SET name = 'CANARY ' || name WHERE kind IN ('system', 'model')")
    conn.execute("UPDATE states SET score = 0.123456, gold = 0.123456, encoder = 0.123456")


async def test_nothing_that_unblinds_is_drawn_or_held(tmp_path: Path) -> None:
    with project(tmp_path / "p", 60) as store:
        made = study(store, "rigorous", **RIGOROUS)
        for assignment in store.studies.data("s").assignments:
            if assignment.rater == "R2":
                store.ratings.comment(made.id, "R2", assignment.token, CANARY, source="app")
        store.write(poison)
        assert CANARY in repr(store.studies.data("s"))
        held: list[Shown] = []
        drawn: list[str] = []
        app = RatingApp(lambda: RaterSession(store, "s", "R1"))
        async with app.run_test(size=(120, 40)) as pilot:
            drawn.append(await shows(pilot, "Guidelines"))
            await pilot.press("enter")
            await shows(pilot, "practice 1")
            await pilot.press("w")
            rater = screen(app)
            while rater._shown is not None:
                shown = rater._shown
                held.append(shown)
                drawn.append(seen(app))
                await pilot.press("3", "5", "enter")
                await until(pilot, lambda: rater._shown is not shown and not rater._busy, "the next item")  # noqa: B023
                if rater._shown is not None and rater._shown.token == shown.token:
                    continue
                await until(
                    pilot, lambda: rater._shown is None or rater._in_sight == rater._shown.token, "it in sight"
                )
            drawn.append(seen(app))
        assert len({shown.token for shown in held}) == 8
        for text in (*drawn, repr(held)):
            assert CANARY not in text and "0.12" not in text
