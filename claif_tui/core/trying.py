"""Trying a recipe on a few seeds before a run: real requests, real answers, no pairs made.

The answers are kept under their content address, so a later run of the same recipe does not buy them again.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from claif_tui.core.answers import CleanAnswer
from claif_tui.core.asking import Asker, Reply, Subject, together
from claif_tui.core.desk import Desk
from claif_tui.core.models import Pair, RunState, Seed
from claif_tui.core.planning import rank, triplet_place, writes
from claif_tui.core.recipes import Recipe, recipe_id, requests_id, to_json
from claif_tui.core.run import Texts, about, side
from claif_tui.core.store.items import OccurrenceCounter
from claif_tui.core.store.store import Store
from claif_tui.core.systems import base
from claif_tui.core.systems.material import material_of
from claif_tui.core.systems.registry import system_of
from claif_tui.core.systems.sentences import read_sentences, wish

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What came of one planned item, or of one imported triplet. ``failure`` says why there is no answer or score.

    ``place`` and ``title`` tell the items of one anchor apart; ``seed`` is None for a triplet. A score that no model
    gave is the item's label. ``negative`` and ``negative_score`` are of a triplet's hard negative.
    """

    place: tuple[int, int, int]
    seed: Seed | None
    anchor: str
    title: str
    rate: float | None
    masked: str
    answer: CleanAnswer | None = None
    negative: CleanAnswer | None = None
    score: float | None = None
    negative_score: float | None = None
    reason: str = ""
    failure: str = ""


async def try_recipe(
    store: Store,
    recipe: Recipe,
    desk: Desk,
    seeds: Sequence[Seed],
    triplets: Sequence[Pair] = (),
    *,
    write: int = 0,
) -> AsyncIterator[Trial]:
    """Ask everything the recipe would ask about ``seeds`` and ``triplets``; yield each outcome as it lands.

    A system that has its sentences written is asked for some first where ``seeds`` are none, and up to ``write`` of
    those are tried; they are no seeds of the project yet.

    Raises ``ClaifError`` if the endpoint cannot be used. Closing the iterator ends the run.
    """
    version = recipe_id(recipe)

    def take() -> int:
        store.recipes.save(version, to_json(recipe))
        args = {"seeds": len(seeds), **desk.terms()}
        run = store.runs.start("try", version, recipe.profile, recipe.model, args)
        store.calls.recover()
        store.ledger.set_cap(requests_id(recipe), desk.cap_nano)
        return run.id

    run_id = await asyncio.to_thread(take)
    state: RunState = "stopped"
    tasks: list[asyncio.Task[Trial]] = []
    try:
        await desk.open()
        asker = Asker(store, recipe, desk, run_id, lambda _: None)
        counter = OccurrenceCounter()
        if writes(recipe) and not seeds:
            seeds, failed = await _written(recipe, asker, write)
            if failed is not None:
                yield failed
        reads = system_of(recipe).reads
        ranked = rank(recipe, list(seeds) if "seeds" in reads else [], counter)
        counter.close()
        tasks = [asyncio.create_task(_try(recipe, asker, item, ranks)) for item, ranks in ranked]
        if "triplets" in reads:
            tasks += [asyncio.create_task(_try_triplet(recipe, asker, pair)) for pair in triplets]
        for done in asyncio.as_completed(tasks):
            yield await done
        state = "finished"
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await desk.close()
        await asyncio.to_thread(store.runs.set_state, run_id, state)


def trials_of(recipe: Recipe, seeds: Sequence[Seed], triplets: Sequence[Pair] = ()) -> int:
    """Return how many trials ``try_recipe`` yields."""
    reads = system_of(recipe).reads
    items = sum(1 for _ in system_of(recipe).plan(recipe, seeds)) if "seeds" in reads else 0
    return items + (len(triplets) if "triplets" in reads else 0)


async def _written(recipe: Recipe, asker: Asker, count: int) -> tuple[list[Seed], Trial | None]:
    """Ask the first request for sentences; return up to ``count`` of them, or the trial that failed."""
    first = wish(recipe, material_of(recipe), 0)
    subject = Subject(seed_id=0, text=first.title, title="sentences")
    reply = await asker.ask(first.ask, subject, read_sentences(recipe))
    if reply.value is None:
        failure = _why([reply])
        return [], Trial(
            place=(0, 0, 0),
            seed=None,
            anchor=first.title,
            title=subject.title,
            rate=None,
            masked=first.title,
            failure=failure,
        )
    # Numbers below zero: they stand for no seed of the project.
    return [
        Seed(id=-line, text=text, split="train", source_id=0, line=line)
        for line, text in reply.value.kept[:count]
    ], None


async def _try(recipe: Recipe, asker: Asker, item: base.PlanItem, ranks: tuple[int, ...]) -> Trial:
    system, seed = system_of(recipe), item.seed
    subject = Subject(seed_id=seed.id, text=item.subject, title=item.title, rate=item.rate)
    replies = await together(
        [
            asker.ask(ask, subject, system.read(recipe, item, part), occurrence=place)
            for part, (ask, place) in enumerate(zip(item.asks, ranks, strict=True))
        ]
    )
    answers = [reply.value for reply in replies]
    trial = Trial(
        place=item.place,
        seed=seed,
        anchor=seed.text,
        title=item.title,
        rate=item.rate,
        masked=item.subject,
        answer=answers[0],
        negative=answers[1] if len(answers) > 1 else None,
        failure=_why(replies),
    )
    good = [answer.text for answer in answers if answer is not None and answer.answer_class == "ok"]
    if len(good) < len(answers):
        return trial
    texts = (seed.text, good[0], good[1] if len(good) > 1 else None)
    return await _try_scores(recipe, asker, trial, subject, texts, item)


async def _try_triplet(recipe: Recipe, asker: Asker, pair: Pair) -> Trial:
    subject, texts = about(pair)
    trial = Trial(
        place=triplet_place(pair.id),
        seed=None,
        anchor=pair.text_a,
        title="triplet",
        rate=None,
        masked=pair.text_a,
        answer=CleanAnswer(text=pair.text_b, answer_class=pair.answer_class),
        negative=CleanAnswer(text=pair.hard_negative or "", answer_class=pair.answer_class),
    )
    return await _try_scores(recipe, asker, trial, subject, texts, None)


async def _try_scores(
    recipe: Recipe, asker: Asker, trial: Trial, subject: Subject, texts: Texts, item: base.PlanItem | None
) -> Trial:
    system = system_of(recipe)
    label = None if item is None else item.label
    asks = system.score_asks(recipe, *texts)
    if not asks:
        return replace(trial, score=label)
    read = system.read_score(recipe)
    replies = await together([asker.ask(ask, subject, read, reasks=recipe.reasks) for ask in asks])
    values = [None if reply.value is None else reply.value.value for reply in replies]
    reason = "" if replies[0].value is None else replies[0].value.reason
    score, failure, answer = values[0], _why(replies), trial.answer
    if item is not None and label is not None and score is not None:
        answer = None if answer is None else replace(answer, answer_class=system.verdict(recipe, item, score))
        reason, score = f"the check says {score:.2f}", label
    return replace(
        trial,
        answer=answer,
        score=score,
        negative_score=values[1] if len(values) > 1 else None,
        reason=reason,
        failure=failure,
    )


def _why(replies: Sequence[Reply[T]]) -> str:
    """Say what failed, of every side."""
    return "; ".join(
        f"{side(part, len(replies))}{reply.reason}: {reply.detail}".rstrip(": ")
        for part, reply in enumerate(replies)
        if reply.reason is not None
    )
