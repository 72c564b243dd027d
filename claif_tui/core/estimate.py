"""What a run would ask and cost, as a range, before anything is sent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from claif_tui.core.llm import budget
from claif_tui.core.llm.base import Price
from claif_tui.core.models import Seed
from claif_tui.core.recipes import Recipe
from claif_tui.core.systems import base, claif
from claif_tui.core.systems.registry import system_of

SAMPLE = 50
"""Seeds that are really rendered for an estimate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Planned calls of a run and what they take; re-asks and retries come on top."""

    seeds: int
    generate: budget.Estimate
    score: budget.Estimate
    price: Price | None

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
    recipe: Recipe, sample: Sequence[Seed], unique: int, occurrences: int, price: Price | None
) -> Plan:
    """Estimate a run over ``unique`` seeds (``occurrences`` with repeats) from a ``sample`` of them."""
    items = list(system_of(recipe).plan(recipe, sample[:SAMPLE]))
    asks = [base.request(recipe, item.asks[0], "", 0) for item in items]
    # A generated sentence is about as long as its original.
    scored = [claif.score_ask(recipe, seed.text, seed.text) for seed in sample[:SAMPLE]]
    scores = [base.request(recipe, ask, "", 0) for ask in scored]
    calls = system_of(recipe).planned(recipe, unique, occurrences)
    return Plan(
        seeds=unique,
        generate=budget.estimate(asks, calls, price),
        score=budget.estimate(scores, calls, price),
        price=price,
    )
