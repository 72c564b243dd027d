"""Walking the plan: which items still need something, in plan order, a bounded chunk at a time.

The plan is what the system makes of the seeds, then the imported triplets that it scores. Nothing is asked or written.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from itertools import islice

from claif_tui.core.addressing import call_key
from claif_tui.core.errors import UsageError
from claif_tui.core.models import Call, Pair, RunKind, Seed, Source, Split
from claif_tui.core.recipes import Recipe, requests_id
from claif_tui.core.store.items import Item, OccurrenceCounter
from claif_tui.core.store.seeds import Which
from claif_tui.core.store.store import Store
from claif_tui.core.store.triplets import TripletCounts
from claif_tui.core.systems import base
from claif_tui.core.systems.material import material_of
from claif_tui.core.systems.registry import SYSTEMS, system_of
from claif_tui.core.systems.sentences import written_id

CHUNK_SEEDS = 64
"""Seeds that are planned at a time; with the queue behind it this bounds what a run keeps in memory."""
CHUNK_TRIPLETS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """What part of the plan to run, as opposed to what to ask (the recipe) and how to reach it (the desk).

    ``limit`` is in seeds, and in imported triplets. With kind "retry", ``retry_reasons`` says which failures are asked
    again; None: all.
    """

    kind: RunKind = "generate"
    limit: int | None = None
    split: Split = "train"
    retry_reasons: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Planned:
    """One item that needs something, with what the store knows of it; one rank and known call for each of its asks."""

    item: base.PlanItem
    occurrences: tuple[int, ...]
    known: tuple[Call | None, ...]
    settled: Item | None

    @property
    def place(self) -> tuple[int, int, int]:
        """(seed, slot, copy): where the item's outcome is kept."""
        return self.item.place

    @property
    def failed(self) -> str | None:
        """Why the item failed before, if it did."""
        return self.settled.reason if self.settled is not None and self.settled.state == "failed" else None


