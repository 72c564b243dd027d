"""The card of a saved model: what it says of the data, and what it leaves out."""

from __future__ import annotations

from typing import Any

from engine.card import STAND_IN, card
from engine.config import preset

MANIFEST: dict[str, Any] = {
    "id": "0123456789ab",
    "manifest_version": 1,
    "made_by": "claif-tui 1.0",
    "recipe": {"id": "r1", "toml": '[model]\nprofile = "the-lab"\nbase_url = "http://lab.example/v1"\n'},
    "made_with": {"r1": 20},
    "filter": "author = 'Jane Roe'",
    "funnel": {"pairs": 25, "kept": 20},
    "review": {"chosen": 20},
    "rows": 20,
    "something_new": "Jane Roe",
}
NOTE: dict[str, Any] = {
    "sentences": 40,
    "sets": [
        {
            "task": "STS12",
            "split": "test",
            "state": "complete",
            "sentences": {"exact": 3, "near": 1},
            "seen": {"of": 10, "exact": 2, "near": 1},
        }
    ],
}


def written(overlap: dict[str, Any] | None = None, remarks: tuple[str, ...] = ()) -> str:
    """The card of a run from a model on somebody's disk."""
    config = preset("claif", data="/home/jroe/d.jsonl", dev="/home/jroe", model="/home/jroe/models/small")
    return card(config, {"rows": 20, "lineage": MANIFEST}, {"step": "1 of 1"}, remarks, overlap)


def test_it_says_where_the_rows_come_from_and_names_no_person_endpoint_or_place() -> None:
    text = written(remarks=("/home/jroe/models/small has no head",))
    for shown in ("0123456789ab", '"recipe": "r1"', '"kept": 20', '"chosen": 20', "small has no head"):
        assert shown in text
    for hidden in ("Jane", "jroe", "the-lab", "lab.example"):
        assert hidden not in text


def test_a_demo_is_said_to_be_one() -> None:
    config, results = preset("claif", data="d"), {"step": "1 of 1"}
    demo = card(config, {"lineage": {**MANIFEST, "stand_in": True}}, results, ())
    assert STAND_IN in demo and '"stand_in": true' in demo
    for lineage in ({**MANIFEST, "stand_in": False}, MANIFEST):
        assert STAND_IN not in card(config, {"lineage": lineage}, results, ())
    assert STAND_IN not in card(config, {"rows": 2}, results, ())


def test_a_note_on_overlap_that_does_not_read_costs_no_checkpoint() -> None:
    assert "| STS12 | 3 | 1 | 3 of 10 |" in written(NOTE)
    for broken in (
        {"sets": 5},
        {"sets": [5]},
        {**NOTE, "sentences": "many"},
        {"sets": [{**NOTE["sets"][0], "seen": {}}]},
    ):
        text = written(broken)
        assert "STS12" not in text and "## Data" in text
