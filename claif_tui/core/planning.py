"""Walking the plan: which planned pairs still need something, in plan order, a bounded chunk at a time.

Nothing is asked or written here.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from itertools import islice

from claif_tui.core.addressing import call_key
from claif_tui.core.models import Call, RunKind, Seed, Split
from claif_tui.core.recipes import Recipe, requests_id
from claif_tui.core.store.items import Item, OccurrenceCounter
from claif_tui.core.store.store import Store
from claif_tui.core.systems import base
from claif_tui.core.systems.registry import system_of

CHUNK_SEEDS = 64
"""Seeds that are planned at a time; with the queue behind it this bounds what a run keeps in memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """What part of the plan to run, as opposed to what to ask (the recipe) and how to reach it (the desk).

    ``limit`` is in seeds. With kind "retry", ``retry_reasons`` says which failures are asked again; None: all.
    """

    kind: RunKind = "generate"
    limit: int | None = None
    split: Split = "train"
    retry_reasons: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Planned:
    """One item that needs something, with what the store knows of it."""

    item: base.PlanItem
    occurrence: int
    known: Call | None
    settled: Item | None

    @property
    def place(self) -> tuple[int, int, int]:
        """(seed, rate in thousandths, copy): where the item's outcome is kept."""
        return self.item.place

    @property
    def failed(self) -> str | None:
        """Why the item failed before, if it did."""
        return self.settled.reason if self.settled is not None and self.settled.state == "failed" else None


async def walk(store: Store, recipe: Recipe, options: RunOptions) -> AsyncIterator[Planned]:
    """Yield the items that are open, or with kind "retry" those that failed and no others, in plan order."""
    counter = OccurrenceCounter()
    seeds = store.seeds.iter(splits=(options.split,), limit=options.limit)
    try:
        while (
            chunk := await asyncio.to_thread(_next_chunk, store, recipe, options, seeds, counter)
        ) is not None:
            for planned in chunk:
                yield planned
    finally:
        counter.close()


def _next_chunk(
    store: Store, recipe: Recipe, options: RunOptions, seeds: Iterator[Seed], counter: OccurrenceCounter
) -> list[Planned] | None:
    """Return what is to be done for the next seeds; None when the plan is through."""
    some = list(islice(seeds, CHUNK_SEEDS))
    if not some:
        return None
    items = list(system_of(recipe).plan(recipe, some))
    # Settled items are ranked too: the rank is among all identical requests of the plan.
    ranks = counter.ranks([item.asks[0].identity for item in items])
    settled = store.items.of_seeds(requests_id(recipe), some[0].id, some[-1].id)
    chunk = [(item, rank, settled.get(item.place)) for item, rank in zip(items, ranks, strict=True)]
    wanted = [entry for entry in chunk if _is_wanted(options, entry[2])]
    keys = [call_key(item.asks[0].identity, rank, 0) for item, rank, _ in wanted]
    known = store.calls.known(keys)
    return [
        Planned(item, rank, known.get(key), before)
        for (item, rank, before), key in zip(wanted, keys, strict=True)
    ]


def _is_wanted(options: RunOptions, settled: Item | None) -> bool:
    if options.kind != "retry":
        return settled is None or settled.state == "generated"
    if settled is None or settled.state != "failed":
        return False
    return options.retry_reasons is None or settled.reason in options.retry_reasons
