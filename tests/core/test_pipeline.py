"""Runs against a real loopback server, on a real project: what is asked, what is kept, how a run is steered."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from claif_tui.core.desk import Desk
from claif_tui.core.errors import BusyError
from claif_tui.core.events import (
    BudgetReached,
    CallFailed,
    Event,
    Finished,
    PairGenerated,
    PairScored,
    TokenArrived,
)
from claif_tui.core.llm.base import Price
from claif_tui.core.llm.caller import CallerConfig
from claif_tui.core.llm.http_client import HttpClient
from claif_tui.core.llm.pace import Pace
from claif_tui.core.models import NANO, PairQuery
from claif_tui.core.pipeline import Generation
from claif_tui.core.planning import RunOptions
from claif_tui.core.recipes import Recipe, requests_id, set_field
from claif_tui.core.scoring import Scoring
from claif_tui.core.status import status
from claif_tui.core.store.store import Store
from claif_tui.core.trying import try_recipe
from tests.llm_fixtures import Factory, LLMServer

SEEDS = [
    "three men are playing chess .",
    "a woman is peeling an orange .",
    "the cat sleeps .",
    "two boys race down the hill on old bicycles .",
]
QUICK = CallerConfig(tries=4, backoff_base=0.001, backoff_max=0.01)
PRICE = Price(input_usd_per_m=1.0, output_usd_per_m=4.0, as_of="2026-01-01")


def fill(store: Store, sentences: list[str]) -> None:
    """Put ``sentences`` into the project as training seeds."""

    def work(connection: sqlite3.Connection) -> None:
        source = store.sources.begin(
            connection, path="seeds.txt", role="seeds", format="text", split="train", sha256="0" * 64
        )
        store.seeds.add_batch(connection, source, "train", [(s, n) for n, s in enumerate(sentences, 1)])

    store.write(work)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.create(tmp_path / "p") as made:
        fill(made, SEEDS)
        yield made


@pytest.fixture
def recipe() -> Recipe:
    return Recipe(profile="test", model="tiny", max_tokens=64)


def desk(store: Store, server: LLMServer, *, concurrency: int = 8, cap_usd: float | None = None) -> Desk:
    return Desk(
        store,
        HttpClient(server.base_url),
        price=PRICE if cap_usd is not None else None,
        cap_nano=None if cap_usd is None else round(cap_usd * NANO),
        pace=Pace(concurrency),
        config=QUICK,
    )


async def run(generation: Generation | Scoring) -> list[Event]:
    return [event async for event in generation.events()]


def finished(events: list[Event]) -> Finished:
    assert isinstance(events[-1], Finished)
    return events[-1]


def content(store: Store) -> list[tuple[object, ...]]:
    """What the project holds, without ids and times."""
    return [
        (p.text_a, p.rate, p.occurrence, p.masked, p.text_b, p.score, p.reason, p.answer_class)
        for p in store.pairs.export_rows(PairQuery())
    ]


async def test_a_run_makes_and_scores_every_planned_pair(
    store: Store, recipe: Recipe, llm_server: Factory
) -> None:
    server = llm_server()
    events = await run(Generation(store, recipe, RunOptions(), desk(store, server)))
    end = finished(events)
    assert end.state == "finished"
    assert end.progress.planned == end.progress.answered == 36
    kinds = Counter(type(event).__name__ for event in events)
    assert end.progress.calls == len(server.log()) == kinds["CallStarted"]
    assert kinds["PairGenerated"] == 36
    assert any(isinstance(event, TokenArrived) for event in events)
    scored = [event for event in events if isinstance(event, PairScored)]
    assert all(0 <= event.score <= 1 for event in scored)
    on_disk = list(store.pairs.export_rows(PairQuery()))
    assert len(on_disk) == 36
    assert {p.id for p in on_disk if p.score is not None} == {event.pair_id for event in scored}
    made = {event.pair_id: event for event in events if isinstance(event, PairGenerated)}
    assert all(made[p.id].text_b == p.generated and p.run_id and p.recipe_id for p in on_disk)
    assert status(store, recipe).to_dict()["answered"] == 36


async def test_rate_zero_asks_for_a_paraphrase_of_each_seed_and_every_other_rate_shows_a_mask(
    store: Store, recipe: Recipe, llm_server: Factory
) -> None:
    server = llm_server()
    await run(Generation(store, recipe, RunOptions(limit=3), desk(store, server)))
    prompts = [line["prompt"] for line in server.log() if "similarity score" not in line["prompt"]]
    assert len(prompts) == 27
    paraphrases = [prompt for prompt in prompts if "mean the same thing" in prompt]
    assert len(paraphrases) == 3
    assert not [prompt for prompt in paraphrases if "<mask>" in prompt]
    assert all(f"'{seed}'" in "".join(paraphrases) for seed in SEEDS[:3])
    for prompt in set(prompts) - set(paraphrases):
        assert prompt.count("<mask>") >= 2, "the instruction's own mask and one in the sentence"


async def test_running_again_sends_nothing_and_new_seeds_send_only_theirs(
    store: Store, recipe: Recipe, llm_server: Factory
) -> None:
    server = llm_server()
    await run(Generation(store, recipe, RunOptions(), desk(store, server)))
    before = len(server.log())
    events = await run(Generation(store, recipe, RunOptions(), desk(store, server)))
    assert finished(events).progress.answered == 36
    assert len(server.log()) == before
    fill(store, ["a new sentence arrives ."])
    await run(Generation(store, recipe, RunOptions(), desk(store, server)))
    news = [line["prompt"] for line in server.log()[before:]]
    assert news
    # Fully masked sentences do not show their words, so look at what the requests were stored for.
    with store.read():
        seeds = {call.seed_id for call in store.calls.known(_keys(store)).values()}
    assert len(seeds) == 5
    assert len(news) <= 18


def _keys(store: Store) -> list[str]:
    return [p.generate_key for p in store.pairs.export_rows(PairQuery()) if p.generate_key]


async def test_the_same_pairs_come_out_whatever_the_concurrency(
    tmp_path: Path, recipe: Recipe, llm_server: Factory
) -> None:
    server = llm_server()
    outcomes = []
    for name, concurrency in (("one", 1), ("many", 16)):
        with Store.create(tmp_path / name) as made:
            fill(made, SEEDS)
            await run(Generation(made, recipe, RunOptions(), desk(made, server, concurrency=concurrency)))
            outcomes.append(content(made))
    assert outcomes[0] == outcomes[1]


async def test_equal_pairs_are_scored_once(store: Store, recipe: Recipe, llm_server: Factory) -> None:
    server = llm_server()
    await run(Generation(store, recipe, RunOptions(), desk(store, server, concurrency=16)))
    asked = [line["prompt"] for line in server.log() if "similarity score" in line["prompt"]]
    assert len(asked) == len(set(asked))


async def test_a_changed_score_prompt_asks_for_scores_only(
    store: Store, recipe: Recipe, llm_server: Factory
) -> None:
    server = llm_server()
    await run(Generation(store, recipe, RunOptions(), desk(store, server)))
    before = len(server.log())
    other = set_field(recipe, "score.prompt", "score-and-reason")
    await run(Generation(store, other, RunOptions(), desk(store, server)))
    asked = [line["prompt"] for line in server.log()[before:]]
    assert asked
    assert all("similarity score" in prompt for prompt in asked)


async def test_faults_end_in_pairs_or_named_failures_and_can_be_retried(
    store: Store, recipe: Recipe, llm_server: Factory
) -> None:
    faults = [
        {"kind": "500", "rate": 0.1},
        {"kind": "cut", "rate": 0.1},
        {"kind": "unparsable", "rate": 0.2, "match": "similarity score"},
        {"kind": "empty", "rate": 0.1},
        {"kind": "refusal", "rate": 0.1, "match": "Replace all"},
    ]
    server = llm_server(faults=faults)
    events = await run(Generation(store, recipe, RunOptions(), desk(store, server)))
    progress = finished(events).progress
    assert progress.answered + sum(progress.failed.values()) == progress.planned == 36
    final = Counter(event.reason for event in events if isinstance(event, CallFailed) and event.final)
    assert dict(final) == progress.failed
    assert progress.failed, "with these faults something fails for good"
    again = status(store, recipe)
    assert (again.answered, again.failed) == (progress.answered, progress.failed)
    server.control(faults=[])
    events = await run(Generation(store, recipe, RunOptions(kind="retry"), desk(store, server)))
    assert finished(events).progress.failed == {}
    assert status(store, recipe).answered == 36


async def test_an_authentication_error_ends_the_run_at_once_and_loses_nothing(
    store: Store, recipe: Recipe, llm_server: Factory
) -> None:
    server = llm_server(faults=[{"kind": "401"}])
    events = await run(Generation(store, recipe, RunOptions(), desk(store, server)))
    assert finished(events).state == "failed"
    assert "key" in finished(events).message
    assert len(server.log()) <= 8
    server.control(faults=[])
    events = await run(Generation(store, recipe, RunOptions(), desk(store, server)))
    assert finished(events).progress.answered == 36


async def test_stop_lands_what_is_in_flight_and_a_later_run_finishes_the_plan(
    store: Store, recipe: Recipe, llm_server: Factory
) -> None:
    server = llm_server()
    generation = Generation(store, recipe, RunOptions(), desk(store, server, concurrency=2))
    events = []
    async for event in generation.events():
        events.append(event)
        if sum(isinstance(e, PairScored) for e in events) == 3:
            generation.stop()
    end = finished(events)
    assert end.state == "stopped"
    assert 3 <= end.progress.answered < 36
    assert store.ledger.get("").reserved_nano == 0
    events = await run(Generation(store, recipe, RunOptions(), desk(store, server)))
    assert finished(events).progress.answered == 36
    asked = Counter(json.dumps(line["prompt"]) for line in server.log() if "similarity score" in line["prompt"])
    assert set(asked.values()) == {1}


async def test_pause_and_resume(store: Store, recipe: Recipe, llm_server: Factory) -> None:
    server = llm_server()
    generation = Generation(store, recipe, RunOptions(), desk(store, server, concurrency=2))
    paused = resumed = False
    async for event in generation.events():
        if isinstance(event, PairScored) and not paused:
            generation.pause()
            paused = True
        if paused and not resumed and getattr(event, "paused", False) and event.in_flight == 0:  # type: ignore[union-attr]
            generation.resume()
            resumed = True
        if isinstance(event, Finished):
            assert event.state == "finished"
    assert resumed
    assert status(store, recipe).answered == 36


async def test_another_process_can_ask_a_run_to_stop(store: Store, recipe: Recipe, llm_server: Factory) -> None:
    server = llm_server(options={"latency": 0.2})
    generation = Generation(store, recipe, RunOptions(), desk(store, server, concurrency=1))
    asked = False
    async for event in generation.events():
        if not asked:
            active = store.runs.active()
            assert active is not None
            store.runs.request(active.id, "stop")
            asked = True
        if isinstance(event, Finished):
            assert event.state == "stopped"
    assert store.runs.active() is None


async def test_a_second_run_is_refused_while_one_is_live(
    store: Store, recipe: Recipe, llm_server: Factory
) -> None:
    server = llm_server(options={"latency": 0.05})
    generation = Generation(store, recipe, RunOptions(), desk(store, server, concurrency=1))
    refused = False
    async for _ in generation.events():
        if not refused:
            with pytest.raises(BusyError):
                await run(Generation(store, recipe, RunOptions(), desk(store, server)))
            refused = True
            generation.stop()
    assert refused


async def test_the_budget_ends_a_run_within_the_cap_and_uses_most_of_it(
    store: Store, recipe: Recipe, llm_server: Factory
) -> None:
    server = llm_server(faults=[{"kind": "500", "rate": 0.05}])
    fill(store, [f"seed number {n} says something else again ." for n in range(12)])
    cap = 0.015
    events = await run(
        Generation(store, recipe, RunOptions(), desk(store, server, cap_usd=cap, concurrency=16))
    )
    assert any(isinstance(event, BudgetReached) for event in events)
    assert finished(events).state == "budget"
    prompt, completion = server.spent_tokens()
    spent = (prompt * PRICE.input_usd_per_m + completion * PRICE.output_usd_per_m) / 1e6
    assert spent <= cap
    assert spent >= 0.9 * cap
    state = status(store, recipe)
    assert state.spent_nano <= cap * NANO
    assert state.reserved_nano == 0


async def test_trying_keeps_its_answers_for_the_run(store: Store, recipe: Recipe, llm_server: Factory) -> None:
    server = llm_server()
    seeds = store.seeds.page(limit=2)
    trials = [trial async for trial in try_recipe(store, recipe, desk(store, server), seeds)]
    assert len(trials) == 18
    assert all(trial.answer is not None for trial in trials)
    assert store.pairs.counts().total == 0
    before = len(server.log())
    await run(Generation(store, recipe, RunOptions(limit=2), desk(store, server)))
    assert len(server.log()) == before
    assert store.pairs.counts().total == 18


async def test_an_edited_pair_is_scored_again(store: Store, recipe: Recipe, llm_server: Factory) -> None:
    server = llm_server()
    await run(Generation(store, recipe, RunOptions(limit=1), desk(store, server)))
    pair = next(iter(store.pairs.export_rows(PairQuery())))
    store.decisions.edit(pair.id, "a quite different sentence .", "tester")
    edited = store.pairs.get(pair.id)
    assert edited is not None and edited.stale
    await run(Scoring(store, recipe, desk(store, server), [pair.id]))
    scored = store.pairs.get(pair.id)
    assert scored is not None and not scored.stale
    assert scored.generated == pair.generated
    assert "a quite different sentence ." in server.log()[-1]["prompt"]


async def test_a_wish_for_a_new_score_is_fulfilled_with_a_new_answer(
    store: Store, recipe: Recipe, llm_server: Factory
) -> None:
    server = llm_server()
    await run(Generation(store, recipe, RunOptions(limit=1), desk(store, server)))
    pair = next(iter(store.pairs.export_rows(PairQuery())))
    store.decisions.rescore([pair.id], "tester")
    before = len(server.log())
    await run(Scoring(store, recipe, desk(store, server), [pair.id]))
    scored = store.pairs.get(pair.id)
    assert scored is not None and scored.flags == ()
    assert scored.score_key != pair.score_key
    assert len(server.log()) == before + 1


async def test_a_pair_that_is_scored_later_is_no_failure_any_more(
    store: Store, recipe: Recipe, llm_server: Factory
) -> None:
    server = llm_server(faults=[{"kind": "400_length", "match": "similarity score"}])
    await run(Generation(store, recipe, RunOptions(limit=1), desk(store, server)))
    assert status(store, recipe).failed == {"context_length": 9}
    server.control(faults=[])
    ids = [pair.id for pair in store.pairs.export_rows(PairQuery())]
    await run(Scoring(store, recipe, desk(store, server), ids))
    assert (status(store, recipe).answered, status(store, recipe).failed) == (9, {})


async def test_scoring_can_be_stopped_from_another_process(
    store: Store, recipe: Recipe, llm_server: Factory
) -> None:
    server = llm_server()
    await run(Generation(store, recipe, RunOptions(limit=1), desk(store, server)))
    ids = [pair.id for pair in store.pairs.export_rows(PairQuery())]
    server.control(options={"latency": 0.3})
    scoring = Scoring(store, recipe, desk(store, server, concurrency=1), ids, again=True)
    events: list[Event] = []
    async for event in scoring.events():
        active = store.runs.active()
        if not events and active is not None:
            store.runs.request(active.id, "stop")
        events.append(event)
    assert finished(events).state == "stopped"
    assert finished(events).progress.answered < 9


async def test_a_cap_that_is_taken_away_binds_neither_scoring_nor_trying(
    store: Store, recipe: Recipe, llm_server: Factory
) -> None:
    server = llm_server()
    scope = requests_id(recipe)
    await run(Generation(store, recipe, RunOptions(limit=1), desk(store, server)))
    ids = [pair.id for pair in store.pairs.export_rows(PairQuery())]
    store.ledger.set_cap(scope, 1)
    uncapped = Desk(store, HttpClient(server.base_url), price=PRICE, config=QUICK)
    assert finished(await run(Scoring(store, recipe, uncapped, ids, again=True))).state == "finished"
    store.ledger.set_cap(scope, 1)
    uncapped = Desk(store, HttpClient(server.base_url), price=PRICE, config=QUICK)
    seeds = store.seeds.page(after_id=1, limit=1)
    assert [t.failure async for t in try_recipe(store, recipe, uncapped, seeds)] == [""] * 9
