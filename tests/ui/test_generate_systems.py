"""The flight deck of systems other than CLAIF: their columns, their scale, their filter, and a phase of sentences."""

from __future__ import annotations

from pathlib import Path

import pytest

from claif_tui.core.events import Event, PairGenerated, PairScored
from claif_tui.core.models import NewPair, NewScore
from claif_tui.core.recipes import preset_recipe
from claif_tui.core.store.store import Store
from claif_tui.ui.screens import generate_text
from claif_tui.ui.screens.generate_deck import deck_of, item_of, ordered, stored
from claif_tui.ui.screens.generate_landed import LandedList, landed_head
from claif_tui.ui.screens.generate_state import Flight
from tests.ui.made_pairs import add_pairs
from tests.ui.scripted import progress

SCORES = ((0.9, 0.1), (0.3, 0.9), (0.9, 0.9), (0.5, 0.2), (0.9, 0.7), (0.62, 0.62))
"""Kept, kept after its roles changed places, both high, below alpha, above beta, and equal: beta again."""


def triplets(scores: tuple[tuple[float, float], ...] = SCORES) -> list[Event]:
    events: list[Event] = []
    for n, (score, negative) in enumerate(scores, 1):
        texts = {"text_a": f"seed {n} .", "text_b": f"positive {n} .", "hard_negative": f"negative {n} ."}
        made = {"key": f"k{n}", "pair_id": n, "seed_id": n, "title": "triplet", "rate": None, **texts}
        events.append(PairGenerated(answer_class="ok", **made))  # type: ignore[arg-type]
        events.append(PairScored(score=score, negative_score=negative, **made))  # type: ignore[arg-type]
    return events


def test_multicsr_s_filter_counts_while_scores_land() -> None:
    flight = Flight(deck_of(preset_recipe("multicsr")))
    for event in triplets():
        flight.feed(event)
    rules = generate_text.rules_of(flight.deck, flight.classes)
    assert rules == {"both high": 1, "alpha": 1, "beta": 2, "gamma": 0} and flight.swapped == 1
    box = generate_text.funnel_box(rules, flight.generated, flight.swapped).plain
    assert "landed              6" in box and "⇄ swapped           1" in box
    assert {group: sum(bins) for group, bins in flight.histogram.items()} == {"positive": 6, "hard neg.": 6}
    rows = LandedList()
    rows.deck = flight.deck
    row = next(row for row in flight.take_fresh() if row.id == 1)
    line = "".join(text for text, _ in rows.draw(row, 80, at_cursor=False))
    assert "  4.5 0.5  seed 1 ." in line and "positive 1 ." in line and line.endswith("negative 1 .")
    assert landed_head(flight.deck, 80).split() == ["scores", "seed", "positive", "hard", "negative"]


def test_a_label_that_its_check_denies_is_a_drop() -> None:
    deck = deck_of(preset_recipe("dino-api+check"))
    flight = Flight(deck)
    made = {
        "key": "k",
        "pair_id": 1,
        "seed_id": 1,
        "title": "label 0.5",
        "rate": None,
        "text_a": "a",
        "text_b": "b",
    }
    flight.feed(PairGenerated(answer_class="ok", **made))  # type: ignore[arg-type]
    assert generate_text.rules_of(deck, flight.classes) == {"off label": 0}
    flight.feed(PairScored(score=0.5, answer_class="off_label", **made))  # type: ignore[arg-type]
    assert generate_text.rules_of(deck, flight.classes) == {"off label": 1}
    assert list(flight.histogram) == ["label 0.5"] and flight.take_fresh()[-1].item == "label 0.5"


@pytest.mark.parametrize(
    "preset, title, head",
    [
        ("claif", "by mask rate", "score rate seed generated"),
        ("dino-api", "by label", "label seed generated"),
        ("syncse-partial", "Scores", "seed positive hard negative"),
        ("clhaif", "of the positive", "scores seed positive hard negative"),
        ("claif-scaled", "and of triplets", "score rate seed generated"),
    ],
)
def test_each_system_has_its_own_panels(preset: str, title: str, head: str) -> None:
    deck = deck_of(preset_recipe(preset))
    assert title in deck.title and landed_head(deck, 90).split() == head.split()
    assert bool(deck.without) == preset.startswith("syncse")


def test_the_phase_of_sentences_is_told_as_such() -> None:
    flight = Flight(deck_of(preset_recipe("syncse-scratch")))
    flight.progress = progress(unit="sentences", planned=100, answered=25)
    assert flight.unit == "sentences"
    box = generate_text.run_box("running", flight.progress, 0, 30, flight.unit).plain
    assert "1 of 2: sentences to begin with" in box and "/ 100 sentences" in box
    assert "sentences" in generate_text.run_line("running", flight.progress, 0).plain


def test_what_is_stored_is_counted_by_the_groups_of_the_system(tmp_path: Path) -> None:
    with Store.create(tmp_path / "p") as store:
        rows = [
            NewPair(
                system="dino",
                text_a="a",
                generated=f"b{n}",
                score=NewScore(score=label),
                generate_key=f"{n:064x}",
            )
            for n, label in enumerate((1.0, 1.0, 0.5, 0.0))
        ]
        scored = NewScore(score=0.84, negative=0.1)
        rows.append(
            NewPair(
                system="multicsr",
                text_a="a",
                generated="p",
                hard_negative="n",
                score=scored,
                generate_key="f" * 64,
            )
        )
        first, *_ = add_pairs(store, rows)
        found = ordered(stored(store, deck_of(preset_recipe("dino-api"))))
        assert {name: sum(bins) for name, bins in found.items()} == {"label 1": 2, "label 0.5": 1, "label 0": 1}
        both = stored(store, deck_of(preset_recipe("multicsr")))
        assert (both["positive"][8], both["hard neg."][1]) == (1, 1)
        assert stored(store, deck_of(preset_recipe("syncse-partial"))) == {}
        pair = store.pairs.get(first)
        assert pair is not None and item_of(pair) == "label 1"
