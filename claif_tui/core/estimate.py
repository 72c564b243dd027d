"""What a run would ask and cost, as a range, before anything is sent."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from claif_tui.core.llm import budget
from claif_tui.core.llm.base import Price, Request
from claif_tui.core.models import Pair, Seed
from claif_tui.core.planning import Written, scores_asked, seeds_of, standing, writes, written
from claif_tui.core.recipes import Recipe
from claif_tui.core.store.store import Store
from claif_tui.core.systems import base
from claif_tui.core.systems.material import SIDES, material_of
from claif_tui.core.systems.registry import system_of
from claif_tui.core.systems.sentences import wish

SAMPLE = 50
"""Seeds, and imported triplets, that are really rendered for an estimate."""

_NOTHING = budget.estimate((), 0, None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Planned calls of a run and what they take; re-asks and retries come on top.

    ``items`` are planned from ``seeds``; ``triplets`` are imported ones whose scores have to be asked for. ``missing``
    of the seeds are sentences that the model writes first, in the requests of ``write``.
    """

    seeds: int
    items: int
    triplets: int
    generate: budget.Estimate
    score: budget.Estimate
    price: Price | None
    missing: int = 0
    write: budget.Estimate = _NOTHING

    @property
    def planned(self) -> int:
        """Items and triplets together."""
        return self.items + self.triplets

    @property
    def calls(self) -> int:
        """Calls for sentences, generation and scoring together."""
        return sum(part.calls for part in self._parts)

    @property
    def tokens(self) -> tuple[int, int]:
        """Prompt and completion tokens together, low and high."""
        spans = [span for part in self._parts for span in (part.tokens_in, part.tokens_out)]
        return sum(low for low, _ in spans), sum(high for _, high in spans)

    @property
    def usd(self) -> tuple[float, float] | None:
        """Dollars, low and high; None when the price is unknown."""
        dollars = [part.usd for part in self._parts if part.calls]
        if self.price is None or any(one is None for one in dollars):
            return None
        known = [one for one in dollars if one is not None]
        return sum(low for low, _ in known), sum(high for _, high in known)

    @property
    def _parts(self) -> tuple[budget.Estimate, ...]:
        return self.write, self.generate, self.score


def estimate(
    recipe: Recipe,
    sample: Sequence[Seed],
    unique: int,
    occurrences: int,
    price: Price | None,
    *,
    triplets: Sequence[Pair] = (),
    count: int = 0,
) -> Plan:
    """Estimate a run over ``unique`` seeds (``occurrences`` with repeats) from a ``sample`` of them.

    ``triplets`` is a sample of the ``count`` imported triplets that the run has to score.
    """
    system = system_of(recipe)
    seeds = sample[:SAMPLE] if "seeds" in system.reads else []
    items = list(system.plan(recipe, seeds))
    asks = [ask for item in items for ask in item.asks]
    planned = system.planned(recipe, unique, occurrences) if "seeds" in system.reads else 0
    # A generated sentence is about as long as its original.
    negative = system.makes == "triplets"
    texts = [(seed.text, seed.text, seed.text if negative else None) for seed in seeds]
    scores = [ask for text in texts for ask in system.score_asks(recipe, *text)]
    imported = [
        ask
        for pair in triplets[:SAMPLE]
        for ask in system.score_asks(recipe, pair.text_a, pair.text_b, pair.hard_negative)
    ]
    per_item = len(asks) // len(items) if items else 1
    return Plan(
        seeds=unique if "seeds" in system.reads else 0,
        items=planned,
        triplets=count,
        generate=budget.estimate(_requests(recipe, asks), planned * per_item, price),
        score=budget.add(
            budget.estimate(_requests(recipe, scores), planned * scores_asked(recipe, triplet=negative), price),
            budget.estimate(_requests(recipe, imported), count * scores_asked(recipe, triplet=True), price),
        ),
        price=price,
    )


def estimate_plan(store: Store, recipe: Recipe, price: Price | None, limit: int | None = None) -> Plan:
    """Estimate the whole plan over the first ``limit`` seeds and triplets from the first of them; blocks."""
    found = standing(store, recipe, limit=limit)
    size = SAMPLE if limit is None else min(SAMPLE, limit)
    count = found.triplets.planned - found.triplets.given
    seeds = list(seeds_of(store, recipe, limit=size)) if found.seeds else []
    plan = estimate(
        recipe,
        seeds or (_examples(recipe) if writes(recipe) else []),
        found.seeds,
        found.occurrences,
        price,
        triplets=store.pairs.many(store.triplets.first(size)) if count else (),
        count=count,
    )
    return _with_sentences(plan, recipe, written(store, recipe, limit), price) if writes(recipe) else plan


def _with_sentences(plan: Plan, recipe: Recipe, found: Written, price: Price | None) -> Plan:
    """Add the requests for sentences that are not written yet; some are repeated, and more requests follow then."""
    requests = -(-found.missing // recipe.scratch_per_request)
    material = material_of(recipe)
    asks = [wish(recipe, material, found.requests + n).ask for n in range(min(requests, SAMPLE))]
    return replace(plan, missing=found.missing, write=budget.estimate(_requests(recipe, asks), requests, price))


def _examples(recipe: Recipe) -> list[Seed]:
    """Return the exemplars' inputs as seeds: sentences that are not written yet are about as long."""
    pools = material_of(recipe)
    texts = [given for side in SIDES for one in pools.pool(side) for given, _ in one.exemplars]
    return [Seed(id=n, text=text, split="train", source_id=0, line=n) for n, text in enumerate(texts, 1)]


def _requests(recipe: Recipe, asks: Iterable[base.Ask]) -> list[Request]:
    return [base.request(recipe, ask, "", 0) for ask in asks]
