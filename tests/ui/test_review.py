"""Review through the keyboard: one pair, one key, each decision on disk before the next pair shows."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
from textual import events
from textual.widgets import Static, TextArea

from claif_tui.core.models import Counts, Pair, PairQuery
from claif_tui.core.store.store import Store
from claif_tui.ui.app import ClaifApp
from claif_tui.ui.screens.review import ReviewScreen
from tests.ui.conftest import AppPilot, idle, opened, screen_text, until
from tests.ui.hostile import FORBIDDEN, HOSTILE, LITERALS
from tests.ui.made_pairs import make_project

WIDE = (120, 40)
SMALL = (80, 24)


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    return make_project(tmp_path / "stsb")


async def review(pilot: AppPilot) -> ReviewScreen:
    """Open Review and wait for its first pair."""
    await opened(pilot)
    await pilot.press("5")
    screen = pilot.app.screen
    assert isinstance(screen, ReviewScreen)
    await until(pilot, lambda: screen.card.pair is not None and not screen.rows.loading_ids, "a pair")
    await idle(pilot)
    return screen


def on_disk(folder: Path) -> Counts:
    """Read the counts as another process would."""
    with Store.open(folder) as store:
        return store.pairs.counts()


def pair_on_disk(folder: Path, pair_id: int) -> Pair:
    with Store.open(folder) as store:
        pair = store.pairs.get(pair_id)
    assert pair is not None
    return pair


def card_id(screen: ReviewScreen) -> int:
    assert screen.card.pair is not None
    return screen.card.pair.id


async def test_accept_and_reject_are_on_disk_and_go_on(pairs: Path) -> None:
    async with ClaifApp(pairs).run_test(size=WIDE, notifications=True) as pilot:
        screen = await review(pilot)
        first = card_id(screen)
        await pilot.press("a")
        await until(pilot, lambda: card_id(screen) != first, "the next pair")
        assert pair_on_disk(pairs, first).status == "accepted"
        second = card_id(screen)
        await pilot.press("r")
        await idle(pilot)
        assert pair_on_disk(pairs, second).status == "rejected"
        text = screen_text(pilot.app)
        assert "2 today · 50 % kept" in text
        assert "✓ 1" in text and "✗ 1" in text


async def test_the_card_follows_the_cursor_in_the_same_frame(pairs: Path) -> None:
    """Not by a message, which would be painted a frame later."""
    async with ClaifApp(pairs).run_test(size=WIDE, notifications=True) as pilot:
        screen = await review(pilot)
        order = list(screen.rows.ids)
        screen.action_move(1)
        assert card_id(screen) == order[1]
        screen.action_first()
        assert card_id(screen) == order[0]
        for move in (screen.action_last, partial(screen.action_half_page, -1), partial(screen.action_move, 1)):
            move()
            assert card_id(screen) == screen.rows.cursor_id
            assert f"{screen.rows.cursor + 1:,} of {len(order):,}" in str(
                screen.query_one("#session", Static).content
            )


async def test_no_key_is_lost_or_reordered_when_typing_fast(pairs: Path) -> None:
    async with ClaifApp(pairs).run_test(size=WIDE, notifications=True) as pilot:
        screen = await review(pilot)
        order = list(screen.rows.ids)
        await pilot.press("a", "r", "j", "a", "k", "k", "r", "u", "a")
        await idle(pilot)
        with Store.open(pairs) as store:
            done = [(d.action, d.pair_id) for d in reversed(store.decisions.list())]
        assert done == [
            ("accept", order[0]),
            ("reject", order[1]),
            ("accept", order[3]),
            ("reject", order[2]),
            ("undo", order[2]),
            ("accept", order[2]),
        ]


async def test_letters_typed_after_e_belong_to_the_text_however_fast(pairs: Path) -> None:
    async with ClaifApp(pairs).run_test(size=WIDE, notifications=True) as pilot:
        screen = await review(pilot)
        second = list(screen.rows.ids)[1]
        before = pair_on_disk(pairs, second).text_b
        await pilot.press("a", "e", "r", "a", "x", "u", "q")
        await until(pilot, lambda: screen.query_one(TextArea).text.endswith("raxuq"), "the typed text")
        await pilot.press("enter")
        await idle(pilot)
        assert on_disk(pairs) == Counts(pending=7, accepted=1)
        assert pair_on_disk(pairs, second).text_b == before + "raxuq"


async def test_undo_and_redo_survive_a_restart(pairs: Path) -> None:
    async with ClaifApp(pairs).run_test(size=WIDE, notifications=True) as pilot:
        screen = await review(pilot)
        first = card_id(screen)
        await pilot.press("a")
        await idle(pilot)
    async with ClaifApp(pairs).run_test(size=WIDE, notifications=True) as pilot:
        screen = await review(pilot)
        assert first not in screen.rows.ids
        await pilot.press("u")
        await until(pilot, lambda: card_id(screen) == first, "the pair that was undone")
        await idle(pilot)
        assert pair_on_disk(pairs, first).status == "pending"
        assert first in screen.rows.ids
        await pilot.press("U")
        await idle(pilot)
        assert pair_on_disk(pairs, first).status == "accepted"
        await pilot.press("U")
        await idle(pilot)
        assert "Nothing of yours to redo" in screen_text(pilot.app)


async def test_an_edit_shows_its_diff_turns_the_score_stale_and_can_be_undone(pairs: Path) -> None:
    async with ClaifApp(pairs).run_test(size=WIDE, notifications=True) as pilot:
        screen = await review(pilot)
        here = card_id(screen)
        before = pair_on_disk(pairs, here).text_b
        await pilot.press("e")
        screen.query_one(TextArea).clear()
        pilot.app.post_message(events.Paste("a plane is taking wings ."))
        await until(pilot, lambda: "‹wings›" in screen_text(pilot.app), "the diff")
        assert "! stale" in screen_text(pilot.app)
        assert pair_on_disk(pairs, here).text_b == before
        await pilot.press("enter")
        await idle(pilot)
        pair = pair_on_disk(pairs, here)
        assert (pair.text_b, pair.stale, pair.edited) == ("a plane is taking wings .", True, True)
        assert "! stale" in screen_text(pilot.app) and "✎ edited" in screen_text(pilot.app)
        await pilot.press("u")
        await idle(pilot)
        assert pair_on_disk(pairs, here).text_b == before
        assert not pair_on_disk(pairs, here).stale


async def test_escape_leaves_an_edit_and_no_key_decides_while_typing(pairs: Path) -> None:
    async with ClaifApp(pairs).run_test(size=WIDE, notifications=True) as pilot:
        screen = await review(pilot)
        here = card_id(screen)
        before = pair_on_disk(pairs, here)
        await pilot.press("e", "A", "r", "a", "space", "u", "5", "x", "escape")
        await idle(pilot)
        assert not screen.card.editing
        assert pair_on_disk(pairs, here) == before
        assert on_disk(pairs) == Counts(pending=8)
        await pilot.press("a")
        await idle(pilot)
        assert pair_on_disk(pairs, here).status == "accepted"


async def test_an_empty_edit_is_refused_and_stays_open(pairs: Path) -> None:
    async with ClaifApp(pairs).run_test(size=WIDE, notifications=True) as pilot:
        screen = await review(pilot)
        here = card_id(screen)
        await pilot.press("e")
        screen.query_one(TextArea).clear()
        await pilot.press("enter")
        await idle(pilot)
        assert screen.card.editing
        assert "An empty sentence is no pair" in screen_text(pilot.app)
        assert not pair_on_disk(pairs, here).edited


async def test_a_score_set_by_hand_is_no_longer_stale(pairs: Path) -> None:
    async with ClaifApp(pairs).run_test(size=WIDE, notifications=True) as pilot:
        screen = await review(pilot)
        here = card_id(screen)
        await pilot.press("e", "x", "enter")
        await idle(pilot)
        assert pair_on_disk(pairs, here).stale
        await pilot.press("equals_sign")
        await until(pilot, lambda: pilot.app.focused is not None, "the score field")
        await pilot.press("end", "ctrl+u", "7", "enter")
        assert "a number from 0 to 1" in screen_text(pilot.app)
        await pilot.press("end", "ctrl+u", "0", "full_stop", "2", "5", "enter")
        await idle(pilot)
        pair = pair_on_disk(pairs, here)
        assert (pair.score, pair.stale) == (0.25, False)
        assert "0.25" in screen_text(pilot.app)


async def test_the_end_of_the_list_says_what_is_left_elsewhere(pairs: Path) -> None:
    with Store.open(pairs) as store:
        store.decisions.edit(3, "something else")
    async with ClaifApp(pairs).run_test(size=WIDE, notifications=True) as pilot:
        screen = await review(pilot)
        await screen.open_query(PairQuery(filter="edited = yes"))
        await until(pilot, lambda: screen.rows.count == 1, "the narrowed list")
        await pilot.press("a")
        await idle(pilot)
        assert "7 are pending elsewhere" in screen_text(pilot.app)


async def test_the_last_pair_of_all_says_so(pairs: Path) -> None:
    async with ClaifApp(pairs).run_test(size=WIDE, notifications=True) as pilot:
        await review(pilot)
        await pilot.press(*"aaaarraa")
        await idle(pilot)
        assert on_disk(pairs) == Counts(accepted=6, rejected=2)
        assert "All pairs are decided" in screen_text(pilot.app)
    async with ClaifApp(pairs).run_test(size=WIDE, notifications=True) as pilot:
        await opened(pilot)
        await pilot.press("5")
        await until(pilot, lambda: "All 8 pairs are decided" in screen_text(pilot.app), "the empty state")


async def test_a_restart_returns_to_the_pair_and_list(pairs: Path) -> None:
    async with ClaifApp(pairs).run_test(size=WIDE, notifications=True) as pilot:
        screen = await review(pilot)
        await screen.open_query(PairQuery(filter="score > 0.5", sort="score"))
        await until(pilot, lambda: not screen.rows.loading_ids, "the list")
        await pilot.press("j", "j")
        here = card_id(screen)
        await until(pilot, lambda: screen.queue is not None and screen.queue.pair_id == here, "the place")
        await idle(pilot)
    async with ClaifApp(pairs).run_test(size=WIDE, notifications=True) as pilot:
        screen = await review(pilot)
        await until(pilot, lambda: screen.rows.count > 1, "the list")
        assert card_id(screen) == here
        assert screen.query_shown == PairQuery(filter="score > 0.5", sort="score")


async def test_what_another_process_decides_shows_here(pairs: Path) -> None:
    async with ClaifApp(pairs).run_test(size=WIDE, notifications=True) as pilot:
        screen = await review(pilot)
        here = card_id(screen)
        with Store.open(pairs, author="somebody else") as store:
            store.decisions.decide([here], "reject")
        await until(pilot, lambda: "✗ rejected" in screen_text(pilot.app), "the other's decision")


async def test_pairs_that_land_do_not_move_the_cursor(pairs: Path) -> None:
    from tests.ui.made_pairs import add_pairs, new_pair

    async with ClaifApp(pairs).run_test(size=WIDE, notifications=True) as pilot:
        screen = await review(pilot)
        await pilot.press("j", "j")
        here = card_id(screen)
        with Store.open(pairs) as store:
            add_pairs(store, [new_pair("s .", f"landed {n} .", 0.1, 0.5, n=500 + n) for n in range(50)])
        await until(pilot, lambda: screen.rows.count == 58, "the landed pairs")
        assert screen.rows.cursor_id == here == card_id(screen)
        assert screen.rows.cursor == 52


async def test_lineage_shows_everything_and_copies(pairs: Path) -> None:
    async with ClaifApp(pairs).run_test(size=WIDE, notifications=True) as pilot:
        screen = await review(pilot)
        await pilot.press("a", "k", "l")
        await until(pilot, lambda: "Where pair" in screen_text(pilot.app), "the lineage")
        text = screen_text(pilot.app)
        assert "a man <mask> a <mask> flute ." in text
        assert "by tester" in text
        await pilot.press("escape")
        await pilot.pause()
        assert pilot.app.screen is screen


async def test_y_copies_the_pair(pairs: Path) -> None:
    app = ClaifApp(pairs)
    async with app.run_test(size=WIDE, notifications=True) as pilot:
        screen = await review(pilot)
        await pilot.press("y")
        await idle(pilot)
        assert screen.card.pair is not None
        assert (
            app.clipboard
            == f"{screen.card.pair.text_a}\t{screen.card.pair.text_b}\t{screen.card.pair.score:.4g}"
        )


async def test_the_list_hides_behind_tab_in_a_narrow_terminal(pairs: Path) -> None:
    async with ClaifApp(pairs).run_test(size=SMALL, notifications=True) as pilot:
        screen = await review(pilot)
        panel = screen.query_one("#list-panel")
        assert not panel.display and screen.query_one("#card-panel").display
        await pilot.press("tab")
        assert panel.display and not screen.query_one("#card-panel").display
        await pilot.press("j", "a", "tab")
        await idle(pilot)
        assert not panel.display
        assert on_disk(pairs).accepted == 1


async def test_a_resize_keeps_the_pair_and_the_edit(pairs: Path) -> None:
    async with ClaifApp(pairs).run_test(size=WIDE, notifications=True) as pilot:
        screen = await review(pilot)
        await pilot.press("j", "e", "x", "y")
        for size in ((60, 20), (200, 60), (80, 24), (40, 10), (120, 40)):
            await pilot.resize_terminal(*size)
            await pilot.pause()
        await pilot.press("z", "enter")
        await idle(pilot)
        assert pair_on_disk(pairs, card_id(screen)).text_b.endswith("xyz")


async def test_without_pairs_the_next_key_is_named(project: Path) -> None:
    async with ClaifApp(project).run_test(size=SMALL, notifications=True) as pilot:
        await opened(pilot)
        await pilot.press("5")
        await until(pilot, lambda: "Press 4 and then g" in screen_text(pilot.app), "the empty state")
        await pilot.press("a", "r", "e", "s", "u", "l", "x", "escape", "A", "space", "j", "equals_sign")
        await idle(pilot)


async def test_without_a_project_the_next_key_is_named() -> None:
    async with ClaifApp().run_test(size=SMALL, notifications=True) as pilot:
        await pilot.press("5")
        await until(pilot, lambda: "No project is open" in screen_text(pilot.app), "the empty state")
        await pilot.press("a", "r", "e", "s", "u", "f", "slash", "n", "o", "x", "l", "y", "equals_sign")
        await idle(pilot)


@pytest.mark.parametrize("size", [WIDE, (60, 20)])
async def test_hostile_pairs_are_shown_as_text(tmp_path: Path, size: tuple[int, int]) -> None:
    folder = make_project(tmp_path / "h", hostile=True)
    seen = ""
    async with ClaifApp(folder).run_test(size=size, notifications=True) as pilot:
        screen = await review(pilot)
        for _ in range(len(HOSTILE) + 1):
            await pilot.press("j")
            await pilot.pause()
            seen += screen_text(pilot.app)
        for key in ("l", "escape", "e", "escape", "e", "enter", "tab", "y", "slash", "escape", "A", "n"):
            await pilot.press(key)
            await pilot.pause()
            seen += screen_text(pilot.app)
        assert not set(seen) & FORBIDDEN
        assert all(literal in seen for literal in LITERALS)
        assert screen.card.pair is not None
        assert not pair_on_disk(folder, screen.card.pair.id).edited
