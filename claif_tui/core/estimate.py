"""What a run would ask and cost, as a range, before anything is sent."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from claif_tui.core.llm import budget
from claif_tui.core.llm.base import Price, Request
from claif_tui.core.models import Pair, Seed
from claif_tui.core.planning import scores_asked, seeds_of, standing
from claif_tui.core.recipes import Recipe
from claif_tui.core.store.store import Store
from claif_tui.core.systems import base
from claif_tui.core.systems.registry import system_of

SAMPLE = 50
"""Seeds, and imported triplets, that are really rendered for an estimate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Planned calls of a run and what they take; re-asks and retries come on top.

    ``items`` are planned from ``seeds``; ``triplets`` are imported ones whose scores have to be asked for.
    """

    seeds: int
    items: int
    triplets: int
    generate: budget.Estimate
    score: budget.Estimate
    price: Price | None

    @property
    def planned(self) -> int:
        """Items and triplets together."""
        return self.items + self.triplets

    @property
    def calls(self) -> int:
        """Generation and scoring calls together."""
        return self.generate.calls + self.score.calls

    @property
    def tokens(self) -> tuple[int, int]:
        """Prompt and completion tokens together, low and high."""
        parts = (self.generate.tokens_in, self.generate.tokens_out, self.score.tokens_in, self.score.tokens_out)
        return sum(low for low, _ in parts), sum(high for _, high in parts)

    @property
    def usd(self) -> tuple[float, float] | None:
        """Dollars, low and high; None when the price is unknown."""
        if self.generate.usd is None or self.score.usd is None:
            return None
        return self.generate.usd[0] + self.score.usd[0], self.generate.usd[1] + self.score.usd[1]


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
    scored = scores_asked(recipe)
    return Plan(
        seeds=unique if "seeds" in system.reads else 0,
        items=planned,
        triplets=count,
        generate=budget.estimate(_requests(recipe, asks), planned * per_item, price),
        score=budget.add(
            budget.estimate(_requests(recipe, scores), planned * scored, price),
            budget.estimate(_requests(recipe, imported), count * scored, price),
        ),
        price=price,
    )


def estimate_plan(store: Store, recipe: Recipe, price: Price | None, limit: int | None = None) -> Plan:
    """Estimate the whole plan over the first ``limit`` seeds and triplets from the first of them; blocks."""
    found = standing(store, recipe, limit=limit)
    size = SAMPLE if limit is None else min(SAMPLE, limit)
    count = found.triplets.planned - found.triplets.given
    return estimate(
        recipe,
        list(seeds_of(store, recipe, limit=size)) if found.seeds else [],
        found.seeds,
        found.occurrences,
        price,
        triplets=store.pairs.many(store.triplets.first(size)) if count else (),
        count=count,
    )


def _requests(recipe: Recipe, asks: Iterable[base.Ask]) -> list[Request]:
    return [base.request(recipe, ask, "", 0) for ask in asks]