@dataclass(frozen=True, slots=True)
class Imported:
    """One imported triplet that needs its scores; ``failed`` says why it got none before, if it was asked about."""

    pair: Pair
    failed: str | None

    @property
    def place(self) -> tuple[int, int, int]:
        """Where the triplet's outcome is kept."""
        return triplet_place(self.pair.id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How a plan stands. ``planned`` items end ``answered`` or ``failed`` (by reason); the rest is open."""

    seeds: int
    occurrences: int
    planned: int
    answered: int
    failed: dict[str, int]
    triplets: TripletCounts


def triplet_place(pair_id: int) -> tuple[int, int, int]:
    """Return where the outcome of an imported triplet is kept: it has no seed."""
    return 0, 0, pair_id


def writes(recipe: Recipe) -> bool:
    """Whether the system has its sentences written first (``claif_tui.core.scratch``), and works on no others."""
    return recipe.system == "syncse-scratch"


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """How far a recipe's sentences are: ``requests`` settled, ``sentences`` of the ``wanted``.

    ``source`` is what holds them, None before the first answer; ``digest`` what it is found by.
    """

    digest: str
    source: Source | None
    requests: int
    sentences: int
    wanted: int

    @property
    def missing(self) -> int:
        """Sentences that are still to be written."""
        return max(0, self.wanted - self.sentences)


def written(store: Store, recipe: Recipe, limit: int | None = None) -> Written:
    """Return how far a recipe's sentences are; ``limit`` as of the plan. Raises ``RecipeError``."""
    digest = written_id(recipe, material_of(recipe))
    found = store.sources.written(digest)
    most = recipe.scratch_sentences
    return Written(
        digest=digest,
        source=found,
        requests=0 if found is None else found.rows,
        sentences=0 if found is None else found.unique,
        wanted=most if limit is None else min(limit, most),
    )


def which_seeds(recipe: Recipe) -> Which:
    """Return which seeds a recipe works on: those written for it, or all that no model wrote."""
    return written_id(recipe, material_of(recipe)) if writes(recipe) else False


def _which(recipe: Recipe, limit: int | None) -> tuple[int | None, Which]:
    """Return how many seeds a plan covers at most (None: all), and which: those written for it, or all others."""
    most = recipe.scratch_sentences
    limit = min(most, most if limit is None else limit) if writes(recipe) else limit
    return limit, which_seeds(recipe)


def seeds_of(store: Store, recipe: Recipe, split: Split = "train", limit: int | None = None) -> Iterator[Seed]:
    """Yield the seeds that a plan covers, in its order."""
    most, which = _which(recipe, limit)
    return store.seeds.iter(splits=(split,), limit=most, written=which)


def scores_asked(recipe: Recipe, *, triplet: bool) -> int:
    """Return how many scores are asked for a pair (0 or 1), or for a ``triplet`` (0 to 2: one a side)."""
    return len(system_of(recipe).score_asks(recipe, "a", "b", "c" if triplet else None))


def standing(store: Store, recipe: Recipe, split: Split = "train", limit: int | None = None) -> Standing:
    """Count the plan over the first ``limit`` seeds and triplets, and what is settled of it."""
    system, scope = system_of(recipe), requests_id(recipe)
    seeds = occurrences = last = planned = 0
    if "seeds" in system.reads:
        most, which = _which(recipe, limit)
        seeds, occurrences, last = store.seeds.planned(split, most, written=which)
        if writes(recipe) and most is not None:
            seeds = occurrences = most  # those that are not written yet are planned all the same
        planned = system.planned(recipe, seeds, occurrences)
    settled = store.items.counts(scope, last)
    triplets = TripletCounts(failed={})
    if "triplets" in system.reads:
        triplets = store.triplets.counts(scope, scores_asked(recipe, triplet=True) == 2, split, limit)
    return Standing(
        seeds=seeds,
        occurrences=occurrences,
        planned=planned + triplets.planned,
        answered=settled.answered + triplets.answered,
        failed=dict(sorted((Counter(settled.failed) + Counter(triplets.failed)).items())),
        triplets=triplets,
    )


def require_work(store: Store, recipe: Recipe) -> None:
    """Raise ``UsageError`` where the project holds nothing for the recipe's system; it says what to import."""
    system = system_of(recipe)
    if writes(recipe):
        return  # it has its sentences written first
    triplets = store.triplets.count()
    if "seeds" in system.reads and next(seeds_of(store, recipe, limit=1), None) is not None:
        return
    if "triplets" in system.reads and triplets:
        return
    if "seeds" not in system.reads:
        raise UsageError(
            f"the project has no triplets, and {system.name} scores imported ones",
            "Import some: claif-tui import --as triplets FILE",
        )
    if triplets and "triplets" not in system.reads:
        others = ", ".join(name for name, other in SYSTEMS.items() if "triplets" in other.reads)
        raise UsageError(
            f"the project has no training seeds, and {system.name} does not read its {triplets:,} triplets",
            f"Import seeds: claif-tui import FILE. Systems that read triplets: {others}.",
        )
    hint = "Import some: claif-tui import FILE"
    if "triplets" in system.reads:
        raise UsageError(
            f"the project has neither training seeds nor triplets for {system.name}",
            f"{hint}, or claif-tui import --as triplets FILE",
        )
    raise UsageError("the project has no training seeds", hint)


def work_remark(store: Store, recipe: Recipe) -> str:
    """Return what a system that reads seeds and triplets will not do, since the project has only one of them; or ""."""
    system = system_of(recipe)
    if not {"seeds", "triplets"} <= system.reads:
        return ""
    if not store.triplets.count():
        return f"no triplets are imported: of {system.name}, only what comes from seeds is made"
    if next(seeds_of(store, recipe, limit=1), None) is None:
        return "there are no training seeds: the imported triplets are scored, and nothing is generated"
    return ""


async def walk(store: Store, recipe: Recipe, options: RunOptions) -> AsyncIterator[Planned | Imported]:
    """Yield the items that are open, or with kind "retry" those that failed and no others, in plan order."""
    reads = system_of(recipe).reads
    if "seeds" in reads:
        async for planned in _walk_seeds(store, recipe, options):
            yield planned
    if "triplets" in reads:
        async for imported in _walk_triplets(store, recipe, options):
            yield imported


async def _walk_seeds(store: Store, recipe: Recipe, options: RunOptions) -> AsyncIterator[Planned]:
    counter = OccurrenceCounter()
    seeds = seeds_of(store, recipe, options.split, options.limit)
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
    settled = store.items.of_seeds(requests_id(recipe), some[0].id, some[-1].id)
    # Settled items are ranked too: the rank is among all identical requests of the plan.
    ranked = [(item, ranks, settled.get(item.place)) for item, ranks in rank(recipe, some, counter)]
    wanted = [entry for entry in ranked if _is_wanted(options, entry[2])]
    keys = [
        tuple(call_key(ask.identity, place, 0) for ask, place in zip(item.asks, ranks, strict=True))
        for item, ranks, _ in wanted
    ]
    known = store.calls.known([key for some_keys in keys for key in some_keys])
    return [
        Planned(item, ranks, tuple(known.get(key) for key in some_keys), before)
        for (item, ranks, before), some_keys in zip(wanted, keys, strict=True)
    ]


def rank(
    recipe: Recipe, seeds: list[Seed], counter: OccurrenceCounter
) -> list[tuple[base.PlanItem, tuple[int, ...]]]:
    """Return the items planned for ``seeds``, each with the ranks of its asks among identical ones so far."""
    items = list(system_of(recipe).plan(recipe, seeds))
    ranks = iter(counter.ranks([ask.identity for item in items for ask in item.asks]))
    return [(item, tuple(islice(ranks, len(item.asks)))) for item in items]


def _is_wanted(options: RunOptions, settled: Item | None) -> bool:
    if options.kind != "retry":
        return settled is None or settled.state == "generated"
    if settled is None or settled.state != "failed":
        return False
    return options.retry_reasons is None or settled.reason in options.retry_reasons


async def _walk_triplets(store: Store, recipe: Recipe, options: RunOptions) -> AsyncIterator[Imported]:
    scope, both = requests_id(recipe), scores_asked(recipe, triplet=True) == 2

    def page(after: int) -> list[Imported]:
        found = dict(
            store.triplets.wanted(
                scope,
                both,
                options.split,
                options.limit,
                after=after,
                size=CHUNK_TRIPLETS,
                failed=options.kind == "retry",
                reasons=options.retry_reasons,
            )
        )
        return [Imported(pair, found[pair.id]) for pair in store.pairs.many(list(found))]

    after = 0
    while some := await asyncio.to_thread(page, after):
        for imported in some:
            yield imported
        after = some[-1].pair.id
