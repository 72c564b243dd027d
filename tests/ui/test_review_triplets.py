"""Triplets in Review, at 80x24 and beside each other from 100 columns on: real keys, and what is on disk."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from textual import events
from textual.widgets import Input, TextArea

from claif_tui.core.models import Counts
from claif_tui.core.recipe_file import load, save
from claif_tui.core.recipes import preset_recipe
from claif_tui.core.store.store import Store
from claif_tui.ui.app import ClaifApp
from claif_tui.ui.screens.review import ReviewScreen
from tests.llm_fixtures import Factory
from tests.ui.conftest import AppPilot, idle, screen_text, until
from tests.ui.made_pairs import make_triplets
from tests.ui.test_generate import aim
from tests.ui.test_review import SMALL, WIDE, card_id, on_disk, pair_on_disk, review
from tests.ui.test_review_narrow import ask


@pytest.fixture
def triplets(tmp_path: Path) -> Path:
    return make_triplets(tmp_path / "nli")


async def retype(pilot: AppPilot, screen: ReviewScreen, key: str, text: str) -> None:
    """Open a side with ``key``, replace its text and wait until the diff shows it."""
    await pilot.press(key)
    await until(pilot, lambda: pilot.app.focused is screen.query_one(TextArea), "the editor")
    screen.query_one(TextArea).clear()
    pilot.app.post_message(events.Paste(text))
    await until(pilot, lambda: screen.query_one(TextArea).text == text, "the text")
    await pilot.pause()


async def test_triplets_are_read_decided_edited_taken_back_found_and_exported_at_80x24(triplets: Path) -> None:
    async with ClaifApp(triplets).run_test(size=SMALL, notifications=True) as pilot:
        screen = await review(pilot)
        await ask(pilot, "f", "triplet = yes and status = pending")
        await until(pilot, lambda: screen.rows.count == 4 and not screen.rows.loading_ids, "the triplets")
        assert card_id(screen) == 4

        # All three sentences and both scores stand in sight, with their differences.
        text = screen_text(pilot.app)
        for said in (
            "Triplet 4",
            "anchor     a man is playing a large flute .",
            "positive   a man ‹plays› a ‹big› flute .",
            "negative   a man is ‹selling› a large flute .",
            "positive  0.93",
            "negative  0.35",
        ):
            assert said in text

        await pilot.press("a")
        await until(pilot, lambda: card_id(screen) == 3, "the next triplet")
        assert pair_on_disk(triplets, 4).status == "accepted"
        assert "not scored" in screen_text(pilot.app)
        await pilot.press("r")
        await until(pilot, lambda: card_id(screen) == 2, "the one after")
        assert on_disk(triplets) == Counts(pending=3, accepted=1, rejected=1)

        # The hard negative, while the other two sentences stay in sight; its score alone turns stale.
        await retype(pilot, screen, "E", "three men are playing golf .")
        text = screen_text(pilot.app)
        for said in (
            "three men are playing chess .",
            "three men ‹play a board game› .",
            "playing ‹golf› .",
            "! stale",
        ):
            assert said in text
        assert pair_on_disk(triplets, 2).hard_negative == "three men are playing football ."
        await pilot.press("enter")
        await idle(pilot)
        pair = pair_on_disk(triplets, 2)
        assert (pair.hard_negative, pair.text_b) == (
            "three men are playing golf .",
            "three men play a board game .",
        )
        assert (pair.stale, pair.negative_stale, pair.text_stale) == (True, True, False)
        await retype(pilot, screen, "e", "three men play .")
        await pilot.press("enter")
        await idle(pilot)
        assert pair_on_disk(triplets, 2).text_b == "three men play ."
        text = screen_text(pilot.app)
        assert "positive ✎" in text and "negative ✎" in text

        # Each edit is taken back by itself, and put back.
        await pilot.press("u")
        await idle(pilot)
        pair = pair_on_disk(triplets, 2)
        assert (pair.text_b, pair.hard_negative) == (
            "three men play a board game .",
            "three men are playing golf .",
        )
        await pilot.press("u")
        await idle(pilot)
        assert not pair_on_disk(triplets, 2).edited and not pair_on_disk(triplets, 2).stale
        await pilot.press("U")
        await idle(pilot)
        assert pair_on_disk(triplets, 2).hard_negative == "three men are playing golf ."

        # Scores by hand, for both sides; then the lineage tells all of it.
        await ask(pilot, "equals_sign", "0.75 0.25")
        pair = pair_on_disk(triplets, 2)
        assert (pair.score, pair.negative_score, pair.stale) == (0.75, 0.25, False)
        await pilot.press("l")
        await until(pilot, lambda: "hard negative 0.25" in screen_text(pilot.app), "the lineage")
        await pilot.press("escape")

        # A word of a hard negative finds its triplet.
        await ask(pilot, "slash", "golf")
        await until(pilot, lambda: screen.rows.count == 1 and not screen.rows.loading_ids, "the match")
        await pilot.press("a", "escape")
        await idle(pilot)
        assert pair_on_disk(triplets, 2).status == "accepted"

        await ask(pilot, "x", str(triplets / "out.jsonl"))
        await until(pilot, lambda: "2 rows written" in screen_text(pilot.app), "the funnel")
    rows = [json.loads(line) for line in (triplets / "out.jsonl").read_text("utf8").splitlines()]
    assert {row["hard_negative"]: row.get("negative_score") for row in rows} == {
        "three men are playing golf .": 0.25,
        "a man is selling a large flute .": 0.35,
    }


async def test_a_triplet_stands_in_three_columns_where_there_is_room(triplets: Path) -> None:
    async with ClaifApp(triplets).run_test(size=WIDE, notifications=True) as pilot:
        screen = await review(pilot)
        await pilot.press("end")
        await idle(pilot)
        heads, *texts = (line[41:] for line in screen_text(pilot.app).splitlines()[3:])
        assert [heads.index(head) for head in ("anchor", "positive", "hard negative")] == [0, 26, 52]
        assert texts[0].startswith("a man is not playing a") and "a man is ‹silent› ." in texts[0]
        assert "a man is not playing a" in texts[0][52:], "what the negative leaves out shows where it stood"
        assert "0.81" in texts[3][26:52] and "0.12" in texts[3][52:]
        await pilot.press("home", "E")
        await idle(pilot)
        assert not screen.card.editing
        assert "This pair has no hard negative" in screen_text(pilot.app)


async def test_a_format_for_two_sentences_refuses_triplets_and_says_what_to_do(triplets: Path) -> None:
    with Store.open(triplets) as store:
        store.decisions.decide([1], "accept")
    async with ClaifApp(triplets).run_test(size=SMALL, notifications=True) as pilot:
        await review(pilot)
        await pilot.press("x")
        await until(pilot, lambda: isinstance(pilot.app.focused, Input), "the dialog")
        pilot.app.screen.query_one("#export-format").value = "dino"  # type: ignore[attr-defined]
        await pilot.pause()
        await pilot.press("enter")
        await until(pilot, lambda: "has three sentences" in screen_text(pilot.app), "the error")
        assert "jsonl, csv or parquet" in screen_text(pilot.app)
    assert not list((triplets / "exports").glob("*dino*"))


async def test_a_rescore_asks_what_the_recipes_system_asks_about(triplets: Path, llm_server: Factory) -> None:
    server = llm_server()
    aim(triplets, server)
    claif = load(triplets / "recipe.toml")
    with Store.open(triplets) as store:
        store.decisions.edit(1, "a man is quiet .", negative="a man is playing the drums .")
    async with ClaifApp(triplets).run_test(size=SMALL, notifications=True) as pilot:
        screen = await review(pilot)
        await pilot.press("end", "s")
        await until(
            pilot, lambda: screen.card.pair is not None and not screen.card.pair.text_stale, "the score"
        )
        await idle(pilot)
        assert "negative's score." in screen_text(pilot.app), (
            "claif asks about the positive alone, and that is said"
        )
        assert pair_on_disk(triplets, 1).negative_stale
        assert "a man is quiet ." in server.log()[-1]["prompt"]
        for preset in ("syncse-partial", "clhaif-negatives"):
            recipe = replace(preset_recipe(preset), profile=claif.profile, model=claif.model)
            save(triplets / "recipe.toml", recipe)
            await pilot.press("s")
            if preset == "syncse-partial":
                await until(pilot, lambda: "asks for no scores" in screen_text(pilot.app), "the error")
                await pilot.press("escape")
                await idle(pilot)
        await until(pilot, lambda: screen.card.pair is not None and not screen.card.pair.stale, "both scores")
        await idle(pilot)
        pair = pair_on_disk(triplets, 1)
        assert (pair.stale, pair.negative_stale) == (False, False)
        assert "a man is playing the drums ." in "".join(sent["prompt"] for sent in server.log())

        # MultiCSR asks about both sides anew, however the last scores came about.
        with Store.open(triplets) as store:
            store.decisions.edit(1, "a man is still .", negative="a man is at the drums .")
        save(
            triplets / "recipe.toml",
            replace(preset_recipe("multicsr"), profile=claif.profile, model=claif.model),
        )
        before = len(server.log())
        await pilot.press("s")
        await until(pilot, lambda: not pair_on_disk(triplets, 1).stale, "both scores of MultiCSR")
        await idle(pilot)
        pair, asked = pair_on_disk(triplets, 1), [sent["prompt"] for sent in server.log()[before:]]
        assert (pair.text_stale, pair.negative_stale, len(asked)) == (False, False, 2)
        assert pair.score is not None and pair.negative_score is not None
        sides = ("a man is still .", "a man is at the drums .")
        assert [[side in prompt for prompt in asked].count(True) for side in sides] == [1, 1]
