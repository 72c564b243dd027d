"""A generation run as one async stream of events: plan, generate, score. No interface, no SQL, no transport.

The terminal app and the command line are two readers of ``Generation.events``; neither owns logic. Whatever
the order in which answers arrive, the same project, recipe and seed give the same pairs.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass

from claif_tui.core.answers import CleanAnswer
from claif_tui.core.asking import Ended, Reply, Subject
from claif_tui.core.desk import Desk
from claif_tui.core.events import PairGenerated
from claif_tui.core.llm.base import Reason
from claif_tui.core.models import NewPair
from claif_tui.core.planning import Planned, RunOptions, walk
from claif_tui.core.recipes import Recipe
from claif_tui.core.run import Run
from claif_tui.core.store.items import ItemState
from claif_tui.core.store.store import Store
from claif_tui.core.systems.registry import system_of


@dataclass(frozen=True, slots=True)
class _Made:
    """A stored pair of an item."""

    pair_id: int
    text: str
    fresh: bool


class Generation(Run[Planned]):
    """One run over the project's seeds: every planned pair ends generated and scored, or failed with its reason."""

    def __init__(self, store: Store, recipe: Recipe, options: RunOptions, desk: Desk) -> None:
        super().__init__(store, recipe, desk, options.kind)
        self._options = options

    def _args(self) -> dict[str, object]:
        return {"limit": self._options.limit, "split": self._options.split}

    def _count(self) -> None:
        store, options = self._store, self._options
        unique, occurrences, last = store.seeds.planned(options.split, options.limit)
        settled = store.items.counts(self._scope, last)
        self._tally.planned = system_of(self._recipe).planned(self._recipe, unique, occurrences)
        self._tally.answered = settled.answered
        self._tally.failed = Counter(settled.failed)

    def _items(self) -> AsyncIterator[Planned]:
        return walk(self._store, self._recipe, self._options)

    async def _settle(self, item: Planned) -> None:
        """Bring one planned pair as far as it goes: generated, scored, or failed with its reason."""
        if item.failed:
            self._tally.failed[item.failed] -= 1
        try:
            made = await self._generate(item)
            if made is not None:
                await self._score(item, made)
        except Ended:
            if item.failed:
                self._tally.failed[item.failed] += 1
            raise

    async def _generate(self, planned: Planned) -> _Made | None:
        """Return the item's pair, made now or before; None if it failed or is not worth a score."""
        item, recipe = planned.item, self._recipe
        made_before = planned.settled is not None and planned.settled.pair_id is not None
        subject = Subject(seed_id=item.seed.id, rate=item.rate or 0.0, text=item.subject)
        reply = await self._asking.ask(
            item.asks[0],
            subject,
            system_of(recipe).read(recipe, item, 0),
            occurrence=planned.occurrence,
            retry=planned.failed is not None and not made_before,
            known=planned.known,
        )
        clean = reply.value
        if clean is None:
            await self._fail(planned, subject, reply.key, reply.reason, reply.detail)
            return None
        made = await self._store.awrite(lambda connection: self._record_pair(connection, planned, clean, reply))
        if made.fresh:
            self._stream.put(
                PairGenerated(
                    key=reply.key,
                    pair_id=made.pair_id,
                    seed_id=item.seed.id,
                    rate=item.rate or 0.0,
                    text_a=item.seed.text,
                    text_b=made.text,
                    answer_class=clean.answer_class,
                )
            )
        if clean.answer_class != "ok":
            self._tally.answered += 1
            return None
        return made

    def _record_pair(
        self,
        connection: sqlite3.Connection,
        planned: Planned,
        clean: CleanAnswer,
        reply: Reply[CleanAnswer],
    ) -> _Made:
        """Keep the pair and that its item has one, together (on the writer's thread)."""
        item = planned.item
        pair_id, fresh = self._store.pairs.add(
            connection,
            NewPair(
                system=self._recipe.system,
                seed_id=item.seed.id,
                run_id=self._run_id,
                recipe_id=self._version,
                text_a=item.seed.text,
                generated=clean.text,
                rate=item.rate,
                occurrence=planned.occurrence,
                masked=None if item.masked is None else item.masked.text,
                merged=item.masked is not None and item.masked.merged,
                answer_class=clean.answer_class,
                model=reply.model or self._recipe.model,
                generate_key=reply.key,
                split=item.seed.split,
            ),
        )
        state: ItemState = "generated" if clean.answer_class == "ok" else "unscorable"
        self._store.items.put(connection, self._scope, planned.place, state, pair_id=pair_id)
        return _Made(pair_id, clean.text, fresh)

    async def _score(self, planned: Planned, made: _Made) -> None:
        seed, rate = planned.item.seed, planned.item.rate or 0.0
        text = f"{seed.text} ⟷ {made.text}"
        subject = Subject(seed_id=seed.id, rate=rate, text=text, pair_id=made.pair_id)
        retry = planned.failed is not None and not made.fresh
        reply = await self._ask_score(subject, seed.text, made.text, retry=retry)
        if reply.value is None or reply.value.value is None:
            await self._fail(planned, subject, reply.key, reply.reason, reply.detail)
            return
        items, scope, place = self._store.items, self._scope, planned.place
        await self._keep_score(
            subject,
            reply,
            (seed.text, made.text),
            lambda connection: items.put(connection, scope, place, "scored", pair_id=made.pair_id),
        )

    async def _fail(
        self, planned: Planned, subject: Subject, key: str, reason: Reason | None, detail: str
    ) -> None:
        """Record why an item has no (scored) pair; end the run where every other item would fail alike."""
        why: Reason = reason or "unparsed"
        self._end_if_hopeless(why)
        items, scope, place = self._store.items, self._scope, planned.place
        await self._store.awrite(
            lambda connection: items.put(
                connection, scope, place, "failed", reason=why, pair_id=subject.pair_id
            )
        )
        self._tell_failure(subject, key, "generate" if subject.pair_id is None else "score", why, detail)
