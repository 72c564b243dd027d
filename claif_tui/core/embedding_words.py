"""What fetching vectors would ask and cost, in words that the app and the command line share. No arithmetic."""

from __future__ import annotations

from claif_tui.core.embeddings import EmbeddingPlan
from claif_tui.core.models import NANO


def plan_words(planned: EmbeddingPlan) -> list[str]:
    """Return a few lines: where which sentences are asked for, what that takes, the price, the budget."""
    profile = planned.profile
    where = profile.name if profile.name.startswith(profile.host) else f"{profile.name} ({profile.host})"
    total = sum(map(bool, planned.needed.sentences))
    head = f"{planned.spec} at {where}: {total:,} sentences, {planned.stored:,} stored"
    if not planned.missing:
        return [f"{head}: nothing to ask"]
    low, high = planned.tokens
    return [
        head,
        f"{len(planned.missing):,} to ask for in {planned.requests:,} requests, {low:,} to {high:,} tokens",
        _cost(planned),
        *_budget(planned),
    ]


def _cost(planned: EmbeddingPlan) -> str:
    cost, price = planned.cost_nano, planned.price
    if cost is None or price is None:
        return "no price is known for this model (--price-in USD_PER_M)"
    if not cost[1]:
        return "cost nothing"
    day = f", {price.as_of}" if price.as_of else ""
    words = f"${price.input_usd_per_m:g} per million tokens, {price.source}{day}"
    return f"cost {dollars(cost[0])} to {dollars(cost[1])} ({words})"


def _budget(planned: EmbeddingPlan) -> list[str]:
    if planned.cap_nano is not None:
        return [f"budget {dollars(planned.cap_nano)}, of which {dollars(planned.account.spent_nano)} is spent"]
    return ["no budget: nothing but the end stops the spending (--budget USD)"] if planned.costs else []


def dollars(nano: int) -> str:
    """Write nano-dollars for people; small sums keep two digits."""
    value = nano / NANO
    return f"${value:,.2f}" if value == 0 or value >= 0.01 else f"${value:.2g}"
