"""Scoring pairs that are there already: imported ones, edited ones, and those a reviewer wants judged again.

No plan of its own: it asks the recipe's scoring prompt for the pairs it is given. Generation scores its own.
"""

from __future__ import annotations

import asyncio
import sqlite3
from array import array
from collections.abc import AsyncIterator, Sequence

from claif_tui.core.desk import Desk
from claif_tui.core.errors import UsageError
from claif_tui.core.llm.base import Reason
from claif_tui.core.models import Pair, RunKind
from claif_tui.core.planning import scores_asked, triplet_place
from claif_tui.core.recipes import Recipe
from claif_tui.core.run import Run, about, side, unscored
from claif_tui.core.store.codes import RESCORE
from claif_tui.core.store.store import Store
from claif_tui.core.systems.registry import system_of

PAGE = 200


class Scoring(Run[Pair]):
    """One run that gives scores to the pairs ``ids``; ``UsageError`` where the recipe's system asks for none.

    ``again`` asks anew even where a stored answer would do; so does a pair's own wish for a rescore.
    """

    def __init__(
        self,
        store: Store,
        recipe: Recipe,
        desk: Desk,
        ids: Sequence[int],
        *,
        kind: RunKind = "score",
        again: bool = False,
    ) -> None:
        require_scores(recipe)
        super().__init__(store, recipe, desk, kind)
        self._ids = ids
        self._again = again

    def _args(self) -> dict[str, object]:
        return {"pairs": len(self._ids), "again": self._again}

    def _count(self) -> None:
        self._tally.planned = len(self._ids)

    async def _items(self) -> AsyncIterator[Pair]:
        for start in range(0, len(self._ids), PAGE):
            page = self._ids[start : start + PAGE]
            for pair in await asyncio.to_thread(self._store.pairs.many, page):
                yield pair

    async def _settle(self, item: Pair) -> None:
        subject, texts = about(item)
        anew = self._again or RESCORE in item.flags
        replies = await self._ask_scores(subject, texts, anew=anew)
        if (bad := unscored(replies)) is not None:
            part, reply = bad
            reason: Reason = reply.reason or "unparsed"
            self._end_if_hopeless(reason)
            detail = side(part, len(replies)) + reply.detail
            self._tell_failure(subject, reply.key, "score", reason, detail)
            return
        items, scope = self._store.items, self._scope

        def settle_plan(connection: sqlite3.Connection) -> None:
            if item.seed_id is not None:
                items.scored(connection, scope, item.seed_id, item.id)
            elif item.hard_negative is not None:
                items.put(connection, scope, triplet_place(item.id), "scored", pair_id=item.id)

        await self._keep_scores(subject, replies, texts, settle_plan)


def require_scores(recipe: Recipe) -> None:
    """Raise ``UsageError`` where no score is the label of the recipe's pairs.

    Dino's check looks at a label while the pair is made, and must not take its place later.
    """
    if recipe.system != "dino" and scores_asked(recipe, triplet=True):
        return
    label = "its labels are fixed by the prompts" if recipe.system == "dino" else "its triplets have no scores"
    raise UsageError(
        f"{recipe.preset} asks for no scores: {label}",
        "Choose a recipe that scores (claif; triplets: multicsr) on screen 3, or claif-tui recipe set preset=claif. "
        "= in Review sets one by hand.",
    )


def taken(store: Store, recipe: Recipe, ids: Sequence[int]) -> tuple[Sequence[int], int]:
    """Return those of ``ids`` that belong to the recipe's system, and how many do not."""
    system, found = system_of(recipe), array("q")
    for start in range(0, len(ids), PAGE):
        pairs = store.pairs.many(ids[start : start + PAGE])
        found.extend(pair.id for pair in pairs if system.takes(pair))
    return found, len(ids) - len(found)
