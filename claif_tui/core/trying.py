"""Trying a recipe on a few seeds before a run: real requests, real answers, no pairs made.

The answers are kept under their content address, so a later run of the same recipe does not buy them again.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from claif_tui.core.answers import CleanAnswer
from claif_tui.core.asking import Asker, Reply, Subject
from claif_tui.core.desk import Desk
from claif_tui.core.models import RunState, Seed
from claif_tui.core.recipes import Recipe, recipe_id, requests_id, to_json
from claif_tui.core.scores import ParsedScore
from claif_tui.core.store.items import OccurrenceCounter
from claif_tui.core.store.store import Store
from claif_tui.core.systems import base, claif
from claif_tui.core.systems.readers import read_score
from claif_tui.core.systems.registry import system_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What came of one seed at one rate. ``failure`` says why there is no answer or no score."""

    seed: Seed
    rate: float
    masked: str
    answer: CleanAnswer | None
    score: float | None
    reason: str
    failure: str


async def try_recipe(store: Store, recipe: Recipe, desk: Desk, seeds: Sequence[Seed]) -> AsyncIterator[Trial]:
    """Ask everything the recipe would ask about ``seeds``; yield each outcome as it lands, in any order.

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
        items = list(system_of(recipe).plan(recipe, seeds))
        ranks = counter.ranks([item.asks[0].identity for item in items])
        counter.close()
        tasks = [
            asyncio.create_task(_try(recipe, asker, item, rank))
            for item, rank in zip(items, ranks, strict=True)
        ]
        for done in asyncio.as_completed(tasks):
            yield await done
        state = "finished"
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await desk.close()
        await asyncio.to_thread(store.runs.set_state, run_id, state)


async def _try(recipe: Recipe, asker: Asker, item: base.PlanItem, rank: int) -> Trial:
    text, seed_id = item.seed.text, item.seed.id
    reply = await asker.ask(
        item.asks[0],
        Subject(seed_id=seed_id, rate=item.rate or 0.0, text=item.subject),
        system_of(recipe).read(recipe, item, 0),
        occurrence=rank,
    )
    answer = reply.value
    if answer is None or answer.answer_class != "ok":
        return _trial(item, answer, None, _why(reply))
    scored = await asker.ask(
        claif.score_ask(recipe, text, answer.text),
        Subject(seed_id=seed_id, rate=item.rate or 0.0, text=f"{text} ⟷ {answer.text}"),
        read_score(recipe),
        reasks=recipe.reasks,
    )
    return _trial(item, answer, scored.value, _why(scored))


def _trial(item: base.PlanItem, answer: CleanAnswer | None, score: ParsedScore | None, failure: str) -> Trial:
    return Trial(
        seed=item.seed,
        rate=item.rate or 0.0,
        masked=item.subject,
        answer=answer,
        score=score.value if score is not None else None,
        reason=score.reason if score is not None else "",
        failure=failure,
    )


def _why(reply: Reply[CleanAnswer] | Reply[ParsedScore]) -> str:
    return "" if reply.reason is None else f"{reply.reason}: {reply.detail}".rstrip(": ")
