"""Scoring pairs that are there already: imported ones, edited ones, and those a reviewer wants judged again.

No plan of its own: it asks the recipe's scoring prompt for the pairs it is given. Generation scores its own.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Sequence

from claif_tui.core.asking import Asker, Ended, Subject, read_score
from claif_tui.core.desk import Desk
from claif_tui.core.errors import ClaifError
from claif_tui.core.events import CallFailed, EndState, Event, Finished, PairScored, Progress
from claif_tui.core.llm.base import Reason
from claif_tui.core.models import Pair, RunKind, RunState
from claif_tui.core.progress import EventStream, Tally
from claif_tui.core.recipes import Recipe, recipe_id, requests_id, to_json
from claif_tui.core.run_words import closing_words, fatal_words
from claif_tui.core.store.codes import RESCORE
from claif_tui.core.store.runs import Ask
from claif_tui.core.store.store import Store
from claif_tui.core.systems import claif
from claif_tui.core.watching import watch

PAGE = 200


class Scoring:
    """One run that gives scores to the pairs ``ids``. Read ``events()`` to its end; ``stop`` ends it early.

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
        self._store = store
        self._recipe = recipe
        self._desk = desk
        self._ids = ids
        self._scope = requests_id(recipe)
        self._kind: RunKind = kind
        self._again = again
        self._stream = EventStream()
        self._tally = Tally(planned=len(ids))
        self._end: EndState | None = None
        self._message = ""
        self._asker: Asker | None = None
        self._working: asyncio.Task[None] | None = None
        self._run_id = 0

    def stop(self, state: EndState = "stopped", message: str = "") -> None:
        """End once what is in flight has landed."""
        if self._end is None:
            self._end, self._message = state, message
        if self._asker is not None:
            self._asker.end()

    async def events(self) -> AsyncIterator[Event]:
        """Run, yielding what happens; the last event is ``Finished``. Raises ``ClaifError`` if it cannot start."""
        store, recipe = self._store, self._recipe

        def take() -> int:
            store.recipes.save(recipe_id(recipe), to_json(recipe))
            args = {"pairs": len(self._ids), "again": self._again, **self._desk.terms()}
            run = store.runs.start(self._kind, recipe_id(recipe), recipe.profile, recipe.model, args)
            store.calls.recover()
            store.ledger.set_cap(self._scope, self._desk.cap_nano)
            return run.id

        self._run_id = await asyncio.to_thread(take)
        self._asker = Asker(store, recipe, self._desk, self._run_id, self._emit)
        self._working = asyncio.create_task(self._work())
        try:
            async for event in self._stream.until(self._working, self._progress):
                yield event
            self.stop("finished" if self._working.exception() is None else "failed")
        finally:
            self.stop()
            self._working.cancel()
            await asyncio.wait([self._working])
            finished = await self._finish()
        self._working.result()
        yield finished

    def _emit(self, event: Event) -> None:
        self._tally.note(event)
        self._stream.put(event)

    async def _finish(self) -> Finished:
        await self._desk.close()
        assert self._end is not None
        progress = self._progress()
        message = self._message or closing_words(self._end, progress)
        state: RunState = self._end if self._end in ("finished", "failed") else "stopped"
        totals: dict[str, object] = {"answered": progress.answered, "failed": progress.failed}
        await asyncio.to_thread(self._store.runs.set_state, self._run_id, state, totals, message)
        return Finished(state=self._end, message=message, progress=progress)

    def _progress(self) -> Progress:
        ledger = self._store.ledger.get(self._scope)
        pace = self._desk.caller.pace
        return self._tally.progress(
            in_flight=pace.in_flight,
            limit=pace.limit,
            spent_nano=ledger.spent_nano,
            reserved_nano=ledger.reserved_nano,
            cap_nano=self._desk.cap_nano,
        )

    def _obey(self, wish: Ask) -> None:
        """Do what another process asks of this run; there is no pausing it."""
        if wish == "stop":
            self.stop(message="stopped on request")

    async def _work(self) -> None:
        watching = asyncio.create_task(watch(self._store.runs, self._run_id, self._obey))
        try:
            await self._desk.open()
            queue: asyncio.Queue[Pair | None] = asyncio.Queue(maxsize=PAGE)
            count = self._desk.caller.pace.maximum + 2
            async with asyncio.TaskGroup() as group:
                for _ in range(count):
                    group.create_task(self._worker(queue))
                for start in range(0, len(self._ids), PAGE):
                    page = self._ids[start : start + PAGE]
                    for pair in await asyncio.to_thread(self._store.pairs.many, page):
                        await queue.put(pair)
                    if self._end is not None:
                        break
                for _ in range(count):
                    await queue.put(None)
        except* ClaifError as errors:
            error = errors.exceptions[0]
            text = f"{error.message}. {error.hint}".strip() if isinstance(error, ClaifError) else str(error)
            self.stop("failed", text)
        finally:
            watching.cancel()

    async def _worker(self, queue: asyncio.Queue[Pair | None]) -> None:
        while (pair := await queue.get()) is not None:
            if self._end is None:
                try:
                    await self._score(pair)
                except Ended:
                    continue

    async def _score(self, pair: Pair) -> None:
        assert self._asker is not None
        rate = pair.rate or 0.0
        reply = await self._asker.ask(
            claif.score_ask(self._recipe, pair.text_a, pair.text_b),
            Subject(
                seed_id=pair.seed_id or 0,
                rate=rate,
                text=f"{pair.text_a} ⟷ {pair.text_b}",
                pair_id=pair.id,
            ),
            read_score(self._recipe),
            reasks=self._recipe.reasks,
            anew=self._again or RESCORE in pair.flags,
        )
        parsed = reply.value
        if parsed is None or parsed.value is None:
            self._fail(pair, reply.key, reply.reason or "unparsed", reply.detail)
            return
        score = parsed.value

        def record(connection: sqlite3.Connection) -> None:
            self._store.pairs.put_score(
                connection,
                pair.id,
                score=score,
                raw=parsed.said,
                scale="0-1",
                reason=parsed.reason or None,
                key=reply.key,
                text=pair.text_b,
            )
            if pair.seed_id is not None:
                self._store.items.scored(connection, self._scope, pair.seed_id, pair.id)

        await self._store.awrite(record)
        self._tally.answered += 1
        self._stream.put(
            PairScored(
                key=reply.key,
                pair_id=pair.id,
                seed_id=pair.seed_id or 0,
                rate=rate,
                text_a=pair.text_a,
                text_b=pair.text_b,
                score=score,
            )
        )

    def _fail(self, pair: Pair, key: str, reason: Reason, detail: str) -> None:
        fatal = self._desk.caller.fatal
        if fatal is not None:
            self.stop("failed", fatal_words(fatal))
            raise Ended
        if reason == "budget":
            self.stop("budget", "The budget is reached. Raise it and start again to go on.")
            raise Ended
        self._tally.failed[reason] += 1
        self._stream.put(
            CallFailed(
                key=key,
                stage="score",
                seed_id=pair.seed_id or 0,
                rate=pair.rate or 0.0,
                reason=reason,
                detail=detail,
                final=True,
            )
        )
