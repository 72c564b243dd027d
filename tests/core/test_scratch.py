"""SynCSE end to end over the loopback server: triplets of given sentences, and sentences first where there are none."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path

import pytest

from claif_tui.core.estimate import estimate_plan
from claif_tui.core.events import CallFailed, Event, Finished, PairGenerated, Progress
from claif_tui.core.models import PairQuery
from claif_tui.core.pipeline import Generation
from claif_tui.core.planning import RunOptions, seeds_of, standing, written
from claif_tui.core.recipes import Recipe, preset_recipe, set_field
from claif_tui.core.scratch import BARREN, FromScratch, Scratch, run_of
from claif_tui.core.store.store import Store
from tests.core.test_pipeline import PRICE, SEEDS, desk, fill, finished
from tests.llm_fixtures import Factory, LLMServer


def recipe_of(preset: str, **fields: object) -> Recipe:
    recipe = preset_recipe(preset)
    named = {
        "model.profile": "test",
        "model.name": "tiny",
        **{k.replace("__", "."): v for k, v in fields.items()},
    }
    for name, value in named.items():
        recipe = set_field(recipe, name, value)
    return recipe


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.create(tmp_path / "p") as made:
        yield made


async def read(run: Generation | FromScratch | Scratch) -> list[Event]:
    return [event async for event in run.events()]


def from_scratch(
    store: Store, recipe: Recipe, server: LLMServer, limit: int | None = None, concurrency: int = 8
) -> FromScratch:
    run = run_of(store, recipe, RunOptions(limit=limit), lambda: desk(store, server, concurrency=concurrency))
    assert isinstance(run, FromScratch)
    return run


def sentences(store: Store, recipe: Recipe) -> list[tuple[int, str]]:
    return [(seed.line, seed.text) for seed in seeds_of(store, recipe)]


def for_sentences(server: LLMServer) -> list[str]:
    return [line["prompt"] for line in server.log() if "each of which could stand in" in line["prompt"]]


def triplets(store: Store) -> list[tuple[object, ...]]:
    return [
        (p.text_a, p.text_b, p.hard_negative, p.system, p.answer_class, p.score)
        for p in store.pairs.export_rows(PairQuery())
    ]


@pytest.mark.parametrize("api", ["chat", "completions"])
async def test_partial_makes_one_triplet_a_sentence_in_two_requests(
    store: Store, llm_server: Factory, api: str
) -> None:
    fill(store, SEEDS)
    server = llm_server()
    recipe = recipe_of("syncse-partial", model__api=api)
    events = await read(Generation(store, recipe, RunOptions(), desk(store, server)))
    end = finished(events)
    assert (end.state, end.progress.planned, end.progress.answered) == ("finished", 4, 4)
    assert len(server.log()) == end.progress.calls == 8
    found = triplets(store)
    assert [row[0] for row in found] == SEEDS
    for anchor, positive, negative, system, answer_class, score in found:
        assert (system, answer_class, score) == ("syncse", "ok", None)
        # The server adds one word to the sentence it was asked about, by all that the prompt holds.
        for text in (positive, negative):
            assert not Counter(str(anchor).split()) - Counter(str(text).split())
        assert len({anchor, positive, negative}) == 3
    again = await read(Generation(store, recipe, RunOptions(), desk(store, server)))
    assert finished(again).progress.calls == 0 and triplets(store) == found


async def test_failure_texts_and_cut_answers_fail_with_their_side_and_are_kept(
    store: Store, llm_server: Factory
) -> None:
    fill(store, SEEDS)
    server = llm_server([{"kind": "refusal", "match": SEEDS[0]}, {"kind": "length", "match": SEEDS[1]}])
    events = await read(Generation(store, recipe_of("syncse-partial"), RunOptions(), desk(store, server)))
    assert finished(events).progress.failed == {"cut_off": 1, "refused": 1}
    told = [event for event in events if isinstance(event, CallFailed) and event.final]
    assert all(event.detail.startswith(("positive: ", "hard negative: ")) for event in told)
    assert [row[0] for row in triplets(store)] == SEEDS[2:]


async def test_from_nothing_sentences_are_written_then_triplets_of_those_alone(
    store: Store, llm_server: Factory
) -> None:
    fill(store, SEEDS)
    server = llm_server()
    recipe = recipe_of("syncse-scratch", scratch__per_request=5)
    plan = estimate_plan(store, recipe, PRICE, 12)
    assert (plan.missing, plan.write.calls, plan.items, plan.generate.calls) == (12, 3, 12, 24)
    assert plan.usd is not None and plan.write.usd is not None and plan.usd[0] > plan.write.usd[0] > 0
    assert standing(store, recipe, limit=12).planned == 12

    events = await read(from_scratch(store, recipe, server, 12))
    end = finished(events)
    assert [type(event) for event in events].count(Finished) == 1
    assert (end.state, end.progress.unit, end.progress.answered) == ("finished", "triplets", 12)
    assert len(for_sentences(server)) == 3 and len(server.log()) == 3 + 24
    texts = sentences(store, recipe)
    # "Sure! …" is line 1, so five sentences are lines 2 to 6 of their request; all fifteen are kept.
    assert [line for line, _ in texts] == [1000 * request + n for request in range(3) for n in range(2, 7)]
    assert {row[0] for row in triplets(store)} == {text for _, text in texts[:12]}
    assert {row[3] for row in triplets(store)} == {"syncse-scratch"}
    [_, source] = store.sources.list()
    assert (source.format, source.role, source.rows, source.unique, source.dropped) == (
        "scratch",
        "seeds",
        3,
        15,
        {"talk": 3},
    )
    assert "recipe" in source.path
    call = next(call for call in map(store.calls.get, _keys(events)) if call is not None)
    assert json.loads(call.prompt)
    assert written(store, recipe, 12).missing == 0
    after = estimate_plan(store, recipe, PRICE, 12)
    assert (after.missing, after.write.calls) == (0, 0)

    # Systems that work on given sentences never see the written ones, and the other way round.
    assert [seed.text for seed in seeds_of(store, recipe_of("syncse-partial"))] == SEEDS
    assert standing(store, Recipe()).seeds == len(SEEDS)
    # Another model's sentences are other sentences; a word in the other prompts is no reason to write them anew.
    assert written(store, recipe_of("syncse-scratch", model__name="other")).sentences == 0
    assert written(store, set_field(recipe, "syncse.exemplars", 3)).sentences == 15

    # More are wanted: the same go on, and nothing is bought twice.
    more = await read(from_scratch(store, recipe, server, 17))
    assert finished(more).progress.answered == 17
    assert len(for_sentences(server)) == 4 and len(server.log()) == 4 + 34
    assert sentences(store, recipe)[:15] == texts


def _keys(events: list[Event]) -> list[str]:
    return [event.key for event in events if isinstance(event, PairGenerated)]


async def test_killed_again_and_again_it_ends_with_the_same_sentences_and_pays_once(
    store: Store, tmp_path: Path, llm_server: Factory
) -> None:
    recipe = recipe_of("syncse-scratch", scratch__per_request=3, scratch__sentences=40)
    calm, wild = llm_server(), llm_server(options={"jitter": 0.02})
    await read(Scratch(store, recipe, desk(store, calm, concurrency=1)))
    with Store.create(tmp_path / "q") as other:
        for stop_at in (3, 9, 4):
            async with aclosing(Scratch(other, recipe, desk(other, wild)).events()) as events:
                answered = 0
                async for event in events:
                    answered += isinstance(event, Progress) or type(event).__name__ == "CallStarted"
                    if answered >= stop_at:
                        break
        await read(Scratch(other, recipe, desk(other, wild)))
        mine = sentences(store, recipe)
        assert len(mine) == 40 and sentences(other, recipe) == mine
        answered_once = Counter(line["sha"] for line in wild.log() if line["status"] == 200)
        landed = [call for call in answered_once.values() if call > 1]
        # Only what was in flight at a kill may be asked again.
        assert sum(landed) - len(landed) <= 8 * 3
        requests = written(other, recipe).requests
        assert requests <= written(store, recipe).requests + 2


async def test_equal_requests_are_told_apart_and_requests_that_bring_nothing_end_the_run(
    store: Store, llm_server: Factory
) -> None:
    own = "acknowledgement = 'Yes.'\ngenres = ['diary']\ntopics = ['tea']\n" + "".join(
        f"[{side}.A]\ninstruction = 'Do.'\nexemplars = [['a b', 'c d']]\n" for side in ("positive", "negative")
    )
    server = llm_server()
    recipe = recipe_of(
        "syncse-scratch",
        syncse__material=own,
        syncse__exemplars=1,
        scratch__topics=1,
        scratch__per_request=4,
        scratch__sentences=30,
    )
    events = await read(from_scratch(store, recipe, server))
    end = finished(events)
    assert end.state == "stopped" and end.progress.unit == "sentences"
    assert f"{BARREN} requests in a row brought no new sentence: 4 of 30" in end.message
    assert "scratch.sentences=4" in end.message
    assert not triplets(store)
    # The server knows one answer to one prompt; each request was a question of its own all the same.
    asked = len(for_sentences(server))
    assert BARREN < asked <= BARREN + 9
    found = written(store, recipe)
    assert found.source is not None
    assert (found.requests, found.sentences) == (asked, 4)
    assert found.source.duplicates == 4 * (asked - 1)
    # Again: nothing is asked, the same is said.
    assert "no new sentence" in finished(await read(from_scratch(store, recipe, server))).message
    assert len(for_sentences(server)) == asked


async def test_requests_that_fail_on_the_way_do_not_count_as_barren(store: Store, llm_server: Factory) -> None:
    recipe = recipe_of("syncse-scratch", scratch__per_request=4, scratch__sentences=8)
    server = llm_server([{"kind": "500"}])
    for _ in range(4):
        end = finished(await read(from_scratch(store, recipe, server, concurrency=1)))
        assert end.state == "failed" and "no new sentence" not in end.message
    assert written(store, recipe).requests > BARREN
    server.control(faults=[])
    end = finished(await read(from_scratch(store, recipe, server)))
    assert (end.state, end.progress.answered) == ("finished", 8)
    source = written(store, recipe).source
    assert source is not None and source.dropped["request failed: server_error"] > BARREN


async def test_answers_in_a_wrong_form_are_counted_with_reasons_and_the_rest_is_kept(
    store: Store, llm_server: Factory
) -> None:
    recipe = recipe_of("syncse-scratch", scratch__per_request=4, scratch__sentences=24)
    server = llm_server(
        [{"kind": "refusal", "first": 2}, {"kind": "empty", "first": 1}, {"kind": "length", "first": 2}]
    )
    events = await read(Scratch(store, recipe, desk(store, server, concurrency=1)))
    end = finished(events)
    assert (end.state, end.progress.answered, end.progress.failed) == ("finished", 24, {})
    assert end.progress.troubles["refused"] == 2
    source = written(store, recipe).source
    assert source is not None
    assert source.dropped["request failed: refused"] == 2
    assert source.dropped["cut off"] + source.dropped.get("request failed: cut_off", 0) == 2
    reasons = {reason for _, reason, _ in store.sources.issues(source.id)}
    assert {"request failed: refused", "talk"} <= reasons


async def test_a_written_sentence_that_was_imported_before_stays_the_importers(
    store: Store, llm_server: Factory
) -> None:
    server = llm_server()
    recipe = recipe_of("syncse-scratch", scratch__per_request=3, scratch__sentences=6)
    await read(Scratch(store, recipe, desk(store, server)))
    texts = [text for _, text in sentences(store, recipe)]
    with Store.create(store.folder.parent / "q") as other:
        fill(other, texts[:1])
        await read(Scratch(other, recipe, desk(other, server)))
        assert [seed.count for seed in seeds_of(other, Recipe())] == [1]
        mine = [text for _, text in sentences(other, recipe)]
        assert mine[:5] == texts[1:] and len(mine) == 6
        source = written(other, recipe).source
        assert source is not None
        assert ("duplicate", "first in import 1") in [issue[1:] for issue in other.sources.issues(source.id)]


async def test_one_pause_and_one_stop_reach_whichever_half_is_on(store: Store, llm_server: Factory) -> None:
    server = llm_server()
    recipe = recipe_of("syncse-scratch", scratch__per_request=3, scratch__sentences=30)
    run = from_scratch(store, recipe, server, concurrency=1)
    run.pause()
    seen: list[Event] = []
    async for event in run.events():
        seen.append(event)
        if isinstance(event, Progress) and event.paused:
            assert not server.log()
            run.stop()
    end = finished(seen)
    assert (end.state, end.progress.unit) == ("stopped", "sentences")
    assert "sentences are to be written" in end.message
    run = from_scratch(store, recipe, server)
    seen = []
    async for event in run.events():
        seen.append(event)
        if isinstance(event, PairGenerated):
            run.stop()
    end = finished(seen)
    assert (end.state, end.progress.unit) == ("stopped", "triplets")
    assert 0 < end.progress.answered <= 30
