"""Runs that make triplets and runs that score imported ones, over the loopback server: nothing is lost or repeated."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from claif_tui.core.errors import UsageError
from claif_tui.core.estimate import estimate_plan
from claif_tui.core.events import AnswerLanded, CallFailed, CallStarted, Event, PairGenerated, PairScored
from claif_tui.core.llm.profiles import Profile
from claif_tui.core.models import NewScore, Pair, PairQuery
from claif_tui.core.pipeline import Generation
from claif_tui.core.planning import RunOptions, require_work
from claif_tui.core.recipes import PRESET_NAMES, Recipe, preset_recipe, requests_id, set_field
from claif_tui.core.scoring import Scoring
from claif_tui.core.session import require_decoding
from claif_tui.core.status import status
from claif_tui.core.store.store import Store
from claif_tui.core.troubles import call_of, trouble
from claif_tui.core.trying import try_recipe
from tests.core.pair_support import add, make_source, new_pair
from tests.core.test_pipeline import PRICE, SEEDS, desk, fill, finished, run
from tests.llm_fixtures import Factory

FAULTS = [
    {"kind": "500", "rate": 0.05},
    {"kind": "cut", "rate": 0.05},
    {"kind": "empty", "rate": 0.15, "match": "cannot be true"},
    {"kind": "refusal", "rate": 0.1, "match": "must be true"},
    {"kind": "unparsable", "rate": 0.3, "match": "to 5.0"},
]
MORE = [f"number {n} of many sentences stands here on its own ." for n in range(12)]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.create(tmp_path / "p") as made:
        yield made


def recipe_of(preset: str) -> Recipe:
    return replace(preset_recipe(preset), profile="test", model="tiny")


def pairs(store: Store) -> list[Pair]:
    return list(store.pairs.export_rows(PairQuery()))


def content(store: Store) -> list[tuple[object, ...]]:
    return [
        (
            p.text_a,
            p.text_b,
            p.hard_negative,
            p.answer_class,
            p.score,
            p.score_raw,
            p.score_scale,
            p.negative_score,
        )
        for p in pairs(store)
    ]


def triplets(store: Store, count: int, first: int = 1, **fields: object) -> list[int]:
    """Put imported NLI triplets into the project."""
    source = make_source(store)
    return add(
        store,
        (
            new_pair(
                n,
                **{
                    "system": "nli",
                    "kind": "nli",
                    "source_id": source,
                    "line": n,
                    "hard_negative": f"something else {n} .",
                    **fields,
                },
            )
            for n in range(first, first + count)
        ),
    )


def kinds(events: list[Event]) -> Counter[str]:
    return Counter(type(event).__name__ for event in events)


async def test_two_answers_make_one_triplet_and_two_scores_whatever_the_order_and_the_faults(
    tmp_path: Path, llm_server: Factory
) -> None:
    recipe, outcomes = recipe_of("multicsr"), []
    for concurrency in (1, 16):
        server = llm_server(faults=FAULTS)
        with Store.create(tmp_path / str(concurrency)) as store:
            fill(store, [*SEEDS, *MORE])
            events = await run(
                Generation(store, recipe, RunOptions(), desk(store, server, concurrency=concurrency))
            )
            progress = finished(events).progress
            assert progress.planned == 16 == progress.answered + sum(progress.failed.values())
            outcomes.append((content(store), progress.failed))
            if concurrency == 1:
                continue
            found = status(store, recipe)
            assert (found.planned, found.answered, found.failed) == (16, progress.answered, progress.failed)
            lost = [event for event in events if isinstance(event, CallFailed) and event.final]
            assert Counter(event.reason for event in lost) == progress.failed
            assert all(event.detail.startswith(("positive: ", "hard negative: ")) for event in lost)
            assert {event.detail.split(":")[0] for event in lost} == {"positive", "hard negative"}
            for item in store.items.failed(requests_id(recipe)):
                one = trouble(store, recipe, item)
                assert one is not None and one.title == "triplet"
                call = call_of(store, recipe, one)
                assert call is not None and call.stage == one.stage
                assert one.reason in ("unparsed", "empty", "refused"), one.reason
                if one.reason == "empty":
                    assert "cannot be true" in call.prompt, "the call of the side that failed"
            server.control(faults=[])
            before = len(server.log())
            events = await run(Generation(store, recipe, RunOptions(kind="retry"), desk(store, server)))
            assert finished(events).progress.answered == 16
            for pair in pairs(store):
                assert pair.hard_negative and pair.score is not None and pair.negative_score is not None
                assert (pair.system, pair.score_scale, pair.generate_key != pair.negative_key) == (
                    "multicsr",
                    "0-5",
                    True,
                )
                assert pair.score == pytest.approx(float(pair.score_raw or "nan") / 5)
            prompts = Counter(line["prompt"] for line in server.log()[before:])
            assert not prompts - Counter(set(prompts)), "what was answered is not asked again"
    assert outcomes[0] == outcomes[1]


async def test_events_tell_of_both_sides(store: Store, llm_server: Factory) -> None:
    fill(store, SEEDS)
    recipe = recipe_of("multicsr")
    events = await run(Generation(store, recipe, RunOptions(limit=1), desk(store, llm_server())))
    found = kinds(events)
    assert (found["AnswerLanded"], found["PairGenerated"], found["PairScored"]) == (4, 1, 1)
    (pair,) = pairs(store)
    made = next(event for event in events if isinstance(event, PairGenerated))
    scored = next(event for event in events if isinstance(event, PairScored))
    assert (made.text_b, made.hard_negative, made.title) == (pair.text_b, pair.hard_negative, "triplet")
    assert (scored.score, scored.negative_score) == (pair.score, pair.negative_score)
    landed = {event.key for event in events if isinstance(event, AnswerLanded)}
    assert {pair.generate_key, pair.negative_key, pair.score_key} <= landed


async def test_a_stop_between_the_two_answers_asks_the_other_one_later_and_none_twice(
    store: Store, llm_server: Factory
) -> None:
    fill(store, SEEDS)
    server, recipe = llm_server(options={"latency": 0.3}), recipe_of("multicsr")
    generation = Generation(store, recipe, RunOptions(), desk(store, server, concurrency=1))
    async for event in generation.events():
        if isinstance(event, CallStarted):
            generation.stop()
    assert pairs(store) == [], "one answer is no triplet"
    assert status(store, recipe).open == 4
    assert len(server.log()) == 1
    server.control(options={"latency": 0})
    assert (
        finished(await run(Generation(store, recipe, RunOptions(), desk(store, server)))).progress.answered == 4
    )
    assert set(Counter(line["prompt"] for line in server.log()).values()) == {1}
    assert len(server.log()) == 16


async def test_another_prompt_for_the_hard_negative_makes_another_triplet_of_the_same_positive(
    store: Store, llm_server: Factory
) -> None:
    fill(store, SEEDS[:1])
    server, recipe = llm_server(), recipe_of("multicsr")
    other = set_field(
        recipe,
        "prompts.multicsr.contradiction",
        "Premise: {sentence}\nWrite one sentence that cannot be true, whatever happens.\nSentence:",
    )
    for used in (recipe, other):
        await run(Generation(store, used, RunOptions(), desk(store, server)))
    one, two = pairs(store)
    assert one.generate_key == two.generate_key
    assert one.hard_negative == two.hard_negative and one.negative_key != two.negative_key
    asked = [line["prompt"] for line in server.log() if "must be true" in line["prompt"]]
    assert len(asked) == 1


async def test_imported_triplets_are_scored_where_they_lack_a_score(store: Store, llm_server: Factory) -> None:
    given = NewScore(score=0.75, raw="0.75", scale="0-1")
    triplets(store, 2, score=given, negative_score=0.25)
    triplets(store, 1, first=3, score=given)
    open_ = triplets(store, 4, first=4)
    server = llm_server(faults=[{"kind": "400_length", "match": "generated 5 text"}])
    plain = recipe_of("clhaif")
    plan = estimate_plan(store, plain, PRICE)
    assert (plan.seeds, plan.triplets, plan.generate.calls, plan.score.calls) == (0, 4, 0, 4)
    assert plan.usd is not None and plan.usd[0] > 0
    scope, page = requests_id(plain), [(open_[0], None)]
    assert store.triplets.wanted(scope, False, size=1) == page
    assert store.triplets.wanted(scope, False, after=open_[0], size=1) == [(open_[1], None)]
    assert store.triplets.wanted(scope, False, limit=4) == page, "the limit counts those that need nothing too"
    limited = await run(Generation(store, plain, RunOptions(limit=4), desk(store, server)))
    assert (finished(limited).progress.planned, finished(limited).progress.answered) == (4, 4)
    assert finished(limited).message == "All 4 planned triplets are answered."
    assert status(store, plain).planned == 4
    events = await run(Generation(store, plain, RunOptions(), desk(store, server)))
    progress = finished(events).progress
    assert (progress.planned, progress.answered, progress.failed) == (7, 6, {"context_length": 1})
    found = status(store, plain)
    assert (found.planned, found.answered, found.failed, found.open) == (7, 6, progress.failed, 0)
    (item,) = store.items.failed(requests_id(plain))
    one = trouble(store, plain, item)
    assert one is not None and one.seed is None
    assert (one.stage, one.title, one.anchor) == ("score", "triplet", "seed 5 sentence .")
    call = call_of(store, plain, one)
    assert call is not None and call.reason == "context_length"
    server.control(faults=[])
    before = len(server.log())
    await run(Generation(store, plain, RunOptions(kind="retry"), desk(store, server)))
    assert len(server.log()) == before + 1
    assert status(store, plain).failed == {}
    rows = pairs(store)
    assert [row.score for row in rows[:3]] == [0.75] * 3, "a score that came with the file stays"
    assert all(row.score is not None and row.negative_score is None for row in rows[3:])
    # With the hard negative scored too, six of the seven lack something, and CLHAIF's answers serve again.
    both, before = recipe_of("clhaif-negatives"), len(server.log())
    await run(Generation(store, both, RunOptions(), desk(store, server)))
    asked = [line["prompt"] for line in server.log()[before:]]
    assert len(asked) == 6, "five hard negatives, and the positive that came with a score of its own"
    assert sum("something else" in prompt for prompt in asked) == 5
    assert all(row.negative_score is not None for row in pairs(store))
    assert status(store, both).answered == 7
    # A person's rescore of one triplet settles it for the plan, too.
    other = set_field(both, "score.prompt", "score-and-reason")
    assert status(store, other).open == 5
    await run(Scoring(store, other, desk(store, server), [open_[0]]))
    assert status(store, other).open == 4


async def test_a_system_that_reads_both_does_its_seeds_and_then_the_triplets(
    store: Store, llm_server: Factory
) -> None:
    fill(store, SEEDS[:2])
    triplets(store, 2)
    recipe = replace(recipe_of("claif-scaled"), rates=(0.0, 0.5))
    plan = estimate_plan(store, recipe, PRICE)
    assert (plan.items, plan.triplets, plan.generate.calls, plan.score.calls) == (4, 2, 4, 8)
    events = await run(Generation(store, recipe, RunOptions(), desk(store, llm_server())))
    progress = finished(events).progress
    assert (progress.planned, progress.answered) == (6, 6)
    assert Counter(pair.system for pair in pairs(store)) == {"claif": 4, "nli": 2}
    assert status(store, recipe).open == 0
    trials = [
        trial
        async for trial in try_recipe(
            store, recipe, desk(store, llm_server()), store.seeds.page(limit=1), pairs(store)[-1:]
        )
    ]
    assert sorted(trial.title for trial in trials) == ["0.0", "0.5", "triplet"]
    assert {trial.title: trial.negative_score is not None for trial in trials}["triplet"]


def test_what_a_system_cannot_work_on_is_said_with_what_to_import(store: Store) -> None:
    with pytest.raises(UsageError) as none:
        require_work(store, recipe_of("clhaif"))
    assert "no triplets" in none.value.message and "--as triplets" in none.value.hint
    with pytest.raises(UsageError) as either:
        require_work(store, recipe_of("multicsr"))
    assert "neither" in either.value.message and "--as triplets" in either.value.hint
    triplets(store, 1)
    require_work(store, recipe_of("clhaif"))
    require_work(store, recipe_of("multicsr"))
    with pytest.raises(UsageError) as seeds:
        require_work(store, recipe_of("syncse-partial"))
    assert "does not read its 1 triplets" in seeds.value.message and "clhaif" in seeds.value.hint
    fill(store, SEEDS[:1])
    require_work(store, recipe_of("syncse-partial"))


@pytest.mark.parametrize("preset", PRESET_NAMES)
def test_a_recipe_that_needs_logits_is_refused_where_there_are_none(preset: str) -> None:
    recipe = recipe_of(preset)
    require_decoding(recipe, Profile(name="here", kind="local", model="tiny"))
    for profile in (
        Profile(name="test", base_url="http://127.0.0.1/v1"),
        Profile(name="offline", kind="offline"),
    ):
        if preset not in ("dino-local", "multicsr-local"):
            require_decoding(recipe, profile)
            continue
        with pytest.raises(UsageError) as refused:
            require_decoding(recipe, profile)
        assert "logits" in refused.value.message and profile.name in refused.value.message
        assert "There, " in refused.value.hint and "--model local:" in refused.value.hint


def test_a_recipe_without_scores_cannot_score(store: Store, llm_server: Factory) -> None:
    (pair_id,), server = triplets(store, 1), llm_server()
    for preset in ("syncse-partial", "dino-api"):
        with pytest.raises(UsageError, match="asks for no scores"):
            Scoring(store, recipe_of(preset), desk(store, server), [pair_id])
