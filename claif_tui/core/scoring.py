"""Scoring pairs that are there already: imported ones, edited ones, and those a reviewer wants judged again.

No plan of its own: it asks the recipe's scoring prompt for the pairs it is given. Generation scores its own.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Sequence

from claif_tui.core.asking import Subject
from claif_tui.core.desk import Desk
from claif_tui.core.llm.base import Reason
from claif_tui.core.models import Pair, RunKind
from claif_tui.core.recipes import Recipe
from claif_tui.core.run import Run
from claif_tui.core.store.codes import RESCORE
from claif_tui.core.store.store import Store

PAGE = 200


class Scoring(Run[Pair]):
    """One run that gives scores to the pairs ``ids``.

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
        pair, seed_id = item, item.seed_id
        subject = Subject(
            seed_id=seed_id or 0, rate=pair.rate or 0.0, text=f"{pair.text_a} ⟷ {pair.text_b}", pair_id=pair.id
        )
        anew = self._again or RESCORE in pair.flags
        reply = await self._ask_score(subject, pair.text_a, pair.text_b, anew=anew)
        if reply.value is None or reply.value.value is None:
            reason: Reason = reply.reason or "unparsed"
            self._end_if_hopeless(reason)
            self._tell_failure(subject, reply.key, "score", reason, reply.detail)
            return

        def settle_plan(connection: sqlite3.Connection) -> None:
            if seed_id is not None:
                self._store.items.scored(connection, self._scope, seed_id, pair.id)

        await self._keep_score(subject, reply, (pair.text_a, pair.text_b), settle_plan)
