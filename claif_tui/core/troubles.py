"""What failed and what the model really said: planned pairs without an outcome, each with the call behind it.

Nothing is asked here; ``retry`` does that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from claif_tui.core.addressing import call_key
from claif_tui.core.systems import base
from claif_tui.core.systems.registry import system_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from claif_tui.core.models import Call, Seed
    from claif_tui.core.recipes import Recipe
    from claif_tui.core.store.items import Item
    from claif_tui.core.store.store import Store

T = TypeVar("T")

ATTEMPTS = 20
OCCURRENCES = 10
"""How many addresses are tried for one item: re-asks and retries raise the first, equal requests the second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """One failed item: its anchor, what it was asked (the masked sentence, or what is scored), and why it failed.

    ``seed`` is None for an imported triplet. ``title`` tells the items of a seed apart, in short words.
    """

    item: Item
    seed: Seed | None
    anchor: str
    stage: str
    title: str
    asked: str
    hard_negative: str | None = None

    @property
    def reason(self) -> str:
        """The failure class."""
        return self.item.reason or "unknown"


def trouble(store: Store, recipe: Recipe, item: Item) -> Trouble | None:
    """Return a failed item with its texts; None if its seed or pair is gone."""
    seed = store.seeds.get(item.seed_id)
    planned = None if seed is None else _planned(recipe, seed, item)
    title = planned.title if planned is not None else "triplet" if seed is None else ""
    if item.pair_id is not None:
        pair = store.pairs.get(item.pair_id)
        if pair is None:
            return None
        # What was generated is what the run scored; of an imported triplet it is what stands now.
        made = seed is not None
        return Trouble(
            item=item,
            seed=seed,
            anchor=pair.text_a,
            stage="score",
            title=title,
            asked=pair.generated if made else pair.text_b,
            hard_negative=pair.generated_negative if made else pair.hard_negative,
        )
    if seed is None:
        return None
    asked = planned.subject if planned else seed.text
    return Trouble(item=item, seed=seed, anchor=seed.text, stage="generate", title=title, asked=asked)


def call_of(store: Store, recipe: Recipe, found: Trouble) -> Call | None:
    """Return the latest call of a failed item, its raw answer included; None where it cannot be told.

    Of two that belong together it is the one that failed.
    """
    system, item = system_of(recipe), found.item
    if found.stage == "score":
        read_score = system.read_score(recipe)
        asks = system.score_asks(recipe, found.anchor, found.asked, found.hard_negative)
        return _culprit([(_latest(store, ask, None), read_score) for ask in asks])
    planned = None if found.seed is None else _planned(recipe, found.seed, item)
    if planned is None:
        return None
    return _culprit(
        [
            (_latest(store, ask, item.seed_id), system.read(recipe, planned, part))
            for part, ask in enumerate(planned.asks)
        ]
    )


def _latest(store: Store, ask: base.Ask, seed_id: int | None) -> Call | None:
    """Return the last call of a question: of any occurrence that was asked for the seed, or the first for None."""
    for occurrence in range(OCCURRENCES if seed_id is not None else 1):
        keys = [call_key(ask.identity, occurrence, attempt) for attempt in range(ATTEMPTS)]
        known = store.calls.known(keys)
        ours = [known[key] for key in keys if key in known]
        if ours and (seed_id is None or ours[-1].seed_id == seed_id):
            return ours[-1]
    return None


def _culprit(calls: Sequence[tuple[Call | None, base.Reader[T]]]) -> Call | None:
    """Return the first call that failed or whose answer its reader cannot use, else any."""
    there = [(call, read) for call, read in calls if call is not None]
    for call, read in there:
        raw = base.RawAnswer(text=call.raw or "", finish_reason=call.finish_reason)
        if call.state != "answered" or read(raw).reason is not None:
            return call
    return there[0][0] if there else None


def _planned(recipe: Recipe, seed: Seed, item: Item) -> base.PlanItem | None:
    plan = system_of(recipe).plan(recipe, [seed])
    return next((p for p in plan if p.slot == item.rate and p.copy == item.copy), None)
