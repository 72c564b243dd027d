"""Versions of a recipe in one project: what they share is asked once, and what they do not never gets mixed."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from claif_tui.core.exporting import ExportWish, export
from claif_tui.core.models import PairQuery
from claif_tui.core.pipeline import Generation
from claif_tui.core.planning import RunOptions
from claif_tui.core.recipes import Recipe, recipe_id, set_field
from claif_tui.core.status import status
from claif_tui.core.store.store import Store
from tests.core.test_pipeline import desk, fill, finished, run
from tests.llm_fixtures import Factory


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.create(tmp_path / "p") as made:
        yield made


@pytest.fixture
def recipe() -> Recipe:
    return Recipe(profile="test", model="tiny", max_tokens=64)


async def test_other_rates_reuse_answers_but_make_pairs_of_their_own(
    store: Store, recipe: Recipe, llm_server: Factory
) -> None:
    # Of one word nothing is left at any rate: all requests are equal, told apart by their rank in the plan alone.
    fill(store, ["hello", "goodbye"])
    server = llm_server()
    first = set_field(recipe, "masks.rates", "0.1,0.2,0.3,0.4")
    await run(Generation(store, first, RunOptions(), desk(store, server)))
    other = set_field(recipe, "masks.rates", "0.3,0.5")
    await run(Generation(store, other, RunOptions(), desk(store, server)))
    asked = Counter(line["prompt"] for line in server.log() if "Replace all" in line["prompt"])
    assert sum(asked.values()) == 8, "the other recipe's four requests are the first four of the first one's"
    assert (status(store, other).answered, status(store, other).planned) == (4, 4)
    pairs = list(store.pairs.export_rows(PairQuery()))
    made = Counter((pair.text_a, pair.rate) for pair in pairs)
    assert made["goodbye", 0.5] == made["hello", 0.5] == 1, (
        "each planned pair is there, under its seed and rate"
    )
    for pair in pairs:
        if pair.score_key is None:
            continue
        call = store.calls.get(pair.score_key)
        assert call is not None
        assert f"'{pair.text_a}'" in call.prompt, "a score belongs to the pair that it was given to"
        assert pair.generated in call.prompt


async def test_an_export_says_which_recipes_made_its_rows(
    store: Store, recipe: Recipe, llm_server: Factory, tmp_path: Path
) -> None:
    fill(store, ["three men are playing chess .", "the cat sleeps ."])
    server = llm_server()
    first = set_field(recipe, "masks.rates", "0.2")
    other = set_field(recipe, "masks.rates", "0.5")
    for used in (first, other):
        await run(Generation(store, used, RunOptions(), desk(store, server)))
    wish = ExportWish(statuses=("pending",))
    result, funnel = export(store, other, wish, tmp_path / "out.jsonl", "jsonl")
    manifest = json.loads(result.manifest.read_text("utf-8"))
    assert manifest["recipe"]["id"] == recipe_id(other)
    assert set(manifest["made_with"]) == {recipe_id(first), recipe_id(other)}
    assert sum(manifest["made_with"].values()) == funnel.kept == 4


def test_the_plan_is_still_known_after_hundreds_of_other_runs(store: Store, recipe: Recipe) -> None:
    fill(store, ["three men are playing chess .", "the cat sleeps ."])
    run_ = store.runs.start("generate", None, "test", "tiny", {"limit": 1, "cap_nano": 7})
    store.runs.set_state(run_.id, "finished")
    for _ in range(201):
        store.runs.set_state(store.runs.start("rescore", None, "test", "tiny", {}).id, "finished")
    found = status(store, recipe)
    assert (found.planned, found.limit) == (9, 1)
    assert found.last_run is not None and found.last_run.id == run_.id


async def test_a_run_over_a_part_does_not_claim_the_whole(
    store: Store, recipe: Recipe, llm_server: Factory
) -> None:
    fill(store, ["three men are playing chess .", "the cat sleeps ."])
    server = llm_server(faults=[{"kind": "empty", "match": "similarity score"}])
    await run(Generation(store, recipe, RunOptions(limit=1), desk(store, server)))
    server.control(faults=[])
    events = await run(Generation(store, recipe, RunOptions(kind="retry"), desk(store, server)))
    assert finished(events).message == "9 of 18 answered, 9 open."
