"""Several runs on one project: a question that another one is asking, or was when it died, is paid for once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from claif_tui.core.addressing import call_key, messages_json, sampling_json
from claif_tui.core.events import Finished, Progress
from claif_tui.core.models import NewCall, Run, RunKind
from claif_tui.core.pipeline import Generation
from claif_tui.core.planning import RunOptions
from claif_tui.core.recipes import Recipe, requests_id
from claif_tui.core.store.store import Store
from claif_tui.core.systems.registry import system_of
from claif_tui.core.trying import try_recipe
from tests.core.test_pipeline import SEEDS, desk, fill, run
from tests.llm_fixtures import Factory


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.create(tmp_path / "p") as made:
        fill(made, SEEDS)
        yield made


@pytest.fixture
def recipe() -> Recipe:
    return Recipe(profile="test", model="tiny", max_tokens=64)


async def in_flight(store: Store, recipe: Recipe, kind: RunKind, attempt: int = 0) -> tuple[Run, str]:
    """A run that has reserved the first request of the plan and not got its answer."""
    item = next(system_of(recipe).plan(recipe, store.seeds.page(limit=1)))
    taken = store.runs.start(kind, None, recipe.profile, recipe.model, {})
    call = NewCall(
        key=call_key(item.asks[0].identity, 0, attempt),
        stage="generate",
        recipe_id=requests_id(recipe),
        run_id=taken.id,
        seed_id=item.seed.id,
        pair_id=None,
        rate=item.rate,
        occurrence=0,
        attempt=attempt,
        profile=recipe.profile,
        model=recipe.model,
        api=recipe.api,
        prompt=messages_json(item.asks[0].messages),
        params=sampling_json(item.asks[0].sampling),
        reserve_nano=7,
    )
    assert await store.calls.reserve(call)
    return taken, call.key


async def test_a_try_goes_on_where_a_killed_one_was(store: Store, recipe: Recipe, llm_server: Factory) -> None:
    dead, key = await in_flight(store, recipe, "try")
    store.runs.set_state(dead.id, "stopped")
    seeds = store.seeds.page(limit=1)
    trials = [trial async for trial in try_recipe(store, recipe, desk(store, llm_server()), seeds)]
    assert [trial.failure for trial in trials] == [""] * 9
    money = store.ledger.get(requests_id(recipe))
    assert (money.reserved_nano, money.spent_nano) == (0, 7), "what was in flight counts at its worst case"
    call = store.calls.get(key)
    assert call is not None and (call.state, call.tries) == ("answered", 2)


async def test_a_run_waits_for_what_a_try_beside_it_is_asking(
    store: Store, recipe: Recipe, llm_server: Factory
) -> None:
    _, key = await in_flight(store, recipe, "try")
    server = llm_server()
    generation = Generation(store, recipe, RunOptions(), desk(store, server))
    end = None
    async for event in generation.events():
        if isinstance(event, Progress) and event.answered == 35:
            call = store.calls.get(key)
            assert call is not None
            if call.state == "reserved":
                await store.calls.answer(key, raw="the other run got this .", finish_reason="stop")
        if isinstance(event, Finished):
            end = event
    assert end is not None
    assert (end.state, end.progress.answered, end.progress.failed) == ("finished", 36, {})
    assert "the other run got this ." in [pair.generated for pair in store.pairs.of_seed(1)]


async def test_a_run_takes_over_what_a_try_beside_it_left_when_it_died(
    store: Store, recipe: Recipe, llm_server: Factory
) -> None:
    beside, _ = await in_flight(store, recipe, "try")
    generation = Generation(store, recipe, RunOptions(limit=1), desk(store, llm_server()))
    events = []
    async for event in generation.events():
        events.append(event)
        if isinstance(event, Progress) and event.answered == 8:
            store.runs.set_state(beside.id, "stopped")
    assert isinstance(events[-1], Finished)
    assert events[-1].progress.answered == 9
    assert await run(Generation(store, recipe, RunOptions(limit=1), desk(store, llm_server())))


async def test_a_retry_that_was_killed_before_it_kept_its_answer_does_not_buy_another(
    store: Store, recipe: Recipe, llm_server: Factory
) -> None:
    server = llm_server(faults=[{"kind": "empty"}])
    one = replace(recipe, rates=(0.0,))
    await run(Generation(store, one, RunOptions(limit=1), desk(store, server)))
    server.control(faults=[])
    killed, key = await in_flight(store, one, "retry", attempt=1)
    await store.calls.answer(key, raw="chess is what they play .", finish_reason="stop")
    store.runs.set_state(killed.id, "stopped")
    before = len(server.log())
    events = await run(Generation(store, one, RunOptions(kind="retry", limit=1), desk(store, server)))
    assert isinstance(events[-1], Finished) and events[-1].progress.answered == 1
    assert [line["prompt"] for line in server.log()[before:] if "similarity score" not in line["prompt"]] == []
