"""What failed and what the model really said: planned pairs without an outcome, each with the call behind it.

Nothing is asked here; ``retry`` does that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from claif_tui.core.addressing import call_key
from claif_tui.core.systems import base, claif
from claif_tui.core.systems.registry import system_of

if TYPE_CHECKING:
    from claif_tui.core.models import Call, Seed
    from claif_tui.core.recipes import Recipe
    from claif_tui.core.store.items import Item
    from claif_tui.core.store.store import Store

ATTEMPTS = 20
OCCURRENCES = 10
"""How many addresses are tried for one item: re-asks and retries raise the first, equal requests the second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """One failed planned pair: its seed, what it was asked (the masked sentence, or the pair), and why it failed."""

    item: Item
    seed: Seed
    stage: str
    asked: str

    @property
    def reason(self) -> str:
        """The failure class."""
        return self.item.reason or "unknown"

    @property
    def rate(self) -> float:
        """The mask rate, 0..1."""
        return self.item.rate / 1000


def trouble(store: Store, recipe: Recipe, item: Item) -> Trouble | None:
    """Return a failed item with its texts; None if its seed or pair is gone."""
    seed = store.seeds.get(item.seed_id)
    if seed is None:
        return None
    if item.pair_id is not None:
        pair = store.pairs.get(item.pair_id)
        return None if pair is None else Trouble(item=item, seed=seed, stage="score", asked=pair.generated)
    planned = _planned(recipe, seed, item)
    return Trouble(item=item, seed=seed, stage="generate", asked=planned.subject if planned else seed.text)


def call_of(store: Store, recipe: Recipe, found: Trouble) -> Call | None:
    """Return the latest call of a failed item, its raw answer included; None where it cannot be told."""
    item, seed = found.item, found.seed
    if found.stage == "score":
        identity = claif.score_ask(recipe, seed.text, found.asked).identity
    else:
        planned = _planned(recipe, seed, item)
        if planned is None:
            return None
        identity = planned.asks[0].identity
    for occurrence in range(OCCURRENCES if found.stage == "generate" else 1):
        keys = [call_key(identity, occurrence, attempt) for attempt in range(ATTEMPTS)]
        known = store.calls.known(keys)
        ours = [known[key] for key in keys if key in known]
        if ours and (found.stage == "score" or ours[-1].seed_id == item.seed_id):
            return ours[-1]
    return None


def _planned(recipe: Recipe, seed: Seed, item: Item) -> base.PlanItem | None:
    plan = system_of(recipe).plan(recipe, [seed])
    return next((p for p in plan if p.slot == item.rate and p.copy == item.copy), None)
