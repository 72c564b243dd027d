"""A generation run as one async stream of events: plan, generate, score. No interface, no SQL, no transport.

The terminal app and the command line are two readers of ``Generation.events``; neither owns logic. Whatever
the order in which answers arrive, the same project, recipe and seed give the same pairs.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass

from claif_tui.core.answers import CleanAnswer
from claif_tui.core.asking import Asker, Ended, Reply, Subject, read_generation, read_score
from claif_tui.core.desk import Desk
from claif_tui.core.errors import ClaifError
from claif_tui.core.events import (
    BudgetReached,
    CallFailed,
    EndState,
    Event,
    Finished,
    PairGenerated,
    PairScored,
    Progress,
)
from claif_tui.core.llm.base import Reason
from claif_tui.core.models import NANO, NewPair, RunState
from claif_tui.core.planning import Planned, RunOptions, walk
from claif_tui.core.progress import EventStream, Tally
from claif_tui.core.recipes import Recipe, recipe_id, requests_id, to_json
from claif_tui.core.run_words import closing_words, fatal_words
from claif_tui.core.store.items import ItemState
from claif_tui.core.store.runs import Ask
from claif_tui.core.store.store import Store
from claif_tui.core.systems import claif
from claif_tui.core.watching import watch

_RUN_STATES: dict[EndState, RunState] = {
    "finished": "finished",
    "paused": "stopped",
    "stopped": "stopped",
    "budget": "stopped",
    "failed": "failed",
}


@dataclass(frozen=True, slots=True)
class _Made:
    """A stored pair of an item."""

    pair_id: int
    text: str
    fresh: bool


class Generation:
    """One run over the project's seeds. Read ``events()`` to its end; steer with ``pause``, ``resume``, ``stop``."""

    def __init__(self, store: Store, recipe: Recipe, options: RunOptions, desk: Desk) -> None:
        self._store = store
        self._recipe = recipe
        self._options = options
        self._desk = desk
        self._scope = requests_id(recipe)
        self._version = recipe_id(recipe)
        self._stream = EventStream()
        self._going = asyncio.Event()
        self._going.set()
        self._end: EndState | None = None
        self._message = ""
        self._tally = Tally()
        self._working: asyncio.Task[None] | None = None
        self._asker: Asker | None = None
        self._run_id = 0

    # -- steering ------------------------------------------------------------------------------------------

    def pause(self) -> None:
        """Start nothing new; what is in flight still lands."""
        self._tally.paused = True
        self._going.clear()

    def resume(self) -> None:
        """Go on after ``pause``."""
        self._tally.paused = False
        self._going.set()

    def stop(self, state: EndState = "stopped", message: str = "") -> None:
        """End the run once what is in flight has landed. The first reason given stays."""
        if self._end is None:
            self._end, self._message = state, message
        if self._asker is not None:
            self._asker.end()
        self.resume()

    def abandon(self) -> None:
        """End the run now: requests in flight are given up, and count at their worst case."""
        self.stop()
        if self._working is not None:
            self._working.cancel()

    # -- the stream ----------------------------------------------------------------------------------------

    async def events(self) -> AsyncIterator[Event]:
        """Run, yielding what happens; the last event is ``Finished``. Raises ``ClaifError`` if it cannot start.

        Closing the iterator early ends the run like ``abandon``.
        """
        await self._start()
        self._working = asyncio.create_task(self._work())
        try:
            async for event in self._stream.until(self._working, self._progress):
                yield event
            self.stop("finished" if self._working.exception() is None else "failed")
        finally:
            self.abandon()
            await asyncio.wait([self._working])
            finished = await self._finish()
        self._working.result()
        yield finished

    async def _start(self) -> None:
        """Take the project's one run, charge what a dead run left open, count what is planned and settled."""
        store, options, recipe = self._store, self._options, self._recipe
        args = {"limit": options.limit, "split": options.split, **self._desk.terms()}

        def take() -> int:
            store.recipes.save(self._version, to_json(recipe))
            run = store.runs.start(options.kind, self._version, recipe.profile, recipe.model, args)
            store.calls.recover()
            store.ledger.set_cap(self._scope, self._desk.cap_nano)
            unique, occurrences, last = store.seeds.planned(options.split, options.limit)
            settled = store.items.counts(self._scope, last)
            self._tally.planned = claif.planned_pairs(recipe, unique, occurrences)
            self._tally.answered = settled.answered
            self._tally.failed = Counter(settled.failed)
            return run.id

        self._run_id = await asyncio.to_thread(take)
        self._asker = Asker(store, recipe, self._desk, self._run_id, self._emit)

    def _emit(self, event: Event) -> None:
        self._tally.note(event)
        self._stream.put(event)

    async def _finish(self) -> Finished:
        """Close the run in the store and say how it ended."""
        await self._desk.close()
        state = self._end or "finished"
        progress = self._progress()
        message = self._message or closing_words(state, progress)
        totals: dict[str, object] = {
            "planned": progress.planned,
            "answered": progress.answered,
            "failed": progress.failed,
            "calls": progress.calls,
            "troubles": progress.troubles,
        }
        await asyncio.to_thread(self._store.runs.set_state, self._run_id, _RUN_STATES[state], totals, message)
        return Finished(state=state, message=message, progress=progress)

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

    async def _work(self) -> None:
        """Plan, ask and record until there is nothing left or a reason to end."""
        watching = asyncio.create_task(watch(self._store.runs, self._run_id, self._obey))
        try:
            await self._desk.open()
            await self._run_workers()
        except* ClaifError as errors:
            error = _first(errors)
            self.stop("failed", f"{error.message}. {error.hint}".strip())
        finally:
            watching.cancel()

    def _obey(self, wish: Ask) -> RunState | None:
        """Do what another process asks of this run."""
        if wish == "stop":
            self.stop(message="stopped on request")
            return None
        (self.pause if wish == "pause" else self.resume)()
        return "paused" if wish == "pause" else "running"

    async def _run_workers(self) -> None:
        # More workers than requests in flight: while some wait for their commits, others keep the line busy.
        maximum = self._desk.caller.pace.maximum
        count = maximum + maximum // 2 + 2
        queue: asyncio.Queue[Planned | None] = asyncio.Queue(maxsize=count)
        async with asyncio.TaskGroup() as group:
            for _ in range(count):
                group.create_task(self._worker(queue))
            async for planned in walk(self._store, self._recipe, self._options):
                await queue.put(planned)
                if self._end is not None:
                    break
            for _ in range(count):
                await queue.put(None)

    async def _worker(self, queue: asyncio.Queue[Planned | None]) -> None:
        while (planned := await queue.get()) is not None:
            await self._going.wait()
            if self._end is None:
                await self._settle(planned)

    # -- one item ------------------------------------------------------------------------------------------

    async def _settle(self, planned: Planned) -> None:
        """Bring one planned pair as far as it goes: generated, scored, or failed with its reason."""
        if planned.failed:
            self._tally.failed[planned.failed] -= 1
        try:
            made = await self._generate(planned)
            if made is not None:
                await self._score(planned, made)
        except Ended:
            # The run is ending: the item stays as it was, and a later run takes it up.
            if planned.failed:
                self._tally.failed[planned.failed] += 1

    async def _generate(self, planned: Planned) -> _Made | None:
        """Return the item's pair, made now or before; None if it failed or is not worth a score."""
        item, recipe = planned.item, self._recipe
        made_before = planned.settled is not None and planned.settled.pair_id is not None
        reply = await self._asking().ask(
            item.ask,
            Subject(seed_id=item.seed.id, rate=item.rate, text=item.masked.text),
            read_generation(recipe, item.seed.text, item.ask.sampling.stop),
            occurrence=planned.occurrence,
            retry=planned.failed is not None and not made_before,
            known=planned.known,
        )
        clean = reply.value
        if clean is None:
            await self._fail(planned, reply.key, reply.reason, reply.detail)
            return None
        made = await self._store.awrite(lambda connection: self._record_pair(connection, planned, clean, reply))
        if made.fresh:
            self._stream.put(
                PairGenerated(
                    key=reply.key,
                    pair_id=made.pair_id,
                    seed_id=item.seed.id,
                    rate=item.rate,
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
                masked=item.masked.text,
                merged=item.masked.merged,
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
        item = planned.item
        reply = await self._asking().ask(
            claif.score_ask(self._recipe, item.seed.text, made.text),
            Subject(
                seed_id=item.seed.id,
                rate=item.rate,
                text=f"{item.seed.text} ⟷ {made.text}",
                pair_id=made.pair_id,
            ),
            read_score(self._recipe),
            reasks=self._recipe.reasks,
            retry=planned.failed is not None and not made.fresh,
        )
        parsed = reply.value
        if parsed is None or parsed.value is None:
            await self._fail(planned, reply.key, reply.reason, reply.detail, pair_id=made.pair_id)
            return
        score = parsed.value

        def record(connection: sqlite3.Connection) -> None:
            self._store.pairs.put_score(
                connection,
                made.pair_id,
                score=score,
                raw=parsed.said,
                scale="0-1",
                reason=parsed.reason or None,
                key=reply.key,
                text=made.text,
            )
            self._store.items.put(connection, self._scope, planned.place, "scored", pair_id=made.pair_id)

        await self._store.awrite(record)
        self._tally.answered += 1
        self._stream.put(
            PairScored(
                key=reply.key,
                pair_id=made.pair_id,
                seed_id=item.seed.id,
                rate=item.rate,
                text_a=item.seed.text,
                text_b=made.text,
                score=score,
            )
        )

    async def _fail(
        self, planned: Planned, key: str, reason: Reason | None, detail: str, pair_id: int | None = None
    ) -> None:
        """Record why an item has no (scored) pair; end the run where every other item would fail alike."""
        why: Reason = reason or "unparsed"
        fatal = self._desk.caller.fatal
        if fatal is not None:
            self.stop("failed", fatal_words(fatal))
            raise Ended
        if why == "budget":
            self._budget_reached()
            raise Ended
        place = planned.place
        await self._store.awrite(
            lambda connection: self._store.items.put(
                connection, self._scope, place, "failed", reason=why, pair_id=pair_id
            )
        )
        self._tally.failed[why] += 1
        self._stream.put(
            CallFailed(
                key=key,
                stage="generate" if pair_id is None else "score",
                seed_id=planned.item.seed.id,
                rate=planned.item.rate,
                reason=why,
                detail=detail,
                final=True,
            )
        )

    def _budget_reached(self) -> None:
        if self._end is not None:
            return
        ledger = self._store.ledger.get(self._scope)
        cap = self._desk.cap_nano or 0
        self._stream.put(
            BudgetReached(spent_nano=ledger.spent_nano, reserved_nano=ledger.reserved_nano, cap_nano=cap)
        )
        self.stop(
            "budget",
            f"The budget of ${cap / NANO:.2f} is reached (${ledger.spent_nano / NANO:.4f} counted as spent). "
            "Raise it and start again to go on.",
        )

    def _asking(self) -> Asker:
        assert self._asker is not None
        return self._asker


def _first(errors: BaseExceptionGroup[ClaifError]) -> ClaifError:
    error: BaseException = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, ClaifError)
    return error
